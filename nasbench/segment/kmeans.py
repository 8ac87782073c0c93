"""Factored k-means: Lloyd's algorithm on upsampled, concatenated stages without building them.

Semantics follow scikit-learn's `KMeans(algorithm="lloyd", tol=0)`: `max_iter` times (assign, update),
then a last assign; a run stops when no label changes; an empty cluster takes the point farthest from its
centroid. Where all points sit on their centroids there is nothing to take: the cluster keeps its centroid
and stays empty, so fewer labels than k appear.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from nasbench.segment.virtual import VirtualFeatures

Mode = Literal["exact", "coarse"]

# Centroids whose maps exist at one time: bounds the memory whatever k.
_AT_ONCE = 64


@dataclass(frozen=True)
class KMeansResult:
    """A clustering of each image.

    Attributes:
        labels: (B, H, W) int64 in 0..k-1, the nearest centroid; the lower index wins a tie.
        centroids: (B, k, ΣC), the stages' channels concatenated in the order given.
        inertia: (B,) float64, summed squared distance of the H·W positions to their centroids.
        n_iter: (B,) int64, (assign, update) steps until no label changed, at most `max_iter`.
    """

    labels: Tensor
    centroids: Tensor
    inertia: Tensor
    n_iter: Tensor


def factored_kmeans(
    stages: Sequence[Tensor],
    size: tuple[int, int],
    k: int,
    *,
    init: Tensor | None = None,
    max_iter: int = 20,
    seed: int | Sequence[int] = 0,
    mode: Mode = "exact",
) -> KMeansResult:
    """Cluster every image's H × W grid of bilinearly upsampled, concatenated activations.

    Args:
        stages: (B, C_l, h_l, w_l) floating-point tensors on one device, any number of them.
        size: (H, W), the target grid.
        k: number of clusters, at least 1. Above the number of distinct positions, fewer labels appear.
        init: (B, k, ΣC) starting centroids; default greedy k-means++ on the grid of the finest stage.
        max_iter: (assign, update) steps at most; 0 only assigns to the start.
        seed: of the k-means++ draws; one for all images, or B of them. An image's result depends on its
            own seed only, not on its place in the batch.
        mode: "exact" iterates on the target grid; "coarse" iterates on the grid of the finest stage and
            only assigns on the target grid.

    Returns:
        Labels, centroids, inertia and step counts, on the stages' device.

    Raises:
        ValueError: NaN or infinite activations, k < 1, or shapes that do not fit.
    """
    if k < 1:
        raise ValueError(f"k is {k}; it must be at least 1")
    if max_iter < 0:
        raise ValueError(f"max_iter is {max_iter}; it must be at least 0")
    if mode not in ("exact", "coarse"):
        raise ValueError(f"mode is {mode!r}; choose exact or coarse")
    features = VirtualFeatures.of(stages, size)
    seeds = _seeds(seed, features.batch)
    if init is not None:
        _check_init(init, (features.batch, k, sum(features.channels)))
    if features.stages[0].device.type != "cpu":
        return _cluster(features, init, k, max_iter=max_iter, seeds=seeds, mode=mode)
    # One image's maps fit into a processor's cache, a batch's do not: image by image is twice as fast.
    results = []
    for i in range(features.batch):
        start = None if init is None else init[i : i + 1]
        results.append(
            _cluster(features.image(i), start, k, max_iter=max_iter, seeds=seeds[i : i + 1], mode=mode)
        )
    return KMeansResult(
        labels=torch.cat([r.labels for r in results]),
        centroids=torch.cat([r.centroids for r in results]),
        inertia=torch.cat([r.inertia for r in results]),
        n_iter=torch.cat([r.n_iter for r in results]),
    )


def _cluster(
    features: VirtualFeatures, init: Tensor | None, k: int, *, max_iter: int, seeds: Sequence[int], mode: Mode
) -> KMeansResult:
    full, mean = features.centred()
    coarse = full.at_size(_finest(full))
    centroids = _plus_plus(coarse, k, seeds) if init is None else init.to(mean) - mean[:, None]
    centroids, n_iter = _lloyd(full if mode == "exact" else coarse, centroids, max_iter)
    labels, score = _assign(full, centroids)
    distance = (full.square_norms() + score).clamp(min=0)
    inertia = distance.flatten(1).sum(dim=1, dtype=torch.float64)
    return KMeansResult(labels, centroids + mean[:, None], inertia, n_iter)


def _check_init(init: Tensor, expected: tuple[int, int, int]) -> None:
    if tuple(init.shape) != expected:
        raise ValueError(f"init has shape {tuple(init.shape)}; expected {expected}")
    if not torch.isfinite(init).all():
        raise ValueError("init holds NaN or infinite values")


def _finest(features: VirtualFeatures) -> tuple[int, int]:
    """The largest native grid among the stages, not above the target grid."""
    height = max(int(stage.shape[2]) for stage in features.stages)
    width = max(int(stage.shape[3]) for stage in features.stages)
    return min(height, features.size[0]), min(width, features.size[1])


def _seeds(seed: int | Sequence[int], batch: int) -> list[int]:
    seeds = [seed] * batch if isinstance(seed, int) else [int(s) for s in seed]
    if len(seeds) != batch:
        raise ValueError(f"{len(seeds)} seeds for {batch} images")
    return seeds


def _lloyd(features: VirtualFeatures, centroids: Tensor, max_iter: int) -> tuple[Tensor, Tensor]:
    """Up to `max_iter` (assign, update) steps; an image whose labels repeat is frozen."""
    k = centroids.shape[1]
    n_iter = torch.zeros(features.batch, dtype=torch.int64, device=centroids.device)
    done = torch.zeros(features.batch, dtype=torch.bool, device=centroids.device)
    last: Tensor | None = None
    for _ in range(max_iter):
        labels, score = _assign(features, centroids)
        n_iter += (~done).long()
        if last is not None:
            done |= (labels == last).flatten(1).all(dim=1)
            if bool(done.all()):
                break
        last = labels
        sums, counts = _sums(features, labels, k)
        if bool((counts == 0).any()):
            distance = (features.square_norms() + score).clamp(min=0)
            _fill_empty(features, distance, labels, sums, counts)
        updated = torch.where(counts[:, :, None] > 0, sums / counts[:, :, None].clamp(min=1), centroids)
        centroids = torch.where(done[:, None, None], centroids, updated)
    return centroids, n_iter


def _sums(features: VirtualFeatures, labels: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Σ x(p) over each cluster (B, k, ΣC), and the clusters' sizes (B, k)."""
    dtype = features.stages[0].dtype
    sums, counts = [], []
    for first in range(0, k, _AT_ONCE):
        clusters = range(first, min(first + _AT_ONCE, k))
        indicator = torch.stack([labels == j for j in clusters], dim=1).to(dtype)
        counts.append(indicator.flatten(2).sum(dim=2))
        sums.append(features.pull(indicator))
    return torch.cat(sums, dim=1), torch.cat(counts, dim=1)


