"""Areas in closed form, against the published formulas written out, and the scales they are put on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench.faithfulness.areas import (
    ROAD_FRACTIONS,
    abpc,
    aopc,
    auc,
    deletion,
    insertion,
    irof,
    ratio_of_means,
    regret,
    road,
    road_gap,
    srg,
)
from nasbench.faithfulness.curves import Curve, StepGrid, mean_curve, points_of
from nasbench.faithfulness.orders import order_of, pixel_units, region_units, removed_masks
from tests.faithfulness import twins

CONSTANT = Curve(np.array([0, 0.2, 1]), np.full(3, 0.7), np.array([0, 0.5, 1]))


def even(scores):
    return Curve(np.linspace(0, 1, len(scores)), np.array(scores, dtype=float))


def linear_curves(weights):
    """LeRF and MoRF of the map that is a linear model's weights, pixel by pixel."""
    units = pixel_units(weights.shape)
    found = []
    for direction in ("lerf", "morf"):
        order = order_of(weights.ravel(), units, direction)
        points = points_of(order)
        masks = removed_masks(order, points.groups)
        found.append(points.curve((weights * ~masks).sum(axis=(1, 2))))
    return found


def test_a_linear_model_in_closed_form():
    weights = np.random.default_rng(0).normal(0.3, 1, (6, 7))
    rising, n, total = np.sort(weights, axis=None), weights.size, weights.sum()
    lerf, morf = linear_curves(weights)
    # The i-th to go is lost to all points from the i-th on: half a step of it, and all that follow.
    lost = (n - np.arange(n) - 0.5) / n
    assert auc(lerf) == pytest.approx(total - (rising * lost).sum(), abs=1e-6)
    assert auc(morf) == pytest.approx(total - (rising[::-1] * lost).sum(), abs=1e-6)
    assert srg(lerf, morf) == pytest.approx(((rising[::-1] - rising) * lost).sum(), abs=1e-6)
    assert srg(lerf, morf) == -srg(morf, lerf)
    drops = [total - rising[::-1][k:].sum() for k in range(n + 1)]
    assert aopc(morf, steps=n) == pytest.approx(sum(drops) / (n + 1), abs=1e-6)


def test_a_model_that_does_not_look_scores_its_constant():
    assert auc(CONSTANT) == insertion(CONSTANT) == deletion(CONSTANT) == pytest.approx(0.7)
    assert road(CONSTANT) == pytest.approx(0.7)
    assert srg(CONSTANT, CONSTANT) == 0
    assert irof(CONSTANT) == pytest.approx(0, abs=1e-15)
    assert aopc(CONSTANT, steps=9) == pytest.approx(0)
    assert abpc(CONSTANT, CONSTANT, steps=9) == road_gap(CONSTANT, CONSTANT) == 0


def test_areas_use_the_true_fractions():
    curve = Curve(np.array([0, 0.9, 1]), np.array([1.0, 0, 0]), np.array([0, 0.5, 1]))
    assert auc(curve) == pytest.approx(0.45)
    # IROF counts segments: half of them are gone at the second point.
    assert irof(curve) == pytest.approx(0.75)


def test_irof_is_relative_to_the_start_and_undefined_without_one():
    assert irof(even([0.8, 0.4, 0])) == pytest.approx(irof(even([0.4, 0.2, 0]))) == pytest.approx(0.5)
    assert irof(even([1, 0, 0, 0])) == pytest.approx(1 - 1 / 6)
    assert irof(even([0.5, 1, 1.5])) == pytest.approx(-1)
    assert irof(even([0, 0.5])) is None
    assert irof(even([-0.1, 0.5])) is None


