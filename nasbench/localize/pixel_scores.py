"""A map against a mask, pixel by pixel.

Every score takes a map (H, W), a mask (H, W) bool, the object, and `ignore` (H, W) bool, pixels that count
for nothing and are left out of every sum. Scores are in 0..1, higher is better, and None where they have no
meaning for the image: no pixel of the object counts, or what is said. For boxes the mask is that of
`nasbench.localize.boxes.box_mask`.

All raise MapError for a map that is not two-dimensional, NaN or infinite, and ValueError for a mask or ignore
mask of another size or type; where a score needs a map in [0, 1], MapError for one beyond.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasbench.localize.maps import MapError, checked_map

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

POINTING_TOLERANCE = 15.0


@dataclass(frozen=True)
class Overlap:
    """How a map cut at thresholds overlaps a mask; each (T,).

    Attributes:
        iou: intersection over union of {map >= threshold} and the mask.
        f1: harmonic mean of precision and recall, 2 · intersection / (pixels of both).
    """

    iou: Floats
    f1: Floats


def overlap_at(
    score_map: ArrayLike, mask: Mask, thresholds: ArrayLike, *, ignore: Mask | None = None
) -> Overlap | None:
    """Pixel IoU and F1 of {map >= threshold} at every threshold (T,), in the map's units."""
    values, inside = _counted(score_map, mask, ignore)
    if not inside.any():
        return None
    cuts = np.asarray(thresholds, dtype=np.float64)
    if cuts.ndim != 1 or np.isnan(cuts).any():
        raise ValueError(f"thresholds must be numbers in one dimension, not {cuts}")
    kept = len(values) - np.searchsorted(np.sort(values), cuts, side="left")
    hit = int(inside.sum()) - np.searchsorted(np.sort(values[inside]), cuts, side="left")
    both = kept + inside.sum()
    return Overlap(hit / (both - hit), 2 * hit / both)


def soft_iou(score_map: ArrayLike, mask: Mask, *, ignore: Mask | None = None) -> float | None:
    """Continuous IoU: Σ min(m, g) / Σ max(m, g) with g the mask as 0 and 1 (Stalder et al., NeurIPS 2022).

    The map is in [0, 1].
    """
    values, inside = _counted(score_map, mask, ignore, unit=True)
    if not inside.any():
        return None
    return float(values[inside].sum() / (inside.sum() + values[~inside].sum()))


def soft_f1(score_map: ArrayLike, mask: Mask, *, ignore: Mask | None = None) -> float | None:
    """Continuous F1: 2 TP / (2 TP + FP + FN), TP = Σ m g, FP = Σ m (1 − g), FN = Σ (1 − m) g.

    With g the mask as 0 and 1 (Stalder et al., NeurIPS 2022). The map is in [0, 1].
    """
    values, inside = _counted(score_map, mask, ignore, unit=True)
    if not inside.any():
        return None
    return float(2 * values[inside].sum() / (values.sum() + inside.sum()))


def relevance_mass(score_map: ArrayLike, mask: Mask, *, ignore: Mask | None = None) -> float | None:
    """Share of the map's positive mass that lies on the object; None where nothing is positive either.

    On a mask this is the relevance mass accuracy (Arras, Osman & Samek, Information Fusion 2022), on boxes
    the energy-based pointing game (Wang et al., Score-CAM, CVPRW 2020).
    """
    values, inside = _counted(score_map, mask, ignore)
    positive = np.maximum(values, 0)
    # Divided first, so that the sum of the largest numbers of a type is finite.
    high = positive.max(initial=0)
    if high == 0 or not inside.any():
        return None
    return float((positive[inside] / high).sum() / (positive / high).sum())


def relevance_rank(score_map: ArrayLike, mask: Mask, *, ignore: Mask | None = None) -> float | None:
    """Share of the K highest pixels that lie on the object, K the object's size (Arras et al. 2022).

    Pixels tied at the K-th value count by their share: the expectation over all ways to break the tie.
    """
    values, inside = _counted(score_map, mask, ignore)
    size = int(inside.sum())
    if size == 0:
        return None
    cut = np.partition(values, len(values) - size)[len(values) - size]
    above, tied = values > cut, values == cut
    hits = (above & inside).sum() + (tied & inside).sum() * (size - above.sum()) / tied.sum()
    return float(hits / size)


def pointing(
    score_map: ArrayLike,
    mask: Mask,
    *,
    ignore: Mask | None = None,
    tolerance: float = POINTING_TOLERANCE,
    ties: Literal["first", "all"] = "all",
) -> float | None:
    """The pointing game: whether the map's highest pixel is less than `tolerance` pixels from the object.

    The rule of TorchRay for VOC and COCO (Zhang et al., "Top-down neural attention by excitation backprop",
    IJCV 2018): a hit if (x − u)² + (y − v)² < tolerance² for a pixel (x, y) of the object. The published 15
    are pixels of the image, so map and mask are to be given at its size. A maximum on an ignored pixel is
    none; one on the object is a hit at tolerance 0 too.

    With `ties="all"` equal maxima count by the share of them that hit, the expectation over a random choice;
    a constant map is then worth a random point. `first` takes the first in raster order, as TorchRay does.
    """
    if ties not in ("first", "all"):
        raise ValueError(f"ties={ties!r} is none of first, all")
    if not tolerance >= 0:
        raise ValueError(f"tolerance={tolerance} must be at least 0")
    values, object_pixels, counts = _checked(score_map, mask, ignore)
    target = object_pixels & counts
    if not target.any():
        return None
    top = np.argwhere((values == values[counts].max()) & counts)
    return float(_near(target, top if ties == "all" else top[:1], tolerance).mean())


