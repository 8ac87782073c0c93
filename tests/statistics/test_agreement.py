"""Agreement: worked examples of the books, and twins that enumerate pairs."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from nasbench.statistics.agreement import kendall_tau_b, kendall_w, krippendorff_alpha, spearman

NAN = np.nan
# Krippendorff 2011, four observers and twelve units.
PUBLISHED = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
    [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
]
scores = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=15)
tables = st.integers(2, 4).flatmap(
    lambda m: st.lists(st.lists(st.sampled_from([0, 1, 2, 5, NAN]), min_size=m, max_size=m), min_size=1)
)


@pytest.mark.parametrize(("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_krippendorffs_own_example(level, alpha):
    assert krippendorff_alpha(PUBLISHED, level) == pytest.approx(alpha, abs=5e-4)


def alpha_by_coincidences(ratings, level):
    """As Krippendorff writes it: a table of coincidences, and δ² of any two categories."""
    units = [[v for v in unit if not np.isnan(v)] for unit in np.transpose(ratings)]
    categories = sorted({v for unit in units for v in unit})
    table = {(c, k): 0.0 for c in categories for k in categories}
    for unit in units:
        for c, k in permutations(unit, 2):
            table[c, k] += 1 / (len(unit) - 1)
    total = {c: sum(table[c, k] for k in categories) for c in categories}
    n = sum(total.values())

    def difference(c, k):
        low, high = sorted((c, k))
        between = sum(total[g] for g in categories if low <= g <= high) - (total[c] + total[k]) / 2
        return {"nominal": c != k, "interval": (c - k) ** 2, "ordinal": between**2}[level]

    pairs = [(c, k) for c, k in table if c != k]
    expected = sum(total[c] * total[k] * difference(c, k) for c, k in pairs)
    if not expected:
        return None
    return 1 - (n - 1) * sum(table[pair] * difference(*pair) for pair in pairs) / expected


@given(tables, st.sampled_from(["nominal", "ordinal", "interval"]))
def test_alpha_equals_the_table_of_coincidences(units, level):
    ratings = np.transpose(units)
    assert krippendorff_alpha(ratings, level) == pytest.approx(alpha_by_coincidences(ratings, level))


def test_alpha_without_anything_to_agree_about():
    assert krippendorff_alpha([[1, 2, NAN], [NAN, NAN, 3]]) is None
    assert krippendorff_alpha([[1, 1], [1, 1]]) is None
    assert krippendorff_alpha(np.zeros((2, 0))) is None
    assert krippendorff_alpha([[1, 2, 3], [1, 2, 3]]) == 1
    with pytest.raises(ValueError, match="ratio"):
        krippendorff_alpha([[1, 2], [1, 2]], "ratio")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="infinity"):
        krippendorff_alpha([[1.0, np.inf], [1.0, 2.0]])


@given(scores)
def test_tau_b_counts_pairs(pairs):
    a, b = np.transpose(pairs)
    signs = [(np.sign(a[i] - a[j]), np.sign(b[i] - b[j])) for i, j in combinations(range(len(a)), 2)]
    untied = np.prod([sum(s[k] != 0 for s in signs) for k in (0, 1)])
    expected = sum(x * y for x, y in signs) / np.sqrt(untied) if untied else None
    assert kendall_tau_b(a, b) == pytest.approx(expected)


@given(scores)
def test_spearman_is_pearson_of_ranks(pairs):
    a, b = (stats.rankdata(one) for one in np.transpose(pairs))
    assume(a.std() and b.std())
    assert spearman(*np.transpose(pairs)) == pytest.approx(np.corrcoef(a, b)[0, 1])


def test_spearman_of_a_textbook():
    # Without ties 1 − 6 Σd²/(n³ − n): d² sum to 194 for ten.
    iq = [106, 100, 86, 101, 99, 103, 97, 113, 112, 110]
    hours = [7, 27, 2, 50, 28, 29, 20, 12, 6, 17]
    assert spearman(iq, hours) == pytest.approx(1 - 6 * 194 / 990)


def test_w_of_siegels_applicants():
    # Siegel 1956: three interviewers rank six applicants, W = .16.
    ranks = [[1, 6, 3, 2, 5, 4], [1, 5, 6, 4, 2, 3], [6, 3, 2, 5, 4, 1]]
    assert kendall_w(ranks) == pytest.approx(25.5 / 157.5)


@given(
    st.integers(3, 5).flatmap(
        lambda n: st.lists(st.lists(st.integers(0, 4), min_size=n, max_size=n), min_size=2, max_size=6)
    )
)
def test_w_is_friedmans_statistic_over_its_most(ratings):
    table = np.array(ratings)
    m, n = table.shape
    assume(any(len(set(row)) > 1 for row in ratings))
    assert kendall_w(table) == pytest.approx(stats.friedmanchisquare(*table.T).statistic / (m * (n - 1)))


def test_w_is_the_mean_of_spearman_over_pairs():
    # (m W − 1)/(m − 1), without ties.
    ratings = np.array([np.random.default_rng(i).permutation(8) for i in range(5)])
    mean = np.mean([spearman(a, b) for a, b in combinations(ratings, 2)])
    assert kendall_w(ratings) == pytest.approx((4 * mean + 1) / 5)


def test_nothing_to_agree_about_has_no_number():
    for measure in (kendall_tau_b, spearman):
        assert measure([1, 1, 1], [1, 2, 3]) is None
        assert measure([1], [2]) is None
        assert measure([1, 2], [5, 9]) == pytest.approx(1)
        with pytest.raises(ValueError, match="same items"):
            measure([1, 2], [1])
        with pytest.raises(ValueError, match="finite"):
            measure([1, NAN], [1, 2])
    assert kendall_w([[1, 2, 3]]) is None
    assert kendall_w([[1], [2]]) is None
    assert kendall_w([[1, 1], [2, 2]]) is None
    with pytest.raises(ValueError, match="shape"):
        kendall_w([1, 2, 3])
