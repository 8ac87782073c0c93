"""Typed schemas of what `nasbench leRF` adds: imputers and metrics; see `nasbench.config.schema`."""

from __future__ import annotations

from dataclasses import dataclass, field

from nasbench.config.saliency_schema import Target


@dataclass
class RelevanceCurves(Target):
    """`nasbench.faithfulness.relevance.RelevanceCurves`."""

    orders: list[str] = field(default_factory=lambda: ["lerf", "morf", "random"])
    steps: int | None = 20
    fractions: list[float] | None = None
    names: list[str] = field(default_factory=lambda: ["srg", "aopc", "irof"])
    score: str = "probability"
    tie: str = "block"
    seeds: int = 1
    draws: int = 1
    seed: int = 0


@dataclass
class LatticeScores(Target):
    """`nasbench.faithfulness.lattice_scores.LatticeScores`."""

    regions: int = 10
    samples: int = 30
    score: str = "probability"
    seed: int = 0


@dataclass
class DatasetMean(Target):
    """`nasbench.faithfulness.imputers.DatasetMean`."""

    mean: list[float] = field(default_factory=lambda: [0.485, 0.456, 0.406])


@dataclass
class Seeded(Target):
    """`nasbench.faithfulness.imputers.Uniform` and `Shuffle`."""

    seed: int = 0


@dataclass
class Noise(Seeded):
    """`nasbench.faithfulness.imputers.Noise`."""

    sd: float = 0.5


@dataclass
class Road(Seeded):
    """`nasbench.faithfulness.imputers.Road`."""

    sd: float = 0.01


@dataclass
class Blur(Target):
    """`nasbench.faithfulness.imputers.Blur`."""

    sigma: float = 10.0
    kernel_size: int | None = None


@dataclass
class Telea(Target):
    """`nasbench.faithfulness.imputers.Telea`."""

    radius: float = 3.0


_IMPUTERS: dict[str, type[Target]] = {
    "Zero": Target,
    "DatasetMean": DatasetMean,
    "ImageMean": Target,
    "Uniform": Seeded,
    "Blur": Blur,
    "Noise": Noise,
    "Shuffle": Seeded,
    "NeighbourMean": Target,
    "Road": Road,
    "Telea": Telea,
}
FAITHFULNESS_SCHEMAS: dict[str, type[Target]] = {
    "nasbench.faithfulness.relevance.RelevanceCurves": RelevanceCurves,
    "nasbench.faithfulness.lattice_scores.LatticeScores": LatticeScores,
    **{f"nasbench.faithfulness.imputers.{name}": schema for name, schema in _IMPUTERS.items()},
}
