"""Friedman and Nemenyi: Demšar's example, his table of quantiles, and twins."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nasbench.statistics.ranks import critical_difference, friedman

# Demšar 2006, table 6: AUC of C4.5, with m, with cf, with both, on 14 data sets. "Voting" is printed as .975
# twice, with ranks 2 and 3: the fourth digit is ours.
AUC = np.array(
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.9751, 0.9750],
        [0.957, 0.978, 0.946, 0.970],
    ]
)


def test_demsars_example():
    found = friedman(AUC)
    assert found.ranks == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    assert found.n == 14
    # He does not correct for ties: 78 of 14 · (4³ − 4).
    untied = found.statistic * (1 - 78 / (14 * 60))
    assert untied == pytest.approx(9.28, abs=0.005)
    assert 13 * untied / (14 * 3 - untied) == pytest.approx(3.69, abs=0.005)
    assert found.f == pytest.approx(13 * found.statistic / (42 - found.statistic))
    assert found.p_f == pytest.approx(stats.f.sf(found.f, 3, 39))
    assert found.p == pytest.approx(stats.chi2.sf(found.statistic, 3))


@pytest.mark.parametrize(("alpha", "cd"), [(0.05, 1.25), (0.10, 1.12)])
def test_demsars_critical_differences(alpha, cd):
    found = critical_difference(AUC, alpha)
    assert found.cd == pytest.approx(cd, abs=0.005)
    # At .10 C4.5 is worse than both that tune m; its distance to the best, 1.18, lies between the two CDs.
    assert found.groups == (((3, 1, 2, 0),) if alpha == 0.05 else ((3, 1, 2), (2, 0)))


@pytest.mark.parametrize(
    ("alpha", "quantiles"),
    [
        (0.05, [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]),
        (0.10, [1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920]),
    ],
)
def test_demsars_table_of_quantiles(alpha, quantiles):
    rng = np.random.default_rng(0)
    for k, q in enumerate(quantiles, start=2):
        found = critical_difference(rng.random((20, k)), alpha)
        assert found.cd / np.sqrt(k * (k + 1) / (6 * 20)) == pytest.approx(q, abs=0.0015)


@given(st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=4), min_size=2, max_size=8))
def test_ranks_sum_and_order(rows):
    found = friedman(rows)
    assert sum(found.ranks) == pytest.approx(10)
    assert 0 <= found.p <= 1
    assert 0 <= found.p_f <= 1
    turned = friedman(-np.array(rows))
    assert turned.ranks == pytest.approx([5 - rank for rank in found.ranks])
    assert turned.statistic == pytest.approx(found.statistic)


@given(st.integers(2, 30), st.integers(2, 7), st.integers(0, 99))
def test_groups_are_the_largest_sets_within_the_critical_difference(n, k, seed):
    rng = np.random.default_rng(seed)
    found = critical_difference(rng.normal(size=(n, k)) + rng.normal(size=k))
    near = {
        frozenset(some)
        for size in range(2, k + 1)
        for some in combinations(range(k), size)
        if max(found.ranks[i] for i in some) - min(found.ranks[i] for i in some) < found.cd
    }
    largest = {one for one in near if not any(one < other for other in near)}
    assert {frozenset(group) for group in found.groups} == largest
    for group in found.groups:
        assert [found.ranks[i] for i in group] == sorted(found.ranks[i] for i in group)


def test_no_difference_and_every_row_the_same():
    same = friedman(np.ones((5, 3)))
    assert (same.statistic, same.p, same.f, same.p_f) == (0, 1, 0, 1)
    always = friedman(np.tile([3.0, 2.0, 1.0], (6, 1)))
    assert (always.f, always.p_f) == (np.inf, 0)
    assert always.statistic == pytest.approx(12)
    assert always.ranks == (1, 2, 3)


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (np.ones((4, 2)), "3 methods"),
        (np.ones((1, 3)), "two rows"),
        (np.ones(3), "shape"),
        ([[1, 2, 3], [1, np.nan, 3]], "row 1"),
    ],
)
def test_misuse_is_named(scores, said):
    with pytest.raises(ValueError, match=said):
        friedman(scores)


def test_alpha_must_be_a_share():
    with pytest.raises(ValueError, match="alpha=1"):
        critical_difference(np.ones((3, 3)), 1)
