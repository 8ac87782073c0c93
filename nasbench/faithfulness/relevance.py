"""The relevance curves of an image: which masks they need, and what is made of the scores.

    plan = RelevancePlan.of_map(metric, values, units, image_id, by_regions=False)
    terms = evaluate(forward, [Job(image, image_id, target, plan.masks)], imputer, max_batch=16)[0]
    found = plan.curves(terms, full, empty)

The two ends belong to the image and not to a method: the caller evaluates them once for all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from nasbench.errors import UsageError
from nasbench.faithfulness.areas import (
    abpc,
    aopc,
    auc,
    deletion,
    insertion,
    irof,
    road,
    road_gap,
    srg,
)
from nasbench.faithfulness.curves import (
    Curve,
    Points,
    ScoreKind,
    StepGrid,
    distinct_masks,
    mean_curve,
    points_of,
)
from nasbench.faithfulness.evaluation import scores_of_terms
from nasbench.faithfulness.orders import Floats, Ints, Order, Tie, Units, order_of, random_order, unit_scores
from nasbench.faithfulness.packed import PackedMasks

Which = Literal["lerf", "morf", "random"]

# Curves, whose rows hold them, and what is made of them; the last needs regions.
CURVES = {"lerf": "auc_lerf", "morf": "auc_morf", "random": "auc_random"}
DERIVED = ("srg", "abpc", "aopc", "road_lerf", "road_morf", "road_gap", "insertion", "deletion", "irof")
_NEEDS: Mapping[str, tuple[Which, ...]] = {
    "srg": ("lerf", "morf"),
    "abpc": ("lerf", "morf"),
    "aopc": ("morf",),
    "road_lerf": ("lerf",),
    "road_morf": ("morf",),
    "road_gap": ("lerf", "morf"),
    "insertion": ("lerf",),
    "deletion": ("morf",),
    "irof": ("morf",),
}


@dataclass(frozen=True, kw_only=True)
class RelevanceCurves:
    """Curves of a map, and their areas.

    Attributes:
        orders: which curves: `lerf`, `morf`, `random`.
        steps: equal fractions of the image at which pixels and patches are wanted, 2 or more; regions use all
            their points. None where `fractions` are given.
        fractions: the wanted fractions themselves, one between the ends at least; the ends are always there.
        names: measures beside the areas, of `DERIVED`.
        score: what is watched: `probability`, `logit` or `log_odds`.
        tie: `block` or `seeded`, see `nasbench.faithfulness.orders`.
        seeds: with `seeded`, over how many permutations of ties numbers are averaged.
        draws: random orders averaged in `random`.
        seed: of ties and random orders, with the image's id.
    """

    uses_logits: ClassVar[bool] = True

    orders: Sequence[Which] = ("lerf", "morf", "random")
    steps: int | None = 20
    fractions: Sequence[float] | None = None
    names: Sequence[str] = ("srg", "aopc", "irof")
    score: ScoreKind = "probability"
    tie: Tie = "block"
    seeds: int = 1
    draws: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for key, known in (("score", ScoreKind), ("tie", Tie)):
            _check_known(key, [getattr(self, key)], get_args(known))
        _check_known("orders", self.orders, get_args(Which))
        _check_known("names", self.names, DERIVED)
        if not self.orders:
            raise UsageError("metric.orders=[]: choose of lerf, morf, random")
        if (self.steps is None) == (self.fractions is None):
            raise UsageError("metric.steps and metric.fractions: give one, and null for the other")
        self._check_points()
        for key in ("seeds", "draws"):
            if getattr(self, key) < 1:
                raise UsageError(f"metric.{key}={getattr(self, key)} must be at least 1")
        if self.seeds > 1 and self.tie == "block":
            raise UsageError(f"metric.seeds={self.seeds} is for metric.tie=seeded")
        for name in self.names:
            missing = [which for which in _NEEDS[name] if which not in self.orders]
            if missing:
                raise UsageError(f"metric.names: {name} needs {missing[0]} among metric.orders")

    def _check_points(self) -> None:
        """Refuse a grid of the ends alone; for regions too, whose AOPC and ABPC are read at its steps."""
        steps, given = self.steps, f"metric.steps={self.steps}"
        if self.fractions is not None:
            try:
                steps = len(self.grid.fractions) - 1
            except ValueError as error:
                raise UsageError(f"metric: {error}") from error
            given = f"metric.fractions=[{', '.join(f'{one:g}' for one in self.fractions)}]"
        if (steps or 0) <= 1:
            raise UsageError(f"{given}: gives no point between the ends, at which maps could differ")

    @property
    def grid(self) -> StepGrid:
        """Where pixels and patches are evaluated."""
        if self.fractions is not None:
            return StepGrid.by_fraction(tuple(self.fractions))
        return StepGrid.by_count(self.steps or 0)

    @property
    def sum_steps(self) -> int:
        """L of AOPC and ABPC."""
        return self.steps or len(self.grid.fractions) - 1

    def titles(self, truth: str | None = None) -> tuple[str, ...]:
        """The names of an image's scores."""
        del truth
        spread = ("auc_lerf_sd", "auc_morf_sd") if self.seeds > 1 else ()
        return (*(CURVES[which] for which in self.orders), *spread, *self.names, "full", "empty", "correct")

    def conventions(self) -> dict[str, str]:
        """What the numbers rest on, apart from units and imputer."""
        grid = (
            f"{self.steps} steps"
            if self.steps is not None
            else " ".join(f"{f:g}" for f in self.grid.fractions)
        )
        seeds = f", {self.seeds} seeds" if self.tie == "seeded" else ""
        L = self.sum_steps
        sums = {"sums": f"AOPC and ABPC at k = 0..{L} of {L} equal steps, on the curve's straight lines"}
        return {
            **(sums if {"aopc", "abpc"} & set(self.names) else {}),
            "score": self.score,
            "tie": f"{self.tie}{seeds}",
            "grid": f"{grid}; regions: all points",
            "ends": "both, once",
            "integration": "trapezoid over the share of pixels removed",
        }


