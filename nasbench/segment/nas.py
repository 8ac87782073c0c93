"""Neuro-Activated Superpixels: regions from a frozen network's activations at several depths.

A documented reconstruction of the idea of arXiv 2406.04933 (the paper's details are not public to us);
every choice is an option.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from nasbench.errors import SegmentationError, UsageError
from nasbench.models.features import Features
from nasbench.rng import derive_seed
from nasbench.segment.base import Source, Views, contiguous
from nasbench.segment.components import connected_regions
from nasbench.segment.kmeans import KMeansResult, Mode, factored_kmeans
from nasbench.segment.matching import Knob
from nasbench.segment.outliers import mend_outlier_tokens
from nasbench.segment.virtual import VirtualFeatures

Scaling = Literal["variance", "none"]


@dataclass(frozen=True, kw_only=True)
class Nas:
    """k-means on the upsampled, concatenated stages of each image.

    Attributes:
        k: clusters per image; fewer regions appear where the activations have fewer distinct values.
        stages: indices into the model's stages, negative from the deepest.
        scaling: "variance" divides each stage by the square root of its summed channel variances on the
            target grid, so that stages weigh the same; "none" takes activations as they are.
        stage_weights: a weight per chosen stage, applied after scaling to squared distances; None is 1.
        warm_up: Lloyd steps at most on a quarter of the positions a side, where they are cheap.
        max_iter: Lloyd steps at most on the view's grid after those; the coarse mode leaves them out.
        restarts: runs from different starts, of which the one of lowest inertia is kept.
        mode: "exact" or the approximate "coarse", see `factored_kmeans`.
        connected: whether each cluster is split into its 4-connected components.
        min_size: with `connected`, components below this share of the image join the neighbour they
            share the longest border with.
        source: what is clustered. "self": the model's activations; the controls "random_weights" (those of
            an untrained network of the same kind), "mirror" (those of the mirrored image) and "pixels" (Lab
            colour and position, no activations).
        outlier_norm: tokens of a transformer whose norm exceeds this many times the image's median are
            replaced by their neighbours' mean; None keeps them. Convolutional maps are left alone.
        seed: with the sample's id, decides every random draw.
    """

    k: int = 10
    stages: Sequence[int] = (-3, -2, -1)
    scaling: Scaling = "variance"
    stage_weights: Sequence[float] | None = None
    warm_up: int = 10
    max_iter: int = 2
    restarts: int = 1
    mode: Mode = "exact"
    connected: bool = False
    min_size: float = 0.0
    source: Source = "self"
    outlier_norm: float | None = 3.0
    seed: int = 0

    @property
    def uses_features(self) -> bool:
        """Whether activations are read: by every source but the pixels."""
        return self.source != "pixels"

    def __post_init__(self) -> None:
        for key, value, least in (
            ("k", self.k, 1),
            ("warm_up", self.warm_up, 0),
            ("max_iter", self.max_iter, 0),
            ("restarts", self.restarts, 1),
        ):
            if value < least:
                raise UsageError(f"segmenter.{key}={value} must be at least {least}")
        if not self.stages:
            raise UsageError("segmenter.stages is empty; name at least one stage, e.g. [-1]")
        for key, choices in (("scaling", Scaling), ("mode", Mode), ("source", Source)):
            if getattr(self, key) not in get_args(choices):
                raise UsageError(
                    f"segmenter.{key}={getattr(self, key)}: choose {' or '.join(get_args(choices))}"
                )
        self._check_numbers()

    def _check_numbers(self) -> None:
        if self.stage_weights is not None:
            if len(self.stage_weights) != len(self.stages):
                n, m = len(self.stage_weights), len(self.stages)
                raise UsageError(f"segmenter.stage_weights has {n} values for {m} stages")
            if min(self.stage_weights) < 0:
                raise UsageError("segmenter.stage_weights must not be negative")
        if self.outlier_norm is not None and self.outlier_norm <= 1:
            raise UsageError(f"segmenter.outlier_norm={self.outlier_norm} must be above 1, or null")
        if not 0 <= self.min_size < 1:
            raise UsageError(f"segmenter.min_size={self.min_size} must be in [0, 1): a share of the image")

    def check_stages(self, n: int) -> None:
        """Whether a model of n stages has those asked for. Raises UsageError."""
        for index in self.stages:
            if not -n <= index < n:
                raise UsageError(f"segmenter.stages holds {index}; the model has {n} stages: {-n} to {n - 1}")

    def __call__(self, views: Views, features: Features | None) -> Tensor:
        """Labels (B, H, W) int64 on the views' grid; see `Segmenter`."""
        try:
            labels = self._labels(self._scaled(views, features), views)
        except ValueError as error:
            raise SegmentationError(str(error)) from error
        if self.connected:
            return connected_regions(labels, min_size=self.min_size)
        return contiguous(labels)

    def count_knob(self, wanted: int, size: tuple[int, int]) -> Knob:
        """See `nasbench.segment.matching.Countable`."""
        # Clusters fall apart into several components each, of which `min_size` leaves fewer.
        start = max(1, round(wanted / 3)) if self.connected else wanted
        high = min(4 * wanted, size[0] * size[1])
        return Knob(at=lambda k: replace(self, k=int(k)), start=start, low=1, high=high)

    def chosen(self, features: Features) -> list[Tensor]:
        """The stages asked for, outlying tokens mended."""
        self.check_stages(len(features.stages))
        stages = [features.stages[index] for index in self.stages]
        if features.tokens and self.outlier_norm is not None:
            return [mend_outlier_tokens(stage, self.outlier_norm) for stage in stages]
        return stages

    def _scaled(self, views: Views, features: Features | None) -> list[Tensor]:
        """The stages that are clustered, on one scale."""
        weights = self.stage_weights
        if self.source == "pixels":
            chosen, weights = pixel_stages(views.pixels), None
        elif features is None:
            raise SegmentationError("nas needs the model's activations")
        else:
            chosen = self.chosen(features)
        return scale_stages(chosen, views.size, scaling=self.scaling, weights=weights)

    def _labels(self, stages: list[Tensor], views: Views) -> Tensor:
        """The nearest centroid at every position, (B, H, W)."""
        return self._best(stages, views).labels

    def _best(self, stages: list[Tensor], views: Views) -> KMeansResult:
        best: KMeansResult | None = None
        # More clusters than positions cannot be told apart, and would only cost.
        k = min(self.k, views.size[0] * views.size[1])
        for restart in range(self.restarts):
            seeds = [derive_seed(self.seed, name, f"nas/{restart}") for name in views.ids]
            run = factored_kmeans(
                stages,
                views.size,
                k,
                warm_up=self.warm_up,
                max_iter=0 if self.mode == "coarse" else self.max_iter,
                seed=seeds,
                mode=self.mode,
            )
            best = run if best is None else _lower(best, run)
        assert best is not None
        return best


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
        out = stage
        if scaling == "variance":
            centred, mean = VirtualFeatures((stage,), size).centred()
            variance = centred.mean_square_norm()
            # Rounding leaves a constant stage with a variance of about (eps · |mean|)², not with 0.
            floor = (32 * torch.finfo(stage.dtype).eps) ** 2 * mean.square().sum(dim=1)
            flat = variance <= floor
            factor = torch.where(flat, torch.zeros_like(variance), variance.clamp(min=1e-30).rsqrt())
            out = centred.stages[0] * factor[:, None, None, None]
        scaled.append(out * weight**0.5)
    return scaled


def _lower(a: KMeansResult, b: KMeansResult) -> KMeansResult:
    """Image by image, the run of lower inertia; the earlier one on a tie."""
    take = b.inertia < a.inertia
    return KMeansResult(
        labels=torch.where(take[:, None, None], b.labels, a.labels),
        centroids=torch.where(take[:, None, None], b.centroids, a.centroids),
        inertia=torch.where(take, b.inertia, a.inertia),
        n_iter=torch.where(take, b.n_iter, a.n_iter),
    )
