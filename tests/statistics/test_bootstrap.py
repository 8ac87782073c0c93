"""Intervals against slow twins and independent implementations, and what must leave them alone."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nasbench.statistics.bootstrap import (
    Interval,
    bootstrap_mean,
    clustered_mean,
    paired_difference,
    percentile_ends,
    resample_counts,
    stretched_ends,
)
from nasbench.statistics.clusters import Clustered

FEW = 400


def rng(seed=0):
    return np.random.default_rng(seed)


def entries(seed, *, images=12, models=4, most=3):
    """Values, images and models of up to `most` entries for some pairs of image and model, shuffled."""
    r = rng(seed)
    count = r.integers(0, most + 1, size=(models, images))
    model, image = (np.repeat(where.ravel(), count.ravel()) for where in np.indices(count.shape))
    order = r.permutation(len(image))
    values = r.normal(size=len(image)) + r.normal(size=models)[model] + r.normal(size=images)[image]
    return values, [f"i{i}" for i in image[order]], [f"m{m}" for m in model[order]]


def ends(interval):
    return [0.0 if x is None else x for x in (interval.value, interval.low, interval.high)]


def width(interval):
    _, low, high = ends(interval)
    return high - low


numbers = st.one_of(st.integers(-2, 2).map(float), st.floats(-10, 10))
lists = st.lists(st.tuples(numbers, st.integers(0, 6), st.integers(0, 3)), min_size=2, max_size=30)


# The plain bootstrap: its numbers are in committed tables.


def test_bootstrap_mean_keeps_its_numbers():
    assert bootstrap_mean(np.arange(20.0) ** 2, rng()) == pytest.approx((75.9975, 173.7025), abs=1e-9)


def test_bootstrap_mean_is_that_of_an_independent_implementation():
    values = rng().gamma(2.0, size=80)
    low, high = bootstrap_mean(values, rng(1))
    other = stats.bootstrap((values,), np.mean, n_resamples=9999, method="percentile", rng=rng(2))
    assert low == pytest.approx(other.confidence_interval.low, rel=0.01)
    assert high == pytest.approx(other.confidence_interval.high, rel=0.01)


def test_bootstrap_mean_keeps_its_coverage_of_60_normal_values():
    r = rng(3)
    hits = 0
    for i in range(200):
        low, high = bootstrap_mean(r.normal(size=60), rng(i))
        assert low is not None
        assert high is not None
        hits += low <= 0 <= high
    assert 0.90 <= hits / 200 <= 0.99


def test_nothing_depends_on_how_many_are_drawn_at_once(monkeypatch):
    values = rng(4).random(50)
    found, images, models = entries(4)
    whole = bootstrap_mean(values, rng(5)), clustered_mean(found, images=images, models=models, rng=rng(5))
    monkeypatch.setattr("nasbench.statistics.bootstrap._DRAWS_AT_ONCE", 1000)
    assert bootstrap_mean(values, rng(5)) == whole[0]
    assert clustered_mean(found, images=images, models=models, rng=rng(5)) == whole[1]


@pytest.mark.parametrize("values", [[], [0.5]])
def test_one_value_has_no_interval(values):
    assert bootstrap_mean(np.array(values), rng()) == (None, None)


# Clusters: sums, resamples, standard errors.


@pytest.mark.parametrize("seed", range(5))
def test_a_resample_is_one_of_entries_written_out(seed):
    values, images, models = entries(seed)
    table = Clustered.of(values, images, models)
    by_model, by_image = resample_counts(table.models, 20, rng(1)), resample_counts(table.images, 20, rng(2))
    place = [{name: i for i, name in enumerate(sorted(set(names)))} for names in (images, models)]
    for found, m, i in zip(table.resampled(by_model, by_image), by_model, by_image, strict=True):
        drawn = []
        for value, image, model in zip(values, images, models, strict=True):
            drawn += [value] * int(i[place[0][image]] * m[place[1][model]])
        assert found == pytest.approx(np.mean(drawn))


def test_a_resample_without_any_entry_is_left_out():
    values, images, models = [1.0, 2.0, 3.0, 4.0], ["a", "b", "c", "d"], ["x", "x", "y", "y"]
    table = Clustered.of(values, images, models)
    nothing = table.resampled(np.array([[2, 0]]), np.array([[0, 0, 2, 2]]))
    assert np.isnan(nothing).all()
    low, high = stretched_ends(table, np.concatenate([nothing, table.resampled(np.eye(2), np.ones((2, 4)))]))
    assert low < 2.5 < high
    found = clustered_mean(values, images=images, models=models, rng=rng())
    assert found.low is not None
    assert np.isfinite(found.low)


@pytest.mark.parametrize("seed", range(5))
def test_standard_errors_are_those_of_a_regression_on_a_constant(seed):
    values, images, models = entries(seed)
    fit = sm.OLS(values, np.ones(len(values)))
    groups = [np.unique(names, return_inverse=True)[1] for names in (images, models)]
    by_image, by_model = (
        float(fit.fit(cov_type="cluster", cov_kwds={"groups": one}).bse[0]) for one in groups
    )
    assert Clustered.of(values, images).error() == pytest.approx((by_image, 11))
    error, freedom = Clustered.of(values, images, models).error()
    assert error == pytest.approx(np.hypot(by_image, by_model))
    assert freedom == pytest.approx(error**4 / (by_image**4 / 11 + by_model**4 / 3))


def test_one_entry_an_image_is_the_percentile_interval_stretched():
    values = rng().gamma(1.0, size=15)
    table = Clustered.of(values, [str(i) for i in range(15)])
    drawn = table.resampled(np.ones((FEW, 1)), resample_counts(15, FEW, rng(1)))
    assert table.error()[0] == pytest.approx(stats.sem(values))
    factor = stats.t.ppf(0.975, 14) / stats.norm.ppf(0.975) * stats.sem(values) / drawn.std()
    low, high = percentile_ends(drawn[:, None])
    ends = [table.mean + factor * (end - table.mean) for end in (low[0], high[0])]
    assert stretched_ends(table, drawn) == pytest.approx(ends)
    # A normal sample's interval is nearly Student's.
    normal = stats.norm.ppf((np.arange(15) + 0.5) / 15)
    found = clustered_mean(normal, images=[str(i) for i in range(15)], rng=rng())
    assert (found.low, found.high) == pytest.approx(
        stats.t.interval(0.95, 14, 0, stats.sem(normal)), abs=0.02
    )


def test_a_level_nests_in_a_higher_one():
    values, images, models = entries(1)
    inner, outer = (
        clustered_mean(values, images=images, models=models, rng=rng(), resamples=FEW, level=level)
        for level in (0.5, 0.99)
    )
    (value, *a), (_, *b) = ends(inner), ends(outer)
    assert b[0] < a[0] < value < a[1] < b[1]


# What must leave an interval alone, and what must not.


@given(lists, st.randoms(use_true_random=False))
def test_the_order_of_entries_does_not_matter_to_the_last_bit(found, random):
    shuffled = random.sample(found, len(found))
    results = []
    for some in (found, shuffled):
        values, images, models = zip(*some, strict=True)
        names = [str(i) for i in images], [str(m) for m in models]
        results += [
            clustered_mean(values, images=names[0], rng=rng(3), resamples=50),
            clustered_mean(values, images=names[0], models=names[1], rng=rng(3), resamples=50),
        ]
    assert results[:2] == results[2:]


@given(lists)
def test_duplicated_entries_do_not_shrink_the_interval(found):
    values, images, models = (list(some) for some in zip(*found, strict=True))
    images, models = [str(i) for i in images], [str(m) for m in models]
    for names in (None, models):
        once = clustered_mean(values, images=images, models=names, rng=rng(3), resamples=50)
        twice = clustered_mean(
            values * 2,
            images=images * 2,
            models=names and names * 2,
            rng=rng(3),
            resamples=50,
        )
        assert twice.n == once.n
        assert ends(twice) == pytest.approx(ends(once), abs=1e-12)


@given(lists)
def test_an_interval_holds_its_value_and_ends_only_with_images(found):
    values, images, _ = zip(*found, strict=True)
    one = clustered_mean(values, images=[str(i) for i in images], rng=rng(), resamples=50)
    assert one.n == len(set(images))
    assert one.value == pytest.approx(np.mean(values), abs=1e-12)
    assert (one.low is None) == (one.high is None) == (one.n < 2)
    if one.low is not None and one.high is not None:
        assert one.low <= one.high
        if len(set(values)) == 1:
            assert one.low == one.high == one.value


def test_the_seed_decides():
    values, images, models = entries(2)
    for names in (None, models):
        a, b, c = (
            clustered_mean(values, images=images, models=names, rng=rng(s), resamples=FEW) for s in (1, 1, 2)
        )
        assert a == b
        assert a.value == c.value
        assert a.low != c.low


def test_classes_of_one_image_that_say_the_same_make_it_wider_than_if_they_were_images():
    values = np.repeat(rng().normal(size=40), 4)
    images = np.repeat([str(i) for i in range(40)], 4).tolist()
    clustered = clustered_mean(values, images=images, rng=rng())
    naive = clustered_mean(values, images=[str(i) for i in range(160)], rng=rng())
    assert width(clustered) == pytest.approx(2 * width(naive), rel=0.05)


def test_models_that_differ_make_it_wider_than_models_taken_as_they_are():
    effects = np.array([-0.6, -0.2, 0.1, 0.3, 0.7])
    values = (rng().normal(size=(1, 100)) + effects[:, None]).ravel()
    images, models = [str(i) for i in range(100)] * 5, np.repeat(list("abcde"), 100).tolist()
    these = clustered_mean(values, images=images, rng=rng())
    such = clustered_mean(values, images=images, models=models, rng=rng())
    assert such.value == pytest.approx(these.value)
    assert width(such) > 2 * width(these)
    # One model is no sample of models.
    assert clustered_mean(values, images=images, models=["a"] * 500, rng=rng()) == these


def test_a_difference_is_that_of_its_entries():
    first, images, models = entries(3)
    second = first + rng(1).normal(size=len(first))
    found = paired_difference(first, second, images=images, models=models, rng=rng(), resamples=FEW)
    assert found == clustered_mean(first - second, images=images, models=models, rng=rng(), resamples=FEW)
    back = paired_difference(second, first, images=images, models=models, rng=rng(), resamples=FEW)
    value, low, high = ends(found)
    assert ends(back) == pytest.approx([-value, -high, -low])


def test_below_two_images_there_are_no_bounds():
    assert paired_difference([], [], images=[], rng=rng()) == Interval(None, None, None, 0)
    many = paired_difference([1.0, 2.0], [0.0, 0.0], images=["a", "a"], models=["x", "y"], rng=rng())
    assert many == Interval(1.5, None, None, 1)


@pytest.mark.parametrize(
    ("interval", "excluded"),
    [
        (Interval(1.0, 0.1, 2.0, 6), True),
        (Interval(-1.0, -2.0, -0.1, 6), True),
        (Interval(1.0, 0.0, 2.0, 99), False),
        (Interval(1.0, 1.0, 1.0, 5), False),
        (Interval(1.0, None, None, 1), False),
    ],
)
def test_zero_is_excluded_of_six_images_or_more(interval, excluded):
    assert interval.excludes_zero is excluded


@pytest.mark.parametrize(
    ("values", "more", "said"),
    [
        ([1.0, np.nan], {}, "value 1 is not finite"),
        ([1.0], {}, "1 values, but 2 images"),
        ([1.0, 2.0], {"models": ["a"]}, "2 values, but \\(2, 1\\)"),
        ([[1.0, 2.0]], {}, "shape \\(1, 2\\)"),
        ([1.0, 2.0], {"level": 1.0}, "level=1.0 must lie in"),
        ([1.0, 2.0], {"resamples": 39}, "resamples=39"),
    ],
)
def test_misuse_is_named(values, more, said):
    with pytest.raises(ValueError, match=said):
        clustered_mean(values, images=["a", "b"], rng=rng(), **more)
    with pytest.raises(ValueError, match="same entries"):
        paired_difference([1.0], [1.0, 2.0], images=["a"], rng=rng())


def test_resampled_counts():
    counts = resample_counts(20, 50, rng())
    assert counts.shape == (50, 20)
    assert (counts.sum(axis=1) == 20).all()
    assert resample_counts(0, 3, rng()).shape == (3, 0)
