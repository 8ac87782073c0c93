"""Scaling maps to [0, 1] by name, and Otsu's threshold."""

from __future__ import annotations

import numpy as np
import pytest

from nasbench.localize.maps import MapError, Normalisation, checked_map, normalise, otsu_threshold

RULES: tuple[Normalisation, ...] = ("minmax", "max", "percentile", "ivr")


def test_by_hand():
    scores = np.array([[-2.0, 0.0, 1.0, 2.0]])
    assert normalise(scores).values.tolist() == [[0, 0.5, 0.75, 1]]
    assert normalise(scores, "max").values.tolist() == [[0, 0, 0.5, 1]]
    # The value at share .5 of four is number 2: 1.
    assert normalise(scores, "percentile", share=0.5).values == pytest.approx(np.array([[0, 2 / 3, 1, 1]]))
    assert normalise(scores, "ivr", share=0.5).values.tolist() == [[0, 0, 0, 1]]
    assert normalise(scores, "ivr").values.tolist() == [[0, 0, 0.5, 1]]
    assert normalise(scores, "percentile").values.tolist() == [[0, 0.5, 0.75, 1]]
    for rule in RULES:
        assert normalise(scores, rule).fault == ""


@pytest.mark.parametrize("rule", RULES)
def test_the_range_is_full_and_no_order_is_turned(rule):
    scores = np.random.default_rng(0).standard_normal((20, 30)).astype(np.float32)
    values = normalise(scores, rule).values
    assert values.min() == 0
    assert values.max() == 1
    order = np.argsort(scores, axis=None)
    assert (np.diff(values.ravel()[order]) >= 0).all()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("value", [0.0, -3.0, 7.0])
def test_a_constant_map_becomes_ones_and_says_so(rule, value):
    found = normalise(np.full((3, 4), value), rule)
    assert found.fault == "constant"
    assert found.values.tolist() == np.ones((3, 4)).tolist()


def test_other_faults_are_named():
    negative = np.array([[-3.0, -1.0]])
    assert normalise(negative, "max").fault == "not positive"
    assert normalise(negative, "max").values.tolist() == [[1, 1]]
    assert normalise(negative).values.tolist() == [[0, 1]]
    sparse = np.zeros((10, 10))
    sparse[0, :3] = 1, 2, 3
    found = normalise(sparse, "percentile")
    assert found.fault == "percentile at an end"
    assert np.array_equal(found.values, sparse > 0)
    full = np.ones((10, 10))
    full[0, :3] = 0.1, 0.2, 0.3
    found = normalise(full, "ivr")
    assert found.fault == "percentile at an end"
    assert np.array_equal(found.values, full == 1)


@pytest.mark.parametrize("rule", RULES)
def test_the_largest_numbers_do_not_overflow(rule):
    big = np.finfo(np.float64).max
    with np.errstate(over="raise", invalid="raise"):
        values = normalise(np.array([[-big, 0.0, big / 2, big]]), rule).values
    assert np.isfinite(values).all()
    assert values.max() == 1


def test_bad_maps_and_options_are_named():
    for rule in RULES:
        for bad, fault in ((np.nan, "NaN"), (np.inf, "infinite"), (-np.inf, "infinite")):
            with pytest.raises(MapError) as caught:
                normalise(np.array([[0.0, bad]]), rule)
            assert caught.value.fault == fault
    with pytest.raises(ValueError, match="'zscore' is none of minmax, max, percentile, ivr"):
        normalise(np.eye(3), "zscore")  # type: ignore[arg-type]
    wrong: list[tuple[Normalisation, float]] = [
        ("ivr", 1.0),
        ("percentile", -0.1),
        ("max", 0.5),
        ("ivr", np.nan),
    ]
    for rule, share in wrong:
        with pytest.raises(ValueError, match="share="):
            normalise(np.eye(3), rule, share=share)
    with pytest.raises(MapError, match="numbers"):
        checked_map([["a"]])
    assert checked_map(np.eye(2, dtype=np.float16)).dtype == np.float32
    assert checked_map(np.eye(2, dtype=np.int8)).dtype == np.float64


def slow_otsu(values):
    best, threshold = -1.0, None
    for cut in np.unique(values)[1:]:
        upper, lower = values[values >= cut], values[values < cut]
        between = len(upper) * len(lower) * (upper.mean() - lower.mean()) ** 2
        if between >= best * (1 + 1e-12):
            best, threshold = between, cut
    return threshold


def test_otsu():
    rng = np.random.default_rng(0)
    for _ in range(20):
        values = np.concatenate([rng.normal(0, 1, 40), rng.normal(rng.uniform(1, 5), 0.5, 30)])
        assert otsu_threshold(values.reshape(7, 10)) == slow_otsu(values)
    assert otsu_threshold([[0.0, 0.0, 1.0, 1.0]]) == 1
    assert otsu_threshold([[0.0, 1.0, 2.0]]) == 2  # both cuts are as good: the higher
    assert otsu_threshold(np.full((2, 2), 0.3)) == 0.3
    with pytest.raises(MapError):
        otsu_threshold([[np.nan]])
