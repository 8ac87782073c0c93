"""Factored k-means: Lloyd's algorithm on upsampled, concatenated stages without building them.

Semantics follow scikit-learn's `KMeans(algorithm="lloyd", tol=0)`: `max_iter` times (assign, update),
then a last assign; a run stops when no label changes; an empty cluster takes the point farthest from its
centroid. Where all points sit on their centroids there is nothing to take: the cluster keeps its centroid
and stays empty, so fewer labels than k appear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from nasbench.segment.start import sampled_start
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
    warm_up: int = 0,
    seed: int | Sequence[int] = 0,
    mode: Mode = "exact",
    centred: bool = False,
    inertia: bool = True,
) -> KMeansResult:
    """Cluster every image's H × W grid of bilinearly upsampled, concatenated activations.

    Args:
        stages: (B, C_l, h_l, w_l) floating-point tensors on one device, any number of them.
        size: (H, W), the target grid.
        k: number of clusters, at least 1. Above the number of distinct positions, fewer labels appear.
        init: (B, k, ΣC) starting centroids; default k-means++ and 20 steps on a sample (`sampled_start`).
        max_iter: (assign, update) steps at most; 0 only assigns to the start.
        warm_up: steps on a grid of a quarter of the positions a side before those, at most. They cost a
            fraction of a step on the target grid and leave it little to do.
        seed: of the k-means++ draws; one for all images, or B of them. An image's result depends on its
            own seed only, not on its place in the batch.
        mode: "exact" iterates on the target grid; "coarse" iterates on a quarter of the positions a side
            and only assigns on the target grid.
        centred: whether every channel's mean over the target grid is 0 already, as `scale_stages` leaves it;
            otherwise it is subtracted first and added to the centroids.
        inertia: whether it is wanted; where not, it is NaN, and a pass over the stages is spared.

    Returns:
        Labels, centroids, inertia and step counts, on the stages' device.

    Raises:
        ValueError: NaN or infinite activations, k < 1, or shapes that do not fit.
    """
    if k < 1:
        raise ValueError(f"k is {k}; it must be at least 1")
    for name, value in (("max_iter", max_iter), ("warm_up", warm_up)):
        if value < 0:
            raise ValueError(f"{name} is {value}; it must be at least 0")
    if mode not in ("exact", "coarse"):
        raise ValueError(f"mode is {mode!r}; choose exact or coarse")
    features = VirtualFeatures.of(stages, size)
    seeds = _seeds(seed, features.batch)
    if init is not None:
        _check_init(init, (features.batch, k, sum(features.channels)))
    steps = (warm_up, max_iter)
    if features.stages[0].device.type != "cpu":
        return _cluster(features, init, k, steps=steps, seeds=seeds, mode=mode, spare=(centred, not inertia))
    # One image's maps fit into a processor's cache, a batch's do not: image by image is twice as fast.
    results = []
    for i in range(features.batch):
        start = None if init is None else init[i : i + 1]
        one, seed_of = features.image(i), seeds[i : i + 1]
        spare = (centred, not inertia)
        results.append(_cluster(one, start, k, steps=steps, seeds=seed_of, mode=mode, spare=spare))
    return KMeansResult(
        labels=torch.cat([r.labels for r in results]),
        centroids=torch.cat([r.centroids for r in results]),
        inertia=torch.cat([r.inertia for r in results]),
        n_iter=torch.cat([r.n_iter for r in results]),
    )


def _cluster(
    features: VirtualFeatures,
    init: Tensor | None,
    k: int,
    *,
    steps: tuple[int, int],
    seeds: Sequence[int],
    mode: Mode,
    spare: tuple[bool, bool],
) -> KMeansResult:
    """Clusters of each image; what is spared is the centring and the inertia."""
    channels = sum(features.channels)
    full, mean = (features, features.stages[0].new_zeros(features.batch, channels))
    if not spare[0]:
        full, mean = features.centred()
    coarse = full.at_size(_quarter(full.size))
    centroids = sampled_start(full, k, seeds) if init is None else init.to(mean) - mean[:, None]
    if steps[0]:
        centroids, _ = _lloyd(coarse, centroids, steps[0])
    centroids, n_iter = _lloyd(full if mode == "exact" else coarse, centroids, steps[1])
    labels, score = assign(full, centroids)
    inertia = torch.full_like(score[:, 0, 0], torch.nan, dtype=torch.float64)
    if not spare[1]:
        norms = full.mean_square_norm().double() * (full.size[0] * full.size[1])
        inertia = (norms + score.flatten(1).sum(dim=1, dtype=torch.float64)).clamp(min=0)
    return KMeansResult(labels, centroids + mean[:, None], inertia, n_iter)


def _check_init(init: Tensor, expected: tuple[int, int, int]) -> None:
    if tuple(init.shape) != expected:
        raise ValueError(f"init has shape {tuple(init.shape)}; expected {expected}")
    if not torch.isfinite(init).all():
        raise ValueError("init holds NaN or infinite values")


def _quarter(size: tuple[int, int]) -> tuple[int, int]:
    """A grid of a quarter of the positions a side."""
    return -(-size[0] // 4), -(-size[1] // 4)


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
        labels, score = assign(features, centroids)
        n_iter += (~done).long()
        if last is not None:
            done |= (labels == last).flatten(1).all(dim=1)
            if bool(done.all()):
                break
        last = labels
        sums, counts = cluster_sums(features, labels, k)
        if bool((counts == 0).any()):
            distance = (features.square_norms() + score).clamp(min=0)
            _fill_empty(features, distance, labels, sums, counts)
        updated = torch.where(counts[:, :, None] > 0, sums / counts[:, :, None].clamp(min=1), centroids)
        centroids = torch.where(done[:, None, None], centroids, updated)
    return centroids, n_iter


def cluster_sums(features: VirtualFeatures, labels: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Σ x(p) over each cluster (B, k, ΣC), and the clusters' sizes (B, k)."""
    sums, counts = [], []
    for first in range(0, k, _AT_ONCE):
        clusters = torch.arange(first, min(first + _AT_ONCE, k), device=labels.device)
        indicator = (labels[:, None] == clusters[:, None, None]).to(features.stages[0].dtype)
        counts.append(indicator.flatten(2).sum(dim=2))
        sums.append(features.pull(indicator))
    return torch.cat(sums, dim=1), torch.cat(counts, dim=1)


def assign(features: VirtualFeatures, centroids: Tensor) -> tuple[Tensor, Tensor]:
    """Nearest centroids (B, H, W) and ‖x − c‖² − ‖x‖² there; the lower index wins a tie."""
    found: list[tuple[Tensor, Tensor]] = []
    for first in range(0, centroids.shape[1], _AT_ONCE):
        part = centroids[:, first : first + _AT_ONCE]
        # ‖c‖² − 2⟨x, c⟩, in place: a fresh array of this size costs as much as the arithmetic.
        scores = features.inner(part).mul_(-2).add_(part.square().sum(dim=2)[:, :, None, None])
        best, labels = scores.min(dim=1)
        found.append((labels + first, best))
    labels, best = found[0]
    for others, score in found[1:]:
        nearer = score < best
        labels, best = torch.where(nearer, others, labels), torch.where(nearer, score, best)
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
