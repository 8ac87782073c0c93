"""Removal orders against loops over pixels, and what they must not depend on."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench.faithfulness.orders import (
    Order,
    order_of,
    patch_units,
    pixel_units,
    random_order,
    region_units,
    removed_masks,
    unit_scores,
)
from tests.faithfulness import twins


def random_labels(rng, size, regions):
    labels = rng.integers(0, regions, size)
    labels.flat[rng.permutation(labels.size)[:regions]] = np.arange(regions)
    return labels


@st.composite
def scored_regions(draw):
    """Labels and few-valued scores, so that many are tied."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    size = tuple(rng.integers(1, 6, 2))
    regions = int(rng.integers(1, size[0] * size[1] + 1))
    labels = random_labels(rng, size, regions)
    return labels, rng.integers(-2, 3, regions) / 4


def test_patches_at_the_border_count_their_true_area():
    units = patch_units((5, 7), 3)
    assert units.labels[0].tolist() == [0, 0, 0, 1, 1, 1, 2]
    assert units.labels[:, 0].tolist() == [0, 0, 0, 3, 3]
    assert units.pixels.tolist() == [9, 9, 3, 6, 6, 2]
    assert units.areas == pytest.approx(np.array([9, 9, 3, 6, 6, 2]) / 35)
    assert patch_units((2, 2), 5).count == 1


def test_pixels_are_numbered_as_they_lie():
    assert np.array_equal(pixel_units((2, 3)).labels, [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([[0, 2]], "none is 1"),
        ([[-1, 0]], "-1 is below 0"),
        ([0, 1], r"\(H, W\), not int64 \(2,\)"),
        ([[0.0, 1.0]], "float64"),
        (np.zeros((0, 3), dtype=int), "integers"),
    ],
)
def test_odd_labels_are_refused(labels, said):
    with pytest.raises(ValueError, match=said):
        region_units(np.array(labels))


@pytest.mark.parametrize(("size", "side"), [((4, 4), 0), ((0, 4), 2)])
def test_patches_need_a_side_and_an_image(size, side):
    with pytest.raises(ValueError, match="do not tile"):
        patch_units(size, side)


@settings(max_examples=40, deadline=None)
@given(scored_regions(), st.integers(0, 2**32))
def test_unit_scores_are_the_exact_means(case, seed):
    labels, _ = case
    score_map = np.random.default_rng(seed).normal(0, 1, labels.shape)
    found = unit_scores(score_map, region_units(labels))
    assert found == pytest.approx([float(mean) for mean in twins.unit_means(score_map, labels)], rel=1e-15)


def test_a_units_score_is_a_mean_not_a_sum():
    labels = np.array([[0, 0, 0, 1]])
    small_is_more_relevant = unit_scores(np.array([[1.0, 1, 1, 2]]), region_units(labels))
    assert small_is_more_relevant.tolist() == [1, 2]


def test_units_of_the_same_values_are_tied_to_the_bit():
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, 100)
    labels = np.repeat(np.arange(20), 100)[None]
    score_map = np.concatenate([rng.permutation(values) for _ in range(20)])[None]
    assert len(set(unit_scores(score_map, region_units(labels)))) == 1
    # Not even a correctly rounded sum gives back every constant.
    sizes = np.arange(1, 60)
    labels, score_map = np.repeat(np.arange(59), sizes)[None], np.full((1, sizes.sum()), 1 / 49)
    assert ((sizes * (1 / 49)) / sizes != 1 / 49).any()
    assert set(unit_scores(score_map, region_units(labels))) == {1 / 49}


def test_pixels_numbered_anyhow_get_their_own_scores():
    rng = np.random.default_rng(0)
    labels = rng.permutation(12).reshape(3, 4)
    score_map = rng.normal(0, 1, (3, 4))
    found = unit_scores(score_map, region_units(labels))
    assert np.array_equal(found[labels], score_map)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_maps_that_cannot_be_summed_are_refused(bad):
    with pytest.raises(ValueError, match="NaN, infinite"):
        unit_scores(np.array([[0.0, bad]]), pixel_units((1, 2)))
    with pytest.raises(ValueError, match="1 × 2"):
        unit_scores(np.zeros((2, 1)), pixel_units((1, 2)))


@settings(max_examples=60, deadline=None)
@given(scored_regions(), st.sampled_from(twins.DIRECTIONS))
def test_groups_are_the_ties_in_order(case, direction):
    labels, scores = case
    order = order_of(scores, region_units(labels), direction)
    masks = twins.masks_of_groups(scores, labels, direction)
    assert np.array_equal(removed_masks(order, np.arange(order.groups + 1)), masks)
    assert order.removed == pytest.approx([mask.mean() for mask in masks])
    assert order.removed[0] == 0
    assert order.removed[-1] == 1
    assert order.removed_units == pytest.approx(
        [len(np.unique(labels[mask])) / len(scores) for mask in masks]
    )