def _assign(features: VirtualFeatures, centroids: Tensor) -> tuple[Tensor, Tensor]:
    """Nearest centroids (B, H, W) and ‖x − c‖² − ‖x‖² there; the lower index wins a tie."""
    best = labels = None
    for first in range(0, centroids.shape[1], _AT_ONCE):
        part = centroids[:, first : first + _AT_ONCE]
        scores = part.square().sum(dim=2)[:, :, None, None] - 2 * features.inner(part)
        for j in range(scores.shape[1]):
            if best is None or labels is None:
                best = scores[:, 0].clone()
                labels = torch.zeros(best.shape, dtype=torch.int64, device=best.device)
                continue
            nearer = scores[:, j] < best
            labels.masked_fill_(nearer, first + j)
            best = torch.where(nearer, scores[:, j], best)
    assert best is not None
    assert labels is not None
    return labels, best


def _fill_empty(
    features: VirtualFeatures, distance: Tensor, labels: Tensor, sums: Tensor, counts: Tensor
) -> None:
    """Give each empty cluster the farthest point left, taking it from its old cluster; in place."""
    width = features.size[1]
    for image in (counts == 0).any(dim=1).nonzero().flatten().tolist():
        empty = (counts[image] == 0).nonzero().flatten().tolist()
        far = distance[image].flatten().topk(min(len(empty), distance[image].numel()))
        for cluster, value, point in zip(empty, far.values.tolist(), far.indices.tolist(), strict=False):
            if value <= 0:
                break
            marker = torch.zeros_like(distance)
            marker[image, point // width, point % width] = 1
            x = features.pull(marker[:, None])[image, 0]
            old = int(labels[image, point // width, point % width])
            sums[image, old] -= x
            counts[image, old] -= 1
            sums[image, cluster] = x
            counts[image, cluster] = 1


def _plus_plus(features: VirtualFeatures, k: int, seeds: Sequence[int]) -> Tensor:
    """Greedy k-means++ (Arthur & Vassilvitskii 2007): of 2 + ln k candidates the best is kept."""
    draws = [np.random.default_rng(seed) for seed in seeds]
    norms = features.square_norms()
    device, positions = norms.device, norms[0].numel()
    trials = 2 + int(math.log(k))
    first = torch.tensor([int(draw.integers(positions)) for draw in draws], device=device)
    chosen = [_points(features, first[:, None])]
    nearest = _distances(features, norms, chosen[0])[:, 0]
    for _ in range(1, k):
        uniform = torch.tensor(np.stack([draw.random(trials) for draw in draws]), device=device)
        cumulative = nearest.flatten(1).double().cumsum(dim=1)
        index = torch.searchsorted(cumulative, uniform * cumulative[:, -1:]).clamp(max=positions - 1)
        candidates = _points(features, index)
        reduced = torch.minimum(_distances(features, norms, candidates), nearest[:, None])
        best = reduced.flatten(2).sum(dim=2, dtype=torch.float64).argmin(dim=1)
        rows = torch.arange(len(seeds), device=device)
        nearest = reduced[rows, best]
        chosen.append(candidates[rows, best][:, None])
    return torch.cat(chosen, dim=1)


def _points(features: VirtualFeatures, index: Tensor) -> Tensor:
    """x(p) at flat positions: index (B, n) -> (B, n, ΣC)."""
    height, width = features.size
    marker = torch.nn.functional.one_hot(index, height * width).to(features.stages[0].dtype)
    return features.pull(marker.unflatten(2, (height, width)))


def _distances(features: VirtualFeatures, norms: Tensor, vectors: Tensor) -> Tensor:
    """‖x(p) − v‖² (B, n, H, W), never below 0."""
    square = vectors.square().sum(dim=2)[:, :, None, None]
    return (norms[:, None] - 2 * features.inner(vectors) + square).clamp(min=0)
