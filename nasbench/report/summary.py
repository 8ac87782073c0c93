"""`summary.csv`: one line per cell and metric, with its interval."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nasbench.rng import generator
from nasbench.run.rows import MISSED
from nasbench.run.store import RunFolder
from nasbench.statistics.bootstrap import bootstrap_mean, clustered_mean


class SummarisedCell(Protocol):
    """What a summary needs to know of a cell."""

    @property
    def choices(self) -> Mapping[str, str]:
        """Config group -> choice."""
        ...

    @property
    def swept(self) -> Mapping[str, Any]:
        """Swept key -> value."""
        ...

    @property
    def digest(self) -> str:
        """Seeds the bootstrap."""
        ...


@dataclass(frozen=True)
class SummaryRow:
    """One metric of one cell, over images.

    Attributes:
        cell: place of the cell in the plan.
        choices: config group -> choice.
        swept: swept key -> value, as text.
        metric: the metric's name.
        value: mean over the entries that have a value, an entry being an image, or a class of one
            (`target=present`); None where none has.
        low, high: 95 % interval of the mean, over images: `bootstrap_mean` where each has one entry, else
            `clustered_mean`; None below two images.
        n: entries with a value.
        n_failed: entries without one, whatever the reason.
        reasons: why, with counts.
        n_missed: images whose regions missed the number of `segmenter.match`; None where nothing is matched.
        errors: those of the reasons behind which something broke, with the sample they came first with.
    """

    cell: int
    choices: dict[str, str]
    swept: dict[str, str]
    metric: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    n_failed: int
    reasons: dict[str, int]
    errors: tuple[str, ...] = ()
    n_missed: int | None = None


def summarise(
    folder: RunFolder, cells: Sequence[SummarisedCell], units: Sequence[tuple[int, str]]
) -> list[SummaryRow]:
    """Summarise finished units, given as (cell's place, key). Units without rows are passed over."""
    found: dict[tuple[int, str], _Found] = {}
    for index, key in units:
        if not folder.has_rows(key):
            continue
        table = folder.read_rows(key).select(["sample", "metric", "value", "status", "reason", "conventions"])
        for sample, metric, value, status, reason, conventions in zip(
            *(c.to_pylist() for c in table.columns), strict=True
        ):
            entry = found.setdefault((index, metric), _Found())
            match = _match(conventions)
            if match is not None:
                entry.missed = (entry.missed or 0) + (match == MISSED)
            if status == "ok":
                entry.values.append(value)
                entry.samples.append(sample)
                continue
            entry.reasons[reason] += 1
            if status == "error" and entry.reasons[reason] == 1:
                entry.errors.append(f"{sample}: {reason}")
    return [
        _summary_row(index, cells[index], metric, entry) for (index, metric), entry in sorted(found.items())
    ]


@dataclass
class _Found:
    """What the rows of one cell and metric hold."""

    values: list[float] = field(default_factory=list)
    samples: list[str] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    missed: int | None = None


@lru_cache(maxsize=64)  # a unit has a handful of different conventions
def _match(conventions: str) -> str | None:
    found: str | None = json.loads(conventions).get("match")
    return found


def summary_csv(rows: Sequence[SummaryRow]) -> str:
    """The summary as CSV: a column per group and swept key, then metric, value, low, high, n, n_failed.

    Where segmenters were matched, n_missed too.
    """
    import csv
    import io

    # The metric group is not a column of its own: `metric` names what was measured.
    groups = [group for group in dict.fromkeys(g for row in rows for g in row.choices) if group != "metric"]
    swept = sorted({key for row in rows for key in row.swept})
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    matched = any(row.n_missed is not None for row in rows)
    header = [*groups, *swept, "metric", "value", "low", "high", "n", "n_failed"]
    writer.writerow([*header, "n_missed"] if matched else header)
    lines = [
        [
            *(row.choices.get(g, "") for g in groups),
            *(row.swept.get(key, "") for key in swept),
            row.metric,
            *(number_text(x) for x in (row.value, row.low, row.high)),
            str(row.n),
            str(row.n_failed),
            *(["" if row.n_missed is None else str(row.n_missed)] if matched else []),
        ]
        for row in rows
    ]
    writer.writerows(sorted(lines))
    return sink.getvalue()


def _summary_row(index: int, cell: SummarisedCell, metric: str, found: _Found) -> SummaryRow:
    values = np.array(found.values, dtype=np.float64)
    low, high = _interval(values, found.samples, generator(0, cell.digest, metric))
    return SummaryRow(
        cell=index,
        choices=dict(cell.choices),
        swept={key: value_text(value) for key, value in cell.swept.items()},
        metric=metric,
        value=float(np.mean(values)) if len(values) else None,
        low=low,
        high=high,
        n=len(values),
        n_failed=found.reasons.total(),
        reasons=dict(found.reasons),
        errors=tuple(found.errors),
        n_missed=found.missed,
    )


def _interval(
    values: NDArray[np.float64], samples: Sequence[str], rng: np.random.Generator
) -> tuple[float | None, float | None]:
    if len(set(samples)) == len(samples):
        return bootstrap_mean(values, rng)
    found = clustered_mean(values, images=samples, rng=rng)  # classes of one image are no further images
    return found.low, found.high


def number_text(value: float | None) -> str:
    """A number as tables hold it; empty for none."""
    return "" if value is None else f"{value:.9g}"


def value_text(value: Any) -> str:
    """A swept value as tables hold it."""
    if isinstance(value, float):
        return f"{value:.9g}"
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(value_text(item) for item in value) + "]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
