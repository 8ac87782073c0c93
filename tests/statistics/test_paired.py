"""McNemar and Holm: by hand, as published, by enumeration, against statsmodels."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar as other_mcnemar
from statsmodels.stats.multitest import multipletests

from nasbench.statistics.paired import holm, mcnemar


def test_mcnemar_is_the_sign_test_of_what_differs():
    assert mcnemar(0, 0) == 1
    assert mcnemar(5, 0) == mcnemar(0, 5) == pytest.approx(2 / 2**5)
    assert mcnemar(3, 3) == 1


def test_mcnemar_of_a_published_table():
    # Fay (R Journal 2010): 21, 9, 2, 12.
    assert mcnemar(9, 2) == pytest.approx(0.06543, abs=5e-6)


@pytest.mark.parametrize(("gained", "lost"), [(1, 0), (7, 2), (4, 6), (5, 5)])
def test_mcnemar_is_the_share_of_sign_flips_as_far_apart(gained, lost):
    flips = [abs(sum(signs)) >= abs(gained - lost) for signs in product((-1, 1), repeat=gained + lost)]
    assert mcnemar(gained, lost) == pytest.approx(np.mean(flips))


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_that_of_statsmodels(gained, lost):
    if gained + lost:
        other = other_mcnemar([[3, gained], [lost, 5]], exact=True).pvalue
        assert mcnemar(gained, lost) == pytest.approx(other, rel=1e-9)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1, 1]
    assert holm([]) == []


@pytest.mark.parametrize("n", [1, 2, 3, 14, 100])
def test_holm_is_that_of_statsmodels_to_the_last_bit(n):
    p = np.random.default_rng(n).choice([0, 1, 0.5, 0.01, *np.geomspace(1e-9, 0.3, 20)], size=n)
    assert holm(p.tolist()) == multipletests(p, method="holm")[1].tolist()
