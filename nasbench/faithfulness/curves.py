"""Where a removal order is evaluated, and the curve that comes of it.

A curve's points are ends of groups of the order and nothing else, with the share of the image truly removed
as x. A grid of wanted fractions only chooses among them: a map that is 93 % zeros has one group of 93 %, and
asked for 5 % it offers 0 and 93 %, never 93 % under the name of 5 %. Both ends, nothing removed and all
removed, are points of every curve, once.

Which evaluations are one. All curves of an image share both ends. The same mask may come up in several
orders; `distinct_masks` finds them. LeRF and MoRF at complementary fractions have complementary masks: two
different inputs of the network, but an insertion curve is a LeRF curve read from its end, with no evaluation
of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasbench.faithfulness.orders import Floats, Ints, Order, removed_masks
from nasbench.faithfulness.packed import PackedMasks

ScoreKind = Literal["probability", "logit", "log_odds"]

# Two ends are equally near a wanted fraction if they are so up to rounding.
_EQUAL = 1e-9


@dataclass(frozen=True)
class StepGrid:
    """Fractions of the image at which a curve is wanted.

    Attributes:
        fractions: rising, from 0 to 1, both once.
    """

    fractions: tuple[float, ...]

    @classmethod
    def by_count(cls, steps: int) -> StepGrid:
        """Steps of equal fractions: steps + 1 points. Raises ValueError below 1."""
        if steps < 1:
            raise ValueError(f"steps={steps} must be at least 1")
        return cls(tuple(i / steps for i in range(steps + 1)))

    @classmethod
    def by_fraction(cls, fractions: Sequence[float]) -> StepGrid:
        """The fractions, in any order, and the ends, which need not be named.

        Raises ValueError: a fraction outside [0, 1], NaN, or given twice.
        """
        outside = [f for f in fractions if not 0 <= f <= 1]
        if outside:
            raise ValueError(f"the fraction {outside[0]} is outside [0, 1]")
        if len(set(fractions)) < len(fractions):
            raise ValueError(f"a fraction comes twice: {sorted(fractions)}")
        return cls(tuple(sorted({0.0, 1.0, *map(float, fractions)})))


@dataclass(frozen=True, eq=False)
class Points:
    """Where an order is evaluated; M of its G + 1 group ends.

    Attributes:
        groups: (M,) int64, how many groups are gone, rising from 0 to G.
        removed: (M,) the share of the image that is.
        removed_units: (M,) the share of the units that is.
    """

    groups: Ints
    removed: Floats
    removed_units: Floats

    def curve(self, scores: ArrayLike) -> Curve:
        """The curve through scores (M,) there. Raises ValueError as `Curve`."""
        return Curve(self.removed, np.asarray(scores, dtype=np.float64), self.removed_units)


def points_of(order: Order, grid: StepGrid | None = None) -> Points:
    """The group ends nearest to the fractions of a grid; without one, as for regions, all G + 1.

    Fractions nearest to one end give one point. Of two ends equally near both are taken, so that the points
    of the reversed order are the mirrored ones.
    """
    if grid is None:
        chosen = np.arange(order.groups + 1)
    else:
        wanted = np.array(grid.fractions)
        above = np.searchsorted(order.removed, wanted).clip(1, order.groups)
        below = above - 1
        nearer = (order.removed[above] - wanted) - (wanted - order.removed[below])
        chosen = np.unique(np.concatenate([above[nearer <= _EQUAL], below[nearer >= -_EQUAL]]))
    return Points(chosen, order.removed[chosen], order.removed_units[chosen])


def distinct_masks(orders: Sequence[tuple[Order, Points]]) -> tuple[PackedMasks, tuple[Ints, ...]]:
    """What must be evaluated for several curves of one image, each mask once.

    Returns:
        U masks (H, W), True where removed, in the order in which they are first needed, and for each curve
        (M,) int64 which of them its points are. Raises ValueError without a curve, or for images of several
        sizes.
    """
    if not orders:
        raise ValueError("there is no curve to evaluate")
    sizes = {order.units.labels.shape for order, _ in orders}
    if len(sizes) > 1:
        raise ValueError(f"curves of one image are of one size, not {sorted(sizes)}")
    seen: dict[bytes, int] = {}
    kept: list[NDArray[np.uint8]] = []
    where = []
    for order, points in orders:
        own = []
        for groups in points.groups:
            packed = np.packbits(removed_masks(order, groups)[0])
            place = seen.setdefault(packed.tobytes(), len(kept))
            if place == len(kept):
                kept.append(packed)
            own.append(place)
        where.append(np.array(own, dtype=np.int64))
    (size,) = sizes
    return PackedMasks(np.stack(kept), size), tuple(where)


@dataclass(frozen=True, eq=False)
class Curve:
    """A score along a removal: what a row holds.

    Attributes:
        removed: (M,) the share of the image that is gone, rising from 0 to 1; M >= 2.
        scores: (M,) finite.
        removed_units: (M,) the share of the units that is gone; where not given, that of the image.

    Raises:
        ValueError: anything else; the message says what.
    """

    removed: Floats
    scores: Floats
    removed_units: Floats | None = None

    def __post_init__(self) -> None:
        for name, axis in (("removed", self.removed), ("removed_units", self.units_axis)):
            if axis.ndim != 1 or len(axis) < 2:  # noqa: PLR2004
                raise ValueError(f"{name} needs two points at least, in one dimension, not {axis.shape}")
            if axis[0] != 0 or axis[-1] != 1 or not (np.diff(axis) > 0).all():
                raise ValueError(f"{name} must rise from 0 to 1, with both ends once: {axis}")
            if self.scores.shape != axis.shape:
                raise ValueError(f"{len(axis)} points need scores ({len(axis)},), not {self.scores.shape}")
        if not np.isfinite(self.scores).all():
            raise ValueError(f"{int((~np.isfinite(self.scores)).sum())} scores of the curve are not finite")

    @property
    def units_axis(self) -> Floats:
        """(M,) the share of the units that is gone."""
        return self.removed if self.removed_units is None else self.removed_units

    @property
    def full(self) -> float:
        """The score of the untouched image."""
        return float(self.scores[0])

    @property
    def empty(self) -> float:
        """The score with all removed."""
        return float(self.scores[-1])

    def flat(self) -> list[float]:
        """As a row holds it: `x, s, x, s, ...`, x the share of the image removed."""
        return [float(value) for pair in zip(self.removed, self.scores, strict=True) for value in pair]

    def at(self, fractions: ArrayLike) -> Floats:
        """Scores at removed fractions of the image, on straight lines between the points."""
        wanted = np.asarray(fractions, dtype=np.float64)
        if not ((wanted >= 0) & (wanted <= 1)).all():
            raise ValueError(f"fractions lie in [0, 1], not {wanted}")
        return np.asarray(np.interp(wanted, self.removed, self.scores))


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """The mean over images, on all their points: its area is the mean of their areas.

    Raises ValueError without a curve.
    """
    if not curves:
        raise ValueError("there is no curve to take the mean of")
    removed = np.unique(np.concatenate([curve.removed for curve in curves]))
    total = np.zeros(len(removed))
    for curve in curves:
        total += curve.at(removed)
    return Curve(removed, total / len(curves))
