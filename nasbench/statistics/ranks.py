"""Several methods over many images or data sets, by ranks: is there a difference, and which are apart.

Rows must be independent: one for each image (the mean over its classes) or each data set. After Demšar, JMLR
2006.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RankTest:
    """Friedman's test.

    Attributes:
        statistic, p: χ² with k − 1 degrees of freedom, corrected for ties; too careful for few rows.
        f, p_f: Iman and Davenport's F with k − 1 and (k − 1)(n − 1); the one to report.
        ranks: (k,) each method's average rank, 1 the best.
        n: rows.
    """

    statistic: float
    p: float
    f: float
    p_f: float
    ranks: tuple[float, ...]
    n: int


@dataclass(frozen=True)
class CriticalDifference:
    """Which methods are apart, by Nemenyi's test.

    Attributes:
        ranks: (k,) each method's average rank, 1 the best.
        cd: two methods are apart where their average ranks differ by at least this.
        groups: methods by their place, best first, that are not told apart; only the largest of such groups,
            of two methods or more. A method in none is apart from all.
        alpha: chance of any false difference among all pairs.
        n: rows.
    """

    ranks: tuple[float, ...]
    cd: float
    groups: tuple[tuple[int, ...], ...]
    alpha: float
    n: int


def friedman(scores: ArrayLike) -> RankTest:
    """Whether any of k methods differs, from scores (n, k), higher better.

    χ² = 12n/(k(k + 1)) Σ (R_j − (k + 1)/2)², R_j the average ranks, over 1 − Σ(t³ − t)/(n(k³ − k)) for t tied
    in a row (Friedman 1937); F = (n − 1)χ²/(n(k − 1) − χ²) (Iman and Davenport 1980). Without any difference
    χ² and F are 0 and p 1. Raises ValueError: fewer than three methods or two rows, or a score that is not
    finite.
    """
    from scipy.stats import f as f_distribution
    from scipy.stats import friedmanchisquare

    table = _table(scores, methods=3)
    n, k = table.shape
    ranks = _ranks(table)
    average = tuple(float(rank) for rank in ranks.mean(axis=0))
    if (ranks == ranks[:, :1]).all():
        return RankTest(0.0, 1.0, 0.0, 1.0, average, n)
    found = friedmanchisquare(*table.T)
    statistic = float(found.statistic)
    left = n * (k - 1) - statistic
    # Rounding may leave a little where all rows agree.
    F = (n - 1) * statistic / left if left > 1e-9 * statistic else np.inf
    p_f = float(f_distribution.sf(F, k - 1, (k - 1) * (n - 1)))
    return RankTest(statistic, float(found.pvalue), float(F), p_f, average, n)


def critical_difference(scores: ArrayLike, alpha: float = 0.05) -> CriticalDifference:
    """Nemenyi's critical difference of k methods from scores (n, k), higher better.

    CD = q √(k(k + 1)/(6n)), q the studentised range's quantile at 1 − alpha for k and infinitely many degrees
    of freedom, over √2 (Nemenyi 1963). It looks at ranks alone, of all methods at once: whether two are apart
    depends on which others are compared (Benavoli, Corani and Mangili 2016). Raises ValueError: fewer than
    two methods or rows, a score that is not finite, or alpha outside (0, 1).
    """
    from scipy.stats import studentized_range

    table = _table(scores, methods=2)
    if not 0 < alpha < 1:
        raise ValueError(f"alpha={alpha} must lie in (0, 1)")
    n, k = table.shape
    q = float(studentized_range.ppf(1 - alpha, k, np.inf)) / np.sqrt(2)
    cd = float(q * np.sqrt(k * (k + 1) / (6 * n)))
    ranks = _ranks(table).mean(axis=0)
    return CriticalDifference(tuple(map(float, ranks)), cd, _groups(ranks, cd), alpha, n)


def _groups(ranks: Floats, cd: float) -> tuple[tuple[int, ...], ...]:
    order = [int(i) for i in np.argsort(ranks, kind="stable")]
    ends = [max(j for j in range(len(order)) if ranks[order[j]] - ranks[i] < cd) for i in order]
    # A group that ends where the one before does lies within it.
    fresh = [True, *(after > before for before, after in pairwise(ends))]
    found = [tuple(order[i : end + 1]) for i, (end, new) in enumerate(zip(ends, fresh, strict=True)) if new]
    return tuple(group for group in found if len(group) > 1)


def _ranks(table: Floats) -> Floats:
    """(n, k) in each row, 1 the highest score, ties sharing their mean."""
    from scipy.stats import rankdata

    found: Floats = rankdata(-table, axis=1)
    return found


def _table(scores: ArrayLike, *, methods: int) -> Floats:
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] < methods:  # noqa: PLR2004 - axes, rows
        raise ValueError(
            f"scores of shape {table.shape} are not of two rows or more and {methods} methods or more"
        )
    if not np.isfinite(table).all():
        raise ValueError(f"row {int(np.argwhere(~np.isfinite(table))[0, 0])} has a score that is not finite")
    return table
