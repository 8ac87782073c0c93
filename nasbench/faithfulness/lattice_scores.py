"""What a map's order is worth among all orders of an image's regions, from scores of all their subsets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike

from nasbench.errors import UsageError
from nasbench.faithfulness.areas import auc, irof, srg
from nasbench.faithfulness.curves import Curve, ScoreKind
from nasbench.faithfulness.evaluation import scores_of_terms
from nasbench.faithfulness.lattice import MAX_REGIONS, Lattice
from nasbench.faithfulness.orders import Floats, Ints, Order, Units, order_of, unit_scores
from nasbench.faithfulness.sampled import SampledNull, Visits, sampled_orders, visits

LATTICE = "lattice"
EXACT = ("percentile_lerf", "percentile_morf", "percentile_srg", "regret_lerf", "regret_morf", "regret_srg")
NULL = ("null_mean", "null_best", "null_worst")
SHAPLEY = "shapley_tau"
AREAS = ("auc_lerf", "auc_morf", "srg", "irof")
SAMPLED = tuple(f"sampled_{name}" for name in ("percentile_lerf", "percentile_morf", "null_mean"))


class Said(NamedTuple):
    """A score, or None and why; and what a row holds beside it, with its meaning."""

    value: float | None
    reason: str = ""
    curve: list[float] | None = None
    about: str = ""


@dataclass(frozen=True, kw_only=True)
class LatticeScores:
    """An order among all K! orders of K regions: exact up to `regions`, on sampled orders beyond.

    Attributes:
        regions: the most regions of which all subsets are scored, at most 10: 2^K forwards an image.
        samples: orders drawn where there are more; each costs up to K forwards an image.
        score: what is watched: `probability`, `logit` or `log_odds`.
        seed: of the sampled orders, with the image's id.
    """

    uses_logits: ClassVar[bool] = True

    regions: int = MAX_REGIONS
    samples: int = 30
    score: ScoreKind = "probability"
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.regions <= MAX_REGIONS:
            raise UsageError(f"metric.regions={self.regions} must lie between 1 and {MAX_REGIONS}")
        if self.samples < 1:
            raise UsageError(f"metric.samples={self.samples} must be at least 1")
        if self.score not in get_args(ScoreKind):
            raise UsageError(f"metric.score={self.score}: choose of {', '.join(get_args(ScoreKind))}")

    def titles(self, truth: str | None = None) -> tuple[str, ...]:
        """The names of an image's scores; those of `SAMPLED` stand where there are too many regions."""
        del truth
        return (LATTICE, *AREAS, *EXACT, *NULL, SHAPLEY, "full", "empty", "correct")

    def conventions(self) -> dict[str, str]:
        """What the numbers rest on, apart from units and imputer."""
        return {
            "score": self.score,
            "tie": "block; percentile and regret over the orders that break ties",
            "ends": "both, once",
            "integration": "trapezoid over the share of pixels removed",
        }

    def of_subsets(self, terms: Floats, values: ArrayLike, units: Units) -> dict[str, Said]:
        """The scores of a map (H, W) from the terms (2^K, 2) of all subsets. Raises ValueError."""
        scores = scores_of_terms(terms, self.score)
        lattice = Lattice(scores, units.pixels)
        ranked = unit_scores(values, units)
        lerf = order_of(ranked, units, "lerf").step
        morf = order_of(ranked, units, "morf").step
        balanced = lattice.symmetric()
        null = lattice.null
        regrets = {
            "regret_lerf": lattice.regret(lerf),
            "regret_morf": lattice.regret(morf, "morf"),
            "regret_srg": balanced.regret(lerf),
        }
        first, last = lattice.curve(lerf), lattice.curve(morf)
        return {
            **_areas(first, last),
            "percentile_lerf": Said(lattice.percentile(lerf)),
            "percentile_morf": Said(lattice.percentile(morf, "morf")),
            "percentile_srg": Said(balanced.percentile(lerf)),
            **{name: Said(one.value, one.reason) for name, one in regrets.items()},
            "null_mean": Said(null.mean),
            "null_best": _extreme(null.highest, lattice.best()),
            "null_worst": _extreme(null.lowest, lattice.worst()),
            SHAPLEY: _tau(ranked, lattice.shapley),
            "full": Said(float(scores[0])),
            "empty": Said(float(scores[-1])),
        }

    def drawn(self, units: Units, image_id: str) -> list[Order]:
        """The orders that stand for all, the same for every map over these regions."""
        return sampled_orders(units, self.samples, seed=self.seed, image=image_id)

    def of_samples(self, drawn: Visits, terms: Floats, own: Visits, own_terms: Floats) -> dict[str, Said]:
        """The scores of a map by orders `drawn`; `own` are those of `own_orders`; terms of their subsets."""
        sampled = SampledNull.of(drawn.curves(scores_of_terms(terms, self.score)))
        curves = own.curves(scores_of_terms(own_terms, self.score))
        first, last = curves[:2]
        # A block's own area has no place among whole orders, as in `nasbench.faithfulness.lattice`.
        lerf, morf = (auc(curve) for curve in curves[-2:])
        constant = own.orders[0].groups == 1
        return {
            **_areas(first, last),
            "sampled_percentile_lerf": Said(0.5 if constant else sampled.percentile(lerf)),
            "sampled_percentile_morf": Said(0.5 if constant else sampled.percentile(morf, "morf")),
            "sampled_null_mean": Said(sampled.null.mean),
            "full": Said(first.full),
            "empty": Said(first.empty),
        }

    def own_orders(self, values: ArrayLike, units: Units, image_id: str) -> Visits:
        """LeRF and MoRF of a map (H, W); where some regions are tied, also both with the ties parted by lot.

        Raises ValueError as `unit_scores`.
        """
        ranked = unit_scores(values, units)
        orders = [order_of(ranked, units, "lerf"), order_of(ranked, units, "morf")]
        if 1 < orders[0].groups < units.count:
            parted = order_of(ranked, units, "lerf", tie="seeded", seed=self.seed, image=image_id)
            orders += [parted, parted.reversed()]
        return visits(orders)


def reused_terms(own: Visits, drawn: Visits, terms: Floats) -> tuple[Floats, Ints]:
    """What is known of the subsets that a map's own orders pass, as both ends, from those of `drawn` (S, 2).

    Returns the terms (S', 2) of the own subsets, and (n,) which of these are still to be filled in.
    """
    known = {subset.tobytes(): place for place, subset in enumerate(drawn.subsets)}
    places = np.array([known.get(subset.tobytes(), -1) for subset in own.subsets])
    found: Floats = terms[places]
    return found, np.flatnonzero(places < 0)


def _areas(lerf: Curve, morf: Curve) -> Mapping[str, Said]:
    over = irof(morf)
    return {
        "auc_lerf": Said(auc(lerf), curve=lerf.flat()),
        "auc_morf": Said(auc(morf), curve=morf.flat()),
        "srg": Said(srg(lerf, morf)),
        "irof": Said(over, "" if over is not None else "the untouched image's score is not above 0"),
    }


def _extreme(area: float, step: Ints) -> Said:
    return Said(area, curve=[float(place) for place in step], about="step at which each region goes")


def _tau(ranked: Floats, shapley: Floats) -> Said:
    """Kendall's tau-b between the map's and the Shapley values of the regions, and these."""
    from scipy.stats import kendalltau

    found = float(kendalltau(ranked, shapley).statistic)
    if not np.isfinite(found):
        return Said(None, "all regions have one value")
    return Said(found, curve=[float(value) for value in shapley], about="Shapley value of each region")
