"""What OpenCV's contours say of all 8-bit level sets of a map, without changing a bit and mostly unsought.

What makes it fast:

- thresholds that keep the same pixels are done once;
- as the level rises every piece lies within a piece of the level below. So between two levels that were
  searched a box is often known to lie within one and around another, and where all such boxes decide the same
  nothing between is searched. Else the middle is;
- the largest contour stays within one piece between two levels, and around what it was at the higher, if it
  encloses there more than half of that piece and more than any other piece does at the lower level;
- among all contours this holds where nothing begins, merges, splits or closes, as `levels` can tell;
- a single piece has its foreground's frame, whatever its contour;
- once no box holds enough of a ground-truth box, none above does;
- where only boxes matter they come from something faster than contours, see `finders`.

Boxes are `x0 y0 x1 y1` as the protocol writes them, inclusive; frames are half-open.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from nasbench.localize.finders import Box, Found, by_components, fastest, stacked
from nasbench.localize.levels import Boxes, Levels, counted, euler_changes, maxima, minima

_WHITE = 255
# So many foregrounds are searched at a time: fewer calls, but some in vain; a matter of speed alone.
_BATCH = 5
# Beyond so many contours in a level, components are faster; a matter of speed alone.
_MANY = 600


class Seen(NamedTuple):
    """A box, its area, and the area it shares with each ground-truth box."""

    box: Box
    area: int
    shared: list[float]


class Truth(Protocol):
    """What decides; see `nasbench.localize.choe`."""

    @property
    def least(self) -> float:
        """A box of a smaller area promises nothing."""

    def see(self, box: Box) -> Seen:
        """A box beside the ground truth."""

    def promises(self, box: Box) -> bool:
        """Whether a box within this one may be right."""

    def iou(self, boxes: Boxes) -> NDArray[np.float64]:
        """(n,) the best IoU of each box (n, 4)."""

    def between(self, small: Seen | None, big: Seen) -> tuple[float, float]:
        """The least and highest best IoU that a box within `big` and around `small`, if any, can have."""

    def settled(self, low: float, high: float) -> bool:
        """Whether all IoUs between these two lead to the same decisions."""


def largest_boxes(levels: Levels, truth: Truth | None = None) -> Boxes:
    """Boxes (n, 4) around the largest contour, the first returned of equal ones, of all n filled foregrounds.

    With `truth` some are others that decide the same. Only outer contours of the first generation matter: one
    within another encloses less, or as much and is returned later.
    """
    binary = _Binary(levels)
    boxes = list(binary.boxes)
    left = _not_single(levels)  # in what follows levels are places in it
    frames = [boxes[i] for i in left]
    outer: dict[int, _Outer] = {}
    seen: dict[int, Seen] = {}

    def search(place: int) -> None:
        outer[place] = found = _outer(binary, left[place])
        boxes[left[place]] = found.box
        if truth is not None:
            seen[place] = truth.see(found.box)

    def settle(a: int, b: int) -> bool:
        low, high = outer[a], outer[b]
        if high.second < 0 and begins[left[a]] == begins[left[b]]:
            return True  # one piece all the way down: the frame, which `boxes` began as
        if low.second < high.area and low.area < 2 * high.area:  # around high.box and within low.box
            alike = high.box in (frames[a + 1], low.box) or (
                truth is not None and truth.settled(*truth.between(seen[b], seen[a]))
            )
        else:
            alike = truth is not None and low.hopeless(high.area, truth, binary)
        if alike:
            for place in range(a + 1, b):
                boxes[left[place]] = high.box
        return alike

    begins = counted(levels, maxima)
    if left:
        search(0)
        search(len(left) - 1)
        _search_between([(0, len(left) - 1)], search, settle)
    return np.array(boxes, dtype=np.int64).reshape(-1, 4)


def _not_single(levels: Levels) -> Sequence[int]:
    """The filled foregrounds but those that are found to be one piece without a hole.

    They are looked for only if levels are few and it looks as if most of them were.
    """
    count = levels.filled

    def single(*wanted: int) -> list[bool]:
        return [found.contours == 1 for found in fastest()(stacked(levels, wanted), math.inf)]

    if count == 0 or not levels.few:
        return range(count)
    if not all(single(count // 2)) or not all(single(count // 4, 3 * count // 4)):
        return range(count)
    batches = (range(i, min(i + _BATCH, count)) for i in range(0, count, _BATCH))
    return [i for batch in batches for i, skip in zip(batch, single(*batch), strict=True) if not skip]


def best_ious(levels: Levels, truth: Truth) -> NDArray[np.float64]:
    """(n,) the best IoU of the boxes around all contours, of all n filled foregrounds.

    Some are others that decide the same; 0 where no box promises anything.
    """
    best = np.zeros(levels.filled)
    found: dict[int, Found] = {}
    find = fastest()

    def search(*wanted: int) -> None:
        nonlocal find
        for i, level in zip(wanted, find(stacked(levels, wanted), truth.least), strict=True):
            found[i] = level
            if level.contours > _MANY:
                find = by_components

    def settle(a: int, b: int) -> bool:
        if found[a].contours == 1:
            best[a + 1 : b] = truth.iou(levels.boxes[a + 1 : b])
            return True
        low, high = _bounds(found[a], found[b], truth)
        alike = truth.settled(low, high)
        if alike:
            best[a + 1 : b] = low
        return alike

    happens = counted(levels, maxima, minima, euler_changes)
    last = levels.filled - 1
    # Where something happens next to it, or nothing can.
    ends = [i for i in range(last + 1) if i in {0, last} or happens[i - 1] != happens[i + 1]]
    for start in range(0, len(ends), _BATCH):
        search(*ends[start : start + _BATCH])
        if not any(map(truth.promises, found[ends[: start + _BATCH][-1]].pieces)):
            break
    spans = [(a, b) for a, b in pairwise(ends) if b in found and happens[a] == happens[b]]
    _search_between(spans, search, settle)

    boxes = [box for level in found.values() for box in level.pieces + level.holes]
    where = [i for i, level in found.items() for _ in level.pieces + level.holes]
    if boxes:
        np.maximum.at(best, where, truth.iou(np.array(boxes)))
    return best


def _search_between(
    spans: list[tuple[int, int]], search: Callable[[int], None], settle: Callable[[int, int], bool]
) -> None:
    """Search a level in the middle of each span of searched levels that is not settled, and so on."""
    while spans:
        a, b = spans.pop()
        if b - a < 2 or settle(a, b):  # noqa: PLR2004
            continue
        middle = (a + b) // 2
        search(middle)
        spans += [(middle, b), (a, middle)]


class _Binary:
    """The foregrounds of `levels` one at a time, each within its frame, 255 or 0.

    Attributes:
        boxes: around each filled one.
    """

    def __init__(self, levels: Levels) -> None:
        self.boxes: list[Box] = list(map(tuple, levels.boxes[: levels.filled].tolist()))
        self._grey = levels.grey
        self._frames = levels.frames.tolist()
        self._below = (levels.values[levels.steps[: levels.filled]] - 1).tolist()
        self._right, self._bottom = levels.grey.shape[1] - 1, levels.grey.shape[0] - 1

    def __call__(self, i: int) -> NDArray[np.uint8]:
        import cv2

        x0, y0, x1, y1 = self._frames[i]
        found: NDArray[np.uint8] = cv2.threshold(
            self._grey[y0:y1, x0:x1], self._below[i], _WHITE, cv2.THRESH_BINARY
        )[1]
        return found

    def corner(self, i: int) -> list[int]:
        """The left and upper edge of the frame."""
        corner: list[int] = self._frames[i][:2]
        return corner

    def contours(self, i: int, mode: int) -> Any:
        """What `cv2.findContours` finds, in the map's pixels."""
        import cv2

        return cv2.findContours(self(i), mode, cv2.CHAIN_APPROX_SIMPLE, offset=self.corner(i))

    def box(self, x: int, y: int, width: int, height: int) -> Box:
        """A rectangle as the protocol writes it."""
        return x, y, min(x + width, self._right), min(y + height, self._bottom)


