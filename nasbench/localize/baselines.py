"""Boxes that look at no map: what every method must beat, and the strata in which to look.

Boxes here are in units of the frame, `x0 y0 x1 y1` half-open with each side of the frame as 1 (see
`nasbench.localize.boxes.unit_boxes`): images of all sizes can share one box; IoU is the same as in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasbench.localize.boxes import IOU_GRID, MEAN_IOU, areas, checked_boxes, iou_of, pairwise_iou
from nasbench.localize.thresholds import Ints, with_mean

Floats = NDArray[np.float64]

FULL_BOX = (0.0, 0.0, 1.0, 1.0)

_GRID = 32
# Candidates kept for the bootstrap: a resample seldom prefers one that is not among the first few.
_SHORTLIST = 256
# IoU breaks ties, below the points and in whole numbers, so that the order of images does not matter; there
# is room for 2**22 of them.
_PLACES = 32
_FINE = 1 << 10


def strata(unit_gt: Sequence[ArrayLike]) -> dict[str, NDArray[np.bool_]]:
    """Which of n images belong to each stratum, (n,) bool each.

    `all`; `small`: the largest ground-truth box covers less than half the frame; `single`: one instance.
    `unit_gt` holds each image's boxes (n_i, 4) in units of the frame. Raises ValueError as `checked_boxes`.
    """
    boxes = [checked_boxes(found) for found in unit_gt]
    return {
        "all": np.ones(len(boxes), dtype=bool),
        "small": np.array([areas(found).max() < 0.5 for found in boxes], dtype=bool),  # noqa: PLR2004
        "single": np.array([len(found) == 1 for found in boxes], dtype=bool),
    }


def full_box_iou(unit_gt: Sequence[ArrayLike]) -> Floats:
    """(n,) the IoU of the whole frame with the best ground-truth box: the largest one's area."""
    return np.array([iou_of([FULL_BOX], found)[0] for found in unit_gt], dtype=np.float64)


@dataclass(frozen=True)
class ConstBoxes:
    """One box for all images of a fold, fitted on the others.

    Attributes:
        boxes: (F, 4) in units of the frame.
        iou: (n,) of each image with its fold's box.
    """

    boxes: Floats
    iou: Floats
    _fold: Ints
    _shortlist_iou: Sequence[Floats]

    def right(self, iou: Sequence[float] = IOU_GRID) -> NDArray[np.bool_]:
        """(n, J) whether each image is right, at every threshold alike."""
        return self.iou[:, None] >= np.asarray(iou)

    def bootstrap(self, counts: ArrayLike, iou: Sequence[float] = IOU_GRID) -> Floats:
        """(B, J + 1) accuracy by IoU and their mean in each resample, the boxes refitted.

        `counts` (B, n) how often each image is drawn. The choice is among each fold's
        256 best boxes on the whole sample of the other folds.
        """
        drawn = np.asarray(counts, dtype=np.float64)
        wanted = np.asarray(iou)
        total = np.zeros((len(drawn), len(wanted)))
        for f, found in enumerate(self._shortlist_iou):
            inside = self._fold == f
            chosen = (drawn[:, ~inside] @ _points(found[~inside])).argmax(axis=1)
            for b, best in enumerate(chosen.tolist()):
                total[b] += drawn[b, inside] @ (found[inside, best, None] >= wanted)
        return with_mean(total / drawn.sum(axis=1, keepdims=True), iou)


def fit_const_boxes(unit_gt: Sequence[ArrayLike], fold: Ints) -> ConstBoxes:
    """For each fold the box of highest mean accuracy over IoU .50 to .95 on the other folds.

    All boxes with edges at multiples of 1/32 of the frame are tried (278 784 of them), so the candidates owe
    nothing to the data; of equally good ones that of highest mean IoU is taken, counting what is below .50 as
    nothing, then the first by `y0 y1 x0 x1`. `unit_gt` holds the boxes
    (n_i, 4) of each image in units of the frame, `fold` (n,) is of `nasbench.localize.thresholds.fold_of`.

    Raises ValueError: no image, another number of folds, or boxes as `checked_boxes` says.
    """
    truth = [checked_boxes(found) for found in unit_gt]
    if not truth or len(truth) != len(fold):
        raise ValueError(f"{len(truth)} images with {len(fold)} folds: expected one fold each, and an image")
    spans = np.array([(a, b) for a in range(_GRID) for b in range(a + 1, _GRID + 1)]) / _GRID
    score = np.zeros((int(fold.max()) + 1, len(spans), len(spans)), dtype=np.int64)
    for f, boxes in zip(fold.tolist(), truth, strict=True):
        _add_points(score[f], spans, boxes)
    total = score.sum(axis=0)
    fitted, shortlists = [], []
    for f in range(len(score)):
        others = (total - score[f]).ravel()
        first = np.argsort(-others, kind="stable")[:_SHORTLIST]
        y, x = spans[first // len(spans)], spans[first % len(spans)]
        candidates = np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1)
        fitted.append(candidates[0])
        shortlists.append(np.stack([pairwise_iou(candidates, boxes).max(axis=1) for boxes in truth]))
    iou = np.array([shortlists[f][i, 0] for i, f in enumerate(fold.tolist())])
    return ConstBoxes(np.stack(fitted), iou, fold, shortlists)


def _points(iou: Floats) -> Ints:
    """At how many of the IoUs .50 to .95 a box is right."""
    return np.searchsorted(np.array(MEAN_IOU), iou, side="right")


def _add_points(score: Ints, spans: Floats, boxes: Floats) -> None:
    """Add the points of one image, and in lower places its IoU, to the candidates (y spans, x spans)."""
    # A box cannot have a higher IoU than either of its sides has.
    least = MEAN_IOU[0]
    sides = [[_span_iou(spans, a, b) >= least for a, b in ((x0, x1), (y0, y1))] for x0, y0, x1, y1 in boxes]
    xs, ys = (np.flatnonzero(np.any(near, axis=0)) for near in zip(*sides, strict=True))
    grid = np.stack(
        np.broadcast_arrays(spans[xs, 0], spans[ys, 0, None], spans[xs, 1], spans[ys, 1, None]), axis=-1
    )
    best = pairwise_iou(grid.reshape(-1, 4), boxes).max(axis=1, initial=0)
    value = (_points(best) << _PLACES) + np.rint(best * (best >= least) * _FINE).astype(np.int64)
    score[np.ix_(ys, xs)] += value.reshape(len(ys), len(xs))


def _span_iou(spans: Floats, a: float, b: float) -> Floats:
    shared = np.maximum(np.minimum(spans[:, 1], b) - np.maximum(spans[:, 0], a), 0)
    found: Floats = shared / (np.maximum(spans[:, 1], b) - np.minimum(spans[:, 0], a))
    # The hull is the union where they meet, and where they do not the IoU is 0 either way.
    return found
