"""Superpixelification: every pixel takes the mean of its region, regions being any labels.

A region's score is the area-mean, on the labels' grid, of the raw map bilinearly upsampled to that grid
(pixel centres at half-integers, as in `nasbench.segment.interpolation`): never a sum, which would rank by
area. A scalar map is so small that it is upsampled and counted; to pull back the indicator of each region
instead (`region_centroids`) gives the same means and pays where there are many channels.

Functions take maps (B, h, w) of any floating type, raw and at their native resolution, and labels (B, H, W)
int64, contiguous from 0 in each image; others raise ValueError. One region only has one mean: whether a
constant map is of use, the caller decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from nasbench.saliency.options import check_choice
from nasbench.segment.kmeans import cluster_sums
from nasbench.segment.virtual import VirtualFeatures

Sign = Literal["signed", "abs", "positive"]


def signed(maps: Tensor, rule: Sign) -> Tensor:
    """Raw maps by a sign rule: `signed` as they are, `abs` their size, `positive` 0 for what is below.

    Applied at native resolution, after the sum over channels and before any mean. Raises UsageError.
    """
    check_sign(rule)
    if rule == "abs":
        return maps.abs()
    return maps.clamp(min=0) if rule == "positive" else maps


def check_sign(rule: str) -> None:
    """Raise UsageError where `signed` does not know the rule."""
    check_choice("sign", rule, get_args(Sign))


def superpixelify(maps: Tensor, labels: Tensor) -> Tensor:
    """The maps with each region painted in its mean: (B, H, W) float32."""
    return paint(region_means(maps, labels), labels)


def region_means(maps: Tensor, labels: Tensor) -> list[Tensor]:
    """Mean of each region on the labels' grid: one (K,) float64 tensor per image."""
    return [sums / areas for sums, areas in (_sums(m, l) for m, l in zip(*_pairs(maps, labels), strict=True))]


def paint(means: Sequence[Tensor], labels: Tensor) -> Tensor:
    """Maps (B, H, W) float32 on the labels' grid, from one value per region and image (K,)."""
    return _painted(means, labels).float()


def region_centroids(stage: Tensor, labels: Tensor) -> list[Tensor]:
    """Mean activations of each region on the labels' grid, never upsampled: (K, C) float64 for each image.

    Args:
        stage: (B, C, h, w) floating point.
        labels: see the module.
    """
    _check_labels(labels, len(stage))
    features = VirtualFeatures.of([stage.cpu().double()], (int(labels.shape[1]), int(labels.shape[2])))
    centroids = []
    for i, image in enumerate(labels.cpu()):
        sums, areas = cluster_sums(features.image(i), image[None], int(image.max()) + 1)
        centroids.append(sums[0] / areas[0, :, None])
    return centroids


def cam_region_scores(class_weights: Tensor, centroids: Tensor) -> Tensor:
    """Region means (K,) float64 of a CAM whose map is never made: class_weights (C,), centroids (K, C).

    A CAM is Σ_c w_c a_c (Zhou et al., "Learning deep features for discriminative localization", CVPR 2016)
    and upsampling and means are linear, so that a region's mean is ⟨w, mean of a over the region⟩. A ReLU
    before the mean would break this; after it, it is `signed` on these scores.
    """
    if class_weights.ndim != 1 or centroids.ndim != 2 or centroids.shape[1] != len(class_weights):  # noqa: PLR2004
        shapes = f"{tuple(class_weights.shape)} and {tuple(centroids.shape)}"
        raise ValueError(f"class weights and centroids have shapes {shapes}; expected (C,) and (K, C)")
    return centroids.cpu().double() @ class_weights.detach().cpu().double()


def _sums(image: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of a map (h, w) over each region of (H, W) labels, and their areas: (K,) float64 each."""
    features = VirtualFeatures.of([image[None, None].double()], (int(labels.shape[0]), int(labels.shape[1])))
    upsampled = features.inner(torch.ones(1, 1, 1, dtype=torch.float64))
    names = labels.flatten()
    return torch.bincount(names, weights=upsampled.flatten()), torch.bincount(names).double()


def _painted(means: Sequence[Tensor], labels: Tensor) -> Tensor:
    """(B, H, W) in the means' type."""
    _check_labels(labels, len(means))
    for image, values in zip(labels, means, strict=True):
        if len(values) != int(image.max()) + 1:
            raise ValueError(f"{len(values)} values for {int(image.max()) + 1} regions")
    return torch.stack([values[image] for image, values in zip(labels.cpu(), means, strict=True)])


def _pairs(maps: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Maps and labels on the CPU, where sums have one order. Raises ValueError where they do not fit."""
    if maps.ndim != 3 or not maps.is_floating_point():  # noqa: PLR2004
        raise ValueError(f"maps are {maps.dtype} {tuple(maps.shape)}; expected floating point (B, h, w)")
    _check_labels(labels, len(maps))
    return maps.detach().cpu(), labels.cpu()


def _check_labels(labels: Tensor, batch: int) -> None:
    if labels.ndim != 3 or labels.dtype != torch.int64 or labels.numel() == 0:  # noqa: PLR2004
        raise ValueError(f"labels are {labels.dtype} {tuple(labels.shape)}; expected int64 (B, H, W)")
    if len(labels) != batch:
        raise ValueError(f"labels of {len(labels)} images for maps of {batch}")
    for image in labels:
        names = image.flatten()
        # The least and the largest first: a stray number must not ask for as many bins.
        fits = int(names.min()) >= 0 and int(names.max()) < len(names)
        if not fits or bool((torch.bincount(names) == 0).any()):
            raise ValueError("labels must be contiguous from 0 in each image")
