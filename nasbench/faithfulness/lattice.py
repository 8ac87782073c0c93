"""All subsets of a few regions, scored once: every order's curve, and the best, the worst and the mean order.

For K <= 10 regions the network scores each of the 2^K images in which a subset of the regions is removed.
From then on everything about (image, regions, imputer) is a look-up: an order of the regions is a path
through the subsets from none to all, and the area of its curve is a sum over the path's edges,

    area = Σ over edges S → S ∪ {r} of a_r (v(S) + v(S ∪ {r})) / 2,

v the score with S removed and a_r the region's share of the image. Hence the best and the worst order by
dynamic programming over subsets, the mean over all K! orders in closed form, and their whole distribution by
cutting paths in the middle: through a subset of K/2 regions the sums before and after it are free of each
other.

Ties. A method that ties regions has a curve, in which the tied go at once; its `area` is that curve's. But
its place among the K! orders is the mean over the orders that break its ties: a constant map is then worth a
random order exactly, percentile .5 and regret 0, while the straight line that is its curve may lie above or
below all K! orders, as the score is convex or concave, which is the network's doing and not the map's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import factorial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasbench.faithfulness.areas import Regret, regret
from nasbench.faithfulness.curves import Curve
from nasbench.faithfulness.orders import Direction, Floats, Ints, Masks, Units

MAX_REGIONS = 10
# Areas that differ by less, relative to the highest score, are equal: ties survive the rounding of float32.
TIE = 1e-6
# From so many ways to break a method's ties on it pays to list all orders.
_FEW = 64


def subset_masks(units: Units, subsets: ArrayLike) -> Masks:
    """(n, H, W) bool, True where the pixel's region is in the subset (n,): bit r set = region r removed."""
    bits = np.asarray(subsets, dtype=np.int64).reshape(-1, 1) >> np.arange(units.count) & 1
    return bits.astype(bool)[:, units.labels]


def subsets_along(step: ArrayLike) -> Ints:
    """(G + 1,) the subsets that are gone after 0, 1, ..., G groups of an order's `step` (K,).

    Raises ValueError: steps that are not 0..G − 1 with a region for each, or over 10 regions.
    """
    found = np.asarray(step, dtype=np.int64)
    if found.ndim != 1 or not 1 <= len(found) <= MAX_REGIONS:
        raise ValueError(f"a lattice has 1 to {MAX_REGIONS} regions; steps are {found.shape}")
    if not np.array_equal(np.unique(found), np.arange(found.max() + 1)):
        raise ValueError(f"steps are 0..G − 1 with a region for each, not {found}")
    gone = found[None, :] < np.arange(found.max() + 2)[:, None]
    return np.asarray(gone @ (1 << np.arange(len(found))))


@dataclass(frozen=True)
class Null:
    """The areas of all K! orders, in the scores' units.

    Attributes:
        mean, sd: over the orders, each once.
        lowest, highest: of all, exactly.
        orders: how many there are.
        exact: True here; False for `nasbench.faithfulness.sampled`.
    """

    mean: float
    sd: float
    lowest: float
    highest: float
    orders: int
    exact: bool = True


