"""What one image's rows rest on: intervals, conventions, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nasbench.errors import UsageError
from nasbench.localize.boxes import IOU_GRID
from nasbench.localize.maps import MapError, otsu_threshold
from nasbench.localize.metric import BoxAccuracy, flattened, total_length, unflattened, upsample

BOX = np.array([[2.0, 2.0, 6.0, 6.0]])


def bright(value=1.0, floor=0.0):
    found = np.full((8, 8), floor)
    found[2:6, 2:6] = value
    return found


def test_a_map_that_is_the_box_is_right_above_its_ground():
    said = BoxAccuracy()(bright(3.0, 1.0), BOX)
    assert list(said.right) == [[(0.0, 1.0)]] * len(IOU_GRID)
    assert said.covers == [(-np.inf, 0.0)]
    assert (said.otsu, said.fault) == (None, "")


def test_a_map_without_contrast_has_the_frame_and_says_so():
    said = BoxAccuracy()(np.full((8, 8), 0.3), BOX)
    assert said.covers == [(-np.inf, 1.0)]
    assert said.fault == "constant"
    assert list(said.right) == [[]] * len(IOU_GRID), "the box is a quarter of the frame"
    assert BoxAccuracy()(np.full((8, 8), 0.3), [[0, 0, 8, 8]]).right[-1] == [(-np.inf, 1.0)]


def test_negative_maps_have_a_box_by_minmax_and_none_by_max():
    assert BoxAccuracy()(bright(-1.0, -2.0), BOX).right[-1] == [(0.0, 1.0)]
    assert BoxAccuracy(normalisation="max")(bright(-1.0, -2.0), BOX).fault == "not positive"


def test_otsu_is_of_the_normalised_map():
    said = BoxAccuracy(threshold="otsu")(bright(3.0, 1.0), BOX)
    assert said.otsu == otsu_threshold(said.normalised) == 1.0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_maps_that_are_not_finite_are_refused(value):
    with pytest.raises(MapError):
        BoxAccuracy()(bright(value), BOX)


def test_boxes_that_are_none_are_refused():
    for boxes in (np.zeros((0, 4)), [[3, 3, 3, 5]], [[5, 5, 2, 2]]):
        with pytest.raises(ValueError, match="box"):
            BoxAccuracy()(bright(), boxes)


@pytest.mark.parametrize("option", [{"threshold": "best"}, {"share": 0.5}, {"fixed": -0.1}, {"space": "x"}])
def test_options_out_of_range_name_the_key(option):
    with pytest.raises(UsageError, match=f"metric.{next(iter(option))}"):
        BoxAccuracy(**option)


def test_titles_follow_the_truth_and_the_rule():
    assert "relevance_mass" in BoxAccuracy().titles("mask")
    assert "relevance_mass" not in BoxAccuracy().titles("box")
    assert "otsu_threshold" in BoxAccuracy(threshold="otsu").titles("box")


def test_upsampling_is_bilinear_at_half_pixels():
    small = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    large = upsample(small, (9, 8))
    position = np.clip((np.arange(8) + 0.5) / 2 - 0.5, 0, 3)
    across = np.stack([np.interp(position, np.arange(4), line) for line in small])
    position = np.clip((np.arange(9) + 0.5) / 3 - 0.5, 0, 2)
    twin = np.stack([np.interp(position, np.arange(3), column) for column in across.T], axis=1)
    np.testing.assert_allclose(large, twin, atol=1e-6)
    assert large.dtype == np.float32
    assert np.array_equal(upsample(small, (3, 4)), small)
    assert torch.is_grad_enabled()


def test_intervals_go_into_a_row_and_back():
    falling = [(0.6, 0.9), (0.1, 0.2), (-np.inf, 0.05)]
    ends = flattened(falling)
    assert ends == sorted(ends)
    assert unflattened(ends) == falling[::-1]
    assert total_length(falling) == pytest.approx(0.45)
    assert total_length([(0.5, 3.0)]) == 0.5
