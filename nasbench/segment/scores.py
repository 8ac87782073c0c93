"""What a segmentation is worth, in image pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nasbench.errors import UsageError
from nasbench.segment.agreement import adjusted_rand, matched_iou
from nasbench.segment.superpixel_scores import (
    achievable_segmentation_accuracy,
    boundary_contrast,
    boundary_precision,
    boundary_recall,
    compactness,
    edge_strength,
    undersegmentation_error,
)

Truth = Literal["mask", "box", "segments"]


@dataclass(frozen=True)
class Score:
    """One score of one segmentation.

    Attributes:
        name: the metric's name.
        value: None where the score has no meaning for this image.
        reason: why there is no value; empty otherwise.
        conventions: what the value rests on.
        curve: what lies behind the value, where there is more than it.
    """

    name: str
    value: float | None
    reason: str
    conventions: dict[str, str]
    curve: Sequence[float] | None = None


@dataclass(frozen=True)
class Scene:
    """What a segmentation is scored against, in image pixels.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) int64 regions, -1 outside the view.
        n_regions: number of regions on the view's grid.
        target: (H, W) bool, the object; None where this image has none.
        truth: what the data set offers: "mask", "box", "segments" or None.
        ignore: (H, W) bool, pixels that count for nothing; None where there are none.
        segmentations: (H, W) int32 each, one person's segments; negative where nobody said what is there.
            Read where `truth` is "segments".
        reference: (H, W) int64, the image-level regions of the same segmenter, on the grid of `labels`,
            -1 outside the view; None where the segmenter works image by image anyway.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.int64]
    n_regions: int
    target: NDArray[np.bool_] | None
    truth: Truth | None
    ignore: NDArray[np.bool_] | None = None
    segmentations: Sequence[NDArray[np.int32]] = ()
    reference: NDArray[np.int64] | None = None


@dataclass(frozen=True, kw_only=True)
class RegionScores:
    """The scores of `nasbench segment`.

    Attributes:
        names: which, out of n_regions, object_iou, explained_variation, undersegmentation_error,
            achievable_segmentation_accuracy, boundary_recall, boundary_precision, compactness,
            boundary_contrast, edge_variation, agreement_ari and agreement_iou. A score that needs a truth
            has `_box` added to its name where it is measured against boxes.
        boundary_tolerance: how far off a boundary may be for recall and precision, as a share of the image's
            diagonal, in 0..1; rounded to whole pixels.
    """

    names: Sequence[str] = ("n_regions", "object_iou", "explained_variation")
    boundary_tolerance: float = 0.0025

    def __post_init__(self) -> None:
        if not self.names or len(set(self.names)) < len(self.names):
            raise UsageError(
                f"metric.names must hold one name or more, each once; choose from {', '.join(_SCORES)}"
            )
        for name in self.names:
            if name not in _SCORES:
                raise UsageError(f"metric.names holds {name}; choose from {', '.join(_SCORES)}")
        if not 0 <= self.boundary_tolerance <= 1:
            raise UsageError(
                "metric.boundary_tolerance must be a share of the diagonal, 0 to 1, not "
                f"{self.boundary_tolerance}"
            )

    @property
    def uses_reference(self) -> bool:
        """Whether `Scene.reference` is read: whether any of the names is an agreement."""
        return not _NEEDS_REFERENCE.isdisjoint(self.names)

    def titles(self, truth: Truth | None) -> list[str]:
        """The metric names that rows carry for a data set with this truth."""
        return [_title(name, truth) for name in self.names]

    def __call__(self, scene: Scene) -> list[Score]:
        """One score per name, in their order."""
        return [_SCORES[name](scene, self) for name in self.names]


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


