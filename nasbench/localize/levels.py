"""The 8-bit level sets of a map that thresholds ask for, and between which of them nothing happens.

As the level rises pieces of the foreground split, and vanish at local maxima of the map; holes begin at local
minima, merge and open. Without maxima and minima only splits, mergers and openings are left, and all of them
raise the number of pieces less that of holes, so where that is equal nothing happened. Maxima, minima and the
number are found for all levels at once.

Boxes are `x0 y0 x1 y1` as the protocol writes them, inclusive; frames are half-open.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasbench.localize.maps import MapError, checked_map

Boxes = NDArray[np.int64]

_WHITE = 255
# A matter of speed alone.
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

    @property
    def few(self) -> bool:
        """Whether there are so few values that it takes longer to find out between which nothing happens."""
        return len(self.values) <= _FEW

    @property
    def boxes(self) -> Boxes:
        """(S, 4) the frames as boxes; an empty one is zeros."""
        height, width = self.grey.shape
        found: Boxes = np.minimum(self.frames, (width, height, width - 1, height - 1))
        return found

    @property
    def filled(self) -> int:
        """The number of foregrounds that are not empty; these come first."""
        return len(self.steps) - int(len(self.steps) > 0 and self.steps[-1] == len(self.values))


def levels_of(score_map: ArrayLike, thresholds: ArrayLike) -> Levels:
    """The foregrounds of a map (H, W) in [0, 1] at thresholds (T,); raises as `choe_boxes` says."""
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
    occurs = _histogram(grey) > 0
    values = np.flatnonzero(occurs)
    cuts = (given * values[-1]).clip(-1, _WHITE).astype(np.int64)  # truncated towards zero, as int() does
    step = np.append(0, np.cumsum(occurs))[cuts + 1]  # how many values are at or below the cut
    used = np.zeros(len(values) + 1, dtype=bool)
    used[step] = True
    steps = np.flatnonzero(used)
    place = (np.cumsum(used) - 1)[step]
    return Levels(scores, grey, values, steps, place, _frames(grey, values, steps))


def _histogram(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(256,) how often each value occurs; exact up to 2**24 pixels, and never 0 for what occurs."""
    import cv2

    found: NDArray[np.float32] = cv2.calcHist([grey], [0], None, [_WHITE + 1], [0, _WHITE + 1]).ravel()
    return found


def _frames(grey: NDArray[np.uint8], values: NDArray[np.int64], steps: NDArray[np.int64]) -> Boxes:
    """Half-open boxes (S, 4) around {grey >= values[step]}; zeros for the empty one, which comes last."""
    import cv2

    frames = np.zeros((len(steps), 4), dtype=np.int64)
    wanted = values[steps[steps < len(values)]]
    # Along rows it is faster transposed.
    for axis, profile in enumerate((grey.max(axis=0), cv2.transpose(grey).max(axis=0))):
        n = len(profile)
        frames[: len(wanted), axis] = np.searchsorted(np.maximum.accumulate(profile), wanted)
        frames[: len(wanted), axis + 2] = n - np.searchsorted(np.maximum.accumulate(profile[::-1]), wanted)
    return frames


def counted(levels: Levels, *signs: Callable[[Levels], NDArray[np.bool_]]) -> Sequence[int]:
    """(n,) for each filled level, at how many of the values below it there is any of the signs.

    Where two levels have the same number there is none at the values from the one up to the other.
    """
    if levels.few:
        return range(levels.filled)
    seen = np.logical_or.reduce([sign(levels) for sign in signs])
    counts: list[int] = np.append(0, np.cumsum(seen))[levels.steps[: levels.filled]].tolist()
    return counts


def maxima(levels: Levels) -> NDArray[np.bool_]:
    """(K,) whether a value holds a local maximum of the map or a part of a plateau."""
    import cv2

    top = cv2.dilate(levels.scores, np.ones((3, 3), dtype=np.uint8))
    return _holding(levels, levels.scores == top)


def minima(levels: Levels) -> NDArray[np.bool_]:
    """The same of local minima among 4 neighbours, but for the edge, from where nothing is a hole."""
    import cv2

    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], dtype=np.uint8)
    lowest = levels.scores == cv2.erode(levels.scores, cross)
    lowest[[0, -1]] = False
    lowest[:, [0, -1]] = False
    return _holding(levels, lowest)


def _holding(levels: Levels, where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    seen = np.zeros(_WHITE + 1, dtype=bool)
    seen[levels.grey[where]] = True
    found: NDArray[np.bool_] = seen[levels.values]
    return found


def euler_changes(levels: Levels) -> NDArray[np.bool_]:
    """(K,) whether pieces less holes are not as many at the next value.

    That number is the corners of all pixels, less their sides, plus the pixels.
    """
    padded = np.pad(levels.grey, 1)
    wide = np.maximum(padded[:, 1:], padded[:, :-1])
    tall = np.maximum(padded[1:, 1:-1], padded[:-1, 1:-1])
    corners, upright, level, pixels = (
        np.cumsum(_histogram(part)[::-1].astype(np.int64))[::-1]  # how many reach each value
        for part in (np.maximum(wide[1:], wide[:-1]), wide[1:-1], tall, levels.grey)
    )
    number = (corners - upright - level + pixels)[levels.values]
    found: NDArray[np.bool_] = np.append(np.diff(number) != 0, True)
    return found
