"""The number of a line, perhaps of several cells, and the difference of two lines, with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasbench.digest import digest_value
from nasbench.report.cell_numbers import CellNumbers, Measured, in_order
from nasbench.report.image_rows import Key
from nasbench.report.merged import MergedCell
from nasbench.report.pivot import Line
from nasbench.rng import generator
from nasbench.statistics.bootstrap import Interval, clustered_mean, paired_difference, stretched
from nasbench.statistics.power import images_needed

Floats = NDArray[np.float64]

LEVEL = 0.95
# Draws of one image for an interval of a plain mean, and resamples at most and at least: else a table of many
# lines and images takes hours. With 2,000 an end is off by about 4 % of the width of the interval.
_DRAWS = 10_000_000
_MOST, _FEWEST = 10_000, 2_000


@dataclass(frozen=True)
class LineNumber:
    """A line's number in one column, on certain images.

    Attributes:
        value: the mean over its networks of the mean over their cells.
        images: (n,) the sample of each entry, sorted.
        models: (M,) its networks.
        parts: (M, n) what each entry adds for each network; None where there is no such thing.
        resampled: (M, B) of each network, fitted anew; None where `parts` is resampled.
        digest: of its cells.
    """

    value: float
    images: tuple[str, ...]
    models: tuple[str, ...]
    parts: Floats | None
    resampled: Floats | None
    digest: str


def line_images(line: Line, numbers: Mapping[str, CellNumbers], column: str) -> frozenset[Key]:
    """The images that all cells of a line have; `numbers` by the cells' digests."""
    return frozenset.intersection(*(numbers[cell.digest].images(column) for cell in line.cells))


def line_number(
    line: Line, numbers: Mapping[str, CellNumbers], column: str, images: frozenset[Key]
) -> LineNumber | None:
    """A line's number on these images; None where a cell's is not defined."""
    if not images:
        return None
    models: dict[str, list[Measured]] = {}
    for cell in line.cells:
        measured = numbers[cell.digest].measured(column, images)
        if measured is None:
            return None
        models.setdefault(_model(cell), []).append(measured)
    names = tuple(sorted(models))
    some = [models[name] for name in names]
    return LineNumber(
        value=float(np.mean([np.mean([one.value for one in found]) for found in some])),
        images=tuple(sample for sample, _ in in_order(images)),
        models=names,
        parts=_stacked([[one.parts for one in found] for found in some]),
        resampled=_stacked([[one.resampled for one in found] for found in some]),
        digest=digest_value(sorted(cell.digest for cell in line.cells)),
    )


def interval_of(number: LineNumber, column: str) -> Interval:
    """A line's number with its 95 % interval: images are drawn, and networks where it has several."""
    n = len(set(number.images))
    if number.resampled is not None:
        return _crossed(number.value, number.resampled, number.models, n, LEVEL)
    if number.parts is None:
        return Interval(number.value, None, None, n)
    rng = generator(0, "report", column, number.digest)
    images, models = _entries(number)
    found = clustered_mean(
        number.parts.ravel(), images=images, models=models, rng=rng, level=LEVEL, resamples=_resamples(n)
    )
    return Interval(number.value, found.low, found.high, n)


def difference_of(first: LineNumber, second: LineNumber, column: str, level: float = LEVEL) -> Interval:
    """First − second on the images of both, which are the same, drawn together."""
    assert first.images == second.images
    value, n = first.value - second.value, len(set(first.images))
    # Which is first changes the sign and nothing else: both ends are seeded alike.
    a, b = sorted((first, second), key=lambda one: one.digest)
    sign = 1.0 if a is first else -1.0
    if a.resampled is not None and b.resampled is not None:
        if a.models == b.models:
            return _crossed(value, sign * (a.resampled - b.resampled), a.models, n, level)
        # Of other networks: each line is what it is, and only images are drawn.
        drawn = a.resampled.mean(axis=0) - b.resampled.mean(axis=0)
        return _percentiles(value, sign * drawn, n, level)
    if a.parts is None or b.parts is None:
        return Interval(value, None, None, n)
    if a.models == b.models:
        ours, theirs, (images, models) = a.parts.ravel(), b.parts.ravel(), _entries(a)
    else:  # likewise
        ours, theirs, images, models = a.parts.mean(axis=0), b.parts.mean(axis=0), list(a.images), None
    rng = generator(0, "report", column, a.digest, b.digest)
    found = paired_difference(
        ours, theirs, images=images, models=models, rng=rng, level=level, resamples=_resamples(n)
    )
    if found.low is None or found.high is None:
        return Interval(value, None, None, n)
    low, high = sorted((sign * found.low, sign * found.high))
    return Interval(value, low, high, n)


def needed(first: LineNumber, second: LineNumber) -> int | None:
    """n95: images at which the difference would be told apart, with power 0.8; None where none is known.

    Nor is it of several networks, of which more images do not tell how they vary.
    """
    if first.parts is None or second.parts is None or max(len(first.models), len(second.models)) > 1:
        return None
    return images_needed(
        first.parts.mean(axis=0), second.parts.mean(axis=0), images=list(first.images), level=LEVEL
    )


def _resamples(images: int) -> int:
    return max(_FEWEST, min(_MOST, _DRAWS // max(images, 1)))


def _model(cell: MergedCell) -> str:
    return digest_value([cell.choices.get("model", ""), cell.config.get("model")])


def _stacked(found: Sequence[Sequence[Floats | None]]) -> Floats | None:
    """(M, ...) the mean over each network's cells; None where one of them lacks it."""
    means = []
    for some in found:
        held = [one for one in some if one is not None]
        if len(held) < len(some):
            return None
        means.append(np.mean(held, axis=0))
    return np.stack(means)


def _entries(number: LineNumber) -> tuple[list[str], list[str] | None]:
    """Image and network of each of M × n entries; no networks where there is one."""
    images = list(number.images) * len(number.models)
    if len(number.models) == 1:
        return images, None
    return images, [name for name in number.models for _ in number.images]


def _crossed(value: float, by_model: Floats, models: tuple[str, ...], n: int, level: float) -> Interval:
    """The interval of a mean over networks of what is fitted to images, (M, B): both are drawn.

    Networks are drawn anew in each resample, the same for lines of the same networks. Percentiles of few
    networks are too near to their middle; they are stretched as those of `clustered_mean`, to the standard
    error that images and networks have together, and to Student's t of its degrees of freedom.
    """
    M, B = by_model.shape
    if M == 1:
        return _percentiles(value, by_model[0], n, level)
    if n < 2 or not np.isfinite(by_model).all():  # noqa: PLR2004 - one image has no spread
        return Interval(value, None, None, n)
    rng = generator(0, "report", "models", digest_value(list(models)))
    drawn = (rng.multinomial(M, np.full(M, 1 / M), size=B).T * by_model).sum(axis=0) / M
    of_images = float(by_model.mean(axis=0).var())
    of_models = float(by_model.mean(axis=1).var(ddof=1)) / M
    error = of_images + of_models
    freedom = error**2 / (of_images**2 / (n - 1) + of_models**2 / (M - 1)) if error > 0 else 1.0
    low, high = stretched(
        drawn, middle=float(drawn.mean()), error=math.sqrt(error), freedom=freedom, level=level
    )
    return Interval(value, low, high, n)


def _percentiles(value: float, drawn: Floats, n: int, level: float) -> Interval:
    if n < 2 or not np.isfinite(drawn).all():  # noqa: PLR2004 - one image has no spread
        return Interval(value, None, None, n)
    tail = (1 - level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Interval(value, float(low), float(high), n)
