"""The best box that any choice of regions can reach: an upper bound for every score of regions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasbench.localize.boxes import checked_boxes, pairwise_iou

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def best_union_box(labels: NDArray[Any], gt_boxes: ArrayLike) -> tuple[Ints, float]:
    """The box around a union of pieces of regions that has the highest IoU with a ground-truth box.

    Pieces are the 8-connected parts of the regions in `labels` (H, W), any integers, negative ones in no
    region. Whatever value each region is given, the largest piece of a level set is a union of such pieces,
    so no map that is constant on regions has a better box at any threshold. The bound is exact for boxes
    around any set of pieces; that a set be connected is not asked.

    Args:
        labels: (H, W) regions.
        gt_boxes: (n, 4) half-open, in pixels of `labels`; n >= 1.

    Returns:
        The box (4,) half-open `x0 y0 x1 y1`, and its IoU; zeros where there is no region.

    Raises:
        ValueError: labels of another shape, or boxes as `checked_boxes` says.
    """
    truth = checked_boxes(gt_boxes)
    pieces = _piece_boxes(labels)
    if len(pieces) == 0:
        return np.zeros(4, dtype=np.int64), 0.0
    alone = pairwise_iou(pieces, truth).max(axis=1)
    best = pieces[int(alone.argmax())]
    best_iou = float(alone.max())
    for box in truth:
        best, best_iou = _improve(pieces, box, best, best_iou)
    return best, best_iou


def refinement(segmentations: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """(H, W) regions in which all of several segmentations (H, W) agree; at least one is needed.

    A mean of maps, each constant on the regions of its segmentation, is constant on these.
    """
    joint = segmentations[0]
    for other in segmentations[1:]:
        pairs = joint * (int(other.max()) + 1) + other
        joint = np.asarray(np.unique(pairs, return_inverse=True)[1], dtype=np.int64).reshape(joint.shape)
    return joint


def _piece_boxes(labels: NDArray[Any]) -> Ints:
    """(K, 4) half-open boxes of the pieces, each distinct one once."""
    from scipy.ndimage import find_objects
    from skimage.measure import label

    if labels.ndim != 2 or labels.dtype.kind not in "iu":  # noqa: PLR2004
        raise ValueError(f"labels are (H, W) whole numbers, not {labels.dtype} {labels.shape}")
    inside = np.where(labels < 0, 0, labels.astype(np.int64) + 1)
    found = find_objects(label(inside, background=0, connectivity=2))
    boxes = [(x.start, y.start, x.stop, y.stop) for y, x in found]
    return np.unique(np.array(boxes, dtype=np.int64).reshape(-1, 4), axis=0)


def _improve(pieces: Ints, box: Floats, best: Ints, best_iou: float) -> tuple[Ints, float]:
    """The better of `best` and the best box around any set of pieces, by IoU with one box.

    The box around a set has the left edge of one of its pieces, and so on, so edges come from the pieces'. A
    choice of four edges is the box of a set if the pieces inside it reach all four. Pairs of left and right
    edges are tried by falling IoU of their span, which bounds that of the box.
    """
    left, right, x_iou = _spans(pieces[:, 0], pieces[:, 2], box[0], box[2])
    top, bottom, y_iou = _spans(pieces[:, 1], pieces[:, 3], box[1], box[3])
    target = (box[2] - box[0]) * (box[3] - box[1])
    for x0, x1, bound in zip(left.tolist(), right.tolist(), x_iou.tolist(), strict=True):
        if bound <= best_iou:
            break
        inside = pieces[(pieces[:, 0] >= x0) & (pieces[:, 2] <= x1)]
        at_left, at_right = inside[inside[:, 0] == x0], inside[inside[:, 2] == x1]
        if len(at_left) == 0 or len(at_right) == 0:
            continue
        count = int(np.searchsorted(-y_iou, -best_iou))  # those above it come first
        y0, y1 = top[:count], bottom[:count]
        shared = (min(x1, box[2]) - max(x0, box[0])) * np.maximum(
            np.minimum(y1, box[3]) - np.maximum(y0, box[1]), 0
        )
        iou = shared / ((x1 - x0) * (y1 - y0) + target - shared)
        better = iou > best_iou
        y0, y1, iou = y0[better], y1[better], iou[better]
        reached = (
            _some_between(at_left, y0, y1) & _some_between(at_right, y0, y1) & _both_ends(inside, y0, y1)
        )
        if reached.any():
            i = int(np.where(reached, iou, -1).argmax())
            best, best_iou = np.array([x0, y0[i], x1, y1[i]], dtype=np.int64), float(iou[i])
    return best, best_iou


def _spans(starts: Ints, stops: Ints, a: float, b: float) -> tuple[Ints, Ints, Floats]:
    """All pairs of a start and a later stop with their IoU with [a, b), by falling IoU."""
    start, stop = (part.ravel() for part in np.meshgrid(np.unique(starts), np.unique(stops), indexing="ij"))
    start, stop = start[start < stop], stop[start < stop]
    shared = np.maximum(np.minimum(stop, b) - np.maximum(start, a), 0)
    iou = shared / (stop - start + b - a - shared)
    order = np.argsort(-iou, kind="stable")
    return start[order], stop[order], iou[order]


def _some_between(pieces: Ints, y0: Ints, y1: Ints) -> NDArray[np.bool_]:
    """Whether any of the pieces lies between y0 and y1, each (m,)."""
    found = np.zeros(len(y0), dtype=bool)
    for top, bottom in np.unique(pieces[:, [1, 3]], axis=0).tolist():
        found |= (y0 <= top) & (bottom <= y1)
    return found


def _both_ends(pieces: Ints, y0: Ints, y1: Ints) -> NDArray[np.bool_]:
    """Whether of the pieces between y0 and y1, each (m,), one begins at y0 and one ends at y1."""
    size = int(max(pieces[:, 3].max(), y1.max(initial=0))) + 1
    lowest_end = np.full(size, size)
    highest_start = np.full(size, -1)
    np.minimum.at(lowest_end, pieces[:, 1], pieces[:, 3])
    np.maximum.at(highest_start, pieces[:, 3], pieces[:, 1])
    return (lowest_end[y0] <= y1) & (highest_start[y1] >= y0)