def test_aopc_and_abpc_are_the_published_means_over_steps():
    rng = np.random.default_rng(0)
    morf, lerf = rng.random((2, 11))
    lerf[[0, -1]] = morf[[0, -1]]
    by_hand = sum(morf[0] - morf[k] for k in range(11)) / 11
    assert aopc(even(morf), steps=10) == pytest.approx(by_hand)
    # Of the first 40 % only: L = 4, and L + 1 in the denominator.
    by_hand = sum(morf[0] - morf[k] for k in range(5)) / 5
    assert aopc(even(morf), steps=4, upto=0.4) == pytest.approx(by_hand)
    between = abpc(even(lerf), even(morf), steps=10)
    assert between == pytest.approx((lerf - morf).sum() / 11)
    assert between == pytest.approx(srg(even(lerf), even(morf)) * 10 / 11)


@pytest.mark.parametrize(
    ("options", "said"), [({"steps": 0}, "at least 1"), ({"steps": 2, "upto": 0}, r"\(0, 1\]")]
)
def test_means_over_no_steps_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        aopc(CONSTANT, **options)
    with pytest.raises(ValueError, match=said):
        abpc(CONSTANT, CONSTANT, **options)


def test_road_is_the_mean_at_its_fractions():
    falling = even([1, 0])
    assert road(falling) == pytest.approx(1 - sum(ROAD_FRACTIONS) / 7)
    assert road(falling, [0.25]) == pytest.approx(0.75)
    assert road_gap(even([1, 1]), falling, [0.5]) == pytest.approx(0.25)
    with pytest.raises(ValueError, match="a fraction"):
        road(falling, [])


def test_insertion_is_lerf_read_from_its_end():
    rng = np.random.default_rng(1)
    weights, score_map = rng.random((4, 4)), rng.random((4, 4))

    def model(kept):
        return float(np.tanh((weights * kept).sum()))

    # RISE: from the empty image, the most salient pixels come back, one at a time.
    kept = np.zeros((4, 4), dtype=bool)
    scores = [model(kept)]
    for flat in np.argsort(-score_map, axis=None):
        kept.flat[flat] = True
        scores.append(model(kept))
    by_hand = (sum(scores) - scores[0] / 2 - scores[-1] / 2) / 16
    order = order_of(score_map.ravel(), pixel_units((4, 4)), "lerf")
    points = points_of(order)
    lerf = points.curve([model(~mask) for mask in removed_masks(order, points.groups)])
    assert insertion(lerf) == pytest.approx(by_hand)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=2, max_size=9), st.integers(0, 2**32))
def test_an_area_lies_between_the_scores_and_equals_the_loop(scores, seed):
    inner = np.random.default_rng(seed).permutation(99)[: len(scores) - 2]
    curve = Curve(np.concatenate([[0], np.sort(inner + 1) / 100, [1]]), np.array(scores))
    assert auc(curve) == pytest.approx(twins.trapezoid(curve.removed, scores), abs=1e-12)
    assert min(scores) - 1e-12 <= auc(curve) <= max(scores) + 1e-12


def test_seeds_spread_where_there_are_ties_and_only_there():
    weights = np.random.default_rng(0).random((3, 3))

    def area(scores, seed):
        order = order_of(scores, pixel_units((3, 3)), "lerf", tie="seeded", seed=seed)
        points = points_of(order, StepGrid.by_count(4))
        return auc(points.curve((weights * ~removed_masks(order, points.groups)).sum(axis=(1, 2))))

    assert len({area(weights.ravel(), seed) for seed in range(5)}) == 1
    assert np.std([area(np.zeros(9), seed) for seed in range(5)]) > 0.01


def test_the_ratio_of_means_is_not_the_mean_of_ratios():
    # The second image hardly moves; its own ratio would be 50.
    found = ratio_of_means([0.6, 0.9], [0.9, 0.41], [0.1, 0.4])
    assert found.value == pytest.approx((0.75 - 0.25) / (0.655 - 0.25))
    assert found.gap == pytest.approx(0.405)
    assert (found.images, found.small_gaps, found.reason) == (2, 1, "")


def test_the_ratio_of_means_is_the_area_under_the_normalised_mean_curve():
    rng = np.random.default_rng(0)
    curves = [even([1, *rng.random(n), 0.2 * rng.random()]) for n in (1, 4, 6)]
    mean = mean_curve(curves)
    normalised = Curve(mean.removed, (mean.scores - mean.empty) / (mean.full - mean.empty))
    ends = [[c.full for c in curves], [c.empty for c in curves]]
    assert ratio_of_means([auc(c) for c in curves], *ends).value == pytest.approx(auc(normalised))


