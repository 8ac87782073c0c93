"""The exact protocol against thresholding at every value, and the ends of its intervals."""

from __future__ import annotations

import numpy as np
import pytest

from nasbench.localize import merge_tree
from nasbench.localize.boxes import IOU_GRID, MEAN_IOU, iou_of
from nasbench.localize.exact import box_events, right_intervals
from nasbench.localize.maps import MapError
from tests.localize.maps import KINDS, make_map
from tests.localize.twins import half_open_iou, largest_component_box


def box_at(events, threshold):
    box = events.at(threshold)
    return None if box is None else box.tolist()


def check_against_twin(scores):
    events = box_events(scores)
    values = np.unique(scores)
    for value, below in zip(values[::-1], [*values[-2::-1], -np.inf], strict=True):
        wanted = list(largest_component_box(scores, value))
        assert box_at(events, value) == wanted
        # Nothing happens between two values of the map.
        assert box_at(events, np.nextafter(float(below), np.inf)) == wanted
    assert events.levels[0] == scores.max()
    assert (np.diff(events.levels) < 0).all()
    assert (events.boxes[1:] != events.boxes[:-1]).any(axis=1).all()
    assert events.at(np.nextafter(float(scores.max()), np.inf)) is None


@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_twin(kind):
    for seed in range(12):
        size = tuple(int(n) for n in np.random.default_rng(seed).integers(1, 13, 2))
        check_against_twin(make_map(kind, seed, size, (np.float32, np.float64)[seed % 2]))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_twin_on_many_more(kind):
    for seed in range(100, 150):
        size = tuple(int(n) for n in np.random.default_rng(seed).integers(1, 22, 2))
        check_against_twin(make_map(kind, seed, size, (np.float32, np.float64)[seed % 2]))


def test_keys_too_long_to_pack(monkeypatch):
    monkeypatch.setattr(merge_tree, "_LARGE", 7)
    assert merge_tree._first_of_each(np.array([5, 3, 5, 9, 3])).tolist() == [1, 0, 3]
    monkeypatch.undo()
    assert merge_tree._first_of_each(np.array([5, 3, 5, 9, 3])).tolist() == [1, 0, 3]
    assert merge_tree._first_of_each(np.array([], dtype=np.int64)).tolist() == []


def test_two_blobs_by_hand():
    scores = np.zeros((6, 12))
    scores[1:3, 1:3] = 0.9  # four pixels first
    scores[2:5, 6:9] = 0.5  # nine pixels later
    scores[2:3, 3:6] = 0.2  # a bridge
    events = box_events(scores)
    assert events.levels.tolist() == [0.9, 0.5, 0.2, 0.0]
    assert events.boxes.tolist() == [[1, 1, 3, 3], [6, 2, 9, 5], [1, 1, 9, 5], [0, 0, 12, 6]]
    assert box_at(events, 0.7) == [1, 1, 3, 3]
    assert box_at(events, -5) == [0, 0, 12, 6]
    assert events.at(0.91) is None
    with pytest.raises(ValueError, match="NaN"):
        events.at(float("nan"))


def test_ties_by_mass_then_top_left():
    scores = np.zeros((5, 9))
    scores[3, 1:3] = 1, 0.6
    scores[0, 5:7] = 1, 0.5
    # Two pixels each; the lower one is heavier.
    assert box_at(box_events(scores), 0.5) == [1, 3, 3, 4]
    scores[0, 6] = 0.6
    assert box_at(box_events(scores), 0.6) == [5, 0, 7, 1]
    scores[0] = 0
    scores[3, 6:8] = 1, 0.6
    assert box_at(box_events(scores), 0.6) == [1, 3, 3, 4]


def test_mass_does_not_depend_on_the_order_of_summing():
    # Three values whose float sum depends on the order, in two pieces that hold them differently.
    scores = np.zeros((3, 9))
    scores[1, 0:3] = 0.1, 0.2, 0.3
    scores[1, 6:9] = 0.3, 0.2, 0.1
    assert box_at(box_events(scores), 0.1) == [0, 1, 3, 2]


def test_diagonals_connect():
    assert box_at(box_events(np.eye(4)), 1.0) == [0, 0, 4, 4]


def test_a_constant_map_is_the_frame():
    events = box_events(np.full((3, 5), 0.25))
    assert events.levels.tolist() == [0.25]
    assert events.boxes.tolist() == [[0, 0, 5, 3]]


def test_negative_values_are_values():
    scores = make_map("wavy", 0)
    moved = box_events(scores.astype(np.float64) - 3)
    assert np.array_equal(moved.boxes, box_events(scores).boxes)


def test_a_perfect_map_has_iou_one():
    scores = np.zeros((30, 40))
    scores[5:12, 20:33] = 1
    assert iou_of(box_events(scores).boxes, [[20, 5, 33, 12]])[0] == 1


@pytest.mark.parametrize(
    ("bad", "fault"),
    [(np.nan, "NaN"), (np.inf, "infinite"), (-np.inf, "infinite")],
)
def test_bad_values_are_named_and_counted(bad, fault):
    scores = make_map("noise", 0)
    scores[3, 4:7] = bad
    with pytest.raises(MapError, match="3 .* values of 391") as caught:
        box_events(scores)
    assert caught.value.fault == fault
    for shape in ((0, 3), (2, 3, 4), ()):
        with pytest.raises(MapError, match="two dimensions"):
            box_events(np.zeros(shape))


def test_the_grid_of_ious():
    assert len(IOU_GRID) == 14
    assert IOU_GRID[:3] == (0.3, 0.35, 0.4)
    assert MEAN_IOU == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def test_intervals_by_hand():
    levels = [0.9, 0.7, 0.5, 0.2]
    iou = [0.1, 0.6, 0.5, 0.6]
    assert right_intervals(levels, iou, 0.55) == [(0.5, 0.7), (-np.inf, 0.2)]
    assert right_intervals(levels, iou, 0.5) == [(-np.inf, 0.7)]
    assert right_intervals(levels, iou, 0.05) == [(-np.inf, 0.9)]
    assert right_intervals(levels, iou, 0.7) == []
    for wrong in ([0.7, 0.9, 0.5, 0.2], [0.9, 0.9, 0.5, 0.2], [0.9, 0.7]):
        with pytest.raises(ValueError, match="must fall"):
            right_intervals(wrong, iou, 0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_intervals_hold_exactly_where_the_box_is_right(kind):
    scores = make_map(kind, 5)
    truth = [[4, 3, 15, 12], [0, 0, 5, 9]]
    events = box_events(scores)
    iou = iou_of(events.boxes, truth)
    for delta in IOU_GRID:
        intervals = right_intervals(events.levels, iou, delta)
        for value in np.unique(scores).astype(np.float64):
            for threshold in (value, np.nextafter(value, np.inf), np.nextafter(value, -np.inf)):
                box = events.at(threshold)
                right = box is not None and max(half_open_iou(box, t) for t in truth) >= delta
                assert right == any(low < threshold <= high for low, high in intervals)
