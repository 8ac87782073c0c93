"""All contours of all 8-bit level sets of a map, without changing a bit of what OpenCV finds.

What makes it fast:

- thresholds that keep the same pixels are done once;
- contours are sought in the bounding box of the foreground only;
- where the foreground is known to be one piece its box is known without contours. A piece that is not part of
  a piece one level higher holds a local maximum of the map; so while the level falls from one at which there
  was a single piece, there is a single piece until a local maximum comes up. Holes, likewise, begin at local
  minima while the level rises. Both are found for all levels at once by a grey dilation and erosion;
- the largest contour is always an outer one of the first generation: a contour within another encloses
  less, or as much and is returned later. So holes and what lies in them are skipped where only it counts;
- a contour that encloses more than half of the map stays the largest as the level falls, and its box grows;
  once that is the frame of a level it is known without contours;
- where there are hundreds of contours, connected components give the same boxes: the contour of a hole runs
  through the pixels around it, one further on each side;
- as the level rises boxes only shrink, so once none holds enough of a ground-truth box, none above does.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasbench.localize.maps import MapError, checked_map

Boxes = NDArray[np.int64]
Flat = NDArray[np.int64]
# Which of half-open boxes (n, 4) are worth a look, (n,); a box within another only if the other is.
Promise = Callable[[Boxes], NDArray[np.bool_]]

_WHITE = 255
# Beyond so many contours in the level before, components are faster; a matter of speed alone.
_MANY = 600
# With so few levels it takes longer to find out which can be spared; a matter of speed alone.
_FEW = 64


@dataclass(frozen=True)
class Levels:
    """The distinct foregrounds of a map at given thresholds, rising.

    Attributes:
        scores: (H, W) the map.
        grey: (H, W) uint8.
        values: (K,) the values that occur in `grey`, rising.
        steps: (S,) rising; foreground i is {grey >= values[steps[i]]}, empty for steps[i] == K.
        place: (T,) the foreground of each threshold.
        frames: (S, 4) half-open `x0 y0 x1 y1` around each foreground, 0 where it is empty.
    """

    scores: NDArray[np.floating]
    grey: NDArray[np.uint8]
    values: NDArray[np.int64]
    steps: NDArray[np.int64]
    place: NDArray[np.int64]
    frames: Boxes

    def inclusive(self, boxes: Boxes) -> Boxes:
        """Half-open boxes (n, 4) as the protocol writes them; an empty one becomes zeros."""
        height, width = self.grey.shape
        limits = np.array([width, height, width - 1, height - 1])
        found: Boxes = np.minimum(boxes, limits)
        return found

    @property
    def filled(self) -> int:
        """The number of foregrounds that are not empty; these come first."""
        return int((self.steps < len(self.values)).sum())


def levels_of(score_map: ArrayLike, thresholds: ArrayLike) -> Levels:
    """The foregrounds of a map (H, W) in [0, 1] at thresholds (T,); raises as `choe_boxes` says."""
    import cv2

    scores = np.asarray(score_map)
    if scores.dtype not in (np.float32, np.float64) or scores.ndim != 2 or scores.size == 0:  # noqa: PLR2004
        scores = checked_map(scores)
    low, high = scores.min(), scores.max()
    if not (low >= 0 and high <= 1):  # NaN is neither
        checked_map(scores)
        raise MapError("range", f"the map's values lie in [{low:g}, {high:g}], not in [0, 1]")
    given = np.asarray(thresholds, dtype=np.float64)
    if given.ndim != 1 or not np.isfinite(given).all():
        raise ValueError(f"thresholds must be finite numbers in one dimension, not shape {given.shape}")
    grey = (scores * _WHITE).astype(np.uint8)
    occurs = cv2.calcHist([grey], [0], None, [_WHITE + 1], [0, _WHITE + 1]).ravel() > 0
    values = np.flatnonzero(occurs)
    cuts = (given * values[-1]).clip(-1, _WHITE).astype(np.int64)  # truncated towards zero, as int() does
    step = np.append(0, np.cumsum(occurs))[cuts + 1]  # how many values are at or below the cut
    used = np.zeros(len(values) + 1, dtype=bool)
    used[step] = True
    steps = np.flatnonzero(used)
    place = (np.cumsum(used) - 1)[step]
    return Levels(scores, grey, values, steps, place, _frames(grey, values, steps))


def _frames(grey: NDArray[np.uint8], values: NDArray[np.int64], steps: NDArray[np.int64]) -> Boxes:
    """Half-open boxes (S, 4) around {grey >= values[step]}; zeros for the empty one, which comes last."""
    frames = np.zeros((len(steps), 4), dtype=np.int64)
    wanted = values[steps[steps < len(values)]]
    for axis in (0, 1):
        profile = grey.max(axis=axis)
        n = len(profile)
        frames[: len(wanted), axis] = np.searchsorted(np.maximum.accumulate(profile), wanted)
        frames[: len(wanted), axis + 2] = n - np.searchsorted(np.maximum.accumulate(profile[::-1]), wanted)
    return frames


def largest_boxes(levels: Levels, promise: Promise | None = None) -> Boxes:
    """Half-open boxes (m, 4) around the largest contour, the first returned of equal ones.

    They belong to the m lowest foregrounds: without `promise` all that are not empty; else no contour of the
    others has a box worth a look.
    """
    import cv2

    binary = _Binary(levels)
    searched: dict[int, Sequence[Any]] = {}

    def outer(i: int) -> Sequence[Any]:
        if i not in searched:
            searched[i] = binary.contours(i, cv2.RETR_EXTERNAL)[0]
        return searched[i]

    count = _promising(levels, promise, lambda i: _rects(outer(i)))
    half = (levels.grey.shape[0] - 1) * (levels.grey.shape[1] - 1) / 2
    frames, steps, peaks = levels.frames.tolist(), levels.steps.tolist(), _peaks(levels)
    boxes: list[list[int]] = frames[:count]
    alone, over_half, above = False, False, len(levels.values)
    for i in reversed(range(count)):
        known = (alone and peaks[steps[i]] == peaks[above]) or (over_half and boxes[i + 1] == frames[i])
        if not known:
            contours = outer(i)
            alone = len(contours) == 1
            largest = contours[0] if alone else max(contours, key=cv2.contourArea)
            over_half = over_half or cv2.contourArea(largest) > half
            if not alone:
                x, y, width, height = cv2.boundingRect(largest)
                boxes[i] = [x, y, x + width, y + height]
            del searched[i]  # thousands, where there are many
        above = steps[i]
    return np.array(boxes, dtype=np.int64).reshape(-1, 4)


def all_boxes(
    levels: Levels, promise: Promise | None = None, *, least: float = 0
) -> tuple[Boxes, NDArray[np.int64]]:
    """Half-open boxes (n, 4) around all contours, and how many belong to each foreground (m,), none 0.

    For the m lowest foregrounds as in `largest_boxes`. Boxes of an area below `least` may be left out.
    """
    binary = _Binary(levels)
    searched: dict[int, _Found] = {}
    many = False

    def search(i: int) -> _Found:
        nonlocal many
        if i not in searched:
            searched[i] = _as_components(binary, i, least) if many else _as_contours(binary, i)
            many = searched[i].contours > _MANY
        return searched[i]

    count = _promising(levels, promise, lambda i: search(i).rects)
    steps = levels.steps.tolist()
    pits, below = _pits(levels), 0
    for i in range(count):
        # What was not searched is known to be without holes.
        if pits[steps[i]] != pits[below] or (i - 1 in searched and searched[i - 1].holes):
            search(i)
        below = steps[i]
    peaks = _peaks(levels)
    for i in reversed(range(count)):
        # And after this loop to be one piece.
        if i not in searched and (
            i == count - 1
            or peaks[steps[i]] != peaks[steps[i + 1]]
            or (i + 1 in searched and searched[i + 1].pieces != 1)
        ):
            search(i)
    whole = levels.frames.copy()
    whole[:, 2:] -= whole[:, :2]
    rects = [searched[i].rects if i in searched else whole[i] for i in range(count)]
    counts = np.array([len(found) // 4 for found in rects], dtype=np.int64)
    return _corners(np.concatenate([np.zeros(0, dtype=np.int64), *rects])), counts


def _promising(levels: Levels, promise: Promise | None, rects: Callable[[int], Flat]) -> int:
    """How many foregrounds, from the lowest, have a box worth a look; a box above is always in one below."""
    if promise is None:
        return levels.filled
    count = int(promise(levels.frames[: levels.filled]).sum())
    if count == 0 or promise(_corners(rects(count - 1))).any():
        return count
    return bisect_left(range(count - 1), True, key=lambda i: not promise(_corners(rects(i))).any())


class _Binary:
    """The foregrounds of `levels` one at a time, each within its frame, 255 or 0."""

    def __init__(self, levels: Levels) -> None:
        self.levels = levels
        self._frames = levels.frames.tolist()
        self._above = (levels.values[levels.steps[: levels.filled]] - 1).tolist()

    def __call__(self, i: int) -> NDArray[np.uint8]:
        import cv2

        x0, y0, x1, y1 = self._frames[i]
        found: NDArray[np.uint8] = cv2.threshold(
            self.levels.grey[y0:y1, x0:x1], self._above[i], _WHITE, cv2.THRESH_BINARY
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


class _Found(NamedTuple):
    """The contours of one foreground.

    Attributes:
        rects: (4 n,) `x y width height` of each, n >= 1, but for those left out.
        contours: their number.
        parents: (contours,) negative for outer contours.
    """

    rects: Flat
    contours: int
    parents: NDArray[np.integer]

    @property
    def holes(self) -> int:
        """The number of contours of holes."""
        return int((self.parents >= 0).sum()) if self.contours > 1 else 0

    @property
    def pieces(self) -> int:
        """The number of outer contours."""
        return self.contours - self.holes


def _as_contours(binary: _Binary, i: int) -> _Found:
    import cv2

    contours, tree = binary.contours(i, cv2.RETR_CCOMP)
    return _Found(_rects(contours), len(contours), tree[0, :, 3])


def _as_components(binary: _Binary, i: int, least: float) -> _Found:
    import cv2

    foreground = binary(i)
    size = foreground.shape[::-1]
    pieces = cv2.connectedComponentsWithStats(foreground, connectivity=8)[2][1:, :4]
    holes = cv2.connectedComponentsWithStats(~foreground, connectivity=4)[2][1:, :4]
    # What touches the edge of the foreground's frame is joined outside it.
    holes = holes[(holes[:, :2] > 0).all(axis=1) & (holes[:, :2] + holes[:, 2:] < size).all(axis=1)]
    holes += np.array([-1, -1, 2, 2], dtype=holes.dtype)
    rects = np.concatenate([pieces, holes])
    rects[:, :2] += binary.corner(i)
    sizes = areas(binary.levels.inclusive(_corners(rects)))
    keep = sizes >= least
    keep[sizes.argmax()] = True
    return _Found(rects[keep].ravel(), len(rects), np.repeat([-1, 0], [len(pieces), len(holes)]))


def _rects(contours: Sequence[Any]) -> Flat:
    """(4 n,) `x y width height` around contours."""
    import cv2

    return np.fromiter(chain.from_iterable(map(cv2.boundingRect, contours)), np.int64, 4 * len(contours))


def _corners(rects: NDArray[np.integer]) -> Boxes:
    """`x y width height` of n boxes, in any shape, as half-open `x0 y0 x1 y1` (n, 4)."""
    boxes = rects.reshape(-1, 4).astype(np.int64)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def _peaks(levels: Levels) -> list[int]:
    """(K + 1,) of the values, how many below each hold a local maximum of the map or a part of a plateau.

    Two equal entries say: no piece of a foreground begins at the values between them.
    """
    import cv2

    if len(levels.values) <= _FEW:
        return list(range(len(levels.values) + 1))
    top = cv2.dilate(levels.scores, np.ones((3, 3), dtype=np.uint8))
    return _counted(levels, levels.scores == top)


def _pits(levels: Levels) -> list[int]:
    """The same of local minima among 4 neighbours, but for the edge, from where nothing is a hole."""
    import cv2

    if len(levels.values) <= _FEW:
        return list(range(len(levels.values) + 1))
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], dtype=np.uint8)
    lowest = levels.scores == cv2.erode(levels.scores, cross)
    lowest[[0, -1]] = False
    lowest[:, [0, -1]] = False
    return _counted(levels, lowest)


def _counted(levels: Levels, where: NDArray[np.bool_]) -> list[int]:
    seen = np.zeros(_WHITE + 1, dtype=np.int64)
    seen[levels.grey[where]] = 1
    return [0, *np.cumsum(seen[levels.values]).tolist()]


def areas(boxes: NDArray[Any]) -> NDArray[Any]:
    """Areas (n,) of boxes (n, 4) as the protocol counts, both corners inside."""
    found: NDArray[Any] = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)
    return found