@dataclass(frozen=True, eq=False)
class RelevancePlan:
    """The orders of one map and what of them is to be evaluated.

    Attributes:
        orders: by curve its orders, several for seeds or draws, each with its points.
        masks: M masks (H, W), every one needed once, without the two ends.
        where: for each order in turn (points,) the mask of each point; −1 for the untouched image, −2 for the
            one removed whole.
        by_regions: whether units are regions.
    """

    orders: Mapping[str, Sequence[tuple[Order, Points]]]
    masks: PackedMasks
    where: Sequence[Ints]
    by_regions: bool

    @classmethod
    def of_map(
        cls, metric: RelevanceCurves, values: ArrayLike, units: Units, image_id: str, *, by_regions: bool
    ) -> RelevancePlan:
        """LeRF and MoRF of a map (H, W) on the units' grid. Raises ValueError as `unit_scores`."""
        scores = unit_scores(values, units)
        seeds = range(metric.seed, metric.seed + metric.seeds)
        orders = {
            which: [
                order_of(scores, units, which, tie=metric.tie, seed=seed, image=image_id) for seed in seeds
            ]
            for which in ("lerf", "morf")
            if which in metric.orders
        }
        return cls._of(metric, orders, by_regions=by_regions)

    @classmethod
    def of_random(
        cls, metric: RelevanceCurves, units: Units, image_id: str, *, by_regions: bool
    ) -> RelevancePlan:
        """Random orders: the same for every map over these units."""
        draws = range(metric.draws if "random" in metric.orders else 0)
        orders = [random_order(units, seed=metric.seed, image=image_id, draw=draw) for draw in draws]
        return cls._of(metric, {"random": orders} if orders else {}, by_regions=by_regions)

    @classmethod
    def _of(
        cls, metric: RelevanceCurves, orders: Mapping[str, Sequence[Order]], *, by_regions: bool
    ) -> RelevancePlan:
        grid = None if by_regions else metric.grid
        placed = {
            which: [(order, points_of(order, grid)) for order in found] for which, found in orders.items()
        }
        pairs = [pair for found in placed.values() for pair in found]
        if not pairs:
            return cls({}, PackedMasks(np.zeros((0, 1), dtype=np.uint8), (1, 1)), [], by_regions)
        masks, where = distinct_masks(pairs)
        removed = masks.removed()
        ends = np.select([removed == math.prod(masks.size), removed == 0], [-2, -1], 0)
        inner = ends == 0
        place = np.where(inner, np.cumsum(inner) - 1, ends)
        return cls(placed, masks.chosen(inner), [place[own] for own in where], by_regions)

    def curves(self, metric: RelevanceCurves, terms: Floats, full: Floats, empty: Floats) -> CurvesFound:
        """Curves from the terms (M, 2) of `masks` and (2,) of both ends. Raises ValueError as the scores."""
        scores = scores_of_terms(np.concatenate([terms, empty[None], full[None]]), metric.score)
        places = iter(self.where)
        found = {
            which: [points.curve(scores[next(places)]) for _, points in pairs]
            for which, pairs in self.orders.items()
        }
        return CurvesFound(found, float(scores[-1]), float(scores[-2]), self.by_regions)