def test_weights_count_an_image_as_often_as_it_is_drawn():
    rng = np.random.default_rng(0)
    rows = rng.random((3, 5)) * 0.1 + np.array([[0.5], [0.9], [0.86]])
    counts = np.array([2, 0, 1, 0, 2])
    drawn = np.repeat(rows, counts, axis=1)
    weighted, repeated = ratio_of_means(*rows, weights=counts), ratio_of_means(*drawn)
    assert weighted.value == pytest.approx(repeated.value)
    assert (weighted.images, weighted.small_gaps) == (repeated.images, repeated.small_gaps)
    assert 0 < weighted.small_gaps < 5
    shuffled = ratio_of_means(*drawn[:, rng.permutation(5)])
    assert shuffled.value == pytest.approx(repeated.value, rel=1e-12)


def test_without_a_gap_there_is_no_ratio():
    for full, empty in (([0.5, 0.3], [0.3, 0.5]), ([0.1], [0.2])):
        found = ratio_of_means(full, full, empty)
        assert found.value is None
        assert found.reason == "full images do not score higher than empty ones"
    nobody = ratio_of_means([], [], [])
    assert (nobody.value, nobody.images, nobody.reason) == (None, 0, "no image")


@pytest.mark.parametrize(
    ("args", "weights", "said"),
    [
        (([1], [1, 2], [0]), None, r"all \(n,\)"),
        (([1], [np.nan], [0]), None, "NaN"),
        (([1], [1], [0]), [-1], "negative"),
        (([1], [1], [0]), [1, 1], r"all \(n,\)"),
    ],
)
def test_ratios_of_odd_arrays_are_refused(args, weights, said):
    with pytest.raises(ValueError, match=said):
        ratio_of_means(*args, weights=weights)


def test_regret_puts_the_null_at_0_and_the_best_at_1_in_both_directions():
    assert regret(0.5, null_mean=0.5, best=0.9).value == 0
    assert regret(0.9, null_mean=0.5, best=0.9).value == 1
    assert regret(0.3, null_mean=0.5, best=0.9).value == pytest.approx(-0.5)
    assert regret(0.2, null_mean=0.5, best=0.1).value == pytest.approx(0.75)  # MoRF: the lowest is best
    nothing = regret(0.5, null_mean=0.5, best=0.5)
    assert nothing.value is None
    assert nothing.reason == "all orders have the same area"
    assert regret(0.5, null_mean=0.5, best=0.5 + 1e-7, tolerance=1e-6).value is None
    with pytest.raises(ValueError, match="finite"):
        regret(np.nan, null_mean=0, best=1)


def test_pixels_and_regions_rank_together_only_on_their_own_scales():
    """The best order of regions has a lower area than an order of pixels that is not the best."""
    weights = np.array([[0.0, 0, 0, 4, 4, 4, 4, 4]])
    regions = region_units(np.array([[0, 0, 0, 0, 1, 1, 1, 1]]))
    pixels = pixel_units((1, 8))

    def area(order):
        points = points_of(order)
        return auc(points.curve((weights * ~removed_masks(order, points.groups)).sum(axis=(1, 2))))

    best_pixels = area(order_of(np.arange(8), pixels, "lerf"))
    some_pixels = area(order_of([0, 1, 3, 2, 4, 5, 6, 7], pixels, "lerf"))
    best_regions = area(order_of([0, 1], regions, "lerf"))
    assert (best_pixels, some_pixels, best_regions) == pytest.approx((13.75, 13.25, 13))
    # A linear model's mean over all orders is half its score, whatever the units.
    assert regret(some_pixels, null_mean=10, best=best_pixels).value == pytest.approx(13 / 15)
    assert regret(best_regions, null_mean=10, best=best_regions).value == 1
