"""Fitted thresholds against trying every threshold there is."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest

from nasbench.localize.boxes import IOU_GRID, MEAN_IOU
from nasbench.localize.thresholds import Sweep, column_names, fold_of, with_mean
from nasbench.statistics.bootstrap import resample_counts

INF = float("inf")


def random_intervals(n, seed, grid=8):
    """Intervals of n images for all IoUs, with ends on a coarse grid so that many coincide."""
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(n):
        columns = []
        for j in range(len(IOU_GRID)):
            ends = np.sort(rng.choice(grid + 1, size=4, replace=False)) / grid
            found = [(ends[2], ends[3]), (ends[0], ends[1])][: int(rng.integers(0, 3))]
            if found and rng.random() < 0.3:
                found[-1] = (-INF, found[-1][1])
            columns.append(found if rng.random() > j / 30 else [])
        images.append(columns)
    return images


def right(intervals, threshold):
    return np.array([[any(a < threshold <= b for a, b in c) for c in image] for image in intervals])


def mean_columns(decisions):
    return decisions[:, [j for j, delta in enumerate(IOU_GRID) if delta in MEAN_IOU]]


def slow_fit(intervals, weights):
    """The middle of the widest run of best thresholds, from every end and every middle between two ends."""
    inner = {e for image in intervals for c in image for ab in c for e in ab if 0 <= e <= 1}
    ends = sorted({0.0, 1.0} | inner)
    # A cell is 0 alone, or all from one end, without it, to the next: its high end stands for it.
    cells = [(0.0, 0.0), *pairwise(ends)]
    value = [
        sum(w * mean_columns(right([image], high)).sum() for image, w in zip(intervals, weights, strict=True))
        for _, high in cells
    ]
    best = max(value)
    runs: list[list[float]] = []
    for i, (low, high) in enumerate(cells):
        if value[i] == best:
            if i > 0 and value[i - 1] == best:
                runs[-1][1] = high
            else:
                runs.append([low, high])
    widest = max(high - low for low, high in runs)
    low, high = next((a, b) for a, b in runs if b - a == widest)
    return (low + high) / 2


@pytest.mark.parametrize("seed", range(12))
def test_fit_equals_the_twin(seed):
    n = 1 + seed % 6
    intervals = random_intervals(n, seed)
    weights = np.random.default_rng(seed).integers(0, 4, n)
    assert Sweep(intervals).fit(weights) == pytest.approx(slow_fit(intervals, weights))
    assert Sweep(intervals).fit() == pytest.approx(slow_fit(intervals, np.ones(n)))


@pytest.mark.parametrize("seed", range(5))
def test_cross_fitting_and_bootstrap_equal_the_twin(seed):
    n = 17
    intervals = random_intervals(n, seed, grid=40)
    ids = [f"image-{i}" for i in range(n)]
    fold = fold_of(ids)
    sweep = Sweep(intervals)
    counts = resample_counts(n, 3, np.random.default_rng(seed))
    fitted = sweep.cross_fit(fold)
    rows = sweep.bootstrap(fold, np.concatenate([np.ones((1, n), dtype=int), counts]))
    for row, weights in zip(rows, [np.ones(n), *counts], strict=True):
        decisions = np.zeros((n, len(IOU_GRID)), dtype=bool)
        for f in range(5):
            threshold = slow_fit(intervals, np.where(fold == f, 0, weights))
            if (weights == 1).all():
                assert fitted.thresholds[f] == pytest.approx(threshold)
            decisions[fold == f] = right(intervals, threshold)[fold == f]
        wanted = (weights[:, None] * decisions).sum(axis=0) / weights.sum()
        assert row[:-1] == pytest.approx(wanted)
        assert row[-1] == pytest.approx(wanted[4:].mean())
        if (weights == 1).all():
            assert np.array_equal(fitted.right, decisions)


def test_the_order_of_images_does_not_matter():
    intervals = random_intervals(30, 3, grid=30)
    ids = [f"image-{i}" for i in range(30)]
    order = np.random.default_rng(0).permutation(30)
    one = Sweep(intervals).cross_fit(fold_of(ids))
    other = Sweep([intervals[i] for i in order]).cross_fit(fold_of([ids[i] for i in order]))
    assert np.array_equal(one.thresholds, other.thresholds)
    assert np.array_equal(one.right[order], other.right)


def test_oracle_is_the_best_of_all_thresholds():
    intervals = random_intervals(9, 4)
    sweep = Sweep(intervals)
    thresholds = np.linspace(0, 1, 321)
    curves = np.array([right(intervals, t).mean(axis=0) for t in thresholds])
    means = np.array([mean_columns(right(intervals, t)).mean() for t in thresholds])
    assert sweep.oracle() == pytest.approx([*curves.max(axis=0), means.max()])
    assert np.array_equal(sweep.accuracy_curves(thresholds), curves.T)
    counts = resample_counts(9, 4, np.random.default_rng(0))
    for row, weights in zip(sweep.oracle(counts), counts, strict=True):
        repeated = [image for image, w in zip(intervals, weights, strict=True) for _ in range(w)]
        assert row == pytest.approx(Sweep(repeated).oracle())


def test_the_fitted_threshold_never_beats_the_oracle():
    sweep = Sweep(random_intervals(40, 5, grid=50))
    fold = fold_of([str(i) for i in range(40)])
    fitted = with_mean(sweep.cross_fit(fold).right.mean(axis=0), IOU_GRID)
    assert (fitted <= sweep.oracle() + 1e-12).all()


def one(*found):
    return [[list(found)] * len(IOU_GRID)]


@pytest.mark.parametrize(
    ("intervals", "threshold"),
    [
        (one((0.2, 0.6)), 0.4),
        (one((0.7, 0.8), (0.1, 0.4)), 0.25),  # the widest
        (one((0.75, 0.875), (0.25, 0.375)), 0.3125),  # of equally wide ones the lowest
        (one((0.5, 1.0)), 0.75),
        (one((-INF, 0.5)), 0.25),
        (one((-INF, 0.0)), 0.0),  # 0 alone
        (one((-INF, 1.0)), 0.5),
        (one(), 0.5),  # nothing to choose by
        ([], 0.5),
    ],
)
def test_ties_go_to_the_middle(intervals, threshold):
    assert Sweep(intervals).fit() == pytest.approx(threshold, abs=1e-12)
    assert not intervals or Sweep(intervals).right_at(Sweep(intervals).fit()).all() == bool(intervals[0][0])


def test_between_neighbouring_numbers_the_high_end_is_taken():
    low = 0.3
    high = float(np.nextafter(low, 1))
    sweep = Sweep(one((low, high)))
    assert sweep.fit() == high
    assert sweep.right_at(high).all()
    assert not sweep.right_at(low).any()


def test_right_at_the_ends():
    sweep = Sweep(one((0.2, 0.6), (-INF, 0.1)))
    for threshold, wanted in (
        (0, 1),
        (0.1, 1),
        (0.15, 0),
        (0.2, 0),
        (0.2000001, 1),
        (0.6, 1),
        (0.61, 0),
        (1, 0),
    ):
        assert sweep.right_at(threshold).all() == wanted
    assert not sweep.right_at([np.nan]).any()
    with pytest.raises(ValueError, match="outside"):
        sweep.right_at(1.1)


def test_the_fold_of_an_id_is_its_own():
    ids = [f"ILSVRC2012_val_{i:08d}" for i in range(1000)]
    fold = fold_of(ids)
    assert np.array_equal(fold_of(ids[500:]), fold[500:])
    assert np.bincount(fold).min() > 150
    assert fold_of(["ILSVRC2012_val_00000001"]).tolist() == [fold[1]]
    with pytest.raises(ValueError, match="'a' comes twice"):
        fold_of(["a", "b", "a"])
    with pytest.raises(ValueError, match="image 1 has no id"):
        fold_of(["a", ""])
    with pytest.raises(ValueError, match="folds=1"):
        fold_of(["a"], 1)


def test_names_of_columns():
    assert column_names()[4] == "box_acc@0.50"
    assert column_names()[-1] == "box_acc_mean"
    assert column_names((0.5,), "box_acc_oracle") == ["box_acc_oracle@0.50", "box_acc_oracle_mean"]


def test_misuse_is_named():
    with pytest.raises(ValueError, match="1 columns for 14"):
        Sweep([[[]]])
    with pytest.raises(ValueError, match=r"\(0.5, 0.5\], which is empty"):
        Sweep(one((0.5, 0.5)))
    with pytest.raises(ValueError, match="empty"):
        Sweep(one((0.5, float("nan"))))
    with pytest.raises(ValueError, match="rise"):
        Sweep([], iou=(0.5, 0.3))
    with pytest.raises(ValueError, match="fitted over"):
        Sweep([[[]]], iou=(0.5,)).fit()
    sweep = Sweep(one())
    with pytest.raises(ValueError, match="weights"):
        sweep.fit([1, 2])
    with pytest.raises(ValueError, match="folds"):
        sweep.cross_fit(np.array([0, 1]))
    empty = Sweep([])
    for call in (
        empty.oracle,
        lambda: empty.accuracy_curves([0.5]),
        lambda: empty.bootstrap(np.array([]), []),
    ):
        with pytest.raises(ValueError, match="no image"):
            call()


def test_a_thousand_resamples_of_650_images_take_seconds():
    intervals = random_intervals(650, 0, grid=10**6)
    sweep = Sweep(intervals)
    fold = fold_of([str(i) for i in range(650)])
    counts = resample_counts(650, 1000, np.random.default_rng(0))
    start = time.process_time()
    rows = sweep.bootstrap(fold, counts)
    assert time.process_time() - start < 30
    assert rows.shape == (1000, len(IOU_GRID) + 1)
