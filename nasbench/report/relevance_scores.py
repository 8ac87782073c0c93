"""From the images of a cell to its numbers: means, ratios of means, and how two cells differ.

Everything is a function of means over images, so that a resample of the bootstrap is other means: ratios are
recomputed in each, and the difference of two cells is taken within it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasbench.faithfulness.areas import SMALL_GAP, ratio_of_means
from nasbench.report.relevance_images import Floats, Images, resampled_means
from nasbench.statistics.bootstrap import FEWEST, percentile_ends


@dataclass(frozen=True)
class Ratio:
    """(mean area − mean end) / (mean start − mean end), less that of another area if there is one.

    Attributes:
        area, less: the areas.
        start, end: what is 1 and what is 0.
    """

    area: str
    start: str
    end: str
    less: str = ""

    @property
    def parts(self) -> tuple[str, ...]:
        """Whose means it is of."""
        return (self.area, self.start, self.end, *([self.less] if self.less else []))

    def of_images(self, values: Sequence[Floats]) -> float | None:
        """Of values (n,) of the parts; None where start does not lie above end."""
        area, start, end, *less = values
        found = [ratio_of_means(one, start, end).value for one in (area, *less)]
        if None in found:
            return None
        first, *rest = (float(one) for one in found if one is not None)
        return first - sum(rest)

    def of_means(self, means: Floats) -> Floats:
        """(B,) of means (B, parts); NaN where start does not lie above end."""
        area, start, end, *less = means.T
        gap = start - end
        gap = np.where(gap <= 1e-12 * np.maximum(np.abs(start), np.abs(end)), np.nan, gap)
        found: Floats = (area - (less[0] if less else end)) / gap
        return found


RATIOS: Mapping[str, Ratio] = {
    "auc_lerf_norm": Ratio("auc_lerf", "full", "empty"),
    "auc_morf_norm": Ratio("auc_morf", "full", "empty"),
    "auc_random_norm": Ratio("auc_random", "full", "empty"),
    "srg_norm": Ratio("auc_lerf", "full", "empty", less="auc_morf"),
    "lerf_to_full": Ratio("auc_lerf", "full", "auc_random"),
    "morf_to_empty": Ratio("auc_random", "auc_random", "empty", less="auc_morf"),
}
SMALL_GAPS = "small_gaps"
# Where a lower number is the better one.
LOWER = frozenset({"auc_morf", "auc_morf_norm", "road_morf", "deletion"})


@dataclass(frozen=True)
class Number:
    """A number over images.

    Attributes:
        value: None where there is none.
        low, high: its 95 % bootstrap interval; None below two images, or where a resample has no value.
        n: images with a value.
        n_failed: images of the cell without one, whatever the reason.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    n_failed: int


@dataclass(frozen=True)
class Band:
    """A mean curve at `GRID` with its pointwise 95 % interval, None of one image."""

    mean: Floats
    low: Floats | None
    high: Floats | None


@dataclass(frozen=True, eq=False)
class ScoredCell:
    """A cell's numbers by column, and its mean curves by kind: lerf, morf, random."""

    images: Images
    numbers: Mapping[str, Number]
    bands: Mapping[str, Band]


def score_cell(images: Images) -> ScoredCell:
    """All numbers of a cell; its curves are averaged, and let go."""
    numbers = {name: _number(images, name) for name in images.values}
    for name, ratio in RATIOS.items():
        if all(part in images.values for part in ratio.parts):
            numbers[name] = _number(images, name)
    if "full" in numbers and "empty" in numbers:
        ends = images.having(("full", "empty"))
        small = np.abs(images.values["full"] - images.values["empty"])[ends] < SMALL_GAP
        count = float(small.sum()) if len(small) else None
        numbers[SMALL_GAPS] = Number(count, None, None, len(small), numbers["full"].n_failed)
    bands = {kind: _band(images, curves) for kind, curves in images.curves.items()}
    images.curves.clear()
    return ScoredCell(images, numbers, bands)


def leads(column: str, first: Images, second: Images) -> bool:
    """Whether the first cell is better on the images of both: the difference's 95 % interval excludes 0.

    Of fewer than six images that is not said.
    """
    both = frozenset(_keys(first, column)) & frozenset(_keys(second, column))
    if len({sample for sample, _ in both}) < FEWEST:
        return False
    drawn = [_resampled(one, column, one.among(both)) for one in (first, second)]
    differences = drawn[0] - drawn[1]
    if not np.isfinite(differences).all():
        return False
    low, high = percentile_ends(differences[:, None])
    return bool(high[0] < 0 if column in LOWER else low[0] > 0)


def ranked(column: str, cells: Mapping[int, ScoredCell]) -> list[int]:
    """The cells best first, those without a value last; of equal ones the first named is first."""
    sign = 1 if column in LOWER else -1

    def key(i: int) -> tuple[bool, float]:
        number = cells[i].numbers.get(column)
        missing = number is None or number.value is None
        return missing, 0.0 if number is None or number.value is None else sign * number.value

    return sorted(cells, key=key)


def best(column: str, cells: Mapping[int, ScoredCell]) -> int | None:
    """The one cell that is better than the second beyond chance; None where there is none."""
    having = {i: one for i, one in cells.items() if _value(one, column) is not None}
    order = ranked(column, having)
    if len(order) < 2:  # noqa: PLR2004 - alone is not better
        return None
    first, second = order[:2]
    return first if leads(column, cells[first].images, cells[second].images) else None


def _value(cell: ScoredCell, column: str) -> float | None:
    number = cell.numbers.get(column)
    return None if number is None else number.value


def _parts(column: str) -> tuple[str, ...]:
    return RATIOS[column].parts if column in RATIOS else (column,)


def _keys(images: Images, column: str) -> list[tuple[str, int | None]]:
    mask = images.having(_parts(column))
    return [key for key, there in zip(images.keys, mask, strict=True) if there]


def _resampled(images: Images, column: str, mask: NDArray[np.bool_]) -> Floats:
    """(B,) a column's number in each resample of the images of a mask."""
    means = images.resampled(_parts(column), mask)
    return RATIOS[column].of_means(means) if column in RATIOS else means[:, 0]


def _number(images: Images, column: str) -> Number:
    mask = images.having(_parts(column))
    n, lacking = int(mask.sum()), images.reasons.total() + int((~mask).sum())
    if n == 0:
        return Number(None, None, None, 0, lacking)
    held = [images.values[part][mask] for part in _parts(column)]
    value = RATIOS[column].of_images(held) if column in RATIOS else float(held[0].mean())
    if value is None or len({sample for sample, _ in _keys(images, column)}) < 2:  # noqa: PLR2004
        return Number(value, None, None, n, lacking)
    drawn = _resampled(images, column, mask)
    if not np.isfinite(drawn).all():
        return Number(value, None, None, n, lacking)
    low, high = percentile_ends(drawn[:, None])
    return Number(value, float(low[0]), float(high[0]), n, lacking)


def _band(images: Images, curves: NDArray[np.float32]) -> Band:
    there = np.isfinite(curves[:, 0])
    keys = tuple(key for key, kept in zip(images.keys, there, strict=True) if kept)
    mean = curves[there].mean(axis=0, dtype=np.float64)
    if len({sample for sample, _ in keys}) < 2:  # noqa: PLR2004 - one image has no spread
        return Band(mean, None, None)
    low, high = percentile_ends(resampled_means(keys, curves[there]))
    return Band(mean, low, high)
