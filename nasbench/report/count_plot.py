"""Scores over the number of regions, a line for each depth of the network's stages or other segmenter."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nasbench.report.columns import Better, Column
from nasbench.report.comparison import Table
from nasbench.report.figure_files import figure_files, figure_style
from nasbench.report.pivot import Pivot
from nasbench.statistics.bootstrap import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# What asks for a number of regions, by how surely it is met.
COUNTS = ("segmenter.match", "segmenter.n", "segmenter.k")
# Okabe & Ito's colours (2008), told apart with any colour vision; markers and dashes say it again in grey.
_STYLES: tuple[Mapping[str, Any], ...] = tuple(
    {"color": colour, "marker": marker, "linestyle": dashes}
    for colour, marker, dashes in (
        ("#0072B2", "D", "-"), ("#D55E00", "o", "-"), ("#009E73", "^", "-"), ("#E69F00", "s", "-"),
        ("#CC79A7", "v", "--"), ("#56B4E9", "P", "--"), ("#000000", "x", ":"), ("#777777", "*", ":"),
    )
)  # fmt: skip
_COLUMNS = 4
_LETTERS = 70


@dataclass(frozen=True)
class Series:
    """What a line of the plot is of: cells that differ in nothing but how many regions they ask for.

    Attributes:
        label: what tells it from the others.
        lines: by number of regions, the place of the table's line.
    """

    label: str
    lines: Mapping[int, int]


def series_of(pivot: Pivot) -> list[Series]:
    """The series of a table that have two numbers of regions or more."""
    at = [i for i, key in enumerate(pivot.keys) if key in COUNTS]
    found: dict[tuple[str, ...], dict[int, int]] = {}
    for place, line in enumerate(pivot.lines):
        asked = {pivot.keys[i]: line.values[i] for i in at if line.values[i].isdecimal()}
        count = next((int(asked[key]) for key in COUNTS if key in asked), None)
        if count is not None:
            rest = tuple(value for i, value in enumerate(line.values) if i not in at)
            found.setdefault(rest, {})[count] = place
    kept = {rest: lines for rest, lines in found.items() if len(lines) > 1}
    names = [key for i, key in enumerate(pivot.keys) if i not in at]
    telling = [i for i in range(len(names)) if len({rest[i] for rest in kept}) > 1] or [0]
    return [
        Series(" ".join(_word(names[i], rest[i]) for i in telling if rest[i]), lines)
        for rest, lines in kept.items()
    ]


def _word(key: str, value: str) -> str:
    return f"{key.rsplit('.', maxsplit=1)[-1]}={value}" if "." in key else value


def count_plot(tables: Sequence[Table]) -> dict[str, bytes]:
    """The figure by its suffix, always the same bytes; none where no number of regions varies."""
    from matplotlib.figure import Figure

    shown = [(table, found) for table in tables if (found := _drawable(table))]
    if not shown:
        return {}
    with figure_style():
        figure = Figure(figsize=(3.6 * _COLUMNS, 3.4 * len(shown)), layout="constrained")
        grid = figure.subplots(len(shown), _COLUMNS, squeeze=False)
        for (table, series), row in zip(shown, grid, strict=True):
            columns = [one for one in table.columns if one.better is not Better.NEITHER][:_COLUMNS]
            for axes, column in zip(row, columns, strict=False):
                _draw(axes, table, series, column)
            row[0].set_title(textwrap.fill(table.title, _LETTERS), fontsize=8.5, loc="left")
            row[0].legend(fontsize=7.5, frameon=False)
            for axes in row[len(columns) :]:
                axes.set_axis_off()
        return figure_files(figure)


def _drawable(table: Table) -> list[Series]:
    """The series of a table, the best ones where there are more than can be told apart."""
    leading = table.columns[0]

    def reach(series: Series) -> float:
        values = [_value(table, place, leading) for place in series.lines.values()]
        return max((int(leading.better) * v for v in values if v is not None), default=float("-inf"))

    return sorted(series_of(table.pivot), key=reach, reverse=True)[: len(_STYLES)]


def _value(table: Table, place: int, column: Column) -> float | None:
    number = table.numbers.get((place, column.name))
    return None if number is None else number.value


def _draw(axes: Axes, table: Table, series: Sequence[Series], column: Column) -> None:
    scale = 100 if column.share else 1
    for one, style in zip(series, _STYLES, strict=False):
        points: list[tuple[int, Interval]] = []
        for count, place in sorted(one.lines.items()):
            number = table.numbers.get((place, column.name))
            if number is not None and number.value is not None:
                points.append((count, number))
        counts = [count for count, _ in points]
        axes.plot(counts, [scale * (n.value or 0) for _, n in points], label=one.label, **style)
        for count, number in points:
            if number.low is not None and number.high is not None:
                ends = [scale * number.low, scale * number.high]
                axes.plot([count, count], ends, color=style["color"], linewidth=0.8, alpha=0.6)
    every = sorted({count for one in series for count in one.lines})
    axes.set_xscale("log")
    axes.set_xticks(every, [str(count) for count in every])
    axes.minorticks_off()
    axes.set_xlabel("regions asked for")
    unit = " (per cent)" if column.share else ""
    lower = ", lower is better" if column.better is Better.LOWER else ""
    axes.set_ylabel(f"{column.name}{unit}{lower}")
    axes.grid(visible=True, axis="y", color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
