"""NAS tree: many small connected regions, merged by Ward's criterion into nested segmentations."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasbench.errors import UsageError
from nasbench.models.features import Features
from nasbench.segment.activations import ActivationOptions
from nasbench.segment.base import Views, contiguous
from nasbench.segment.components import connected_regions, region_borders
from nasbench.segment.kmeans import cluster_sums
from nasbench.segment.nas import Nas
from nasbench.segment.virtual import VirtualFeatures


@dataclass(frozen=True)
class RegionTree:
    """A binary tree over the connected regions of one image.

    Attributes:
        leaves: (H, W) int64, the finest regions, contiguous from 0.
        merges: pairs of regions in the order they were merged; the i-th makes region `len(leaves) + i`.
        costs: what each merge adds to the summed squared distance to the regions' means, never decreasing
            below 0.
    """

    leaves: Tensor
    merges: tuple[tuple[int, int], ...]
    costs: tuple[float, ...]

    @property
    def count(self) -> int:
        """Number of leaves: the finest segmentation there is."""
        return len(self.merges) + 1

    def cut(self, n: int) -> Tensor:
        """Labels (H, W) int64 of exactly min(n, count) regions. Every cut refines those of fewer regions."""
        if n < 1:
            raise ValueError(f"n is {n}; it must be at least 1")
        return torch.from_numpy(self._names(n))[self.leaves]

    def _names(self, n: int) -> NDArray[np.int64]:
        """For each leaf the region it belongs to when n regions are left."""
        done = self.merges[: max(self.count - n, 0)]
        parent = np.arange(self.count + len(done))
        for i, (a, b) in enumerate(done):
            parent[[a, b]] = self.count + i
        names = np.arange(self.count)
        while (parent[names] != names).any():
            names = parent[names]
        return np.unique(names, return_inverse=True)[1].reshape(-1).astype(np.int64)


def ward_tree(features: VirtualFeatures, leaves: Tensor) -> RegionTree:
    """Merge an image's connected regions by Ward's criterion on their adjacency graph.

    Each step merges the adjacent pair that adds least to Σ_p ‖x(p) − μ_r(p)‖², which is
    n_a n_b / (n_a + n_b) · ‖μ_a − μ_b‖² (Ward 1963). The means come from the virtual features: no feature
    matrix is built.

    Args:
        features: one image (B = 1) on the grid of the leaves.
        leaves: (H, W) int64 connected regions, contiguous from 0.
    """
    means, sizes = _region_means(features, leaves)
    neighbours = {name: set(around) for name, around in region_borders(leaves.cpu().numpy()).items()}

    def cost(a: int, b: int) -> float:
        gap = means[a] - means[b]
        return sizes[a] * sizes[b] / (sizes[a] + sizes[b]) * float(gap @ gap)

    heap = [(cost(a, b), a, b) for a, around in neighbours.items() for b in around if a < b]
    heapq.heapify(heap)
    merges, costs = [], []
    while heap:
        value, a, b = heapq.heappop(heap)
        if a not in neighbours or b not in neighbours:
            continue  # one of them has been merged since
        new = len(means)
        size = sizes[a] + sizes[b]
        means.append((sizes[a] * means[a] + sizes[b] * means[b]) / size)
        sizes.append(size)
        around = (neighbours.pop(a) | neighbours.pop(b)) - {a, b}
        for other in around:
            neighbours[other] -= {a, b}
            neighbours[other].add(new)
            heapq.heappush(heap, (cost(other, new), other, new))
        neighbours[new] = around
        merges.append((a, b))
        costs.append(value)
    return RegionTree(leaves, tuple(merges), tuple(costs))


def _region_means(features: VirtualFeatures, leaves: Tensor) -> tuple[list[NDArray[np.float64]], list[int]]:
    """Mean features and sizes of the regions."""
    sums, sizes = cluster_sums(features, leaves[None], int(leaves.max()) + 1)
    means = (sums[0].double() / sizes[0, :, None]).cpu().numpy()
    return list(means), [int(size) for size in sizes[0]]


@dataclass(frozen=True, kw_only=True)
class NasTree(ActivationOptions):
    """Neuro-Activated Superpixels as a tree, cut at a wanted number of connected regions.

    Attributes:
        n: regions; met exactly unless the finest level has fewer.
        k: clusters of the finest level, before they fall into connected regions.
        min_size: finest regions below this share of the image join a neighbour.
        warm_up, max_iter, seed: of the finest level, as in `Nas`.

    The others are those of `ActivationOptions`.
    """

    n: int = 10
    k: int = 64
    min_size: float = 0.0005
    warm_up: int = 10
    max_iter: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n < 1:
            raise UsageError(f"segmenter.n={self.n} must be at least 1")
        self._finest()

    def __call__(self, views: Views, features: Features | None) -> Tensor:
        """Labels (B, H, W) int64 on the views' grid; see `Segmenter`."""
        return self.cut(self.trees(views, features))

    @property
    def cut_key(self) -> str:
        """See `Nested`."""
        return "n"

    def cut(self, trees: Sequence[RegionTree]) -> Tensor:
        """Labels (B, H, W) int64 of n regions in each tree; see `Nested`."""
        return contiguous(torch.stack([tree.cut(self.n) for tree in trees]))

    def trees(self, views: Views, features: Features | None) -> list[RegionTree]:
        """Each image's tree: all its segmentations at once. Raises SegmentationError."""
        leaves = connected_regions(self._finest()(views, features), min_size=self.min_size)
        whole = VirtualFeatures.of(self.scaled_stages(views, features), views.size)
        return [ward_tree(whole.image(i), leaves[i]) for i in range(len(views.ids))]

    def _finest(self) -> Nas:
        """The finest level: `Nas` has all options of the tree but the number of regions."""
        options = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "n"}
        return Nas(**options)
