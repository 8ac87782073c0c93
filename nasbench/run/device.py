"""Where the forward pass runs, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from nasbench.errors import UsageError, WeightsError
from nasbench.models import Classifier
from nasbench.run.build import Parts, build
from nasbench.saliency.randomised import apply_cascade
from nasbench.segment.base import Activations

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


def source_classifier(
    parts: Parts, config: Mapping[str, Any], activations: Activations, device: str
) -> Classifier:
    """The network that a segmenter's activations come from, for images of the size it is to read.

    Raises UsageError where the network does not take that size.
    """
    own = prepared_classifier(parts, config, device)
    size = forward_size(own, activations)
    if activations.source in ("self", "mirror") and size == own.input_size:
        return own
    model = dict(config["model"] if activations.model is None else activations.model)
    sized = {**model, "input_size": list(size)}
    if activations.model is not None:
        try:
            return prepared_classifier(parts, {**config, "model": sized}, device)
        except (UsageError, WeightsError) as error:
            said = f"segmenter.source={activations.source}, segmenter.source_weights: {error}"
            raise type(error)(said) from error
    if activations.source != "random_weights":
        return prepared_classifier(parts, {**config, "model": sized}, device)
    untrained = {**sized, "weights": "random", "num_classes": None}
    try:
        return prepared_classifier(parts, {**config, "model": _lively(untrained)}, device)
    except UsageError:  # a network without that option
        return prepared_classifier(parts, {**config, "model": untrained}, device)


def _lively(model: Mapping[str, Any]) -> dict[str, Any]:
    """An untrained model whose residual branches start like the rest.

    timm starts a ResNet's at zero, which leaves little but the stem and the shortcuts.
    """
    return {**model, "kwargs": {**(model.get("kwargs") or {}), "zero_init_last": False}}


def randomised_classifier(parts: Parts, config: Mapping[str, Any], device: str) -> Classifier:
    """The cell's classifier with its first `randomise` blocks, from the head down, untrained.

    Raises UsageError where there are not so many blocks.
    """
    depth = config.get("randomise", 0)
    if depth == 0:
        return prepared_classifier(parts, config, device)
    precision = config["precision"]

    def finish(classifier: Classifier) -> Classifier:
        # Another seed than the model's own: an untrained network would be randomised into itself.
        seed = int(config["model"].get("seed", 0)) + 1
        random = {**config["model"], "weights": "random", "num_classes": classifier.num_classes, "seed": seed}
        try:
            untrained = build("model", _lively(random))
        except UsageError:  # a network without that option
            untrained = build("model", random)
        mixed = apply_cascade(classifier, untrained, depth)
        return mixed.to(
            pick_device(device), dtype=_DTYPES[precision["dtype"]], channels_last=precision["channels_last"]
        )

    classifier: Classifier = parts.get(
        "model", config["model"], finish, variant={**precision, "randomise": depth}
    )
    return classifier


def forward_size(classifier: Classifier, activations: Activations) -> tuple[int, int]:
    """(h, w) that the network is to read for a view of the classifier's size."""
    height, width = classifier.input_size
    if activations.forward_size is None:
        return height, width
    factor = activations.forward_size / min(height, width)
    return round(height * factor), round(width * factor)
