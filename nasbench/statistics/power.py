"""How many images a difference takes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from nasbench.statistics.clusters import Clustered

# Beyond so many images Student's t is a normal distribution.
_MANY = 100_000
# Relative to what it is a sum of; a mean or a spread below is 0.
_ROUNDING = 1e-12
# Standard deviations: a larger effect is found with two images, whatever level and power are asked for.
_SURE = 1e6


def images_needed(
    first: ArrayLike,
    second: ArrayLike,
    *,
    images: Sequence[str],
    level: float = 0.95,
    power: float = 0.8,
) -> int | None:
    """The least number of images at which a paired two-sided t-test finds first − second with that power.

    With δ the mean of the differences over the standard deviation of an image's, and t the quantile of
    Student's distribution with n − 1 degrees of freedom at (1 + level)/2, the power is P(|T'| > t), T'
    noncentral t with n − 1 degrees of freedom and noncentrality δ√n (Cohen 1988, section 2.5); the least n >=
    2 that reaches it is found by bisection. It is about ((z_{(1 + level)/2} + z_power)/δ)², and that number
    beyond 100,000 images. An image with several entries counts by the linearised sum of theirs
    (`Clustered.error`), so that the mean is that of `paired_difference`.

    Scores (n,) of the same entries. None where the mean difference is 0, or of fewer than two images. It
    takes the observed difference for the truth: from data that just reach significance it comes out at about
    twice their number whatever the truth is, and from fewer it may be anything. Raises ValueError as
    `paired_difference`, and for a level or power outside (0, 1).
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"scores of shapes {a.shape} and {b.shape} are not of the same entries")
    if not 0 < level < 1 or not 0 < power < 1:
        raise ValueError(f"level={level} and power={power} must lie in (0, 1)")
    if len(a) == 0:
        return None
    table = Clustered.of(a - b, images)
    if table.images < 2 or abs(table.mean) <= _ROUNDING * np.abs(a - b).mean():  # noqa: PLR2004
        return None
    error, _ = table.error()
    spread = error * math.sqrt(table.images)
    return 2 if spread <= _ROUNDING * abs(table.mean) else _least(abs(table.mean) / spread, level, power)


def _least(effect: float, level: float, power: float) -> int:
    from scipy.special import ndtri

    if effect > _SURE:
        return 2
    normal = math.ceil((float(ndtri((1 + level) / 2) + ndtri(power)) / effect) ** 2)
    if normal > _MANY:
        return normal
    low, high = 2, max(2, normal)
    while _power(high, effect, level) < power:
        low, high = high + 1, 2 * high
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _power(middle, effect, level) >= power else (middle + 1, high)
    return low


def _power(n: int, effect: float, level: float) -> float:
    """Of the two-sided paired t-test of n images."""
    from scipy.stats import nct, t

    bound = t.ppf((1 + level) / 2, n - 1)
    shift = effect * math.sqrt(n)
    return float(nct.sf(bound, n - 1, shift) + nct.cdf(-bound, n - 1, shift))
