"""Paired differences as a picture: each line less the best, and less the same maps without regions."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nasbench.report.columns import Column
from nasbench.report.comparison import Table
from nasbench.report.figure_files import figure_files, figure_style
from nasbench.statistics.bootstrap import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Told apart by the colour-blind too (Okabe & Ito 2008); the markers repeat them, filled ones exclude 0.
_LOWER, _EITHER, _HIGHER = ("#D55E00", "v"), ("#000000", "o"), ("#0072B2", "^")
_LEGEND = (
    "95 % intervals of paired differences; ▲ better, ▼ worse, ○ not told apart: the interval has 0 in it"
)
_ROW, _FRAME = 0.26, 1.0
# More lines of a table cannot be read: the best are shown.
_MOST = 30
_WIDTH = 10.5
# Of a title, in a line.
_LETTERS = 64


def differences_plot(tables: Sequence[Table]) -> dict[str, bytes]:
    """The figure by its suffix, always the same bytes; none where nothing is compared."""
    from matplotlib.figure import Figure

    shown = [table for table in tables if table.lead is not None and table.lead.lead is not None]
    if not shown:
        return {}
    heights = [_FRAME + _ROW * max(len(lines) for _, lines in _panels(table)) for table in shown]
    with figure_style():
        figure = Figure(figsize=(_WIDTH, sum(heights) + 0.3), layout="constrained")
        grid = figure.subplots(len(shown), 2, squeeze=False, height_ratios=heights)
        for table, row in zip(shown, grid, strict=True):
            panels = _panels(table)
            for axes, (title, lines) in zip(row, panels, strict=False):
                _draw(axes, table, title, lines)
            for axes in row[len(panels) :]:
                axes.set_axis_off()
        figure.supxlabel(_LEGEND, fontsize=8.5, x=0.01, horizontalalignment="left")
        return figure_files(figure)


def _panels(table: Table) -> list[tuple[str, list[tuple[str, Interval]]]]:
    """Title, and by label the differences of one or two panels."""
    ranking = table.lead
    assert ranking is not None
    labels = [line.label for line in table.pivot.lines]
    to_best = [(labels[i], ranking.to_best[i]) for i in ranking.order[1:]][:_MOST]
    # What the table is of is said once, above the first panel.
    title = textwrap.fill(table.title, _LETTERS)
    panels = [(f"{title}\nless {labels[ranking.order[0]]}, the best (n = {ranking.n})", to_best)]
    to_base = [(labels[i], ranking.to_base[i]) for i in ranking.order if i in ranking.to_base][:_MOST]
    if to_base:
        panels.append((f"less the same maps without regions (n = {ranking.n})", to_base))
    return panels


def _draw(axes: Axes, table: Table, title: str, lines: Sequence[tuple[str, Interval]]) -> None:
    column = table.columns[0]
    scale = 100 if column.share else 1
    axes.axvline(0, color="#000000", linewidth=0.8)
    for place, (_, found) in enumerate(lines):
        colour, marker = _sign(found, column)
        assert found.value is not None
        if found.low is not None and found.high is not None:
            axes.plot([scale * found.low, scale * found.high], [place, place], color=colour, linewidth=1.6)
        axes.plot(
            [scale * found.value],
            [place],
            marker=marker,
            color=colour,
            markersize=6,
            markerfacecolor="white" if marker == _EITHER[1] else colour,
        )
    axes.set_yticks(range(len(lines)), [label for label, _ in lines])
    axes.set_ylim(len(lines) - 0.4, -0.6)
    unit = "points" if column.share else "lower is better" if int(column.better) < 0 else ""
    axes.set_xlabel(f"difference in {column.name}" + (f" ({unit})" if unit else ""))
    axes.set_title(title, fontsize=8.5, loc="left")
    axes.grid(visible=True, axis="x", color="#dddddd", linewidth=0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _sign(found: Interval, column: Column) -> tuple[str, str]:
    """Colour and marker: worse, better, or not told apart."""
    if not found.excludes_zero or found.value is None:
        return _EITHER
    return _HIGHER if found.value * int(column.better) > 0 else _LOWER
