"""How far rankings and ratings agree; None where nothing can: too few of them, or all the same."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Level = Literal["ordinal", "nominal", "interval"]


def kendall_tau_b(a: ArrayLike, b: ArrayLike) -> float | None:
    """Kendall's tau-b of two lists of scores (n,), −1..1, corrected for ties.

    Concordant less discordant pairs, over √((pairs untied in a) · (pairs untied in b)) (Kendall 1945). None
    below two items or where one list is constant. Raises ValueError: other lengths, or a score that is not
    finite.
    """
    from scipy.stats import kendalltau

    x, y = _two(a, b)
    return float(kendalltau(x, y, variant="b").statistic) if _vary(x) and _vary(y) else None


def spearman(a: ArrayLike, b: ArrayLike) -> float | None:
    """Spearman's rank correlation of two lists of scores (n,), −1..1: Pearson's of their mid-ranks (1904).

    None and errors as for `kendall_tau_b`.
    """
    from scipy.stats import spearmanr

    x, y = _two(a, b)
    return float(spearmanr(x, y).statistic) if _vary(x) and _vary(y) else None


def kendall_w(ratings: ArrayLike) -> float | None:
    """Kendall's W of ratings (raters, items): 0 no agreement, 1 one ranking; corrected for ties.

    12 S / (m²(n³ − n) − m Σ(t³ − t)), S the squared deviations of the items' rank sums, t the sizes of groups
    of ties within a rater (Kendall and Babington Smith 1939; Siegel and Castellan 1988). Friedman's χ² is m(n
    − 1) W. None below two raters or items, or where every rater ties all items. Raises ValueError: not a
    table, or a rating that is not finite.
    """
    from scipy.stats import rankdata

    table = np.asarray(ratings, dtype=np.float64)
    if table.ndim != 2 or not np.isfinite(table).all():  # noqa: PLR2004 - axes of a table
        raise ValueError(f"ratings of shape {table.shape} are not a finite table of raters and items")
    m, n = table.shape
    if min(m, n) < 2:  # noqa: PLR2004 - nothing to compare
        return None
    ranks = rankdata(table, axis=1)
    ties = sum(int(np.sum(t.astype(np.int64) ** 3 - t)) for t in map(_group_sizes, ranks))
    most = m**2 * (n**3 - n) - m * ties
    deviations = ranks.sum(axis=0) - m * (n + 1) / 2
    return float(12 * np.sum(deviations**2) / most) if most else None


def krippendorff_alpha(ratings: ArrayLike, level: Level = "ordinal") -> float | None:
    """Krippendorff's alpha of ratings (raters, items), NaN where missing: 1 perfect, 0 as by chance.

    1 − D_o/D_e (Krippendorff 2011). D_o is the mean difference δ² of two ratings of one item, over all pairs,
    each pair of an item with m ratings weighing 1/(m − 1); D_e that of any two ratings. δ² is 0 or 1 for
    `nominal`, the square of the difference of values for `interval`, and of their mid-ranks among all ratings
    for `ordinal`, which is the same as Krippendorff's sum over the ranks between. Items with one rating do
    not count. None where no item has two, or all ratings are the same. Raises ValueError: not a table, an
    infinite rating, or another level.
    """
    from scipy.stats import rankdata

    if level not in {"ordinal", "nominal", "interval"}:
        raise ValueError(f"level={level!r} is not one of ordinal, nominal, interval")
    table = np.asarray(ratings, dtype=np.float64)
    if table.ndim != 2 or np.isinf(table).any():  # noqa: PLR2004 - axes of a table
        raise ValueError(
            f"ratings of shape {table.shape} are not a table of raters and items without infinity"
        )
    rated = np.isfinite(table).sum(axis=0) >= 2  # noqa: PLR2004 - a pair
    values = table.T[rated]
    there = np.isfinite(values)
    place = np.nonzero(there)[0]
    flat: Floats = rankdata(values[there]) if level == "ordinal" else values[there]
    n = len(flat)
    if n == 0 or (flat == flat[0]).all():
        return None
    differing = _unequal if level == "nominal" else _squared
    m = np.bincount(place)
    observed = np.sum(differing(flat, place) / (m - 1)) / n
    expected = float(differing(flat, np.zeros(n, dtype=np.int64))[0]) / (n * (n - 1))
    return float(1 - observed / expected)


def _squared(x: Floats, group: Ints) -> Floats:
    """(groups,) Σ (a − b)² over ordered pairs within each group."""
    m = np.bincount(group)
    centred = x - (np.bincount(group, weights=x) / m)[group]
    return np.asarray(2 * m * np.bincount(group, weights=centred**2), dtype=np.float64)


def _unequal(x: Floats, group: Ints) -> Floats:
    """(groups,) how many ordered pairs within each group differ."""
    _, code = np.unique(x, return_inverse=True)
    cells, counts = np.unique(np.stack([group, code]), axis=1, return_counts=True)
    same = np.bincount(cells[0], weights=counts.astype(np.float64) ** 2)
    return np.asarray(np.bincount(group).astype(np.float64) ** 2 - same, dtype=np.float64)


def _two(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"scores of shapes {x.shape} and {y.shape} are not two lists of the same items")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("a score is not finite")
    return x, y


def _vary(x: Floats) -> bool:
    return len(x) > 1 and bool((x != x[0]).any())


def _group_sizes(ranks: Floats) -> Ints:
    """How many items share each rank."""
    return np.unique(ranks, return_counts=True)[1].astype(np.int64)
