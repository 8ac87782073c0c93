"""The simulation of coverage resamples as the package does; its verdicts come out at a tenth of its size."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nasbench.statistics.bootstrap import bootstrap_mean, clustered_mean, percentile_ends, resample_counts
from tests.support.scripts import load_script


@pytest.fixture(scope="module")
def script():
    return load_script("coverage")


def test_distributions_have_the_mean_they_say(script):
    x = np.random.default_rng(0).normal(size=400_000)
    for kind in script.KINDS:
        assert kind.of_normal(x).mean() == pytest.approx(kind.mean, abs=0.015), kind.name


def test_its_intervals_are_those_of_the_package_and_of_scipy(script):
    values = np.random.default_rng(0).gamma(1.0, size=(40, 1))
    drawn = resample_counts(40, 9999, np.random.default_rng(1)).astype(float)
    means, squares = drawn @ values / 40, drawn @ values**2 / 40
    flat = values[:, 0]
    ours = clustered_mean(flat, images=[str(i) for i in range(40)], rng=np.random.default_rng(2))
    low, high = script._stretched(values[None], np.ones((1, 40)), means)
    assert (low[0], high[0]) == pytest.approx((ours.low, ours.high), abs=0.02)
    low, high = percentile_ends(means)
    assert (low[0], high[0]) == pytest.approx(bootstrap_mean(flat, np.random.default_rng(2)), abs=0.02)
    low, high = script.bca(values, means)
    other = stats.bootstrap((flat,), np.mean, method="BCa", rng=np.random.default_rng(2)).confidence_interval
    assert (low[0], high[0]) == pytest.approx((other.low, other.high), abs=0.05)
    # A normal sample's bootstrap-t is nearly Student's; without spread in it there is only the mean.
    normal = stats.norm.ppf((np.arange(40) + 0.5) / 40)[:, None]
    low, high = script.bootstrap_t(normal, drawn @ normal / 40, drawn @ normal**2 / 40)
    assert (low[0], high[0]) == pytest.approx(
        stats.t.interval(0.95, 39, 0, stats.sem(normal[:, 0])), abs=0.04
    )
    same = np.ones((40, 1))
    assert script.bootstrap_t(same, drawn @ same / 40, drawn @ same / 40) == (1, 1)
    assert squares.shape == means.shape


def test_entries_taken_for_images_lose_coverage_and_clusters_keep_it(script):
    found = script.one_way(script.NORMAL, 50, 200, classes=5)
    assert found["`bootstrap_mean` by entry"].per_cent < 85
    assert 91 <= found["`clustered_mean`"].per_cent <= 98
    found = script.crossed(script.NORMAL, 5, 50, 200, 0.1)
    assert found["`bootstrap_mean` by entry"].per_cent < 70
    assert found["`clustered_mean`, no `models`"].per_cent < 85
    assert 91 <= found["`clustered_mean`"].per_cent <= 99


def test_the_page_is_the_same_each_time(script):
    made = script.page(4, images=(6, 8), models=(2,))
    assert script.page(4, images=(6, 8), models=(2,)) == made
    assert made.count("| values | interval |") == 4
    assert script.OUT.read_text(encoding="utf-8").splitlines()[0] == made.splitlines()[0]
