"""Sampled orders: what they need scored, and what they estimate where a lattice knows."""

from __future__ import annotations

import numpy as np
import pytest

from nasbench.faithfulness.areas import auc
from nasbench.faithfulness.lattice import Lattice
from nasbench.faithfulness.orders import order_of, region_units, removed_masks
from nasbench.faithfulness.sampled import SampledNull, sampled_orders, visits


def regions(count, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, count, (9, 11))
    labels.flat[rng.permutation(labels.size)[:count]] = np.arange(count)
    return region_units(labels)


def test_only_visited_subsets_are_scored_and_each_once():
    units = regions(23)
    own = order_of(np.arange(23) // 2, units, "lerf")
    orders = [own, own.reversed(), *sampled_orders(units, 7, seed=1, image="a")]
    found = visits(orders)
    assert len(np.unique(found.subsets, axis=0)) == len(found.subsets)
    needed = {m.tobytes() for order in orders for m in removed_masks(order, np.arange(order.groups + 1))}
    assert len(found.subsets) == len(needed)
    assert not found.subsets[0].any()
    assert found.subsets[-1].all()
    for order, path in zip(orders, found.paths, strict=True):
        assert np.array_equal(found.masks(path), removed_masks(order, np.arange(order.groups + 1)))


def test_curves_are_those_of_the_lattice():
    units = regions(5)
    scores = np.random.default_rng(0).random(32)
    lattice = Lattice(scores, units.pixels)
    orders = [order_of([1, 0, 1, 2, 2], units, "morf"), *sampled_orders(units, 40, seed=1, image="a")]
    found = visits(orders)
    assert len(found.subsets) <= 32
    for order, curve in zip(orders, found.curves(scores[found.subsets @ (1 << np.arange(5))]), strict=True):
        assert np.array_equal(curve.scores, lattice.curve(order.step).scores)
        assert np.array_equal(curve.removed, lattice.curve(order.step).removed)
        assert np.array_equal(curve.units_axis, lattice.curve(order.step).units_axis)
    with pytest.raises(ValueError, match="need as many scores"):
        found.curves(scores[:3])


def test_the_sample_estimates_what_the_lattice_knows():
    units = regions(6)
    scores = np.random.default_rng(0).random(64)
    lattice = Lattice(scores, units.pixels)
    found = visits(sampled_orders(units, 2000, seed=1, image="a"))
    sample = SampledNull.of(found.curves(scores[found.subsets @ (1 << np.arange(6))]))
    assert sample.null.exact is False
    assert sample.null.orders == 2000
    assert abs(sample.null.mean - lattice.null.mean) < 4 * lattice.null.sd / 2000**0.5
    assert sample.null.sd == pytest.approx(lattice.null.sd, rel=0.1)
    assert lattice.null.lowest - 1e-12 <= sample.null.lowest <= sample.null.highest
    assert sample.null.highest <= lattice.null.highest + 1e-12
    step = np.array([5, 2, 0, 1, 3, 4])
    for direction in ("lerf", "morf"):
        estimate = sample.percentile(auc(lattice.curve(step)), direction)
        assert abs(estimate - lattice.percentile(step, direction)) < 4 * 0.5 / 2000**0.5


def test_equal_areas_count_half():
    sample = SampledNull(np.array([0.1, 0.2, 0.2, 0.4]), tolerance=1e-6)
    assert sample.percentile(0.2) == 0.5
    assert sample.percentile(0.2 + 1e-7) == 0.5
    assert sample.percentile(0.3) == 0.75
    assert sample.percentile(0.3, "morf") == 0.25
    assert SampledNull(np.array([0.1]), 0).null.sd == 0


def test_a_model_that_does_not_look_ties_all_orders():
    units = regions(12)
    found = visits(sampled_orders(units, 20, seed=1, image="a"))
    flicker = 1e-8 * np.random.default_rng(0).normal(0, 1, len(found.subsets))
    sample = SampledNull.of(found.curves(0.7 + flicker))
    assert sample.percentile(0.7) == 0.5
    null = SampledNull(np.array([1.0, 3]), 0).null
    assert (null.mean, null.lowest, null.highest) == (2, 1, 3)
    assert null.sd == pytest.approx(2**0.5)


def test_more_samples_begin_with_the_fewer_and_differ_by_image():
    units = regions(12)
    few, more = (sampled_orders(units, n, seed=1, image="a") for n in (3, 5))
    assert all(np.array_equal(a.step, b.step) for a, b in zip(few, more, strict=False))
    other = sampled_orders(units, 3, seed=1, image="b")
    assert not any(np.array_equal(a.step, b.step) for a, b in zip(few, other, strict=True))


def test_samples_of_nothing_are_refused():
    units = regions(4)
    with pytest.raises(ValueError, match="samples=0"):
        sampled_orders(units, 0, seed=0, image="a")
    with pytest.raises(ValueError, match="no order"):
        visits([])
    with pytest.raises(ValueError, match="several units"):
        visits([order_of(np.arange(4), u, "lerf") for u in (units, regions(4))])
    with pytest.raises(ValueError, match="no sampled order"):
        SampledNull.of([])
