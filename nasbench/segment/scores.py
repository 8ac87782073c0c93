"""What a segmentation is worth, in image pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nasbench.errors import UsageError


@dataclass(frozen=True)
class Score:
    """One score of one segmentation.

    Attributes:
        name: the metric's name.
        value: None where the score has no meaning for this image.
        reason: why there is no value; empty otherwise.
        conventions: what the value rests on.
    """

    name: str
    value: float | None
    reason: str
    conventions: dict[str, str]


@dataclass(frozen=True)
class Scene:
    """What a segmentation is scored against, in image pixels.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) int64 regions, -1 outside the view.
        n_regions: number of regions on the view's grid.
        target: (H, W) bool, the object; None where this image has none.
        truth: what the data set offers: "mask", "box" or None.
        ignore: (H, W) bool, pixels that count for nothing; None where there are none.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.int64]
    n_regions: int
    target: NDArray[np.bool_] | None
    truth: Literal["mask", "box"] | None
    ignore: NDArray[np.bool_] | None = None


@dataclass(frozen=True, kw_only=True)
class RegionScores:
    """The scores of `nasbench segment`.

    Attributes:
        names: which, out of n_regions, object_iou and explained_variation. object_iou is called
            object_iou_box where it is measured against boxes.
    """

    names: Sequence[str] = ("n_regions", "object_iou", "explained_variation")

    def __post_init__(self) -> None:
        if not self.names or len(set(self.names)) < len(self.names):
            raise UsageError(
                f"metric.names must hold one name or more, each once; choose from {', '.join(_SCORES)}"
            )
        for name in self.names:
            if name not in _SCORES:
                raise UsageError(f"metric.names holds {name}; choose from {', '.join(_SCORES)}")

    def titles(self, truth: Literal["mask", "box"] | None) -> list[str]:
        """The metric names that rows carry for a data set with this truth."""
        return [_title(name, truth) for name in self.names]

    def __call__(self, scene: Scene) -> list[Score]:
        """One score per name, in their order."""
        return [_SCORES[name](scene) for name in self.names]


def best_union_iou(labels: NDArray[np.int64], target: NDArray[np.bool_]) -> float:
    """The highest IoU with `target` that any union of regions reaches.

    Exact: for a best union of IoU λ, adding a region helps if and only if inside/outside > λ, so a best
    union is a prefix of the regions sorted by that ratio. `labels` (H, W), negative pixels belong to no
    region; `target` (H, W) bool with at least one pixel. In 0..1.
    """
    kept = labels >= 0
    count = int(labels.max(initial=-1)) + 1
    if count == 0:
        return 0.0
    inside = np.bincount(labels[kept & target], minlength=count)
    area = np.bincount(labels[kept], minlength=count)
    present = area > 0
    inside, outside = inside[present], (area - inside)[present]
    order = np.argsort(-inside / (inside + outside), kind="stable")
    return float(np.max(np.cumsum(inside[order]) / (int(target.sum()) + np.cumsum(outside[order]))))


def explained_variation(image: NDArray[np.uint8], labels: NDArray[np.int64]) -> float | None:
    """Share of the RGB variance that the regions' mean colours explain (Moore et al. 2008, eq. 2).

    EV = Σ_p ‖μ_r(p) − μ‖² / Σ_p ‖x_p − μ‖², in 0..1, over pixels with a label; None where the image is
    of one colour.
    """
    kept = labels >= 0
    if not kept.any():
        return None
    pixels = image[kept].astype(np.float64)
    regions = labels[kept]
    centred = pixels - pixels.mean(axis=0)
    total = float(np.square(centred).sum())
    if total == 0:
        return None
    area = np.bincount(regions)
    sums = np.stack([np.bincount(regions, weights=centred[:, c]) for c in range(3)])
    explained = float((np.square(sums).sum(axis=0)[area > 0] / area[area > 0]).sum())
    return min(explained / total, 1.0)


_SPACE = "image pixels, labels mapped back by nearest pixel centre"


def _n_regions(scene: Scene) -> Score:
    return Score("n_regions", float(scene.n_regions), "", {"space": "view grid"})


def _object_iou(scene: Scene) -> Score:
    conventions = {
        "space": _SPACE,
        "target": "union of all boxes" if scene.truth == "box" else "mask",
        "union": "exact best union of regions (oracle)",
        "outside_view": "never in the union",
        "ignored_pixels": "left out",
    }
    name = _title("object_iou", scene.truth)
    if scene.target is None:
        return Score(name, None, _no_target(scene.truth), conventions)
    labels, target = scene.labels, scene.target
    if scene.ignore is not None:
        labels, target = np.where(scene.ignore, -1, labels), target & ~scene.ignore
    if not target.any():
        return Score(name, None, "the object has no pixels", conventions)
    return Score(name, best_union_iou(labels, target), "", conventions)


def _explained_variation(scene: Scene) -> Score:
    value = explained_variation(scene.image, scene.labels)
    reason = "" if value is not None else "the image is of one colour: there is no variation to explain"
    return Score("explained_variation", value, reason, {"space": _SPACE, "colour": "RGB, 8 bit"})


def _title(name: str, truth: Literal["mask", "box"] | None) -> str:
    return "object_iou_box" if name == "object_iou" and truth == "box" else name


def _no_target(truth: Literal["mask", "box"] | None) -> str:
    if truth is None:
        return "the data set has neither masks nor boxes"
    return f"no {truth} for this image"


_SCORES: dict[str, Callable[[Scene], Score]] = {
    "n_regions": _n_regions,
    "object_iou": _object_iou,
    "explained_variation": _explained_variation,
}
