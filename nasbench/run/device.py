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


def untrained_classifier(parts: Parts, config: Mapping[str, Any], device: str) -> Classifier:
    """The cell's network with random weights, in the same place and precision: a control.

    timm starts a ResNet's residual branches at zero, which leaves little but the stem and the shortcuts; they
    are started like the rest where the network offers it.
    """
    model = dict(config["model"])
    model |= {"weights": "random", "num_classes": None}
    lively = {**model, "kwargs": {**(model.get("kwargs") or {}), "zero_init_last": False}}
    try:
        return prepared_classifier(parts, {**config, "model": lively}, device)
    except UsageError:  # a network without that option
        return prepared_classifier(parts, {**config, "model": model}, device)