def explained_variation(image: NDArray[Any], labels: NDArray[np.int64]) -> float | None:
    """Share of the variance of (H, W, C) values, RGB for one, that the regions' means explain.

    EV = Σ_p ‖μ_r(p) − μ‖² / Σ_p ‖x_p − μ‖² (Moore et al. 2008, eq. 2), in 0..1, over pixels with a label;
    None where all values are the same.
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
    sums = np.stack([np.bincount(regions, weights=centred[:, c]) for c in range(image.shape[2])])
    explained = float((np.square(sums).sum(axis=0)[area > 0] / area[area > 0]).sum())
    return min(explained / total, 1.0)


_SPACE = "image pixels, labels mapped back by nearest pixel centre"
_AGAINST = {
    "mask": "the mask and the rest, as two segments",
    "box": "the union of all boxes and the rest, as two segments",
    "segments": "each annotator's segments; mean over the annotators",
}


def _n_regions(scene: Scene, _: RegionScores) -> Score:
    return Score("n_regions", float(scene.n_regions), "", {"space": "view grid"})


def _object_iou(scene: Scene, _: RegionScores) -> Score:
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


def _explained_variation(scene: Scene, _: RegionScores) -> Score:
    value = explained_variation(scene.image, scene.labels)
    reason = "" if value is not None else "the image is of one colour: there is no variation to explain"
    return Score("explained_variation", value, reason, {"space": _SPACE, "colour": "RGB, 8 bit"})


def _compactness(scene: Scene, _: RegionScores) -> Score:
    value = compactness(scene.labels)
    conventions = {"space": _SPACE, "perimeter": "pixel sides, with the image's edge", "mean": "by area"}
    return Score("compactness", value, "" if value is not None else "no pixel has a label", conventions)


def _boundary_contrast(scene: Scene, _: RegionScores) -> Score:
    value = boundary_contrast(scene.image, scene.labels)
    reason = "" if value is not None else "one region has no boundary, or the image is flat: it has no edges"
    conventions = {"space": _SPACE, "boundary": _BOUNDARY, "gradient": "Sobel, of Rec. 601 luma"}
    return Score("boundary_contrast", value, reason, conventions)


def _edge_variation(scene: Scene, _: RegionScores) -> Score:
    """Whether regions are made of edges: explained variation of the strength of edges. Our own measure."""
    value = explained_variation(edge_strength(scene.image)[..., None], scene.labels)
    reason = "" if value is not None else "the image has no edges"
    return Score("edge_variation", value, reason, {"space": _SPACE, "edges": "Sobel of Rec. 601 luma"})


def _agreement_ari(scene: Scene, _: RegionScores) -> Score:
    return _with_reference("agreement_ari", scene, adjusted_rand, {"variant": "Hubert & Arabie 1985"})


def _agreement_iou(scene: Scene, _: RegionScores) -> Score:
    conventions = {"matching": "one to one, highest sum", "mean": "over the larger number of regions"}
    return _with_reference("agreement_iou", scene, matched_iou, conventions)


def _with_reference(
    name: str,
    scene: Scene,
    agreement: Callable[[NDArray[Any], NDArray[Any]], float],
    conventions: dict[str, str],
) -> Score:
    conventions = conventions | {
        "space": _SPACE,
        "with": "the image-level regions of the same segmenter",
        "outside_view": "left out",
    }
    if scene.reference is None:
        return Score(name, None, "the segmenter works image by image: nothing to agree with", conventions)
    if not ((scene.labels >= 0) & (scene.reference >= 0)).any():
        return Score(name, None, "no pixel has a label", conventions)
    return Score(name, agreement(scene.labels, scene.reference), "", conventions)


def _undersegmentation_error(scene: Scene, _: RegionScores) -> Score:
    conventions = {"variant": "min form (Neubert & Protzel 2012)"}
    return _against_truth("undersegmentation_error", scene, undersegmentation_error, _NO_PIXEL, conventions)


def _achievable_segmentation_accuracy(scene: Scene, _: RegionScores) -> Score:
    score = achievable_segmentation_accuracy
    return _against_truth("achievable_segmentation_accuracy", scene, score, _NO_PIXEL, {})


def _boundary_recall(scene: Scene, metric: RegionScores) -> Score:
    def score(labels: NDArray[Any], truth: NDArray[Any]) -> float | None:
        return boundary_recall(labels, truth, tolerance=metric.boundary_tolerance)

    reason = "no boundary in the truth"
    return _against_truth("boundary_recall", scene, score, reason, _boundary_conventions(metric))


def _boundary_precision(scene: Scene, metric: RegionScores) -> Score:
    def score(labels: NDArray[Any], truth: NDArray[Any]) -> float | None:
        return boundary_precision(labels, truth, tolerance=metric.boundary_tolerance)

    reason = "no boundary in the truth or, with one region, in the segmentation"
    return _against_truth("boundary_precision", scene, score, reason, _boundary_conventions(metric))


_NO_PIXEL = "no pixel has both a label and a truth"
_BOUNDARY = "pixels with a 4-neighbour in another region: both sides"


def _boundary_conventions(metric: RegionScores) -> dict[str, str]:
    return {
        "boundary": _BOUNDARY,
        "tolerance": f"{metric.boundary_tolerance:g} of the image's diagonal, rounded, in a square window",
        "no_boundary": "annotators who drew none are left out",
    }


def _against_truth(
    name: str,
    scene: Scene,
    score: Callable[[NDArray[Any], NDArray[Any]], float | None],
    undefined: str,
    conventions: dict[str, str],
) -> Score:
    """The mean of a score over all truths of the scene for which it is defined."""
    title = _title(name, scene.truth)
    conventions = conventions | {"space": _SPACE, "outside_view": "left out", "ignored_pixels": "left out"}
    if scene.truth is not None:
        conventions["truth"] = _AGAINST[scene.truth]
    truths, reason = _truths(scene)
    if not truths:
        return Score(title, None, reason, conventions)
    values = [value for truth in truths if (value := score(scene.labels, truth)) is not None]
    if not values:
        return Score(title, None, undefined, conventions)
    return Score(title, math.fsum(values) / len(values), "", conventions)


def _truths(scene: Scene) -> tuple[list[NDArray[Any]], str]:
    """All segmentations of people, -1 where ignored; or none, and why."""
    kept = True if scene.ignore is None else ~scene.ignore
    if scene.truth is None:
        return [], "the data set has no masks, boxes or segmentations"
    if scene.truth == "segments":
        found = [np.where(kept, truth, -1) for truth in scene.segmentations]
        return found, "" if found else "no segmentation for this image"
    if scene.target is None:
        return [], _no_target(scene.truth)
    if not (scene.target & kept).any():
        return [], "the object has no pixels"
    return [np.where(kept, scene.target.astype(np.int32), -1)], ""


def _title(name: str, truth: Truth | None) -> str:
    return f"{name}_box" if name in _NEEDS_TRUTH and truth == "box" else name


def _no_target(truth: Truth | None) -> str:
    if truth is None:
        return "the data set has neither masks nor boxes"
    if truth == "segments":
        return "the data set has segmentations of the whole image, no object"
    return f"no {truth} for this image"


_SCORES: dict[str, Callable[[Scene, RegionScores], Score]] = {
    "n_regions": _n_regions,
    "object_iou": _object_iou,
    "explained_variation": _explained_variation,
    "undersegmentation_error": _undersegmentation_error,
    "achievable_segmentation_accuracy": _achievable_segmentation_accuracy,
    "boundary_recall": _boundary_recall,
    "boundary_precision": _boundary_precision,
    "compactness": _compactness,
    "boundary_contrast": _boundary_contrast,
    "edge_variation": _edge_variation,
    "agreement_ari": _agreement_ari,
    "agreement_iou": _agreement_iou,
}
_NEEDS_REFERENCE = frozenset({"agreement_ari", "agreement_iou"})
_NEEDS_TRUTH = (
    frozenset(_SCORES)
    - _NEEDS_REFERENCE
    - {"n_regions", "explained_variation", "compactness", "boundary_contrast", "edge_variation"}
)
