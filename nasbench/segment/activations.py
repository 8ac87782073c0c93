"""What a segmenter takes from a network: which activations, which stages, on which scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from nasbench.errors import SegmentationError, UsageError
from nasbench.models.features import Features
from nasbench.segment.base import Activations, Views
from nasbench.segment.outliers import mend_outlier_tokens
from nasbench.segment.virtual import VirtualFeatures

Scaling = Literal["variance", "none"]
_SOURCES = ("self", "random_weights", "mirror", "pixels")
_AVERAGES = ("flip", "shift")


@dataclass(frozen=True, kw_only=True)
class ActivationOptions:
    """The options shared by all that cluster activations.

    Attributes:
        stages: indices into the model's stages, negative from the deepest.
        scaling: "variance" divides each stage by the square root of its summed channel variances on the
            target grid, so that stages weigh the same; "none" takes activations as they are.
        stage_weights: a weight per chosen stage, applied after scaling to squared distances; None is 1.
        source: what is clustered. "self": the model's activations; the controls "random_weights" (those of
            an untrained network of the same kind), "mirror" (those of the mirrored image, not mirrored
            back), "model:<name>" (another network's) and "pixels" (Lab colour and position).
        source_model: that other network's configuration; None for the other sources.
        forward_size: see `Activations`.
        average: see `Activations`.
        outlier_norm: tokens of a transformer whose norm exceeds this many times the image's median are
            replaced by their neighbours' mean; None keeps them. Convolutional maps are left alone.
    """

    stages: Sequence[int] = (-3, -2, -1)
    scaling: Scaling = "variance"
    stage_weights: Sequence[float] | None = None
    source: str = "self"
    source_model: Mapping[str, Any] | None = None
    forward_size: int | None = None
    average: Sequence[str] = ()
    outlier_norm: float | None = 3.0

    @property
    def uses_features(self) -> bool:
        """Whether activations are read: by every source but the pixels."""
        return self.source != "pixels"

    @property
    def activations(self) -> Activations:
        """The forward passes asked for."""
        return Activations(self.source, self.source_model, self.forward_size, tuple(self.average))

    def __post_init__(self) -> None:
        if not self.stages:
            raise UsageError("segmenter.stages is empty; name at least one stage, e.g. [-1]")
        if self.scaling not in get_args(Scaling):
            raise UsageError(f"segmenter.scaling={self.scaling}: choose variance or none")
        if self.stage_weights is not None:
            if len(self.stage_weights) != len(self.stages):
                n, m = len(self.stage_weights), len(self.stages)
                raise UsageError(f"segmenter.stage_weights has {n} values for {m} stages")
            if min(self.stage_weights) < 0:
                raise UsageError("segmenter.stage_weights must not be negative")
        if self.outlier_norm is not None and self.outlier_norm <= 1:
            raise UsageError(f"segmenter.outlier_norm={self.outlier_norm} must be above 1, or null")
        self._check_passes()

    def _check_passes(self) -> None:
        if self.source.startswith("model:"):
            if self.source_model is None:
                raise UsageError(f"segmenter.source={self.source} lacks segmenter.source_model")
        elif self.source not in _SOURCES:
            choices = ", ".join(_SOURCES)
            raise UsageError(f"segmenter.source={self.source}: choose {choices} or model:<name>")
        elif self.source_model is not None:
            raise UsageError(f"segmenter.source_model is for source=model:<name>, not for {self.source}")
        if self.forward_size is not None and self.forward_size < 1:
            raise UsageError(f"segmenter.forward_size={self.forward_size} must be at least 1")
        if isinstance(self.average, str) or len(set(self.average)) < len(self.average):
            raise UsageError(f"segmenter.average={self.average}: give a list, each entry once, e.g. [flip]")
        for name in self.average:
            if name not in _AVERAGES:
                raise UsageError(f"segmenter.average holds {name}; choose from {', '.join(_AVERAGES)}")
        if self.source == "pixels" and (self.average or self.forward_size):
            raise UsageError("segmenter.source=pixels runs no network: average and forward_size mean nothing")

    def check_stages(self, n: int) -> None:
        """Whether a model of n stages has those asked for. Raises UsageError."""
        if not self.uses_features:
            return
        for index in self.stages:
            if not -n <= index < n:
                raise UsageError(f"segmenter.stages holds {index}; the model has {n} stages: {-n} to {n - 1}")

    def raw_stages(self, views: Views, features: Features | None) -> tuple[list[Tensor], list[float] | None]:
        """What is clustered, before scaling, and its weights; outlying tokens are mended.

        Raises SegmentationError where activations are needed and there are none; UsageError for a stage the
        model lacks.
        """
        if not self.uses_features:
            return pixel_stages(views.pixels), None
        if features is None:
            raise SegmentationError("the segmenter needs the model's activations")
        self.check_stages(len(features.stages))
        stages = [features.stages[index] for index in self.stages]
        if features.tokens and self.outlier_norm is not None:
            stages = [mend_outlier_tokens(stage, self.outlier_norm) for stage in stages]
        return stages, None if self.stage_weights is None else [float(w) for w in self.stage_weights]

    def scaled_stages(self, views: Views, features: Features | None) -> list[Tensor]:
        """What is clustered, each image on its own scale. Raises SegmentationError, ValueError (NaN)."""
        stages, weights = self.raw_stages(views, features)
        return scale_stages(stages, views.size, scaling=self.scaling, weights=weights)


def pixel_stages(pixels: Tensor) -> list[Tensor]:
    """Lab colour (B, 3, H, W) and position (B, 2, H, W) of pixels (B, 3, H, W) in [0, 1], as two stages."""
    from skimage.color import rgb2lab

    images = pixels.permute(0, 2, 3, 1).float().cpu().numpy()
    lab = torch.from_numpy(np.stack([rgb2lab(image) for image in images])).permute(0, 3, 1, 2)
    height, width = pixels.shape[-2:]
    ys, xs = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    position = torch.stack([ys, xs]).expand(len(pixels), -1, -1, -1)
    return [stage.to(pixels.device, torch.float32) for stage in (lab, position)]


def scale_stages(
    stages: Sequence[Tensor],
    size: tuple[int, int],
    *,
    scaling: Scaling = "variance",
    weights: Sequence[float] | None = None,
) -> list[Tensor]:
    """Bring stages (B, C_l, h_l, w_l) to one scale, image by image.

    "variance" subtracts each channel's mean on the H × W target grid and divides the stage by the square
    root of its summed channel variances there: every stage then adds a mean squared norm of 1. A stage
    that is constant over an image tells nothing about it and becomes 0. `weights` multiply the stages'
    squared distances. Raises ValueError for NaN or infinite activations, naming the stage.
    """
    whole = VirtualFeatures.of(stages, size)
    scaled = []
    for l, stage in enumerate(whole.stages):
        weight = 1.0 if weights is None else float(weights[l])
        if scaling == "none":
            scaled.append(stage if weight == 1 else stage * weight**0.5)
        else:
            centred, mean = VirtualFeatures((stage,), size).centred()
            variance = centred.mean_square_norm()
            # Rounding leaves a constant stage with a variance of about (eps · |mean|)², not with 0.
            floor = (32 * torch.finfo(stage.dtype).eps) ** 2 * mean.square().sum(dim=1)
            flat = variance <= floor
            factor = torch.where(flat, torch.zeros_like(variance), variance.clamp(min=1e-30).rsqrt())
            # In place: the centred stage is ours, and a fresh array costs more than the product.
            scaled.append(centred.stages[0].mul_(weight**0.5 * factor[:, None, None, None]))
    return scaled
