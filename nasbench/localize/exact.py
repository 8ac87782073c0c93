"""The exact protocol: the box of the largest piece at every level of the float map, no grid, no 8 bits.

Conventions: foreground is {map >= level}; pieces are 8-connected; the largest has the most pixels, equal ones
are told apart by mass (the sum of the map over the piece), then by which has the first pixel in raster order;
the box is half-open and exactly around the piece. The map is cut on the grid it is given on.

The box changes only at some of the map's values, the events. Between two of them nothing happens, so a list
of events answers every threshold: no grid of thresholds, and none of IoUs either, since IoU is computed once
per event. The cost is that of sorting the pixels; see `nasbench.localize.merge_tree`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasbench.localize.maps import checked_map
from nasbench.localize.merge_tree import Growth, grow

Ints = NDArray[np.int64]
Interval = tuple[float, float]


@dataclass(frozen=True)
class BoxEvents:
    """The predicted box as a function of the threshold.

    Attributes:
        levels: (E,) float64, falling, each a value of the map, the first its maximum; E >= 1.
        boxes: (E, 4) half-open; `boxes[i]` is predicted for thresholds in (levels[i + 1], levels[i]], the
            last for all thresholds up to and with levels[-1]. Above levels[0] nothing is predicted.
    """

    levels: NDArray[np.float64]
    boxes: Ints

    def at(self, threshold: float) -> Ints | None:
        """The box (4,) predicted at a threshold; None above the map's maximum. Raises ValueError for NaN."""
        if math.isnan(threshold):
            raise ValueError("the threshold is NaN")
        place = int(np.searchsorted(-self.levels, -threshold, side="right")) - 1
        return None if place < 0 else self.boxes[place]


def box_events(score_map: ArrayLike) -> BoxEvents:
    """The box at every level of a map (H, W), in the map's own units.

    Raises MapError: not two-dimensional, empty, NaN or infinite. A constant map has one event: the frame.
    """
    values = checked_map(score_map)
    growth = grow(values)
    last = np.flatnonzero(np.append(growth.values[1:] != growth.values[:-1], True))  # of each value
    boxes = growth.boxes(_winners(growth)[last])
    changed = np.append(True, (boxes[1:] != boxes[:-1]).any(axis=1))
    return BoxEvents(growth.values[last[changed]].astype(np.float64), boxes[changed])


def right_intervals(levels: ArrayLike, iou: ArrayLike, threshold: float) -> list[Interval]:
    """The thresholds at which an image is right, as disjoint intervals (low, high], falling.

    Args:
        levels: (E,) falling, as in `BoxEvents`.
        iou: (E,) of the boxes at these levels.
        threshold: what the IoU must reach: right is iou >= threshold.

    Returns:
        Pairs (low, high), low not included, high included, in the map's units; low is -inf where the box at
        the lowest level is right, for then it is at all thresholds below. No two of them touch.

    Raises:
        ValueError: levels that do not fall, or another number of IoUs.
    """
    level, value = np.asarray(levels, dtype=np.float64), np.asarray(iou, dtype=np.float64)
    if level.ndim != 1 or level.shape != value.shape or not (np.diff(level) < 0).all():
        raise ValueError(f"levels {level.shape} must fall and have one IoU each, not {value.shape}")
    right = np.concatenate([[False], value >= threshold, [False]]).astype(np.int8)
    starts = np.flatnonzero(np.diff(right) > 0)
    ends = np.flatnonzero(np.diff(right) < 0)
    below = np.append(level, -np.inf)
    return [(float(below[end]), float(level[start])) for start, end in zip(starts, ends, strict=True)]


def _winners(growth: Growth) -> Ints:
    """(N,) the row that describes the largest piece after each pixel."""
    area = growth.area
    # The largest piece so far: pieces only grow, so the one whose area is a record still has that area.
    record = np.flatnonzero(area == np.maximum.accumulate(area))
    tied = np.append(False, np.diff(area[record]) == 0)
    tied |= np.append(tied[1:], False)
    rank = np.zeros(len(record), dtype=np.int64)
    rows = record[tied]
    rank[np.flatnonzero(tied)[np.lexsort((-growth.first[rows], growth.mass[rows]))]] = np.arange(len(rows))
    # Records of equal area lie together; among them the highest rank so far wins, and stays.
    group = np.cumsum(np.append(0, np.diff(area[record]) > 0))
    key = group * (len(record) + 1) + rank
    leader = np.maximum.accumulate(np.where(key == np.maximum.accumulate(key), np.arange(len(key)), 0))
    winner: Ints = record[leader][np.cumsum(area == np.maximum.accumulate(area)) - 1]
    return winner
