"""Forward passes that fit into memory."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from nasbench.errors import RunError
from nasbench.models import Classifier, Features
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
    try:
        return classifier.features(pixels)
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        if len(pixels) == 1:
            size = "×".join(map(str, pixels.shape[-2:]))
            raise RunError(f"one image of {size} does not fit into memory with {classifier.name}") from error
    # Outside the handler: the traceback keeps the failed pass's tensors alive.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    half = (len(pixels) + 1) // 2
    return _joined(bounded_features(classifier, pixels[:half]), bounded_features(classifier, pixels[half:]))


def _is_out_of_memory(error: RuntimeError) -> bool:
    words = ("not enough memory", "can't allocate memory")
    return isinstance(error, torch.OutOfMemoryError) or any(word in str(error) for word in words)


def _joined(a: Features, b: Features) -> Features:
    stages = tuple(torch.cat(pair) for pair in zip(a.stages, b.stages, strict=True))
    return replace(
        a, logits=torch.cat([a.logits, b.logits]), stages=stages, final=torch.cat([a.final, b.final])
    )
