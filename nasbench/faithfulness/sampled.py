"""More regions than a lattice holds: the same questions on a sample of orders, with no claim to be exact.

Only the subsets that the orders pass are scored, each once. The sample's best and worst are those seen, not
those there are; what is made from them says so by `exact=False` and by its name, and shares no column with
the numbers of `nasbench.faithfulness.lattice`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from nasbench.faithfulness.areas import auc
from nasbench.faithfulness.curves import Curve
from nasbench.faithfulness.lattice import TIE, Null
from nasbench.faithfulness.orders import Direction, Floats, Ints, Masks, Order, Units, random_order
from nasbench.faithfulness.packed import PackedMasks

# Masks that are not packed at a time.
_AT_ONCE = 64


def sampled_orders(units: Units, count: int, *, seed: int, image: str) -> list[Order]:
    """Orders drawn from (seed, image), the same for all methods; the first n of more are those of n.

    Raises ValueError for less than one.
    """
    if count < 1:
        raise ValueError(f"samples={count} must be at least 1")
    return [random_order(units, seed=seed, image=image, draw=draw) for draw in range(count)]


@dataclass(frozen=True, eq=False)
class Visits:
    """The subsets that orders of one image's regions pass, without repetition.

    Attributes:
        orders: the orders, all of the same units.
        subsets: (S, K) bool, True where the region is removed; none removed first, all removed last.
        paths: for each order (G + 1,) int64, the subsets it passes.
    """

    orders: tuple[Order, ...]
    subsets: Masks
    paths: tuple[Ints, ...]

    def masks(self, chosen: ArrayLike) -> PackedMasks:
        """Masks (H, W), True where removed, of some subsets (n,)."""
        labels = self.orders[0].units.labels
        rows = self.subsets[np.asarray(chosen, dtype=np.int64)]
        parts = [
            np.packbits(rows[start : start + _AT_ONCE, labels.ravel()], axis=1)
            for start in range(0, len(rows), _AT_ONCE)
        ]
        size = (int(labels.shape[0]), int(labels.shape[1]))
        bits = np.concatenate(parts) if parts else np.zeros((0, -(-labels.size // 8)), dtype=np.uint8)
        return PackedMasks(bits, size)

    def curves(self, scores: ArrayLike) -> list[Curve]:
        """Each order's curve from the scores (S,) of the subsets. Raises ValueError for another number."""
        values = np.asarray(scores, dtype=np.float64)
        if values.shape != (len(self.subsets),):
            raise ValueError(f"{len(self.subsets)} subsets need as many scores, not {values.shape}")
        return [
            Curve(order.removed, values[path], order.removed_units)
            for order, path in zip(self.orders, self.paths, strict=True)
        ]


def visits(orders: Sequence[Order]) -> Visits:
    """What to score for some orders of the same units, a method's own among them if its curve is wanted.

    Raises ValueError: no order, or orders of several units.
    """
    if not orders:
        raise ValueError("there is no order to follow")
    units = orders[0].units
    if any(order.units is not units for order in orders):
        raise ValueError("orders are of several units; subsets of one image's regions are shared")
    rows = np.concatenate([order.step < np.arange(order.groups + 1)[:, None] for order in orders])
    # By their bits, so that none is the first and all the last.
    packed = np.packbits(rows, axis=1)
    _, first, where = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    ends = np.cumsum([order.groups + 1 for order in orders])
    return Visits(tuple(orders), rows[first], tuple(np.split(where.reshape(-1), ends[:-1])))


@dataclass(frozen=True, eq=False)
class SampledNull:
    """The areas of sampled orders.

    Attributes:
        areas: (n,) rising.
        tolerance: areas that differ by no more are equal.
    """

    areas: Floats
    tolerance: float

    @classmethod
    def of(cls, curves: Sequence[Curve]) -> SampledNull:
        """From the sampled orders' curves, without a method's own. Raises ValueError without any."""
        if not curves:
            raise ValueError("there is no sampled order")
        highest = max(float(np.abs(curve.scores).max()) for curve in curves)
        return cls(np.sort([auc(curve) for curve in curves]), TIE * highest)

    @property
    def null(self) -> Null:
        """Mean and spread, `exact=False`; lowest and highest are those seen."""
        sd = float(self.areas.std(ddof=1)) if len(self.areas) > 1 else 0.0
        ends = float(self.areas[0]), float(self.areas[-1])
        return Null(float(self.areas.mean()), sd, *ends, orders=len(self.areas), exact=False)

    def percentile(self, area: float, direction: Direction = "lerf") -> float:
        """The share of the sample that is worse than an area, equal ones counted half; steps of 1 / (2n)."""
        below = np.searchsorted(self.areas, area - self.tolerance, side="left")
        upto = np.searchsorted(self.areas, area + self.tolerance, side="right")
        share = float(below + upto) / (2 * len(self.areas))
        return share if direction == "lerf" else 1 - share
