"""Models: a network as a frozen `Classifier` that yields `Features`, and its weights and their digest.

This room knows no other room. `load_classifier`, for timm's networks, and `load_by_modules`, for others, are
the doors; they are what `configs/model/*.yaml` instantiate.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasbench.models.by_modules import load_by_modules
    from nasbench.models.classifier import Classifier
    from nasbench.models.features import Features
    from nasbench.models.load import load_classifier

__all__ = ["Classifier", "Features", "load_by_modules", "load_classifier"]

_HOME = {
    "Classifier": "classifier",
    "Features": "features",
    "load_by_modules": "by_modules",
    "load_classifier": "load",
}


def __getattr__(name: str) -> Any:
    """Import torch and timm on first use only: composing and printing a configuration needs neither."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


SCHEMA = 1
"""Part of every unit's key: raised when the same weights come to give other logits or stages."""
