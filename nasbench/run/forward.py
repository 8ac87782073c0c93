"""Forward passes that fit into memory."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from nasbench.models import Classifier, Features
from nasbench.models.memory import in_halves
from nasbench.segment.averages import averaged, variants
from nasbench.segment.base import Activations


def activation_features(classifier: Classifier, pixels: Tensor, activations: Activations) -> Features:
    """Features as a segmenter asks for them, from pixels (B, 3, h, w) of the size that the classifier reads.

    Which network and which size is the caller's; here are the mirrored image and the averages. Raises
    RunError where a single image does not fit into memory.
    """
    if activations.source == "mirror":
        pixels = pixels.flip(-1)
    if not activations.average:
        return bounded_features(classifier, pixels)
    size = classifier.input_size
    passes = variants(activations.average, classifier.deepest_size, size)
    return averaged([bounded_features(classifier, one.of(pixels)) for one in passes], passes, size)


def bounded_features(classifier: Classifier, pixels: Tensor) -> Features:
    """Features of pixels (B, 3, h, w) in [0, 1]; where memory runs out the batch is halved.

    Raises RunError where a single image does not fit.
    """
    return in_halves(classifier.features, pixels, join=_joined, what=f"a forward pass of {classifier.name}")


@torch.no_grad()
def bounded_logits(classifier: Classifier, pixels: Tensor) -> Tensor:
    """Logits (B, classes) float32 of pixels (B, 3, h, w) in [0, 1]; halved likewise. Raises RunError."""
    what = f"a forward pass of {classifier.name}"
    return in_halves(classifier.logits, pixels, join=lambda a, b: torch.cat([a, b]), what=what)


def _joined(a: Features, b: Features) -> Features:
    stages = tuple(torch.cat(pair) for pair in zip(a.stages, b.stages, strict=True))
    return replace(
        a, logits=torch.cat([a.logits, b.logits]), stages=stages, final=torch.cat([a.final, b.final])
    )
