"""nasbench: benchmarks explanations of image classifiers with the classifier's own superpixels.

The command line is a shell around the rooms of this package; `nas` is its first command as a function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasbench.api import nas

__all__ = ["__version__", "nas"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import torch on first use only: the command line must start at once."""
    if name == "nas":
        from nasbench.api import nas

        return nas
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
