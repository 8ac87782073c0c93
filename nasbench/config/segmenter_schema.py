"""Typed schemas of the segmenter group; see `nasbench.config.schema`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nasbench.config.saliency_schema import Target


@dataclass
class Regions(Target):
    """What every segmenter of ours has beside its constructor's keys."""

    match: int | None = None


@dataclass
class Activations(Target):
    """`nasbench.segment.activations.ActivationOptions`, and where another network's weights lie."""

    stages: list[int] = field(default_factory=lambda: [-3, -2, -1])
    scaling: str = "variance"
    stage_weights: list[float] | None = None
    source: str = "self"
    source_weights: str | None = None
    source_model: dict[str, Any] | None = None
    forward_size: int | None = None
    average: list[str] = field(default_factory=list)
    outlier_norm: float | None = 3.0


@dataclass
class Nas(Activations):
    """`nasbench.segment.nas.Nas`."""

    k: int = 10
    warm_up: int = 10
    max_iter: int = 2
    restarts: int = 1
    mode: str = "exact"
    connected: bool = False
    min_size: float = 0.0
    scope: str = "image"
    centroids: str | None = None
    seed: int = 0
    match: int | None = None


@dataclass
class NasImage(Nas):
    """`nasbench.segment.edges.NasImage`."""

    radius: int = 8
    eps: float = 0.001


@dataclass
class NasTree(Activations):
    """`nasbench.segment.tree.NasTree`: meets any count by itself, so there is nothing to match."""

    n: int = 10
    k: int = 64
    min_size: float = 0.0005
    warm_up: int = 10
    max_iter: int = 2
    seed: int = 0


@dataclass
class Slic(Regions):
    """`nasbench.segment.classical.Slic`."""

    n: int = 10
    compactness: float = 20.0
    min_size_factor: float = 0.2
    sigma: float = 0.0
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass
class Felzenszwalb(Regions):
    """`nasbench.segment.classical.Felzenszwalb`."""

    scale: float = 100.0
    sigma: float = 0.8
    min_size: float = 0.002


@dataclass
class Watershed(Regions):
    """`nasbench.segment.classical.Watershed`."""

    n: int = 10
    compactness: float = 0.001
    sigma: float = 1.0


@dataclass
class Quickshift(Regions):
    """`nasbench.segment.classical.Quickshift`."""

    kernel_size: float = 8.0
    max_dist: float = 32.0
    ratio: float = 1.0
    seed: int = 0
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass
class FeatureFactorisation(Regions):
    """`nasbench.segment.factorisation.FeatureFactorisation`."""

    n: int = 10
    stage: int = -1
    max_iter: int = 200


@dataclass
class Grid(Regions):
    """`nasbench.segment.controls.Grid`."""

    n: int = 10


@dataclass
class Random(Regions):
    """`nasbench.segment.controls.Random`."""

    n: int = 10
    seed: int = 0


SEGMENTER_SCHEMAS: dict[str, type[Target]] = {
    "nasbench.segment.nas.Nas": Nas,
    "nasbench.segment.edges.NasImage": NasImage,
    "nasbench.segment.tree.NasTree": NasTree,
    "nasbench.segment.classical.Slic": Slic,
    "nasbench.segment.classical.Felzenszwalb": Felzenszwalb,
    "nasbench.segment.classical.Watershed": Watershed,
    "nasbench.segment.classical.Quickshift": Quickshift,
    "nasbench.segment.factorisation.FeatureFactorisation": FeatureFactorisation,
    "nasbench.segment.controls.Grid": Grid,
    "nasbench.segment.controls.Random": Random,
    "nasbench.segment.controls.NoRegions": Target,
}