@settings(max_examples=30, deadline=None)
@given(scored_regions(), st.sampled_from(["block", "seeded"]))
def test_most_relevant_first_is_least_relevant_first_from_the_end(case, tie):
    labels, scores = case
    units = region_units(labels)
    lerf, morf = (order_of(scores, units, d, tie=tie, image="a") for d in ("lerf", "morf"))
    count = np.arange(lerf.groups + 1)
    assert np.array_equal(removed_masks(lerf, count), ~removed_masks(morf, count[::-1]))
    assert np.array_equal(lerf.reversed().step, morf.step)


def test_a_map_of_zeros_does_not_pretend_to_be_ordered():
    score_map = np.zeros((10, 10))
    score_map[0, :7] = np.arange(1, 8)
    order = order_of(score_map.ravel(), pixel_units((10, 10)), "lerf")
    assert order.removed == pytest.approx([0, 0.93, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99, 1])
    assert order_of(np.ones(100), pixel_units((10, 10)), "morf").removed.tolist() == [0, 1]


def test_seeded_ties_follow_the_scores_and_differ_by_seed_and_image():
    units = pixel_units((6, 6))
    scores = np.repeat([2, 0, 1], 12)

    def drawn(**key):
        return order_of(scores, units, "lerf", tie="seeded", **key).step

    step = drawn(seed=1, image="a")
    assert sorted(step) == list(range(36))
    assert np.array_equal(scores[np.argsort(step)], np.sort(scores))
    assert np.array_equal(step, drawn(seed=1, image="a"))
    assert not np.array_equal(step, drawn(seed=2, image="a"))
    assert not np.array_equal(step, drawn(seed=1, image="b"))
    # Only ties are drawn for.
    assert np.array_equal(order_of(np.arange(36), units, "lerf", tie="seeded").step, np.arange(36))


@settings(max_examples=30, deadline=None)
@given(scored_regions(), st.integers(0, 2**32))
def test_numbering_has_no_influence(case, seed):
    labels, scores = case
    names = np.random.default_rng(seed).permutation(len(scores))
    renamed = np.empty_like(scores)
    renamed[names] = scores
    before, after = region_units(labels), region_units(names[labels])
    for tie in ("block", "seeded"):
        one, other = (
            order_of(s, u, "morf", tie=tie, seed=3).step_map()
            for s, u in ((scores, before), (renamed, after))
        )
        assert np.array_equal(one, other)
    one, other = (random_order(units, seed=3, image="a").step_map() for units in (before, after))
    assert np.array_equal(one, other)


def test_random_orders_are_uniform_and_reproducible():
    units = region_units(np.array([[0, 1, 2]]))
    seen = Counter(tuple(random_order(units, seed=0, image="a", draw=i).step) for i in range(1200))
    assert len(seen) == 6
    # Expected 200 each, with a standard deviation of 13.
    assert min(seen.values()) > 135
    assert max(seen.values()) < 265
    again = random_order(units, seed=0, image="a", draw=5).step
    assert np.array_equal(again, random_order(units, seed=0, image="a", draw=5).step)


def test_orders_refuse_what_they_do_not_know():
    units = pixel_units((1, 3))
    with pytest.raises(ValueError, match="direction='up' is none of lerf, morf"):
        order_of([1, 2, 3], units, "up")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="tie='first' is none of block, seeded"):
        order_of([1, 2, 3], units, "lerf", tie="first")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="3 units need scores"):
        order_of([1, 2], units, "lerf")
    with pytest.raises(ValueError, match="1 of 3 scores"):
        order_of([1, np.nan, 2], units, "lerf")
    with pytest.raises(ValueError, match="2 groups; 0 to 3"):
        removed_masks(Order(units, np.array([0, 1, 1])), [0, 3])


def test_an_image_of_fifty_thousand_pixels_is_ordered_at_once():
    units = pixel_units((224, 224))
    score_map = np.random.default_rng(0).normal(0, 1, (224, 224))
    start = time.perf_counter()
    order = order_of(unit_scores(score_map, units), units, "lerf")
    masks = removed_masks(order, [0, 25088, 50176])
    assert time.perf_counter() - start < 1
    assert masks.mean(axis=(1, 2)).tolist() == [0, 0.5, 1]
    assert score_map[masks[1]].max() < score_map[~masks[1]].min()
