"""One threshold per method, fitted on other images than it is judged on.

A saliency map becomes a box only with a threshold, and a threshold chosen on the images it is reported on
flatters the method that has most to choose from. So images are dealt into folds by their ids, and each fold
is judged at the threshold that does best on the others; "best" is the mean accuracy over IoU .50 to .95, one
threshold for all of them. What a threshold per column chosen on the very images would give is the oracle, and
goes by that name.

Accuracy as a function of the threshold is a step function whose steps are the ends of the intervals in which
images are right, so its maximum is found by sorting these: exact, without a grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasbench.digest import digest_bytes
from nasbench.localize.boxes import IOU_GRID, MEAN_IOU
from nasbench.localize.exact import Interval

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FOLDS = 5


def fold_of(ids: Sequence[str], folds: int = FOLDS) -> Ints:
    """(n,) the fold of each image, in 0..folds − 1, from a hash of its id: whatever the others and the order.

    Raises ValueError: an id that is missing (empty) or comes twice, or fewer than two folds.
    """
    if folds < 2:  # noqa: PLR2004 - one fold leaves nothing to fit on
        raise ValueError(f"folds={folds} must be at least 2")
    seen: set[str] = set()
    for i, name in enumerate(ids):
        if not name:
            raise ValueError(f"image {i} has no id")
        if name in seen:
            raise ValueError(f"the id {name!r} comes twice")
        seen.add(name)
    return np.array([int(digest_bytes(name.encode()), 16) % folds for name in ids], dtype=np.int64)


@dataclass(frozen=True)
class CrossFit:
    """Decisions at fitted thresholds.

    Attributes:
        thresholds: (F,) of each fold, fitted on the others.
        right: (n, J) bool, each image at its fold's threshold, one column per IoU.
    """

    thresholds: Floats
    right: NDArray[np.bool_]


class Sweep:
    """For n images and J IoUs, the thresholds in [0, 1] at which each is right; accuracies over all of them.

    Args:
        intervals: for each image and each IoU the intervals (low, high] as of
            `nasbench.localize.exact.right_intervals`, of a map normalised to [0, 1].
        iou: (J,) the columns' IoUs, rising.

    Accuracy is constant on cells (a, b] between consecutive ends of intervals, and so is every weighted mean
    of it. Thresholds are the middle of the best cells: of the widest run of them, of equally wide ones the
    lowest. With nothing to choose by (no image, or none ever right) that is 0.5.

    Raises:
        ValueError: another number of columns than IoUs, IoUs that do not rise, or an inverted interval.
    """

    def __init__(
        self, intervals: Sequence[Sequence[Sequence[Interval]]], iou: Sequence[float] = IOU_GRID
    ) -> None:
        self.iou = tuple(iou)
        if not self.iou or list(self.iou) != sorted(set(self.iou)):
            raise ValueError(f"IoUs must rise: {self.iou}")
        self.n = len(intervals)
        self._all = _Intervals.of(intervals, len(self.iou))

    def right_at(self, thresholds: ArrayLike) -> NDArray[np.bool_]:
        """(n, J) whether each image is right at its threshold (n,), or at one (,) for all.

        NaN, for no threshold, is never right. Raises ValueError for a threshold outside [0, 1].
        """
        given = np.broadcast_to(np.asarray(thresholds, dtype=np.float64), (self.n,))
        outside = (given < 0) | (given > 1)
        if outside.any():
            raise ValueError(f"the threshold {given[outside][0]:g} is outside [0, 1]")
        found = self._all
        inside = found.contain(given[found.image])
        right = np.zeros((self.n, len(self.iou)), dtype=bool)
        right[found.image[inside], found.column[inside]] = True
        return right

    def fit(self, weights: ArrayLike | None = None) -> float:
        """The threshold of highest mean accuracy over IoU .50 to .95, images weighted (n,); see the class."""
        return _Steps.of(self._all, self._mean_columns()).best(self._weights(weights))

    def cross_fit(self, fold: Ints) -> CrossFit:
        """Decisions of each fold at the threshold fitted on the others; `fold` (n,) as of `fold_of`."""
        steps = _Steps.of(self._all, self._mean_columns())
        fold = self._folds(fold)
        thresholds = np.array(
            [steps.best((fold != f).astype(np.int64)) for f in range(fold.max(initial=0) + 1)]
        )
        return CrossFit(thresholds, self.right_at(thresholds[fold]))

    def accuracy_curves(self, thresholds: ArrayLike) -> Floats:
        """(J, T) share of images that are right at each of T thresholds, for plots.

        Raises ValueError without images.
        """
        self._need_images()
        at = np.asarray(thresholds, dtype=np.float64).clip(0, 1)
        curves = np.empty((len(self.iou), len(at)))
        for j in range(len(self.iou)):
            mine = self._all.only(self._all.column == j)
            low, high = np.sort(mine.low), np.sort(mine.high)
            curves[j] = np.searchsorted(low, at, side="left") - np.searchsorted(high, at, side="left")
        return curves / self.n

    def oracle(self, counts: ArrayLike | None = None) -> Floats:
        """(J + 1,) or (B, J + 1) the best accuracy of each column at a threshold of its own, and of the mean.

        The mean is that over IoU .50 to .95 at one threshold. Chosen and reported on the same images: an
        upper bound. `counts` (B, n) gives one row per resample. Raises ValueError without images.
        """
        self._need_images()
        drawn = np.ones((1, self.n), dtype=np.int64) if counts is None else np.asarray(counts, dtype=np.int64)
        mean = self._mean_columns()
        steps = [_Steps.of(self._all, columns) for columns in (*([j] for j in range(len(self.iou))), mean)]
        best = np.array([[one.heights(row).max() for one in steps] for row in drawn], dtype=np.float64)
        best[:, -1] /= len(mean)
        best /= drawn.sum(axis=1, keepdims=True)
        return best[0] if counts is None else best

    def bootstrap(self, fold: Ints, counts: ArrayLike) -> Floats:
        """(B, J + 1) accuracy of each column, then box_acc_mean, in each resample, its thresholds refitted.

        `counts` (B, n) how often each image is drawn; an image keeps its fold however often it is drawn.
        Exact: every resample is fitted over all cells. Raises ValueError without images.
        """
        self._need_images()
        fold = self._folds(fold)
        drawn = np.asarray(counts, dtype=np.int64)
        steps = _Steps.of(self._all, self._mean_columns())
        total = np.zeros((len(drawn), len(self.iou)))
        for f in range(fold.max() + 1):
            mine = self._all.only(fold[self._all.image] == f)
            for b, row in enumerate(drawn):
                inside = mine.only(mine.contain(steps.best(np.where(fold == f, 0, row))))
                total[b] += np.bincount(inside.column, weights=row[inside.image], minlength=len(self.iou))
        return with_mean(total / drawn.sum(axis=1, keepdims=True), self.iou)

    def _mean_columns(self) -> list[int]:
        columns = [j for j, delta in enumerate(self.iou) if delta in MEAN_IOU]
        if len(columns) != len(MEAN_IOU):
            raise ValueError(f"thresholds are fitted over IoU .50 to .95, but the IoUs are {self.iou}")
        return columns

    def _weights(self, weights: ArrayLike | None) -> Ints:
        if weights is None:
            return np.ones(self.n, dtype=np.int64)
        found = np.asarray(weights, dtype=np.int64)
        if found.shape != (self.n,):
            raise ValueError(f"{self.n} images need weights ({self.n},), not {found.shape}")
        return found

    def _folds(self, fold: Ints) -> Ints:
        if fold.shape != (self.n,):
            raise ValueError(f"{self.n} images need folds ({self.n},), not {fold.shape}")
        return fold

    def _need_images(self) -> None:
        if self.n == 0:
            raise ValueError("there is no image to take the accuracy of")


def column_names(iou: Sequence[float] = IOU_GRID, name: str = "box_acc") -> list[str]:
    """The J + 1 names of accuracies by IoU and their mean: `box_acc@0.50`, ..., `box_acc_mean`."""
    return [*(f"{name}@{delta:.2f}" for delta in iou), f"{name}_mean"]


def with_mean(accuracy: Floats, iou: Sequence[float]) -> Floats:
    """(..., J + 1) accuracies (..., J) by IoU and, last, their mean over .50 to .95."""
    columns = [j for j, delta in enumerate(iou) if delta in MEAN_IOU]
    return np.concatenate([accuracy, accuracy[..., columns].mean(axis=-1, keepdims=True)], axis=-1)


@dataclass(frozen=True)
class _Intervals:
    """All intervals (low, high] of a sweep that reach into [0, 1]; each (m,)."""

    image: Ints
    column: Ints
    low: Floats
    high: Floats

    @classmethod
    def of(cls, intervals: Sequence[Sequence[Sequence[Interval]]], columns: int) -> _Intervals:
        image: list[int] = []
        column: list[int] = []
        ends: list[Interval] = []
        for i, row in enumerate(intervals):
            if len(row) != columns:
                raise ValueError(f"image {i} has {len(row)} columns for {columns} IoUs")
            for j, found in enumerate(row):
                image += [i] * len(found)
                column += [j] * len(found)
                ends += found
        low, high = np.array(ends, dtype=np.float64).reshape(-1, 2).T
        empty = ~(low < high)
        if empty.any():
            k = int(np.argmax(empty))
            raise ValueError(f"image {image[k]} has the interval ({low[k]:g}, {high[k]:g}], which is empty")
        where = np.array(image, dtype=np.int64), np.array(column, dtype=np.int64)
        every = cls(*where, low, np.minimum(high, 1))
        return every.only((high >= 0) & (low < 1))

    def only(self, chosen: NDArray[np.bool_]) -> _Intervals:
        """Those with chosen (m,)."""
        return _Intervals(self.image[chosen], self.column[chosen], self.low[chosen], self.high[chosen])

    def contain(self, thresholds: Floats | float) -> NDArray[np.bool_]:
        """(m,) whether each contains its threshold, (m,) or one for all."""
        return (self.low < thresholds) & (thresholds <= self.high)


@dataclass(frozen=True)
class _Steps:
    """How many (image, column) pairs are right, as a step function of the threshold on [0, 1].

    Attributes:
        image: (2m,) the image whose interval begins or ends, by rising threshold.
        sign: (2m,) +1 where one begins, −1 where one ends.
        edges: (C + 1,) ends of the cells; cell c is (edges[c], edges[c + 1]], the first closed at 0. All are
            distinct but for edges[1], which is 0 where that threshold alone is a cell.
        taken: (C,) how many of the 2m come before each cell.
    """

    image: Ints
    sign: Ints
    edges: Floats
    taken: Ints

    @classmethod
    def of(cls, intervals: _Intervals, columns: Sequence[int]) -> _Steps:
        chosen = intervals.only(np.isin(intervals.column, columns))
        at = np.concatenate([chosen.low, chosen.high])
        order = np.argsort(at, kind="stable")
        at = at[order]
        inner = np.unique(at[(at >= 0) & (at < 1)])
        edges = np.concatenate([[0.0], inner, [1.0]])
        # In the cell above an edge all that lies at or below the edge has happened; before the first, what
        # began below 0.
        taken = np.concatenate(
            [np.searchsorted(at, [0.0], side="left"), np.searchsorted(at, inner, side="right")]
        )
        sign = np.where(order < len(chosen.low), 1, -1)
        return cls(np.tile(chosen.image, 2)[order], sign, edges, taken)

    def heights(self, weights: Ints) -> Ints:
        """(C,) the weighted number of pairs that are right in each cell; weights (n,) of the images."""
        total = np.zeros(len(self.image) + 1, dtype=np.int64)
        np.cumsum(weights[self.image] * self.sign, out=total[1:])
        return total[self.taken]

    def best(self, weights: Ints) -> float:
        """The middle of the widest run of best cells, of equally wide ones the lowest."""
        heights = self.heights(weights)
        top = np.flatnonzero(heights == heights.max())
        breaks = np.flatnonzero(np.diff(top) > 1)
        first, last = top[np.append(0, breaks + 1)], top[np.append(breaks, len(top) - 1)]
        low, high = self.edges[first], self.edges[last + 1]
        widest = int(np.argmax(high - low))
        a, b = float(low[widest]), float(high[widest])
        middle = a + (b - a) / 2
        # Between neighbouring numbers there is no middle, and the low end is not inside.
        return middle if middle > a else b
