"""Half-open boxes."""

from __future__ import annotations

import numpy as np
import pytest

from nasbench.localize.boxes import (
    areas,
    box_mask,
    checked_boxes,
    covering_share,
    iou_of,
    pairwise_iou,
    unit_boxes,
)
from tests.localize.twins import half_open_iou


def random_boxes(rng, n):
    corners = np.sort(rng.random((n, 2, 2)) * 20, axis=1)
    return corners.reshape(n, 4)


def test_iou_equals_the_twin():
    rng = np.random.default_rng(0)
    a, b = random_boxes(rng, 20), random_boxes(rng, 7)
    wanted = np.array([[half_open_iou(x, y) for y in b] for x in a])
    assert pairwise_iou(a, b) == pytest.approx(wanted)
    assert iou_of(a, b) == pytest.approx(wanted.max(axis=1))


def test_by_hand():
    assert iou_of([[0, 0, 2, 2], [0, 0, 0, 0], [5, 5, 6, 6]], [[1, 0, 3, 2]]).tolist() == [1 / 3, 0, 0]
    assert areas([[0, 0, 2, 3], [2, 0, 1, 5]]).tolist() == [6, 0]
    assert iou_of(np.zeros((0, 4)), [[1, 0, 3, 2]]).shape == (0,)
    assert unit_boxes([[10, 5, 20, 10]], (20, 40)).tolist() == [[0.25, 0.25, 0.5, 0.5]]


def test_masks_take_the_pixels_whose_centres_are_inside():
    mask = box_mask([[0.5, 1, 2.5, 2], [-3, 2.6, 1, 9]], (4, 5))
    wanted = np.zeros((4, 5), dtype=bool)
    wanted[1, 0:2] = True
    wanted[3, 0] = True
    assert np.array_equal(mask, wanted)
    ys, xs = np.mgrid[:30, :30] + 0.5
    for x0, y0, x1, y1 in random_boxes(np.random.default_rng(1), 20):
        inside = (x0 <= xs) & (xs < x1) & (y0 <= ys) & (ys < y1)
        assert np.array_equal(box_mask([[x0, y0, x1, y1]], (30, 30)), inside)


def test_share_of_covering_boxes():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9.5], [0, 0, 10, 9.51], [0, 0, 1, 1]])
    assert covering_share(boxes, (10, 10)) == 0.5
    assert covering_share(boxes, [(10, 10), (10, 10), (100, 100), (1, 1)]) == 0.5
    with pytest.raises(ValueError, match="no box"):
        covering_share([], (10, 10))


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([], "no ground-truth box"),
        ([[1, 1, 1, 5]], r"box 1 \(1 1 1 5\) is empty, inverted"),
        ([[0, 0, 1, 1], [3, 0, 1, 5]], "box 2"),
        ([[0, 0, np.inf, 1]], "not finite"),
        ([[0, 0, np.nan, 1]], "not finite"),
        ([0, 0, 1, 1], "shape"),
        ([[0, 0, 1]], "shape"),
    ],
)
def test_bad_ground_truth_is_named(boxes, message):
    for call in (checked_boxes, lambda b: iou_of([[0, 0, 1, 1]], b), lambda b: box_mask(b, (3, 3))):
        with pytest.raises(ValueError, match=message):
            call(boxes)