@dataclass(frozen=True)
class ScoreHistogram:
    """Pixels of the object and of the background by score, to be added up over images.

    Attributes:
        thresholds: (T,) rising from 0, below 1. Bin i holds scores from thresholds[i] to the next, without
            it; bin T - 1 those below 1, bin T those of 1.
        inside, outside: (T + 1,) int64, pixels of the object and of the background.
    """

    thresholds: Floats
    inside: NDArray[np.int64]
    outside: NDArray[np.int64]

    def __add__(self, other: ScoreHistogram) -> ScoreHistogram:
        if not np.array_equal(self.thresholds, other.thresholds):
            raise ValueError("histograms over different thresholds cannot be added")
        return ScoreHistogram(self.thresholds, self.inside + other.inside, self.outside + other.outside)


def score_histogram(
    score_map: ArrayLike, mask: Mask, thresholds: ArrayLike, *, ignore: Mask | None = None
) -> ScoreHistogram:
    """One image's part of PxAP; the map is in [0, 1].

    An image without object pixels is valid and adds background only. Raises ValueError for thresholds that do
    not rise from 0 to below 1.
    """
    values, inside = _counted(score_map, mask, ignore, unit=True)
    edges = np.asarray(thresholds, dtype=np.float64)
    if (
        edges.ndim != 1
        or len(edges) == 0
        or edges[0] != 0
        or edges[-1] >= 1
        or not (np.diff(edges) > 0).all()
    ):
        raise ValueError("thresholds of PxAP must rise from 0 to below 1")
    places = np.searchsorted(np.append(edges, 1), values, side="right") - 1
    counts = [np.bincount(places[part], minlength=len(edges) + 1) for part in (inside, ~inside)]
    return ScoreHistogram(edges, *counts)


def px_ap(histograms: Iterable[ScoreHistogram]) -> float:
    """PxAP (Choe et al., TPAMI 2022): the average precision of all pixels of all images pooled, in 0..1.

    Σ precision · Δ recall over thresholds from the highest down; published numbers are 100 times this. Raises
    ValueError where no image has object pixels.
    """
    pooled: ScoreHistogram | None = None
    for one in histograms:
        pooled = one if pooled is None else pooled + one
    if pooled is None or not pooled.inside.any():
        raise ValueError("no image has a pixel of an object: there is no recall")
    hits = np.cumsum(pooled.inside[::-1])
    kept = hits + np.cumsum(pooled.outside[::-1])
    precision = np.divide(hits, kept, out=np.zeros(len(hits)), where=kept > 0)
    return float((precision * np.diff(hits / hits[-1], prepend=0)).sum())


def _counted(
    score_map: ArrayLike, mask: Mask, ignore: Mask | None, *, unit: bool = False
) -> tuple[Floats, Mask]:
    """The map's values (N,) where pixels count, and whether each is the object's (N,)."""
    values, inside, counts = _checked(score_map, mask, ignore)
    if unit and (values.min() < 0 or values.max() > 1):
        raise MapError(
            "range", f"the map's values lie in [{values.min():g}, {values.max():g}], not in [0, 1]"
        )
    return values[counts].astype(np.float64), inside[counts]


def _checked(
    score_map: ArrayLike, mask: Mask, ignore: Mask | None
) -> tuple[NDArray[np.floating], Mask, Mask]:
    values = checked_map(score_map)
    for name, given in (("mask", mask), ("ignore mask", ignore)):
        if given is not None and (given.dtype != np.bool_ or given.shape != values.shape):
            raise ValueError(f"the {name} is {given.dtype} {given.shape}; the map needs bool {values.shape}")
    return values, mask, np.ones_like(mask) if ignore is None else ~ignore


def _near(target: Mask, points: NDArray[np.int64], tolerance: float) -> Mask:
    """(n,) whether each point (n, 2) `y x` is on the target or less than `tolerance` from a pixel of it."""
    from scipy.ndimage import distance_transform_edt

    found: Mask = target[points[:, 0], points[:, 1]]
    if not found.all():
        reach = int(np.ceil(tolerance))
        (y0, x0), (y1, x1) = points.min(axis=0) - reach, points.max(axis=0) + reach + 1
        y0, x0 = max(y0, 0), max(x0, 0)
        part = target[y0:y1, x0:x1]
        if part.any():
            distance = distance_transform_edt(~part)
            found = found | (distance[points[:, 0] - y0, points[:, 1] - x0] < tolerance)
    return found
