"""The commands as functions, for tensors in memory."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn

from nasbench.models import Classifier
from nasbench.segment.base import Views
from nasbench.segment.nas import Nas


def nas(model: Classifier | nn.Module, x: Tensor, k: int = 5, **options: Any) -> Tensor:
    """Neuro-Activated Superpixels of a batch.

    Args:
        model: a Classifier, or a timm network (which is copied, not changed; its own mean and std apply).
        x: (B, 3, H, W) float RGB in [0, 1], at the size the model reads.
        k: clusters per image.
        options: any other attribute of `nasbench.segment.nas.Nas`, e.g. `stages=[-1]`, `connected=True`.

    Returns:
        Labels (B, H, W) int64, contiguous from 0 in each image, on x's device.

    Raises:
        UsageError: an option out of range, or a network without accessible stages.
        SegmentationError: activations that are NaN or infinite.
        ValueError: x is not such a batch.
    """
    classifier = model if isinstance(model, Classifier) else _wrapped(model, x)
    views = Views(tuple(str(i) for i in range(len(x))), x)
    return Nas(k=k, **options)(views, classifier.features(x)).to(x.device)


def _wrapped(module: nn.Module, x: Tensor) -> Classifier:
    cfg = getattr(module, "pretrained_cfg", {}) or {}
    device = next(module.parameters()).device
    size = (int(x.shape[-2]), int(x.shape[-1]))
    classifier = Classifier(
        copy.deepcopy(module).cpu().float(),
        name=type(module).__name__,
        input_size=size,
        mean=cfg.get("mean", (0.0, 0.0, 0.0)),
        std=cfg.get("std", (1.0, 1.0, 1.0)),
        weights_source="in memory",
    )
    return classifier.to(device)
