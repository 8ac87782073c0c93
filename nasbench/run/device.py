"""Where the forward pass runs, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from nasbench.errors import UsageError
from nasbench.models import Classifier
from nasbench.run.build import Parts

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def pick_device(name: str) -> torch.device:
    """The device called `auto` (cuda, else mps, else cpu), `cpu`, `cuda` or `mps`. Raises UsageError."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, there in available.items() if there)
    if not available.get(name, False):
        there = [device for device, present in available.items() if present]
        raise UsageError(f"device={name} is not available here; choose {' or '.join(there)}")
    return torch.device(name)


def prepared_classifier(parts: Parts, config: Mapping[str, Any], device: str) -> Classifier:
    """The cell's classifier on its device, in its precision."""
    precision = config["precision"]

    def finish(classifier: Classifier) -> Classifier:
        return classifier.to(
            pick_device(device), dtype=_DTYPES[precision["dtype"]], channels_last=precision["channels_last"]
        )

    # Two cells may use one network in two precisions.
    classifier: Classifier = parts.get("model", config["model"], finish, variant=precision)
    return classifier