@dataclass(frozen=True, eq=False)
class Lattice:
    """The scores of all subsets of K regions.

    Attributes:
        scores: (2^K,) finite; index bit r set = region r removed, so index 0 is the untouched image.
        areas: (K,) positive, pixels or shares of the image; only their ratios count.

    Raises:
        ValueError: K below 1 or above 10, another number of scores, areas not positive, values not finite.
    """

    scores: Floats
    areas: NDArray[np.floating] | Ints

    def __post_init__(self) -> None:
        K = len(self.areas)
        if not 1 <= K <= MAX_REGIONS:
            raise ValueError(f"a lattice has 1 to {MAX_REGIONS} regions, not {K}; more are sampled")
        if self.scores.shape != (1 << K,):
            raise ValueError(f"{K} regions have {1 << K} subsets; scores are {self.scores.shape}")
        if not np.isfinite(self.scores).all():
            raise ValueError(f"{int((~np.isfinite(self.scores)).sum())} scores are NaN or infinite")
        if not (np.isfinite(self.areas).all() and (self.areas > 0).all()):
            raise ValueError(f"areas must be positive: {self.areas}")

    @property
    def count(self) -> int:
        """K."""
        return len(self.areas)

    @cached_property
    def shares(self) -> Floats:
        """(K,) the regions' shares of the image; they sum to 1."""
        return np.asarray(self.areas / self.areas.sum(), dtype=np.float64)

    @property
    def tolerance(self) -> float:
        """Areas that differ by no more are equal."""
        return TIE * float(np.abs(self.scores).max())

    def curve(self, step: ArrayLike) -> Curve:
        """The curve of an order's `step` (K,), natural points, tied regions at once."""
        found = np.asarray(step, dtype=np.int64)
        subsets = subsets_along(found)
        removed = np.concatenate([[0], np.cumsum(np.bincount(found, weights=self.areas))])
        units = np.concatenate([[0], np.cumsum(np.bincount(found))]) / self.count
        return Curve(removed / removed[-1], self.scores[subsets], units)

    def symmetric(self) -> Lattice:
        """The lattice in which an order's area is its SRG: v(S) − v(all without S) in place of v(S).

        The reversed order passes the complements, so SRG is a sum over edges too; its null has mean 0.
        """
        return Lattice(self.scores - self.scores[::-1], self.areas)

    @cached_property
    def shapley(self) -> Floats:
        """(K,) Shapley values of the game in which a coalition is the set of regions kept.

        φ_r = Σ over S without r of |S|! (K − |S| − 1)! / K! · (v(S) − v(S ∪ {r})), S the set removed, whose
        weight is that of its complement; they sum to the score of the full image − that of the empty one
        (Shapley 1953).
        """
        without, with_it = self._edges
        drops = self.scores[without] - self.scores[with_it]
        return np.asarray((drops * self._weights[without]).sum(axis=1))

    @cached_property
    def null(self) -> Null:
        """Areas of all orders: mean, spread, and both ends."""
        mean = float((self._costs * self._weights[self._edges[0]]).sum())
        variance = self._moments(mean)
        low, high = (float(self._extremes(sign)[-1]) for sign in (-1, 1))
        return Null(mean, variance**0.5, low, high, factorial(self.count))

    def best(self, direction: Direction = "lerf") -> Ints:
        """(K,) the step of an order with the highest area for LeRF, the lowest for MoRF."""
        return self._order(1 if direction == "lerf" else -1)

    def worst(self, direction: Direction = "lerf") -> Ints:
        """(K,) the step of an order with the lowest area for LeRF, the highest for MoRF."""
        return self._order(-1 if direction == "lerf" else 1)

    def expected_area(self, step: ArrayLike) -> float:
        """The mean area over all orders that break the ties of a `step` (K,): its own area without ties."""
        total = 0.0
        for low, high in pairwise(subsets_along(step)):
            total += float(self._between(int(low), int(high)).mean())
        return total

    def percentile(self, step: ArrayLike, direction: Direction = "lerf") -> float:
        """The share of all K! orders that are worse than one with `step` (K,), equal ones counted half.

        In 0..1, .5 at random. Exact. With ties the mean over the orders that break them.
        """
        passed = subsets_along(step)
        if len(passed) == 2:  # noqa: PLR2004 - all tied: all orders against all orders
            return 0.5
        areas = np.zeros(1)
        for low, high in pairwise(passed):
            areas = (areas[:, None] + self._between(int(low), int(high))).ravel()
        below, above = self._beside(np.sort(areas))
        share = (below + (factorial(self.count) - below - above) / 2).mean() / factorial(self.count)
        return float(share if direction == "lerf" else 1 - share)

    def regret(self, step: ArrayLike, direction: Direction = "lerf") -> Regret:
        """(area − mean of the null) / (best − mean): 1 the best of all orders, 0 random; ties as above."""
        best = self.null.highest if direction == "lerf" else self.null.lowest
        return regret(self.expected_area(step), null_mean=self.null.mean, best=best, tolerance=self.tolerance)

    @cached_property
    def all_areas(self) -> Floats:
        """(K!,) the areas of all orders, rising; 29 MB and half a second for K = 10."""
        found = self._between(0, len(self.scores) - 1)
        found.sort()
        return found

    @cached_property
    def _edges(self) -> tuple[Ints, Ints]:
        """Both (K, 2^(K−1)): for each region the subsets without it, and these with it."""
        subsets = np.arange(len(self.scores))
        without = np.stack([subsets[subsets >> r & 1 == 0] for r in range(self.count)])
        return without, without | (1 << np.arange(self.count))[:, None]

    @cached_property
    def _costs(self) -> Floats:
        """(K, 2^(K−1)) what each of `_edges` adds to an area."""
        without, with_it = self._edges
        return self.shares[:, None] * (self.scores[without] + self.scores[with_it]) / 2

    @cached_property
    def _sizes(self) -> Ints:
        """(2^K,) how many regions are in each subset."""
        return np.asarray((np.arange(len(self.scores))[:, None] >> np.arange(self.count) & 1).sum(axis=1))

    @cached_property
    def _weights(self) -> Floats:
        """(2^K,) the share of all orders that pass a subset and go on with a given region."""
        K = self.count
        each = [factorial(s) * factorial(K - s - 1) / factorial(K) for s in range(K)]
        return np.array([*each, 0.0])[self._sizes]

    def _cost(self, subset: Ints | int, region: int) -> Floats:
        """What the edge to a subset adds to an area, the region being the last that went."""
        scores = self.scores[np.asarray(subset)] + self.scores[np.asarray(subset) ^ (1 << region)]
        return np.asarray(self.shares[region] * scores / 2)

    def _layers(self) -> list[Ints]:
        """The subsets of 1, 2, ..., K regions."""
        return [np.flatnonzero(self._sizes == size) for size in range(1, self.count + 1)]

    def _extremes(self, sign: int) -> Floats:
        """(2^K,) the highest (sign 1) or lowest (−1) sum of a path from none to each subset."""
        found = np.full(len(self.scores), -np.inf)
        found[0] = 0
        for layer in self._layers():
            for r in range(self.count):
                ends = layer[layer >> r & 1 == 1]
                found[ends] = np.maximum(found[ends], found[ends ^ (1 << r)] + sign * self._cost(ends, r))
        return sign * found

    def _order(self, sign: int) -> Ints:
        """(K,) the step of an order with the extreme area, read from its end."""
        sums = self._extremes(sign)
        step = np.empty(self.count, dtype=np.int64)
        subset = len(self.scores) - 1
        for place in reversed(range(self.count)):
            inside = [r for r in range(self.count) if subset >> r & 1]
            region = max(inside, key=lambda r: sign * (sums[subset ^ (1 << r)] + self._cost(subset, r)))
            step[region] = place
            subset ^= 1 << region
        return step

    def _moments(self, mean: float) -> float:
        """The variance of the areas, from the means of sums and squares over all paths to each subset."""
        first, second = np.zeros((2, len(self.scores)))
        for size, layer in enumerate(self._layers(), start=1):
            for r in range(self.count):
                ends = layer[layer >> r & 1 == 1]
                # The mean is taken off along the way, so that no large square is subtracted from another.
                cost, before = self._cost(ends, r) - self.shares[r] * mean, ends ^ (1 << r)
                first[ends] += (first[before] + cost) / size
                second[ends] += (second[before] + 2 * cost * first[before] + cost**2) / size
        return max(float(second[-1] - first[-1] ** 2), 0.0)

    def _between(self, low: int, high: int) -> Floats:
        """(n!,) the sums of all paths from a subset to another that has n regions more."""
        missing = [r for r in range(self.count) if (high & ~low) >> r & 1]
        sums: dict[int, list[Floats]] = {low: [np.zeros(1)]}
        for _ in missing:
            after: dict[int, list[Floats]] = {}
            for subset, parts in sums.items():
                all_paths = np.concatenate(parts)
                for r in missing:
                    if not subset >> r & 1:
                        end = subset | 1 << r
                        after.setdefault(end, []).append(all_paths + self._cost(end, r))
            sums = after
        return np.concatenate(sums[high])

    @cached_property
    def _halves(self) -> list[tuple[Floats, Floats]]:
        """For each subset of K // 2 regions the sums of paths to it, and of those from it on, rising."""
        middle = np.flatnonzero(self._sizes == self.count // 2)
        full = len(self.scores) - 1
        return [(self._between(0, int(s)), np.sort(self._between(int(s), full))) for s in middle]

    def _beside(self, areas: Floats) -> tuple[Ints, Ints]:
        """How many of all orders have a lower, and how many a higher area than each of `areas` (T,)."""
        low, high = areas - self.tolerance, areas + self.tolerance
        if len(areas) > _FEW:
            below = np.searchsorted(self.all_areas, low, side="left")
            upto = np.searchsorted(self.all_areas, high, side="right")
            return below, factorial(self.count) - upto
        below, upto = np.zeros((2, len(areas)), dtype=np.int64)
        for before, after in self._halves:
            below += np.searchsorted(after, low[:, None] - before, side="left").sum(axis=1)
            upto += np.searchsorted(after, high[:, None] - before, side="right").sum(axis=1)
        return below, factorial(self.count) - upto
