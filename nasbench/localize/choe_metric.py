"""What `nasbench wsol metric=choe` measures on one image: the published decisions at all thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasbench.errors import UsageError
from nasbench.localize.choe import (
    CHOE_IOU,
    choe_decisions,
    choe_gt_boxes,
    choe_thresholds,
    choe_upsample,
)
from nasbench.localize.exact import Interval
from nasbench.localize.maps import MapError
from nasbench.localize.metric import BOX_SHARE, BOXES, PIXELS

Corner = Literal["inclusive", "outside"]

# MaxBoxAcc looks at the largest contour, MaxBoxAccV2 at all of them.
LARGEST = tuple(f"choe_largest@{delta:.2f}" for delta in CHOE_IOU)
ALL = tuple(f"choe_all@{delta:.2f}" for delta in CHOE_IOU)


@dataclass(frozen=True)
class Published:
    """What the protocol says of one image.

    Attributes:
        right: (6, T) bool, by threshold: the largest contour at IoU .3, .5, .7, then all contours.
        values: (S, S) the map as the protocol scales it.
        fault: why the map says nothing; empty where it does.
    """

    right: NDArray[np.bool_]
    values: NDArray[np.floating]
    fault: str


@dataclass(frozen=True, kw_only=True)
class ChoeAccuracy:
    """MaxBoxAcc, MaxBoxAccV2 and PxAP (Choe et al., CVPR 2020 and TPAMI 2022), as published.

    Attributes:
        step: between thresholds, from 0 to below 1.
        corner: what the second corner of the data set's annotations is: `inclusive`, the last pixel inside
            (ILSVRC), or `outside` (CUB's x + width). The protocol takes annotations as they are written.
    """

    uses_logits: ClassVar[bool] = False

    step: float = 0.001
    corner: Corner = "inclusive"

    def __post_init__(self) -> None:
        if not 0 < self.step < 1:
            raise UsageError(f"metric.step={self.step:g} must lie between 0 and 1")
        if self.corner not in get_args(Corner):
            raise UsageError(f"metric.corner={self.corner}: choose one of {', '.join(get_args(Corner))}")

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """(T,) rising from 0."""
        return choe_thresholds(self.step)

    def titles(self, truth: str | None) -> tuple[str, ...]:
        """The names of an image's scores; `truth` is what the data set offers."""
        return (*LARGEST, *ALL, BOX_SHARE, BOXES, *((PIXELS,) if truth == "mask" else ()))

    def conventions(self) -> dict[str, str]:
        """What the decisions rest on."""
        return {
            "box": "OpenCV contours (RETR_TREE), published corners",
            "normalisation": "minmax, 8 bit",
            "space": "model",
            "threshold": f"the best of 0 to 1 by {self.step:g}, on the reported images",
            "upsampling": "bicubic, OpenCV",
        }

    def check_view(self, resize: str) -> None:
        """Refuse views that keep the aspect ratio, which the protocol ignores. Raises UsageError."""
        if resize != "squash":
            raise UsageError(
                f"metric=choe needs view.resize=squash, not {resize}: it ignores the aspect ratio"
            )

    def truth(self, boxes: ArrayLike, image_size: tuple[int, int], size: int) -> NDArray[np.int64]:
        """(n, 4) of half-open boxes (n, 4) in pixels of the image (H, W), as the protocol compares them.

        A box that is smaller than a pixel at (size, size) keeps one, since its corner is inside.
        """
        last = 1 if self.corner == "inclusive" else 0
        written = np.asarray(boxes, dtype=np.float64) - np.array([0, 0, last, last])
        written[:, 2:] = np.maximum(written[:, 2:], written[:, :2])
        return choe_gt_boxes(written, image_size, size)

    def __call__(self, score_map: ArrayLike, gt_boxes: ArrayLike, size: int) -> Published:
        """Decisions of a raw map (h, w) about boxes (n, 4) as of `truth`, n >= 1.

        Raises MapError for infinite values or another shape.
        """
        values = choe_upsample(score_map, size)
        fault = "" if values.any() else "constant"
        return Published(self._right(values, gt_boxes), values, fault)

    def of_frame(self, gt_boxes: ArrayLike, size: int) -> NDArray[np.bool_]:
        """(6, T) decisions about the whole frame, which no map of the protocol's has as its box."""
        x0, y0, x1, y1 = np.asarray(gt_boxes, dtype=np.float64).T
        iou = ((x1 - x0 + 1) * (y1 - y0 + 1) / (size * size)).max()  # both corners are inside
        right = np.array([iou >= delta for delta in CHOE_IOU] * 2)
        return np.repeat(right[:, None], len(self.thresholds), axis=1)

    def _right(self, values: NDArray[np.floating], gt_boxes: ArrayLike) -> NDArray[np.bool_]:
        kinds: tuple[Any, ...] = ("largest", "all")
        try:
            found = [choe_decisions(values, gt_boxes, self.thresholds, contours=kind) for kind in kinds]
        except ValueError as error:
            raise MapError("range", str(error)) from error
        return np.concatenate(found)


def runs(right: NDArray[np.bool_], thresholds: NDArray[np.float64]) -> list[Interval]:
    """The runs of thresholds (T,) at which an image is right (T,), as intervals (low, high] of the same ones.

    `low` is the threshold before, −inf at the first: the form in which the other protocol's rows come.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], right, [False]]).astype(np.int8)))
    before = np.concatenate([[-np.inf], thresholds])
    return [(float(before[a]), float(thresholds[b - 1])) for a, b in edges.reshape(-1, 2).tolist()]


def unrun(intervals: Sequence[Interval], thresholds: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(T,) the decisions that `runs` wrote."""
    right = np.zeros(len(thresholds), dtype=bool)
    for low, high in intervals:
        right |= (low < thresholds) & (thresholds <= high)
    return right
