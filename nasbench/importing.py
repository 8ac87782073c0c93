"""Python objects by their dotted names, those of modules beside the run too."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


def resolve(name: str) -> Any:
    """What a dotted name stands for, as `package.module.Class`.

    A module in the current folder can be imported, as `python -m` would find it. Raises ImportError,
    AttributeError or ValueError where there is no such thing.
    """
    here = str(Path.cwd())
    if not name.startswith("nasbench.") and here not in sys.path:
        sys.path.append(here)
    found = pkgutil.resolve_name(name)
    above, _, last = name.rpartition(".")
    if isinstance(found, ModuleType) and above:
        # `torchvision.models.alexnet` is a function, in a module of the same name.
        return getattr(importlib.import_module(above), last, found)
    return found
