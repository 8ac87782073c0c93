"""Images needed: Cohen's tables, statsmodels, and a simulation of the test itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from nasbench.statistics.bootstrap import clustered_mean
from nasbench.statistics.power import images_needed

NAMES = [str(i) for i in range(50)]


def of_effect(effect, n=50):
    """(n,) differences whose mean is `effect` of their standard deviations."""
    x = np.random.default_rng(0).normal(size=n)
    return (x - x.mean()) / x.std(ddof=1) + effect


def needed(differences, **more):
    return images_needed(differences, np.zeros(len(differences)), images=NAMES[: len(differences)], **more)


@pytest.mark.parametrize(("effect", "n"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_cohens_small_medium_and_large_effect(effect, n):
    # One-sample and paired t-test, two-sided 5 %, power .8: G*Power 3, Cohen 1988.
    assert needed(of_effect(effect)) == n
    assert needed(of_effect(-effect)) == n


@pytest.mark.parametrize("effect", [0.02, 0.07, 0.3, 1.1, 2.5])
@pytest.mark.parametrize(("level", "power"), [(0.95, 0.8), (0.99, 0.95), (0.9, 0.5)])
def test_it_is_that_of_statsmodels(effect, level, power):
    def reached(n):
        return TTestPower().power(effect, n, 1 - level, alternative="two-sided") >= power

    n = needed(of_effect(effect), level=level, power=power)
    assert n is not None
    assert n == 2 or (reached(n) and not reached(n - 1))


def test_far_beyond_it_is_the_formula_of_normal_quantiles():
    effect = 1e-4
    normal = ((stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) / effect) ** 2
    assert needed(of_effect(effect)) == pytest.approx(normal, rel=1e-6)


def test_the_t_test_finds_it_that_often():
    n = needed(of_effect(0.4))
    assert n is not None
    samples = np.random.default_rng(1).normal(0.4, 1, size=(4000, n))
    assert (stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.05).mean() == pytest.approx(0.8, abs=0.02)


def test_entries_of_one_image_count_as_one():
    d = of_effect(0.5)
    twice = images_needed(np.repeat(d, 3), np.zeros(150), images=np.repeat(NAMES, 3).tolist())
    assert twice == needed(d) == 34


def test_what_just_excludes_zero_needs_twice_as_many():
    d = of_effect(1.96 / math.sqrt(50))
    interval = clustered_mean(d, images=NAMES, rng=np.random.default_rng(0))
    assert interval.low == pytest.approx(0, abs=0.02)
    assert needed(d) == pytest.approx(2.04 * 50, abs=3)


def test_without_a_difference_there_is_no_number():
    assert needed(of_effect(0.0)) is None
    assert needed([0.1, 0.2, -0.3, 0.0]) is None, "0 but for rounding"
    assert needed([0.0, 0.0]) is None
    assert needed([1.0]) is None
    assert needed([]) is None
    assert needed([1.0, 1.0]) == 2
    assert needed([0.1, 0.1, 0.1]) == 2


def test_misuse_is_named():
    with pytest.raises(ValueError, match="same entries"):
        images_needed([1.0], [1.0, 2.0], images=["a"])
    with pytest.raises(ValueError, match="power=1"):
        needed([1.0, 2.0], power=1)
