"""The lattice against all permutations, closed forms and axioms."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench.faithfulness import lattice as room
from nasbench.faithfulness.areas import auc, srg
from nasbench.faithfulness.curves import points_of
from nasbench.faithfulness.lattice import Lattice, subset_masks, subsets_along
from nasbench.faithfulness.orders import order_of, region_units, removed_masks
from tests.faithfulness import twins


def bits(count):
    """(2^K, K) whether each region is removed."""
    return np.arange(1 << count)[:, None] >> np.arange(count) & 1


def linear(weights, areas, constant=0.0):
    return Lattice(constant + (1 - bits(len(weights))) @ np.asarray(weights, dtype=float), np.array(areas))


def random_step(rng, count):
    """A removal order with ties."""
    return np.unique(rng.integers(0, rng.integers(1, count + 1), count), return_inverse=True)[1]


@st.composite
def small_cases(draw, most=5):
    """A lattice, coarse so that areas coincide or not, and an order with ties or not."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = draw(st.integers(1, most))
    coarse = draw(st.booleans())
    scores = rng.integers(0, 3, 1 << count) / 2 if coarse else rng.normal(0, 1, 1 << count)
    areas = rng.integers(1, 3 if coarse else 50, count)
    step = random_step(rng, count) if draw(st.booleans()) else rng.permutation(count)
    return Lattice(scores, areas), step


@settings(max_examples=60, deadline=None)
@given(small_cases())
def test_curves_are_looked_up(case):
    lattice, step = case
    x, y = twins.order_curve(lattice.scores, lattice.areas, twins.blocks_of(step))
    curve = lattice.curve(step)
    assert curve.removed == pytest.approx(x)
    assert curve.scores.tolist() == y
    sizes = np.cumsum([0, *(len(block) for block in twins.blocks_of(step))])
    assert curve.units_axis == pytest.approx(sizes / lattice.count)


@settings(max_examples=60, deadline=None)
@given(small_cases())
def test_the_null_is_that_of_all_permutations(case):
    lattice, _ = case
    areas = twins.all_areas(lattice.scores, lattice.areas)
    null = lattice.null
    assert (null.orders, null.exact) == (len(areas), True)
    assert null.mean == pytest.approx(np.mean(areas), abs=1e-12)
    assert null.sd == pytest.approx(np.std(areas), abs=1e-7)
    assert (null.lowest, null.highest) == pytest.approx((min(areas), max(areas)), abs=1e-12)
    assert lattice.all_areas == pytest.approx(np.sort(areas), abs=1e-12)


@settings(max_examples=80, deadline=None)
@given(small_cases(), st.sampled_from(twins.DIRECTIONS), st.booleans())
def test_percentiles_are_those_of_all_permutations(case, direction, listed):
    lattice, step = case
    expected = twins.percentile(lattice.scores, lattice.areas, step, direction, lattice.tolerance)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "_FEW", 0 if listed else 10**9)
        assert lattice.percentile(step, direction) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(small_cases())
