"""Bootstrap intervals of means and of paired differences, drawing images with all that belongs to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasbench.statistics.clusters import Clustered, Floats, Ints

# Resamples of `bootstrap_mean`; the Monte-Carlo error of an interval's end is then about 2 % of its width.
_RESAMPLES = 9999
_LEVEL = 0.95
# Values drawn at a time, so that a large data set does not fill the memory.
_DRAWS_AT_ONCE = 5_000_000
# One of them lies beyond each end of a 95 % interval.
_RESAMPLES_LEAST = 40
# With fewer images, differences of one sign may well be chance: 2 · ½^5 > .05.
FEWEST = 6


@dataclass(frozen=True)
class Interval:
    """A number over images with its interval.

    Attributes:
        value: None of no images.
        low, high: None below two images.
        n: images, however many entries each has.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside, of six images or more.

        Fewer that all say the same have an interval without width, and a sign test that cannot reach 5 %.
        """
        if self.low is None or self.high is None or self.n < FEWEST:
            return False
        return self.low > 0 or self.high < 0


def bootstrap_mean(
    values: NDArray[np.float64], rng: np.random.Generator
) -> tuple[float | None, float | None]:
    """Percentile-bootstrap interval (95 %) of the mean of values (n,); (None, None) below two values.

    One value for each image; entries of one image are for `clustered_mean`. Too narrow where
    images are few or values skewed: of 20 images it covers 92 % for normal values, 87 % for strongly skewed
    ones (`results/benchmarks/coverage.md`). Tables that are compared by their bytes hold it; for anything new
    there is `clustered_mean`.
    """
    n = len(values)
    if n < 2:  # noqa: PLR2004 - one value has no spread
        return None, None
    means = []
    left = _RESAMPLES
    while left:
        take = min(left, max(1, _DRAWS_AT_ONCE // n))
        means.append(values[rng.integers(n, size=(take, n))].mean(axis=1))
        left -= take
    tail = (1 - _LEVEL) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return float(low), float(high)


def paired_difference(
    first: ArrayLike,
    second: ArrayLike,
    *,
    images: Sequence[str],
    models: Sequence[str] | None = None,
    rng: np.random.Generator,
    resamples: int = 10_000,
    level: float = _LEVEL,
) -> Interval:
    """Mean of first − second, scores (n,) of the same entries, with the interval of `clustered_mean`.

    Raises ValueError: other lengths, or a score that is not finite.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"scores of shapes {a.shape} and {b.shape} are not of the same entries")
    return clustered_mean(a - b, images=images, models=models, rng=rng, resamples=resamples, level=level)


def clustered_mean(
    values: ArrayLike,
    *,
    images: Sequence[str],
    models: Sequence[str] | None = None,
    rng: np.random.Generator,
    resamples: int = 10_000,
    level: float = _LEVEL,
) -> Interval:
    """Mean of values (n,), one for each entry (image, and model and class where there are several).

    An image is drawn with all of its entries (Davison and Hinkley 1997, section 3.8). With several models
    these are drawn too, by themselves, and an entry counts as often as its model times as often as its image
    (Owen 2007; Owen and Eckles 2012): the interval then is about models like these, not about these. Without
    `models` it is about these.

    Percentiles of the resampled means are too near to the mean where images or models are few. Their
    distances from it are therefore stretched by one factor, so that the resamples' standard deviation becomes
    the standard error of `Clustered.error`, and a normal distribution's quantile Student's t of its degrees
    of freedom. Of the intervals tried this is the one that keeps its coverage for continuous and for 0/1
    values at once (`results/benchmarks/coverage.md`): BCa stays too narrow, bootstrap-t has no bounds where a
    resample of 0/1 values has no spread. What is left: strongly skewed
    values (of 20 images 89 %), rare events (of two expected 88 %), and two models, which cannot tell how
    models vary.

    `images` and `models` name the entry's image and model. The order of entries does not matter, to the last
    bit. Equal images and an equal `rng` mean equal resamples. Raises ValueError: other lengths, a value that
    is not finite, a level outside (0, 1), or fewer than 40 resamples.
    """
    if not 0 < level < 1 or resamples < _RESAMPLES_LEAST:
        raise ValueError(
            f"level={level} must lie in (0, 1) and resamples={resamples} be at least {_RESAMPLES_LEAST}"
        )
    if len(images) == 0 and np.size(values) == 0:
        return Interval(None, None, None, 0)
    table = Clustered.of(values, images, models)
    if table.images < 2:  # noqa: PLR2004 - one image has no spread
        return Interval(table.mean, None, None, table.images)
    by_model = resample_counts(table.models, resamples, rng)
    at_once = max(1, _DRAWS_AT_ONCE // table.images)
    parts = []
    for start in range(0, resamples, at_once):
        models_drawn = by_model[start : start + at_once]
        images_drawn = resample_counts(table.images, len(models_drawn), rng)
        parts.append(table.resampled(models_drawn, images_drawn))
    low, high = stretched_ends(table, np.concatenate(parts), level=level)
    return Interval(table.mean, low, high, table.images)


def stretched_ends(table: Clustered, resampled: Floats, *, level: float = _LEVEL) -> tuple[float, float]:
    """The ends of `clustered_mean` from the table's resampled means (B,); those that are NaN are left out."""
    error, freedom = table.error()
    drawn = resampled[np.isfinite(resampled)]
    return stretched(drawn, middle=table.mean, error=error, freedom=freedom, level=level)


def stretched(
    resampled: Floats, *, middle: float, error: float, freedom: float, level: float = _LEVEL
) -> tuple[float, float]:
    """Percentile ends of resampled values (B,), their distances from `middle` stretched by one factor.

    With it the values' standard deviation becomes the standard error, and a normal distribution's quantile
    Student's t of these degrees of freedom. Both ends are the middle where either spread is 0.
    """
    from scipy.special import ndtri, stdtrit  # a tenth of the time that scipy.stats takes to load

    spread = float(resampled.std())
    if error <= 0 or spread == 0:
        return middle, middle
    above = (1 + level) / 2
    factor = error / spread * float(stdtrit(freedom, above) / ndtri(above))
    low, high = np.quantile(resampled, [1 - above, above])
    return middle + factor * (float(low) - middle), middle + factor * (float(high) - middle)


def percentile_ends(resampled: Floats) -> tuple[Floats, Floats]:
    """(columns,) ends of the 95 % percentile interval of each column of (B, columns)."""
    low, high = np.quantile(resampled, [0.025, 0.975], axis=0)
    return low, high


def resample_counts(n: int, resamples: int, rng: np.random.Generator) -> Ints:
    """(resamples, n) how often each of n images is drawn in a bootstrap resample of n.

    The same counts for two methods pair them.
    """
    return (
        rng.multinomial(n, np.full(n, 1 / n), size=resamples)
        if n
        else np.zeros((resamples, 0), dtype=np.int64)
    )
