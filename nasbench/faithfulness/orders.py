"""In which order an image's units go: pixels, square patches or regions, by the scores of a saliency map.

Units are removed least relevant first (LeRF), most relevant first (MoRF) or at random. Units of one score are
tied. With `tie="block"` they go together, in one group: nothing in the map says which comes first, and a
curve is evaluated only where a group ends. With `tie="seeded"` a permutation drawn from (seed, image) parts
them, so that every group is one unit; the spread over seeds says what the ties are worth.

Whatever the rule, MoRF is LeRF read from its end, ties included: what LeRF has removed at a fraction x, MoRF
has left at 1 − x.

How units are numbered has no influence: permutations are drawn over the units by their first pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasbench.rng import generator

Direction = Literal["lerf", "morf"]
Tie = Literal["block", "seeded"]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Masks = NDArray[np.bool_]

# Sums of so many values of this size are finite.
_LARGEST = 1e290


@dataclass(frozen=True, eq=False)
class Units:
    """What is removed as a whole.

    Attributes:
        labels: (H, W) int64, the unit of each pixel, 0..N − 1, each with a pixel at least.
        pixels: (N,) int64, how many pixels each has.
    """

    labels: Ints
    pixels: Ints

    @property
    def count(self) -> int:
        """N."""
        return len(self.pixels)

    @property
    def areas(self) -> Floats:
        """(N,) each unit's share of the image; sums to 1."""
        return self.pixels / self.labels.size

    @cached_property
    def by_place(self) -> Ints:
        """(N,) the units by their first pixels in raster order: the same units however they are numbered."""
        return np.argsort(np.unique(self.labels, return_index=True)[1])


def pixel_units(size: tuple[int, int]) -> Units:
    """Each pixel of an image of size (H, W) is a unit."""
    return patch_units(size, 1)


