"""nasbench: benchmarks explanations of image classifiers with the classifier's own superpixels.

The command line is a shell around the rooms of this package; `nas`, `explain` and `lerf` are commands as
functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasbench.api import explain, lerf, nas

__all__ = ["__version__", "explain", "lerf", "nas"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import torch on first use only: the command line must start at once."""
    if name in ("explain", "lerf", "nas"):
        from nasbench import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
