"""Neuro-Activated Superpixels: regions from a frozen network's activations at several depths.

A documented reconstruction of the idea of arXiv 2406.04933 (the paper's details are not public to us);
every choice is an option.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from nasbench.errors import SegmentationError, UsageError
from nasbench.models.features import Features
from nasbench.rng import derive_seed
from nasbench.segment.activations import ActivationOptions
from nasbench.segment.base import Views, contiguous
from nasbench.segment.clustering import Clustering, kept_clusterings
from nasbench.segment.components import connected_regions
from nasbench.segment.kmeans import KMeansResult, Mode, factored_kmeans
from nasbench.segment.matching import Knob

Scope = Literal["image", "class", "dataset"]

# The name of a data set's one clustering in its file; a class's is its index.
WHOLE = "all"


@dataclass(frozen=True, kw_only=True)
class Nas(ActivationOptions):
    """k-means on the upsampled, concatenated stages: of each image, of each class, or of all images at once.

    Attributes:
        k: clusters; fewer regions appear in an image whose activations have fewer distinct values, or which
            does not hold all clusters of its class.
        warm_up: Lloyd steps at most on a quarter of the positions a side, where they are cheap; those of an
            image alone.
        max_iter: Lloyd steps at most on the view's grid after those; the coarse mode leaves them out. With
            scope class or dataset: passes over all images at most, each with all forward passes.
        restarts: runs from different starts, of which the one of lowest inertia is kept; of an image alone.
        mode: "exact" or the approximate "coarse", see `factored_kmeans`; of an image alone.
        connected: whether each cluster is split into its 4-connected components.
        min_size: with `connected`, components below this share of the image join the neighbour they
            share the longest border with.
        scope: "image" clusters each image alone; "class" all images of a label together, "dataset" all
            images: a cluster is then the same thing in each of them, and scales are those of all.
        centroids: with scope class or dataset, the file of the clusterings: read where it exists, else
            fitted on the images of the run and written.
        seed: with the sample's id, decides every random draw.

    The others are those of `ActivationOptions`.
    """

    k: int = 10
    warm_up: int = 10
    max_iter: int = 2
    restarts: int = 1
    mode: Mode = "exact"
    connected: bool = False
    min_size: float = 0.0
    scope: Scope = "image"
    centroids: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for key, value, least in (
            ("k", self.k, 1),
            ("warm_up", self.warm_up, 0),
            ("max_iter", self.max_iter, 0),
            ("restarts", self.restarts, 1),
        ):
            if value < least:
                raise UsageError(f"segmenter.{key}={value} must be at least {least}")
        for key, choices in (("mode", Mode), ("scope", Scope)):
            if getattr(self, key) not in get_args(choices):
                raise UsageError(
                    f"segmenter.{key}={getattr(self, key)}: choose {' or '.join(get_args(choices))}"
                )
        if not 0 <= self.min_size < 1:
            raise UsageError(f"segmenter.min_size={self.min_size} must be in [0, 1): a share of the image")
        if self.scope == "image" and self.centroids is not None:
            raise UsageError("segmenter.centroids is for segmenter.scope=class or dataset")
        if self.scope != "image" and self.max_iter < 1:
            raise UsageError(f"segmenter.max_iter=0: segmenter.scope={self.scope} needs at least one pass")
        if self.scope != "image" and not self.centroids:
            raise UsageError(
                f"segmenter.scope={self.scope} keeps its clusterings in a file; add segmenter.centroids=FILE"
            )

    def __call__(self, views: Views, features: Features | None) -> Tensor:
        """Labels (B, H, W) int64 on the views' grid; see `Segmenter`."""
        try:
            labels = self._labels(views, features)
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

    def clustering_name(self, label: int | None) -> str | None:
        """Which of its file's clusterings an image with this label belongs to; None for a class unknown."""
        if self.scope == "dataset":
            return WHOLE
        return None if label is None else str(label)

    def _labels(self, views: Views, features: Features | None) -> Tensor:
        """The nearest centroid at every position, (B, H, W)."""
        return self._clustered(views, features)[1].labels

    def _clustered(self, views: Views, features: Features | None) -> tuple[list[Tensor], KMeansResult]:
        """The scaled stages, and their clusters."""
        if self.scope == "image":
            stages = self.scaled_stages(views, features)
            return stages, self._best(stages, views)
        raw, _ = self.raw_stages(views, features)  # the weights are part of the frozen scale
        found = [self._clustering(views, i) for i in range(len(views.ids))]
        per_image = [c.scale.apply([stage[i : i + 1] for stage in raw]) for i, c in enumerate(found)]
        stages = [torch.cat(parts) for parts in zip(*per_image, strict=True)]
        centroids = torch.stack([c.centroids for c in found]).to(stages[0])
        return stages, factored_kmeans(stages, views.size, centroids.shape[1], init=centroids, max_iter=0)

    def _clustering(self, views: Views, i: int) -> Clustering:
        assert self.centroids is not None
        name = self.clustering_name(views.classes[i] if views.classes else None)
        if name is None:
            raise SegmentationError("the image has no label: scope=class cannot tell its class")
        clusterings = kept_clusterings(self.centroids)
        if name not in clusterings:
            raise SegmentationError(f"class {name} has no clustering in segmenter.centroids")
        return clusterings[name]

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
                centred=self.scaling == "variance",
                inertia=self.restarts > 1,
            )
            best = run if best is None else _lower(best, run)
        assert best is not None
        return best


def _lower(a: KMeansResult, b: KMeansResult) -> KMeansResult:
    """Image by image, the run of lower inertia; the earlier one on a tie."""
    take = b.inertia < a.inertia
    return KMeansResult(
        labels=torch.where(take[:, None, None], b.labels, a.labels),
        centroids=torch.where(take[:, None, None], b.centroids, a.centroids),
        inertia=torch.where(take, b.inertia, a.inertia),
        n_iter=torch.where(take, b.n_iter, a.n_iter),
    )