def patch_units(size: tuple[int, int], side: int) -> Units:
    """Square patches from the top left; those at the right and lower border may be smaller, and count so.

    Raises ValueError: a side or a size below 1.
    """
    if side < 1 or min(size) < 1:
        raise ValueError(f"patches of side {side} do not tile an image of {size[0]} × {size[1]} pixels")
    rows, columns = (np.arange(n) // side for n in size)
    return region_units(rows[:, None] * (columns[-1] + 1) + columns)


def region_units(labels: ArrayLike) -> Units:
    """Regions of a segmenter; labels (H, W), integers.

    Raises ValueError: labels of another shape or type, or that are not 0..K − 1 with a pixel for each.
    """
    found = np.asarray(labels)
    if found.ndim != 2 or found.size == 0 or found.dtype.kind not in "iu":  # noqa: PLR2004
        raise ValueError(f"labels are integers (H, W), not {found.dtype} {found.shape}")
    if found.min() < 0:
        raise ValueError(f"the label {found.min()} is below 0")
    pixels = np.bincount(found.ravel())
    if not pixels.all():
        raise ValueError(f"labels reach {len(pixels) - 1}, but none is {int(np.argmin(pixels))}")
    return Units(found.astype(np.int64), pixels.astype(np.int64))


def unit_scores(score_map: ArrayLike, units: Units) -> Floats:
    """(N,) the mean of the map over each unit: never a sum, which would rank units by their areas.

    Sums are correctly rounded and thus the same in whatever order a unit's pixels come, and a unit on which
    the map is constant has exactly that value. Units with the same values are so tied, not parted by
    rounding.

    Raises ValueError: a map that is not numbers of the units' size, or NaN, infinite or beyond 1e290.
    """
    given = np.asarray(score_map)
    if given.shape != units.labels.shape or given.dtype.kind not in "fiub":
        size = " × ".join(map(str, units.labels.shape))
        raise ValueError(f"the map is {given.dtype} {given.shape}; the units need numbers, {size}")
    values = given.astype(np.float64).ravel()
    if not (np.abs(values) <= _LARGEST).all():  # NaN is not
        raise ValueError(f"the map holds NaN, infinite values or some beyond {_LARGEST:g}")
    if units.count == values.size:
        return values[np.argsort(units.labels, axis=None)]
    order = np.argsort(units.labels, axis=None, kind="stable")
    values = values[order]
    ends = np.cumsum(units.pixels)
    starts = ends - units.pixels
    low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    listed = values.tolist()
    sums = [math.fsum(listed[a:b]) for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
    return np.clip(np.array(sums) / units.pixels, low, high)


@dataclass(frozen=True, eq=False)
class Order:
    """Groups of units, one after the other.

    Attributes:
        units: what goes.
        step: (N,) int64, the group, 0..G − 1, with which each unit goes.
    """

    units: Units
    step: Ints

    @cached_property
    def groups(self) -> int:
        """G, at least 1."""
        return int(self.step.max()) + 1

    @cached_property
    def removed(self) -> Floats:
        """(G + 1,) the share of the image that is gone after 0, 1, ..., G groups: from 0 to 1, rising."""
        pixels = np.bincount(self.step, weights=self.units.pixels, minlength=self.groups)
        return np.concatenate([[0], np.cumsum(pixels)]) / self.units.labels.size

    @cached_property
    def removed_units(self) -> Floats:
        """(G + 1,) the share of the units that is gone: another axis than `removed` where areas differ."""
        gone = np.cumsum(np.bincount(self.step, minlength=self.groups))
        return np.concatenate([[0], gone]) / self.units.count

    def step_map(self) -> Ints:
        """(H, W) the group with which each pixel goes."""
        return self.step[self.units.labels]

    def reversed(self) -> Order:
        """The last first."""
        return Order(self.units, self.groups - 1 - self.step)


def order_of(
    scores: ArrayLike,
    units: Units,
    direction: Direction,
    *,
    tie: Tie = "block",
    seed: int = 0,
    image: str = "",
) -> Order:
    """The order in which units with scores (N,) go; `seed` and `image`, an id, part ties if they are to.

    Raises ValueError: scores of another shape, NaN or infinite, or an unknown direction or tie rule.
    """
    for key, known, choice in (("direction", Direction, direction), ("tie", Tie, tie)):
        if choice not in get_args(known):
            raise ValueError(f"{key}={choice!r} is none of {', '.join(get_args(known))}")
    values = np.asarray(scores, dtype=np.float64)
    if values.shape != (units.count,):
        raise ValueError(f"{units.count} units need scores ({units.count},), not {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{int((~np.isfinite(values)).sum())} of {units.count} scores are NaN or infinite")
    if tie == "block":
        rising = Order(units, np.unique(values, return_inverse=True)[1].astype(np.int64))
    else:
        lot = _permutation(units, generator(seed, "ties", image))
        rising = Order(units, _places(np.lexsort((lot, values))))
    return rising if direction == "lerf" else rising.reversed()


def random_order(units: Units, *, seed: int, image: str, draw: int = 0) -> Order:
    """Units one by one in an order drawn from (seed, image, draw): one null for all methods, any number."""
    return Order(units, _permutation(units, generator(seed, "random order", image, str(draw))))


def removed_masks(order: Order, groups: ArrayLike) -> Masks:
    """(M, H, W) bool, True where the pixel is among the first `groups` (M,) groups to go.

    Raises ValueError for a number of groups outside 0..G.
    """
    counts = np.asarray(groups, dtype=np.int64).reshape(-1)
    if len(counts) and (counts.min() < 0 or counts.max() > order.groups):
        raise ValueError(f"the order has {order.groups} groups; {counts.min()} to {counts.max()} were asked")
    return order.step_map() < counts[:, None, None]


def _permutation(units: Units, rng: np.random.Generator) -> Ints:
    """(N,) a random rank for each unit."""
    ranks = np.empty(units.count, dtype=np.int64)
    ranks[units.by_place] = rng.permutation(units.count)
    return ranks


def _places(order: Ints) -> Ints:
    """(N,) at which place each comes in an order of indices."""
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return places
