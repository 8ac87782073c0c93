"""Any segmenter brought to a wanted number of regions, for comparisons at equal counts.

How many regions come out is rarely what was asked: SLIC joins pieces, Felzenszwalb's method has no count at
all, clusters fall apart into components. `segmenter.match=N` therefore turns the parameter that governs the
count, image by image, until the regions the consumer sees number N to within max(1, 5 %). At most 8
segmentations are spent on an image; where none of them comes that close, the closest is kept. Such a miss is
visible in the row, which holds the count (`n_regions`) beside the configuration: see `is_met`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count, pairwise
from typing import Any, Protocol

import torch
from torch import Tensor

from nasbench.errors import UsageError
from nasbench.models.features import Features
from nasbench.segment.base import Activations, Segmenter, Views

MAX_EVALUATIONS = 8

# One step beyond all that was tried multiplies or divides the value by this at most.
_FARTHEST = 4.0


@dataclass(frozen=True, kw_only=True)
class Knob:
    """What to turn for another number of regions.

    Attributes:
        at: the segmenter with that parameter at a value.
        start: value tried first.
        low: lowest value.
        high: highest value.
        slope: of log(count) over log(value), roughly; its sign must be right, and it may not be 0.
        whole: whether only integers are meaningful.
    """

    at: Callable[[float], Segmenter]
    start: float
    low: float
    high: float
    slope: float = 1.0
    whole: bool = True

    def clipped(self, value: float) -> float:
        """The valid value closest to one."""
        value = min(max(value, self.low), self.high)
        return float(min(max(round(value), math.ceil(self.low)), self.high)) if self.whole else value


class Countable(Segmenter, Protocol):
    """A segmenter with a parameter that governs its number of regions."""

    def count_knob(self, wanted: int, size: tuple[int, int]) -> Knob:
        """That parameter, for a wanted number of regions on a view of (H, W) pixels."""
        ...


def is_met(n_regions: int, wanted: int) -> bool:
    """Whether a count is within max(1, 5 %) of the wanted one."""
    return abs(n_regions - wanted) <= max(1.0, 0.05 * wanted)


class Matched:
    """A segmenter whose regions are brought to a number, image by image.

    Args:
        segmenter: what to bring there; its own setting of the parameter in question is not used.
        wanted: number of regions.

    Raises UsageError for a number below 1, and for a segmenter without such a parameter.
    """

    def __init__(self, segmenter: Countable, wanted: int) -> None:
        if wanted < 1:
            raise UsageError(f"segmenter.match={wanted} must be at least 1")
        if not hasattr(segmenter, "count_knob"):
            name = type(segmenter).__name__
            raise UsageError(f"segmenter.match={wanted}: {name} has no parameter that governs its count")
        if getattr(segmenter, "scope", "image") != "image":
            raise UsageError(f"segmenter.match={wanted}: the count of a clustering of many images is fixed")
        self._segmenter = segmenter
        self._wanted = wanted
        self.uses_features = segmenter.uses_features
        self.activations: Activations = getattr(segmenter, "activations", Activations())

    def check_stages(self, n: int) -> None:
        """The segmenter's own check, where it has one. Raises UsageError."""
        inner: Any = self._segmenter
        if hasattr(inner, "check_stages"):
            inner.check_stages(n)

    def __call__(self, views: Views, features: Features | None) -> Tensor:
        """Labels (B, H, W) int64 on the views' grid; see `Segmenter`."""
        return torch.stack(
            [self._matched(views.image(i), features and features.image(i)) for i in range(len(views.ids))]
        )

    def _matched(self, view: Views, features: Features | None) -> Tensor:
        knob = self._segmenter.count_knob(self._wanted, view.size)
        found: dict[float, Tensor] = {}

        def evaluate(value: float) -> int:
            found[value] = knob.at(value)(view, features)[0]
            return int(found[value].max()) + 1

        return found[search(evaluate, self._wanted, knob)]


def search(evaluate: Callable[[float], int], wanted: int, knob: Knob) -> float:
    """The value whose count is within tolerance of the wanted one, else the closest of those tried.

    The count is taken for a power of the value, rising or falling with the knob's slope: beyond what was
    tried the power law is followed, between two values that hold the wanted count between them it is
    interpolated, in turn with halving. The search ends early at the end of the knob. Counts need not be
    monotone: where integers leave nothing to halve, the neighbours of the closest value are tried. Of two
    equally close values the first tried is kept.
    """
    tried: dict[float, int] = {}
    value: float | None = knob.clipped(knob.start)
    while value is not None and len(tried) < MAX_EVALUATIONS:
        tried[value] = evaluate(value)
        if is_met(tried[value], wanted):
            return value
        value = _next(tried, wanted, knob)
    return _closest(tried, wanted)


def _closest(tried: dict[float, int], wanted: int) -> float:
    return min(tried, key=lambda value: abs(tried[value] - wanted))


def _next(tried: dict[float, int], wanted: int, knob: Knob) -> float | None:
    """The value to try next; None where no value is left that promises anything."""
    rising = sorted(tried, reverse=knob.slope < 0)
    brackets = [(a, b) for a, b in pairwise(rising) if tried[a] < wanted < tried[b]]
    for a, b in sorted(brackets, key=lambda pair: _closest({v: tried[v] for v in pair}, wanted) != pair[0]):
        between = _between(a, b, tried, wanted, knob)
        if between is not None:
            return between
    if not brackets:
        return _beyond(rising, tried, wanted, knob)
    return _neighbour(tried, wanted, knob)


def _between(a: float, b: float, tried: dict[float, int], wanted: int, knob: Knob) -> float | None:
    share = math.log(wanted / tried[a]) / math.log(tried[b] / tried[a])
    if len(tried) % 2:  # every other step, lest a bend in the curve holds one end for good
        share = 0.5
    share = min(max(share, 0.15), 0.85)
    value = math.exp((1 - share) * math.log(a) + share * math.log(b))
    if knob.whole:
        low, high = min(a, b) + 1, max(a, b) - 1
        return float(min(max(round(value), low), high)) if low <= high else None
    return value if value not in tried else None


def _beyond(rising: list[float], tried: dict[float, int], wanted: int, knob: Knob) -> float | None:
    """Beyond the end of what was tried; None at the end of the knob."""
    outwards = rising if tried[rising[0]] > wanted else rising[::-1]
    edge = outwards[0]
    step = (wanted / tried[edge]) ** (1 / knob.slope)
    if len(outwards) > 1 and tried[outwards[1]] == tried[edge]:  # a plateau: away from it
        step = math.copysign(math.inf, step - 1)
    step = min(max(step, 1 / _FARTHEST), _FARTHEST)
    value = knob.clipped(edge * step)
    if value == edge and knob.whole:
        value = knob.clipped(edge + math.copysign(1, step - 1))
    return value if value not in tried else None


def _neighbour(tried: dict[float, int], wanted: int, knob: Knob) -> float | None:
    """The untried integer nearest to the closest value, the lower one first."""
    if not knob.whole:
        return None
    centre = _closest(tried, wanted)
    for distance in count(1):
        sides = [value for value in (centre - distance, centre + distance) if knob.low <= value <= knob.high]
        if not sides:
            return None
        for value in sides:
            if value not in tried:
                return value
    return None
