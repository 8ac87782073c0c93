"""Where curves are evaluated, against a search over all group ends, and what a curve must be."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench.faithfulness.areas import auc
from nasbench.faithfulness.curves import (
    Curve,
    StepGrid,
    distinct_masks,
    mean_curve,
    points_of,
)
from nasbench.faithfulness.orders import order_of, patch_units, pixel_units, random_order, removed_masks
from tests.faithfulness import twins


def test_grids_have_both_ends_once():
    assert StepGrid.by_count(4).fractions == (0, 0.25, 0.5, 0.75, 1)
    assert StepGrid.by_fraction([0.9, 0.1]).fractions == (0, 0.1, 0.9, 1)
    assert StepGrid.by_fraction([1, 0.5, 0]).fractions == (0, 0.5, 1)
    assert StepGrid.by_fraction([]).fractions == (0, 1)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: StepGrid.by_count(0), "at least 1"),
        (lambda: StepGrid.by_fraction([1.5]), "1.5 is outside"),
        (lambda: StepGrid.by_fraction([np.nan]), "nan is outside"),
        (lambda: StepGrid.by_fraction([0.1, 0.1]), "comes twice"),
    ],
)
def test_odd_grids_are_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


@st.composite
def tied_orders(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    units = patch_units(tuple(rng.integers(1, 8, 2)), int(rng.integers(1, 4)))
    scores = rng.integers(0, rng.integers(1, units.count + 2), units.count)
    return order_of(scores, units, "lerf")


@settings(max_examples=80, deadline=None)
@given(tied_orders(), st.integers(1, 12))
def test_points_are_the_nearest_group_ends(order, steps):
    total = order.units.labels.size
    points = points_of(order, StepGrid.by_count(steps))
    wanted = [Fraction(i, steps) for i in range(steps + 1)]
    ends = twins.nearest_ends(np.rint(order.removed * total), total, wanted)
    assert points.groups.tolist() == ends
    assert points.groups[[0, -1]].tolist() == [0, order.groups]
    assert np.array_equal(points.removed, order.removed[ends])


@settings(max_examples=40, deadline=None)
@given(tied_orders(), st.integers(1, 12))
def test_the_reversed_order_is_evaluated_at_mirrored_points(order, steps):
    grid = StepGrid.by_count(steps)
    there, back = points_of(order, grid), points_of(order.reversed(), grid)
    assert np.array_equal(back.groups, order.groups - there.groups[::-1])
    assert back.removed == pytest.approx(1 - there.removed[::-1])


def test_a_tie_of_93_percent_is_not_removed_as_five():
    scores = np.zeros(100)
    scores[:7] = np.arange(1, 8)
    units = pixel_units((10, 10))
    lerf, morf = (order_of(scores, units, d) for d in ("lerf", "morf"))
    twentieths = StepGrid.by_count(20)
    assert points_of(lerf, twentieths).removed == pytest.approx([0, 0.93, 0.95, 1])
    assert points_of(morf, twentieths).removed == pytest.approx([0, 0.05, 0.07, 1])
    seeded = order_of(scores, units, "lerf", tie="seeded")
    assert points_of(seeded, twentieths).removed == pytest.approx(np.arange(21) / 20)
    assert points_of(order_of(np.ones(100), units, "lerf"), twentieths).removed.tolist() == [0, 1]


def test_regions_are_evaluated_at_all_their_ends():
    order = order_of([3, 1, 2, 2], patch_units((4, 6), 3), "lerf")
    points = points_of(order)
    assert points.groups.tolist() == [0, 1, 2, 3]
    assert points.removed == pytest.approx(np.array([0, 9, 15, 24]) / 24)
    assert points.removed_units == pytest.approx([0, 0.25, 0.75, 1])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 9), st.sampled_from(twins.DIRECTIONS))
def test_a_linear_model_gives_the_curve_of_the_literal_loop(seed, steps, direction):
    rng = np.random.default_rng(seed)
    weights, score_map = rng.normal(0, 1, (5, 4)), rng.integers(0, 9, (5, 4))
    units = pixel_units((5, 4))
    order = order_of(score_map.ravel(), units, direction)
    points = points_of(order, StepGrid.by_count(steps))
    masks = removed_masks(order, points.groups)
    curve = points.curve((weights * ~masks).sum(axis=(1, 2)))
    slow = twins.masks_of_groups(score_map.ravel(), units.labels, direction)
    wanted = [Fraction(i, steps) for i in range(steps + 1)]
    ends = twins.nearest_ends([mask.sum() for mask in slow], 20, wanted)
    kept = [sum(weights[y, x] for y in range(5) for x in range(4) if not slow[i][y, x]) for i in ends]
    assert curve.scores == pytest.approx(kept, abs=1e-12)
    assert curve.removed == pytest.approx([slow[i].mean() for i in ends])


def test_each_mask_is_evaluated_once():
    units = patch_units((6, 6), 2)
    scores = np.array([1, 1, 2, 3, 3, 3, 4, 5, 5])
    lerf = order_of(scores, units, "lerf")
    orders = [lerf, lerf.reversed(), random_order(units, seed=0, image="a"), order_of(-scores, units, "morf")]
    pairs = [(order, points_of(order)) for order in orders]
    packed, where = distinct_masks(pairs)
    masks = np.asarray(packed)
    assert packed.removed().tolist() == masks.sum(axis=(1, 2)).tolist()
    assert np.array_equal(packed[1:3], masks[1:3])
    assert np.array_equal(packed.chosen(packed.removed() > 3), masks[masks.sum(axis=(1, 2)) > 3])
    assert len({mask.tobytes() for mask in masks}) == len(masks)
    # 6 of LeRF, 4 new of MoRF, 8 new of the random order at most; the last is LeRF again.
    assert len(masks) == len({m.tobytes() for o, p in pairs for m in removed_masks(o, p.groups)}) <= 18
    for (order, points), own in zip(pairs, where, strict=True):
        assert np.array_equal(masks[own], removed_masks(order, points.groups))
    assert np.array_equal(where[0], where[3])
    assert {own[0] for own in where} == {0}
    assert len({own[-1] for own in where}) == 1


def test_masks_of_no_curve_or_of_two_images_are_refused():
    with pytest.raises(ValueError, match="no curve"):
        distinct_masks([])
    orders = [random_order(pixel_units(size), seed=0, image="a") for size in ((2, 2), (4, 1))]
    with pytest.raises(ValueError, match="one size"):
        distinct_masks([(order, points_of(order)) for order in orders])


@pytest.mark.parametrize(
    ("removed", "scores", "said"),
    [
        ([0, 0.5], [1, 2], "both ends once"),
        ([0.1, 1], [1, 2], "both ends once"),
        ([0, 0, 1], [1, 2, 3], "must rise"),
        ([0, 0.5, 1, 1], [1, 2, 3, 4], "must rise"),
        ([0, 1], [1, 2, 3], r"2 points need scores \(2,\)"),
        ([0, 1], [1, np.nan], "1 scores of the curve are not finite"),
        ([0], [1], "two points"),
    ],
)
def test_curves_without_both_ends_once_are_refused(removed, scores, said):
    with pytest.raises(ValueError, match=said):
        Curve(np.array(removed, dtype=float), np.array(scores, dtype=float))
    with pytest.raises(ValueError, match=r"removed_units|scores|two points"):
        Curve(np.linspace(0, 1, len(scores)), np.array(scores, dtype=float), np.array(removed, dtype=float))


def test_between_points_a_curve_is_straight():
    curve = Curve(np.array([0, 0.5, 1]), np.array([1.0, 0, 4]))
    assert curve.at([0, 0.25, 0.5, 0.75, 1]) == pytest.approx([1, 0.5, 0, 2, 4])
    assert (curve.full, curve.empty) == (1, 4)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        curve.at([1.1])


def test_the_area_of_the_mean_curve_is_the_mean_of_the_areas():
    rng = np.random.default_rng(0)
    curves = []
    for points in (2, 3, 5, 9):
        inner = np.sort(rng.random(points - 2))
        curves.append(Curve(np.concatenate([[0], inner, [1]]), rng.random(points)))
    found = mean_curve(curves)
    assert auc(found) == pytest.approx(np.mean([auc(curve) for curve in curves]), abs=1e-12)
    assert found.scores[0] == pytest.approx(np.mean([curve.full for curve in curves]))
    assert len(found.removed) == 2 + 0 + 1 + 3 + 7
    with pytest.raises(ValueError, match="no curve"):
        mean_curve([])
