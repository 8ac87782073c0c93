"""The published protocol: MaxBoxAcc and MaxBoxAccV2 (Choe et al., CVPR 2020 and TPAMI 2022), bit for bit.

The map is brought to 8 bits, g = ⌊255 m⌋; a threshold τ keeps the pixels with g > ⌊τ max g⌋; OpenCV finds
their contours (RETR_TREE: outer ones and those of holes). A box is `x0 y0 x1 y1` with x1 = min(x0 + width,
W − 1), so it is a pixel wider than the pixels it is drawn around unless it ends at the edge; IoU then counts
x1 as inside (+1). No contour gives the box 0 0 0 0. None of this is corrected here: `exact` is the protocol
for that.

How it is made fast is told in `nasbench.localize.contours`.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import truediv
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasbench.localize.contours import Seen, best_ious, largest_boxes
from nasbench.localize.finders import Box
from nasbench.localize.levels import Boxes, levels_of
from nasbench.localize.maps import MapError, checked_map

Contours = Literal["largest", "all"]

CHOE_IOU = (0.3, 0.5, 0.7)
CHOE_SIZE = 224

# Bounds of IoUs are widened by this share, far above what rounding does to them.
_ROUNDING = 1e-9


def choe_thresholds(step: float = 0.001) -> NDArray[np.float64]:
    """The grid 0, step, 2 step, ... below 1, as `numpy.arange` makes it: 1000 thresholds by default."""
    return np.arange(0, 1, step)


def choe_upsample(score_map: ArrayLike, size: int = CHOE_SIZE) -> NDArray[np.floating]:
    """A raw map (h, w) at (size, size), bicubic (OpenCV), then scaled to [0, 1] by its minimum and maximum.

    As in the protocol a map that is constant or holds NaN becomes zeros, whose box is 0 0 0 0: wrong at every
    threshold. `checked_map` tells such maps apart, so that they can be counted. The type stays float32 or
    float64. Raises MapError for infinite values or another shape.
    """
    import cv2

    try:
        values = checked_map(score_map)
    except MapError as error:
        if error.fault != "NaN":
            raise
        return np.zeros((size, size), dtype=np.float32)
    large: NDArray[np.floating] = cv2.resize(values, (size, size), interpolation=cv2.INTER_CUBIC)
    low = large.min()
    if low == large.max():
        return np.zeros_like(large)
    large -= low
    large /= large.max()
    return large


def choe_gt_boxes(boxes: ArrayLike, image_size: tuple[int, int], size: int = CHOE_SIZE) -> NDArray[np.int64]:
    """Ground-truth boxes (n, 4) as the annotators wrote them, in pixels of the image (H, W), at (size, size).

    Scaled and truncated to whole numbers as the protocol does. The second corner is the annotation's own, not
    a half-open box's: from a half-open box made of inclusive pixels 1 has to be taken first.
    """
    height, width = image_size
    scaled = _checked_boxes(boxes) * size / np.array([width, height, width, height], dtype=np.float64)
    return scaled.astype(np.int64)


def choe_boxes(score_map: ArrayLike, thresholds: ArrayLike) -> NDArray[np.int64]:
    """The box around the largest contour at every threshold.

    Args:
        score_map: (H, W) float32 or float64 in [0, 1].
        thresholds: (T,) finite, as shares of the map's highest level; any order, doubles allowed.

    Returns:
        (T, 4) int `x0 y0 x1 y1` as described above.

    Raises:
        MapError: NaN, infinite or out of [0, 1], or not two-dimensional.
        ValueError: thresholds that are no finite numbers in one dimension.
    """
    levels = levels_of(score_map, thresholds)
    boxes = np.zeros((len(levels.steps), 4), dtype=np.int64)
    boxes[: levels.filled] = largest_boxes(levels)
    return boxes[levels.place]


def choe_decisions(
    score_map: ArrayLike,
    gt_boxes: ArrayLike,
    thresholds: ArrayLike,
    *,
    contours: Contours = "largest",
    iou: Sequence[float] = CHOE_IOU,
) -> NDArray[np.bool_]:
    """Whether the image is right at every threshold.

    Args:
        score_map: (H, W) float32 or float64 in [0, 1].
        gt_boxes: (n, 4) `x0 y0 x1 y1`, x1 and y1 inside, in pixels of the map; n >= 1; see `choe_gt_boxes`.
        thresholds: (T,) finite, as shares of the map's highest level.
        contours: `largest`: the box around the largest contour counts (MaxBoxAcc); `all`: the best of the
            boxes around all contours, holes included (MaxBoxAccV2).
        iou: what the best pair of box and ground-truth box must reach, each in (0, 1].

    Returns:
        (len(iou), T) bool.

    Raises:
        MapError: NaN, infinite or out of [0, 1], or not two-dimensional.
        ValueError: no ground-truth box, one that is inverted or no number, or an option out of range.
    """
    if contours not in get_args(Contours):
        raise ValueError(f"contours={contours!r} is none of {', '.join(get_args(Contours))}")
    wanted = np.asarray(iou, dtype=np.float64)
    if wanted.ndim != 1 or len(wanted) == 0 or not ((wanted > 0) & (wanted <= 1)).all():
        raise ValueError(f"iou={iou} must be one or more numbers in (0, 1]")
    truth = _Truth(_checked_boxes(gt_boxes), wanted)
    levels = levels_of(score_map, thresholds)
    best = np.empty(len(levels.steps))
    best[levels.filled :] = truth.between(nothing := truth.see((0, 0, 0, 0)), nothing)[0]
    if contours == "largest":
        best[: levels.filled] = truth.iou(largest_boxes(levels, truth))
    else:
        best[: levels.filled] = best_ious(levels, truth)
    right: NDArray[np.bool_] = best >= wanted[:, None]
    return right[:, levels.place]


def accuracy_over_thresholds(decisions: ArrayLike) -> NDArray[np.float64]:
    """Share of images that are right, (D, T), from decisions (n, D, T) bool.

    Raises ValueError without images, or for decisions of another shape.
    """
    right = np.asarray(decisions, dtype=bool)
    if right.ndim != 3:  # noqa: PLR2004
        raise ValueError(f"decisions have shape {right.shape}, not (images, IoUs, thresholds)")
    if len(right) == 0:
        raise ValueError("there is no image to take the accuracy of")
    share: NDArray[np.float64] = right.mean(axis=0)
    return share


def max_box_acc(decisions: ArrayLike, *, iou: Sequence[float] = CHOE_IOU, at: float = 0.5) -> float:
    """MaxBoxAcc: the best accuracy at IoU `at` over thresholds common to all images, in 0..1.

    `decisions` (n, len(iou), T) bool of `largest` contours. The threshold is the best of the very images it
    is reported on: an oracle, the same for all of them. Raises ValueError without images or where `at` is not
    one of `iou`.
    """
    if at not in iou:
        raise ValueError(f"at={at} is none of {', '.join(f'{delta:g}' for delta in iou)}")
    return float(accuracy_over_thresholds(decisions)[list(iou).index(at)].max())


def max_box_acc_v2(decisions: ArrayLike) -> float:
    """MaxBoxAccV2: the best accuracy over thresholds for each IoU apart, then their mean, in 0..1.

    `decisions` (n, D, T) bool of `all` contours. As many oracle thresholds as IoUs. Raises ValueError without
    images.
    """
    return float(accuracy_over_thresholds(decisions).max(axis=1).mean())


def _checked_boxes(boxes: ArrayLike) -> NDArray[np.float64]:
    """Inclusive boxes (n, 4). Raises ValueError: none, no numbers, inverted."""
    found = np.asarray(boxes, dtype=np.float64)
    if found.size == 0:
        raise ValueError("there is no ground-truth box")
    if found.ndim != 2 or found.shape[1] != 4:  # noqa: PLR2004
        raise ValueError(f"ground-truth boxes have shape {found.shape}, not (n, 4)")
    for i, (x0, y0, x1, y1) in enumerate(found.tolist(), start=1):
        if not (x0 <= x1 and y0 <= y1) or not np.isfinite(found[i - 1]).all():
            raise ValueError(f"ground-truth box {i} ({x0:g} {y0:g} {x1:g} {y1:g}) is inverted or no number")
    return found


class _Truth:
    """Ground-truth boxes (n, 4) and the IoUs that are asked for, as `nasbench.localize.contours` needs them.

    Both corners of every box count as inside. One or two boxes are faster in plain numbers than in arrays.
    """

    def __init__(self, boxes: NDArray[np.float64], wanted: NDArray[np.float64]) -> None:
        self._boxes, self._areas = boxes, _areas(boxes)
        self._corners: list[list[float]] = boxes.tolist()
        self._sizes: list[float] = self._areas.tolist()
        self._wanted: list[float] = wanted.tolist()
        share = min(self._wanted) * (1 - _ROUNDING)
        self._enough = [share * size for size in self._sizes]
        self.least: float = min(self._enough)

    def see(self, box: Box) -> Seen:
        """A box, its area, and what it shares with each ground-truth box."""
        x0, y0, x1, y1 = box
        shared = []
        for left, top, right, bottom in self._corners:
            width, height = min(x1, right) - max(x0, left) + 1, min(y1, bottom) - max(y0, top) + 1
            shared.append(width * height if width > 0 and height > 0 else 0.0)
        return Seen(box, (x1 - x0 + 1) * (y1 - y0 + 1), shared)

    def promises(self, box: Box) -> bool:
        """Whether it holds enough of a ground-truth box; if not, nothing within it is ever right."""
        x0, y0, x1, y1 = box
        for (left, top, right, bottom), enough in zip(self._corners, self._enough, strict=True):
            width, height = min(x1, right) - max(x0, left) + 1, min(y1, bottom) - max(y0, top) + 1
            if width > 0 and height > 0 and width * height >= enough:
                return True
        return False

    def iou(self, boxes: Boxes) -> NDArray[np.float64]:
        """(m,) the best IoU of each box (m, 4) with any."""
        corners = boxes[:, None]
        sides = np.minimum(corners[..., 2:], self._boxes[:, 2:]) - np.maximum(
            corners[..., :2], self._boxes[:, :2]
        )
        sides = np.maximum(sides + 1, 0)
        shared = sides[..., 0] * sides[..., 1]
        best: NDArray[np.float64] = (shared / (_areas(boxes)[:, None] + self._areas - shared)).max(axis=1)
        return best

    def between(self, small: Seen | None, big: Seen) -> tuple[float, float]:
        """What the best IoU of a box within `big` and around `small` (None: any) is at least and at most."""
        if small is None:
            return 0.0, max(map(truediv, big.shared, self._sizes))
        low = high = 0.0
        for kept, shared, size in zip(small.shared, big.shared, self._sizes, strict=True):
            low = max(low, kept / (big.area + size - shared))
            high = max(high, shared / (small.area + size - kept))
        return low, high

    def settled(self, low: float, high: float) -> bool:
        """Whether all IoUs from `low` to `high` are right for the same of the IoUs asked for."""
        low, high = low * (1 - _ROUNDING), high * (1 + _ROUNDING)
        return not any(low < wanted <= high for wanted in self._wanted)


def _areas(boxes: NDArray[Any]) -> NDArray[Any]:
    found: NDArray[Any] = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)
    return found
