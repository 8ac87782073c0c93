"""How a number, an interval and a table of cells are written: CSV, Markdown and the terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from nasbench.report.summary import value_text

_WIDTH = 120


class NamedCell(Protocol):
    """What tells a cell from others."""

    @property
    def choices(self) -> Mapping[str, str]:
        """Config group -> choice."""
        ...

    @property
    def swept(self) -> Mapping[str, Any]:
        """Swept key -> value."""
        ...


class CellColumns:
    """The first columns of a table with one line per cell: its choices, and what was swept."""

    def __init__(self, cells: Sequence[NamedCell]) -> None:
        groups = dict.fromkeys(group for cell in cells for group in cell.choices)
        self._cells = cells
        self._groups = [group for group in groups if group != "metric"]
        self._swept = sorted({key for cell in cells for key in cell.swept})

    @property
    def header(self) -> list[str]:
        """The columns' names."""
        return [*self._groups, *self._swept]

    def names(self, i: int) -> list[str]:
        """What the columns say of cell i."""
        cell = self._cells[i]
        swept = [value_text(cell.swept[key]) if key in cell.swept else "" for key in self._swept]
        return [*(cell.choices.get(group, "") for group in self._groups), *swept]


def csv_text(header: Sequence[str], lines: Iterable[list[str]]) -> str:
    """A CSV file, its lines sorted."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(sorted(lines))
    return sink.getvalue()


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def table_text(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table for the terminal, its first column names, the others numbers."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for place, name in enumerate(head):
        table.add_column(name, justify="right" if place else "left")
    for row in rows:
        table.add_row(*row)
    sink = io.StringIO()
    Console(file=sink, width=_WIDTH, force_terminal=False, highlight=False, markup=False).print(table)
    return sink.getvalue().rstrip()


def percent(value: float | None) -> str:
    """A share as per cent, one decimal."""
    return "—" if value is None else f"{100 * value:.1f}"


def percent_span(low: float | None, high: float | None) -> str:
    """An interval of shares likewise; empty without one."""
    return "" if low is None or high is None else f"[{100 * low:.1f}, {100 * high:.1f}]"


def sizes_text(sizes: Iterable[int]) -> str:
    """Numbers of images of several cells: one, or from the least to the most."""
    found = sorted(set(sizes))
    return str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"