class _Outer(NamedTuple):
    """The outer contours of one foreground.

    Attributes:
        box: around the largest.
        area: what the largest encloses.
        second: what the next one does, -1 where there is none.
        contours, areas: all of them, and what each encloses.
    """

    box: Box
    area: float
    second: float
    contours: Sequence[Any]
    areas: list[float]

    def hopeless(self, area: float, truth: Truth, binary: _Binary) -> bool:
        """Whether no contour that encloses so much promises anything, nor does any within it then."""
        import cv2

        both = zip(self.contours, self.areas, strict=True)
        rects = [cv2.boundingRect(contour) for contour, enclosed in both if enclosed >= area]
        return not any(
            truth.promises(binary.box(*rect))
            for rect in rects
            if (rect[2] + 1) * (rect[3] + 1) >= truth.least
        )


def _outer(binary: _Binary, i: int) -> _Outer:
    import cv2

    contours = binary.contours(i, cv2.RETR_EXTERNAL)[0]
    areas = list(map(cv2.contourArea, contours))
    if len(areas) == 1:
        return _Outer(binary.boxes[i], areas[0], -1, contours, areas)
    area = max(areas)
    largest = areas.index(area)  # the first of equal ones
    second = max(areas[:largest] + areas[largest + 1 :])
    return _Outer(binary.box(*cv2.boundingRect(contours[largest])), area, second, contours, areas)


def _bounds(below: Found, above: Found, truth: Truth) -> tuple[float, float]:
    """The least and highest that the best IoU between two levels can be if nothing happens between them.

    Every piece lies in one below and around one above, every hole in one above and around one below.
    """
    low = high = 0.0
    for smalls, bigs in ((above.pieces, below.pieces), (below.holes, above.holes)):
        inner, outer = list(map(truth.see, smalls)), list(map(truth.see, bigs))
        pairs = [(small, big) for big in outer for small in inner if _within(small.box, big.box)]
        bounds = [truth.between(*pair) for pair in pairs]
        for small in inner:
            # Whichever of those around it is its own.
            low = max(
                low, min(least for (one, _), (least, _) in zip(pairs, bounds, strict=True) if one is small)
            )
        if len(inner) < len(outer):  # what some shrink to is too small to be here
            bounds = [truth.between(None, big) for big in outer]
        high = max([high, *(highest for _, highest in bounds)])
    return low, high


def _within(small: Box, big: Box) -> bool:
    return big[0] <= small[0] and big[1] <= small[1] and small[2] <= big[2] and small[3] <= big[3]