@dataclass(frozen=True, eq=False)
class CurvesFound:
    """The curves of one map, several of a kind for seeds or draws.

    Attributes:
        curves: by kind.
        full, empty: the scores of both ends.
        by_regions: whether units are regions.
    """

    curves: Mapping[str, Sequence[Curve]]
    full: float
    empty: float
    by_regions: bool

    def and_(self, other: CurvesFound) -> CurvesFound:
        """These curves and those of another plan of the same image."""
        return CurvesFound({**self.curves, **other.curves}, self.full, self.empty, self.by_regions)

    def areas(self, which: str) -> Floats:
        """(n,) the areas of a kind."""
        return np.array([auc(curve) for curve in self.curves[which]])

    def curve(self, which: str) -> Curve:
        """What a row holds of a kind: the curve, or the mean of several, whose area is the mean of theirs."""
        curves = self.curves[which]
        return curves[0] if len(curves) == 1 else mean_curve(curves)

    def measure(self, name: str, metric: RelevanceCurves) -> float | None:
        """One of `DERIVED`, the mean over seeds; None where it has no meaning, for pixels `irof`.

        Raises UsageError: there is no such measure, or a curve that it needs was not asked for.
        """
        if name not in DERIVED:
            raise UsageError(f"there is no measure {name}; choose of {', '.join(DERIVED)}")
        if name == "irof" and not self.by_regions:
            return None
        missing = [which for which in _NEEDS[name] if which not in self.curves]
        if missing:
            there = ", ".join(self.curves) or "none"
            raise UsageError(f"measure {name} needs the curve {missing[0]} among orders; there are {there}")
        pairs = zip(*(self.curves[which] for which in _NEEDS[name]), strict=True)
        values = [_measured(name, metric, *curves) for curves in pairs]
        kept = [value for value in values if value is not None]
        return float(np.mean(kept)) if len(kept) == len(values) else None


_OF_ONE: Mapping[str, Callable[[Curve], float | None]] = {
    "road_lerf": road,
    "road_morf": road,
    "insertion": insertion,
    "deletion": deletion,
    "irof": irof,
}


def _measured(name: str, metric: RelevanceCurves, first: Curve, second: Curve | None = None) -> float | None:
    steps = metric.sum_steps
    if second is not None:
        if name == "abpc":
            return abpc(first, second, steps=steps)
        return srg(first, second) if name == "srg" else road_gap(first, second)
    if name == "aopc":
        return aopc(first, steps=steps)
    return _OF_ONE[name](first)


def _check_known(key: str, given: Sequence[str], known: Sequence[str]) -> None:
    for value in given:
        if value not in known:
            raise UsageError(f"metric.{key}={value}: choose of {', '.join(known)}")
    if len(set(given)) < len(given):
        raise UsageError(f"metric.{key}={list(given)}: one comes twice")
