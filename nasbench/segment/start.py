"""Where k-means starts: greedy k-means++ and a few Lloyd steps on a small sample of positions.

On a sample of n positions everything k-means does is in their n × n inner products: a step costs k·n²
whatever the number of channels. The inner products come from the stages' own positions where those are
fewer than the sample's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from nasbench.segment.interpolation import axis
from nasbench.segment.virtual import VirtualFeatures

# Positions a side of the sample at least (where the target has that many), and per cluster.
_SIDE = 14
_PER_CLUSTER = 8


def sampled_start(features: VirtualFeatures, k: int, seeds: Sequence[int], *, steps: int = 20) -> Tensor:
    """Starting centroids (B, k, ΣC), of image i by seed i alone."""
    side = max(_SIDE, math.ceil(math.sqrt(_PER_CLUSTER * k)))
    sample = features.at_size((min(side, features.size[0]), min(side, features.size[1])))
    gram = inner_products(sample)
    weights = start_weights(gram, k, seeds, steps=steps)
    return sample.pull(weights.unflatten(2, sample.size))


def start_weights(gram: Tensor, k: int, seeds: Sequence[int], *, steps: int = 20) -> Tensor:
    """Starting centroids as weights (B, k, n) over n points, from their inner products (B, n, n)."""
    norms = gram.diagonal(dim1=1, dim2=2)
    distances = (norms[:, :, None] + norms[:, None] - 2 * gram).clamp(min=0)
    chosen = _plus_plus(distances, k, seeds)
    weights = torch.nn.functional.one_hot(chosen, gram.shape[1]).to(gram.dtype)
    return _lloyd(gram, weights, steps)


def inner_products(features: VirtualFeatures) -> Tensor:
    """⟨x(p), x(q)⟩ over all pairs of target positions, (B, H·W, H·W): for small targets only."""
    height, width = features.size
    total: Tensor | None = None
    for stage in features.stages:
        vertical = axis(int(stage.shape[2]), height, stage.device, stage.dtype).taps
        horizontal = axis(int(stage.shape[3]), width, stage.device, stage.dtype).taps
        native = int(stage.shape[2] * stage.shape[3])
        if native < height * width:
            flat = stage.flatten(2)
            products = torch.bmm(flat.transpose(1, 2), flat)
            half = (vertical @ products.unflatten(2, stage.shape[2:]) @ horizontal.T).flatten(2)
            other = half.transpose(1, 2).unflatten(2, stage.shape[2:])
            part = (vertical @ other @ horizontal.T).flatten(2)
        else:
            flat = (vertical @ stage @ horizontal.T).flatten(2)
            part = torch.bmm(flat.transpose(1, 2), flat)
        total = part if total is None else total + part
    assert total is not None
    return total


def _plus_plus(distances: Tensor, k: int, seeds: Sequence[int]) -> Tensor:
    """Greedy k-means++ (Arthur & Vassilvitskii 2007) on squared distances (B, n, n): positions (B, k).

    Of 2 + ln k candidates drawn by squared distance the one that leaves least is kept.
    """
    draws = [np.random.default_rng(seed) for seed in seeds]
    device, positions = distances.device, distances.shape[1]
    rows = torch.arange(len(seeds), device=device)
    trials = 2 + int(math.log(k))
    first = torch.tensor([int(draw.integers(positions)) for draw in draws], device=device)
    chosen = [first]
    nearest = distances[rows, first]
    for _ in range(1, k):
        uniform = torch.tensor(np.stack([draw.random(trials) for draw in draws]), device=device)
        cumulative = nearest.double().cumsum(dim=1)
        candidates = torch.searchsorted(cumulative, uniform * cumulative[:, -1:]).clamp(max=positions - 1)
        reduced = torch.minimum(distances[rows[:, None], candidates], nearest[:, None])
        best = reduced.sum(dim=2, dtype=torch.float64).argmin(dim=1)
        nearest = reduced[rows, best]
        chosen.append(candidates[rows, best])
    return torch.stack(chosen, dim=1)


def _lloyd(gram: Tensor, weights: Tensor, steps: int) -> Tensor:
    """Lloyd's algorithm on inner products; centroids are weights (B, k, n) over the sample.

    A cluster that loses all its positions keeps its centroid.
    """
    k = weights.shape[1]
    last: Tensor | None = None
    for _ in range(steps):
        products = weights @ gram
        labels = ((products * weights).sum(dim=2)[:, :, None] - 2 * products).argmin(dim=1)
        if last is not None and torch.equal(labels, last):
            break
        last = labels
        members = torch.nn.functional.one_hot(labels, k).transpose(1, 2).to(gram.dtype)
        counts = members.sum(dim=2, keepdim=True)
        weights = torch.where(counts > 0, members / counts.clamp(min=1), weights)
    return weights
