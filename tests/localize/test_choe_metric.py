"""`metric=choe`: the published decisions, in the form of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nasbench.errors import UsageError
from nasbench.localize.choe import choe_decisions, choe_thresholds, choe_upsample
from nasbench.localize.choe_metric import ChoeAccuracy, runs, unrun
from nasbench.localize.maps import MapError

THRESHOLDS = choe_thresholds(0.01)
RAW = np.random.default_rng(1).random((7, 7)).astype(np.float32)
GT = np.array([[20, 30, 150, 180], [0, 0, 60, 50]])


def test_decisions_are_the_protocols():
    metric = ChoeAccuracy(step=0.01)
    found = metric(RAW, GT, 224)
    values = choe_upsample(RAW, 224)
    kinds: tuple[Any, ...] = ("largest", "all")
    for place, kind in enumerate(kinds):
        expected = choe_decisions(values, GT, THRESHOLDS, contours=kind)
        assert np.array_equal(found.right[3 * place : 3 * place + 3], expected)
    assert found.right.any()
    assert not found.right.all()
    np.testing.assert_array_equal(found.values, values)
    assert found.fault == ""


def test_runs_of_thresholds_come_back():
    for right in (
        np.zeros(100, bool),
        np.ones(100, bool),
        np.arange(100) % 3 == 0,
        np.random.default_rng(2).random(100) < 0.5,
    ):
        intervals = runs(right, THRESHOLDS)
        assert np.array_equal(unrun(intervals, THRESHOLDS), right)
        assert all(low < high for low, high in intervals)
    assert runs(np.arange(100) < 2, THRESHOLDS) == [(-np.inf, 0.01)]


def test_a_constant_map_is_wrong_everywhere_and_says_so():
    found = ChoeAccuracy()(np.full((7, 7), 3.0), GT, 224)
    assert found.fault == "constant"
    assert not found.right.any()


def test_infinite_values_are_refused():
    with pytest.raises(MapError, match="infinite"):
        ChoeAccuracy()(np.full((7, 7), np.inf), GT, 224)


def test_the_frame_is_right_where_the_object_is_large():
    metric = ChoeAccuracy(step=0.25)
    right = metric.of_frame([[0, 0, 99, 49]], 100)  # both corners inside: half the frame
    assert right.shape == (6, 4)
    assert right.all(axis=1).tolist() == [True, True, False] * 2


@pytest.mark.parametrize(("corner", "last"), [("inclusive", [198, 108]), ("outside", [200, 112])])
def test_boxes_are_taken_as_their_makers_wrote_them(corner, last):
    # Of an image of 50 rows and 100 columns, brought to 200 x 200.
    found = ChoeAccuracy(corner=corner).truth([[0, 5.5, 100, 28]], (50, 100), 200)
    assert found.tolist() == [[0, 22, *last]]


def test_a_box_smaller_than_a_pixel_keeps_its_corner():
    assert ChoeAccuracy().truth([[10.2, 10.2, 10.4, 10.4]], (100, 100), 100).tolist() == [[10, 10, 10, 10]]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"step": 0}, "metric.step=0"),
        ({"step": 1.5}, "metric.step=1.5"),
        ({"corner": "in"}, "metric.corner=in"),
    ],
)
def test_options_out_of_range(given, message):
    with pytest.raises(UsageError, match=message):
        ChoeAccuracy(**given)


def test_views_that_keep_the_aspect_ratio_are_refused():
    ChoeAccuracy().check_view("squash")
    with pytest.raises(UsageError, match="it ignores the aspect ratio"):
        ChoeAccuracy().check_view("crop")
