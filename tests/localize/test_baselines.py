"""Boxes that look at no map."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from scipy import ndimage

from nasbench.localize.baselines import fit_const_boxes, full_box_iou, strata
from nasbench.localize.boxes import IOU_GRID, MEAN_IOU
from nasbench.localize.thresholds import fold_of
from nasbench.localize.union_box import best_union_box, refinement
from nasbench.statistics.bootstrap import resample_counts
from tests.localize.twins import half_open_iou


def random_truth(n, seed, most=3):
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(n):
        corners = np.sort(rng.random((int(rng.integers(1, most + 1)), 2, 2)), axis=1)
        images.append(corners.reshape(-1, 4))
    return images


def test_strata():
    found = strata([[[0, 0, 0.5, 1.0]], [[0, 0, 0.5, 0.99], [0, 0, 0.1, 0.1]], [[0, 0, 0.1, 0.1]]])
    assert {name: mask.tolist() for name, mask in found.items()} == {
        "all": [True] * 3,
        "small": [False, True, True],  # half the frame is not under half of it
        "single": [True, False, True],
    }
    with pytest.raises(ValueError, match="empty"):
        strata([[[0, 0, 0, 1]]])


def test_the_full_box():
    assert full_box_iou([[[0, 0, 0.5, 0.5], [0, 0, 1, 0.5]], [[0, 0, 1, 1]]]).tolist() == [0.5, 1.0]


def test_a_common_box_is_found():
    truth = [[[0.25, 0.125, 0.75, 0.875]]] * 20
    found = fit_const_boxes(truth, fold_of([str(i) for i in range(20)]))
    assert np.unique(found.boxes, axis=0).tolist() == [[0.25, 0.125, 0.75, 0.875]]
    assert found.right().all()
    assert (found.iou == 1).all()


def points(box, truth):
    best = max(half_open_iou(box, t) for t in truth)
    return sum(best >= delta for delta in MEAN_IOU)


def test_const_box_equals_the_twin():
    truth = random_truth(14, 0)
    fold = fold_of([str(i) for i in range(14)])
    found = fit_const_boxes(truth, fold)
    spans = [(a / 32, b / 32) for a in range(33) for b in range(a + 1, 33)]
    rng = np.random.default_rng(0)
    some = [spans[i] for i in rng.choice(len(spans), 60, replace=False)]
    for f in range(5):
        others = [boxes for boxes, g in zip(truth, fold, strict=True) if g != f]
        reached = sum(points(found.boxes[f], boxes) for boxes in others)
        assert (found.boxes[f] * 32 % 1 == 0).all()
        # No other candidate does better; all of them would take the twin minutes.
        candidates = [(x0, y0, x1, y1) for x0, x1 in some for y0, y1 in some[:12]]
        near = found.boxes[f] + rng.integers(-2, 3, size=(60, 4)) / 32
        candidates += [tuple(box) for box in near if (box[:2] < box[2:]).all()]
        for box in candidates:
            assert sum(points(box, boxes) for boxes in others) <= reached
    for i, f in enumerate(fold):
        assert found.iou[i] == pytest.approx(max(half_open_iou(found.boxes[f], t) for t in truth[i]))


def test_bootstrap_of_the_const_box():
    truth = random_truth(30, 1, most=1)
    fold = fold_of([str(i) for i in range(30)])
    found = fit_const_boxes(truth, fold)
    plain = found.bootstrap(np.ones((1, 30)))[0]
    assert plain[:-1] == pytest.approx(found.right().mean(axis=0))
    assert plain[-1] == pytest.approx(found.right(MEAN_IOU).mean())
    rows = found.bootstrap(resample_counts(30, 40, np.random.default_rng(0)))
    assert rows.shape == (40, len(IOU_GRID) + 1)
    assert rows.std(axis=0)[0] > 0
    with pytest.raises(ValueError, match="one fold each"):
        fit_const_boxes(truth, fold[:-1])
    with pytest.raises(ValueError, match="one fold each"):
        fit_const_boxes([], fold[:0])


def slow_best_union(labels, truth):
    """The best IoU over all sets of 8-connected pieces of regions."""
    pieces = []
    for name in np.unique(labels[labels >= 0]):
        parts, count = ndimage.label(labels == name, structure=np.ones((3, 3)))
        for i in range(1, count + 1):
            ys, xs = np.nonzero(parts == i)
            pieces.append((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))
    best = 0.0
    for size in range(1, min(len(pieces), 4) + 1):  # four pieces reach all four edges of any union
        for chosen in combinations(pieces, size):
            corners = np.array(chosen)
            box = [*corners[:, :2].min(axis=0), *corners[:, 2:].max(axis=0)]
            best = max(best, *(half_open_iou(box, t) for t in truth))
    return best


@pytest.mark.parametrize("seed", range(25))
def test_best_union_equals_the_twin(seed):
    rng = np.random.default_rng(seed)
    labels = np.kron(rng.integers(-1, 5, (4, 4)), np.ones((3, 4), dtype=int))
    truth = np.array([[1, 2, 9, 10], [5, 1, 16, 4.5]])[: 1 + seed % 2] + rng.random()
    box, iou = best_union_box(labels, truth)
    assert iou == pytest.approx(slow_best_union(labels, truth))
    assert iou == pytest.approx(max(half_open_iou(box, t) for t in truth))


def test_best_union_by_hand():
    labels = np.zeros((8, 8), dtype=np.int64)
    labels[2:4, 2:6] = 1
    labels[4:6, 2:6] = 2
    box, iou = best_union_box(labels, [[2, 2, 6, 6]])
    assert (box.tolist(), iou) == ([2, 2, 6, 6], 1.0)
    box, iou = best_union_box(np.full((8, 8), -1), [[2, 2, 6, 6]])
    assert (box.tolist(), iou) == ([0, 0, 0, 0], 0.0)
    with pytest.raises(ValueError, match="whole numbers"):
        best_union_box(np.zeros((8, 8)), [[2, 2, 6, 6]])


def test_a_refinement_tells_apart_what_any_segmentation_does():
    rng = np.random.default_rng(5)
    given = [rng.integers(0, n, (9, 8)) for n in (3, 4, 2)]
    joint = refinement(given)
    together = np.stack(given).reshape(3, -1).T
    for i, j in product(range(72), repeat=2):
        assert (joint.flat[i] == joint.flat[j]) == (together[i] == together[j]).all()
    assert np.array_equal(refinement(given[:1]), given[0])