def test_tied_orders_are_worth_the_mean_of_the_orders_that_break_their_ties(case):
    lattice, step = case
    broken = [twins.order_area(lattice.scores, lattice.areas, blocks) for blocks in twins.untied(step)]
    assert lattice.expected_area(step) == pytest.approx(np.mean(broken), abs=1e-12)
    if len(broken) == 1:
        assert lattice.expected_area(step) == pytest.approx(auc(lattice.curve(step)), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(small_cases())
def test_best_and_worst_orders_have_the_extreme_areas(case):
    lattice, _ = case
    areas = twins.all_areas(lattice.scores, lattice.areas)
    for step, extreme in (
        (lattice.best(), max(areas)),
        (lattice.worst(), min(areas)),
        (lattice.best("morf"), min(areas)),
        (lattice.worst("morf"), max(areas)),
    ):
        assert sorted(step) == list(range(lattice.count))
        assert auc(lattice.curve(step)) == pytest.approx(extreme, abs=1e-12)
    mean = np.mean(areas)
    for direction, extreme in (("lerf", max(areas)), ("morf", min(areas))):
        best, worst = (
            lattice.regret(step, direction) for step in (lattice.best(direction), lattice.worst(direction))
        )
        if abs(extreme - mean) > 1e-3:
            assert best.value == pytest.approx(1)
            other = min(areas) + max(areas) - extreme
            assert worst.value == pytest.approx((other - mean) / (extreme - mean))


@settings(max_examples=40, deadline=None)
@given(small_cases())
def test_shapley_values_are_mean_marginal_contributions(case):
    lattice, _ = case
    assert lattice.shapley == pytest.approx(twins.shapley(lattice.scores, lattice.count), abs=1e-12)
    assert lattice.shapley.sum() == pytest.approx(lattice.scores[0] - lattice.scores[-1], abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(small_cases(), st.integers(0, 2**32))
def test_numbering_has_no_influence(case, seed):
    lattice, step = case
    names = np.random.default_rng(seed).permutation(lattice.count)  # region r is called names[r]
    areas, moved = np.empty_like(lattice.areas), np.empty_like(step)
    areas[names], moved[names] = lattice.areas, step
    scores = np.empty_like(lattice.scores)
    scores[bits(lattice.count) @ (1 << names)] = lattice.scores
    renamed = Lattice(scores, areas)
    assert renamed.shapley[names] == pytest.approx(lattice.shapley, abs=1e-12)
    assert renamed.percentile(moved) == pytest.approx(lattice.percentile(step), abs=1e-12)
    assert np.array_equal(renamed.curve(moved).scores, lattice.curve(step).scores)
    for one, other in zip(vars(renamed.null).values(), vars(lattice.null).values(), strict=True):
        assert one == pytest.approx(other, abs=1e-7)


def test_a_linear_model_in_closed_form():
    weights, areas = np.array([0.5, -1, 2, 0.25, 1]), np.array([7, 3, 11, 1, 5])
    lattice = linear(weights, areas, constant=0.3)
    assert lattice.shapley == pytest.approx(weights, abs=1e-6)
    # On average half of the image is gone when half of a region is, so each weight counts half.
    assert lattice.null.mean == pytest.approx(0.3 + weights.sum() / 2, abs=1e-6)
    # The best order removes by weight per area, not by weight.
    by_density = np.argsort(weights / areas)
    assert np.array_equal(np.argsort(lattice.best()), by_density)
    assert np.array_equal(np.argsort(lattice.best("morf")), by_density[::-1])
    gone = np.cumsum(areas[by_density]) / 27
    kept_until = gone - areas[by_density] / 27 / 2
    assert lattice.null.highest == pytest.approx(0.3 + (weights[by_density] * kept_until).sum(), abs=1e-6)
    assert lattice.percentile(lattice.best()) == pytest.approx(1 - 0.5 / 120)


def test_a_classifier_that_sums_areas_knows_no_better_order():
    areas = np.array([7, 3, 11, 1])
    lattice = linear(areas / areas.sum(), areas)
    step = np.array([2, 0, 3, 1])
    assert lattice.shapley == pytest.approx(areas / 22, abs=1e-6)
    assert auc(lattice.curve(step)) == pytest.approx(0.5, abs=1e-6)
    assert lattice.percentile(step) == 0.5
    assert lattice.regret(step).value is None


def test_a_classifier_that_counts_regions_prefers_the_large_first():
    """v = the share of regions kept: each step costs 1/K, so LeRF is best when large areas go early."""
    areas = np.array([1, 2, 4, 8])
    lattice = linear([0.25] * 4, areas)
    assert lattice.best().tolist() == [3, 2, 1, 0]
    expected = (8 * (1 + 0.75) + 4 * (0.75 + 0.5) + 2 * (0.5 + 0.25) + 1 * 0.25) / 2 / 15
    assert lattice.null.highest == pytest.approx(expected, abs=1e-6)
    assert lattice.null.mean == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("noise", [0, 1e-8])
def test_a_model_that_does_not_look(noise):
    """Also where float32 makes the constant flicker."""
    scores = 0.7 + noise * np.random.default_rng(0).normal(0, 1, 16)
    lattice = Lattice(scores, np.array([3, 1, 1, 5]))
    step = np.array([1, 0, 2, 3])
    assert auc(lattice.curve(step)) == pytest.approx(0.7, abs=1e-6)
    assert srg(lattice.curve(step), lattice.curve(3 - step)) == pytest.approx(0, abs=1e-6)
    assert lattice.percentile(step) == lattice.percentile(step, "morf") == 0.5
    found = lattice.regret(step)
    assert found.value is None
    assert found.reason == "all orders have the same area"
    assert lattice.shapley == pytest.approx(np.zeros(4), abs=1e-6)


@pytest.mark.parametrize("shape", [np.sqrt, np.square])
def test_a_constant_map_is_worth_a_random_order(shape):
    """Its curve, a straight line, lies below or above every order's; its place among them is the middle."""
    lattice = Lattice(shape(1 - bits(4).mean(axis=1)), np.array([3, 2, 2, 4]))
    tied = np.zeros(4, dtype=int)
    line = auc(lattice.curve(tied))
    assert line == pytest.approx(0.5)
    assert not lattice.null.lowest <= line <= lattice.null.highest
    assert lattice.percentile(tied) == 0.5
    assert lattice.regret(tied).value == pytest.approx(0, abs=1e-12)


def test_shapley_axioms():
    rng = np.random.default_rng(0)
    scores = rng.random(16)
    gone = bits(4)
    # Region 3 is a dummy; 0 and 1 are interchangeable.
    scores = scores[gone @ [1, 2, 4, 0]]
    swapped = gone[:, [1, 0, 2, 3]] @ [1, 2, 4, 8]
    scores = (scores + scores[swapped]) / 2
    found = Lattice(scores, np.ones(4)).shapley
    assert found[3] == pytest.approx(0, abs=1e-15)
    assert found[0] == pytest.approx(found[1], abs=1e-15)
    assert abs(found[0] - found[2]) > 0.01
    # Additivity.
    other = rng.random(16)
    both = Lattice(scores + other, np.ones(4)).shapley
    assert both == pytest.approx(found + Lattice(other, np.ones(4)).shapley)


@settings(max_examples=40, deadline=None)
@given(small_cases())
def test_srg_has_a_lattice_of_its_own(case):
    lattice, step = case
    found = lattice.symmetric()
    reverse = step.max() - step
    expected = srg(lattice.curve(step), lattice.curve(reverse))
    assert auc(found.curve(step)) == pytest.approx(expected, abs=1e-12)
    assert found.null.mean == pytest.approx(0, abs=1e-12)


def test_a_single_region():
    lattice = Lattice(np.array([0.9, 0.1]), np.array([36]))
    assert lattice.curve([0]).removed.tolist() == [0, 1]
    assert lattice.curve([0]).scores.tolist() == [0.9, 0.1]
    assert lattice.shapley == pytest.approx([0.8])
    null = lattice.null
    assert null.mean == pytest.approx(0.5)
    assert (null.sd, null.orders) == (0, 1)
    assert lattice.best().tolist() == lattice.worst().tolist() == [0]
    assert lattice.percentile([0]) == 0.5
    assert lattice.regret([0]).value is None


def test_ten_regions_take_no_time():
    rng = np.random.default_rng(0)
    lattice = Lattice(rng.random(1024), rng.integers(100, 9000, 10))
    steps = [rng.permutation(10), np.minimum(rng.permutation(10), 8), np.zeros(10, dtype=int), lattice.best()]
    start = time.perf_counter()
    found = [lattice.percentile(step) for step in steps]
    null = lattice.null
    assert time.perf_counter() - start < 2
    null_areas = lattice.all_areas
    assert len(null_areas) == null.orders == 3628800
    assert (null.mean, null.sd) == pytest.approx((null_areas.mean(), null_areas.std()), rel=1e-9)
    assert (null.lowest, null.highest) == pytest.approx((null_areas[0], null_areas[-1]), rel=1e-12)
    area, tolerance = auc(lattice.curve(steps[0])), lattice.tolerance
    worse = (null_areas < area - tolerance).mean()
    equal = (np.abs(null_areas - area) <= tolerance).mean()
    assert found[0] == pytest.approx(worse + equal / 2, abs=1e-7)
    assert found[2] == 0.5
    assert found[3] > 1 - 1e-5
    # Of a tie of five, 120 orders are counted among those listed, or by halves.
    tied = np.maximum(steps[0] - 4, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "_FEW", 10**9)
        by_halves = lattice.percentile(tied)
    assert lattice.percentile(tied) == pytest.approx(by_halves, abs=1e-6)


def test_subsets_and_masks_are_those_of_the_order():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, (6, 7))
    labels[0, :5] = np.arange(5)
    units = region_units(labels)
    order = order_of([3, 1, 1, 0, 2], units, "lerf")
    subsets = subsets_along(order.step)
    assert subsets.tolist() == [0, 8, 8 + 6, 8 + 6 + 16, 31]
    assert np.array_equal(subset_masks(units, subsets), removed_masks(order, np.arange(5)))
    # From these masks to the same curve as without a lattice.
    weights = rng.normal(0, 1, labels.shape)
    scores = (weights * ~subset_masks(units, np.arange(32))).sum(axis=(1, 2))
    curve, points = Lattice(scores, units.pixels).curve(order.step), points_of(order)
    kept = (weights * ~removed_masks(order, points.groups)).sum(axis=(1, 2))
    assert curve.scores == pytest.approx(kept, abs=1e-12)
    assert np.array_equal(curve.removed, points.removed)
    assert np.array_equal(curve.units_axis, points.removed_units)


@pytest.mark.parametrize(
    ("scores", "areas", "said"),
    [
        (np.zeros(4), np.ones(3), "3 regions have 8 subsets"),
        (np.zeros(2048), np.ones(11), "1 to 10 regions, not 11"),
        (np.zeros(1), np.ones(0), "not 0"),
        (np.array([0, np.nan]), np.ones(1), "1 scores are NaN"),
        (np.zeros(4), np.array([1, 0]), "must be positive"),
    ],
)
def test_odd_lattices_are_refused(scores, areas, said):
    with pytest.raises(ValueError, match=said):
        Lattice(scores, areas)


@pytest.mark.parametrize("step", [[0, 2], [1, 1], [-1, 0], [], [[0, 1]], np.arange(11)])
def test_odd_steps_are_refused(step):
    with pytest.raises(ValueError, match="steps are"):
        subsets_along(step)
