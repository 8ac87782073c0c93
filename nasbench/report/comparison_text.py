"""A comparison for the terminal, in Markdown and as CSV."""

from __future__ import annotations

import io
from collections.abc import Sequence

from nasbench.report.columns import Column
from nasbench.report.comparison import Table
from nasbench.report.merged import Merged
from nasbench.report.summary import number_text
from nasbench.report.tables import csv_text, markdown
from nasbench.report.verdict import caption, notes, stratum_name, verdicts
from nasbench.statistics.bootstrap import Interval

_WIDTH = 120
# What an interval takes, and what is between columns.
_SPAN, _BETWEEN = 16, 3


def shown_order(table: Table) -> list[int]:
    """The lines as tables show them: best first in the leading column, what is not ranked after it."""
    ranked = [] if table.lead is None else list(table.lead.order)
    labels = [line.label for line in table.pivot.lines]
    return ranked + sorted(set(range(len(labels))) - set(ranked), key=lambda i: labels[i])


def comparison_text(merged: Merged, tables: Sequence[Table]) -> str:
    """Sentences, tables and notes for the terminal."""
    parts = [*verdicts(tables)]
    for table in tables:
        for place, columns in enumerate(_abreast(table)):
            parts += ["", _terminal(table, columns, table.title if place == 0 else "")]
        parts += caption(table, "marked *")
    said = notes(merged, tables)
    return "\n".join([*parts, *(["", *said] if said else [])])


def _abreast(table: Table) -> list[list[Column]]:
    """Columns that fit beside each other; the others go into further tables with the same lines."""
    lines = [table.pivot.keys, *(line.values for line in table.pivot.lines)]
    keys = sum(max(len(line[i]) for line in lines) + _BETWEEN for i in range(len(table.pivot.keys)))
    room = _WIDTH - keys - len(line_n(table, 0)) - _BETWEEN
    found: list[list[Column]] = [[]]
    left = room
    for column in table.columns:
        width = max(len(column.name), _SPAN) + _BETWEEN
        if found[-1] and width > left:
            found.append([])
            left = room
        found[-1].append(column)
        left -= width
    return found


def _terminal(table: Table, columns: Sequence[Column], title: str) -> str:
    from rich.console import Console
    from rich.table import Table as RichTable

    shown = RichTable()
    for key in table.pivot.keys:
        shown.add_column(key, justify="left")
    for column in columns:
        shown.add_column(column.name, justify="right")
    shown.add_column("n", justify="right")
    for i in shown_order(table):
        words = []
        for column in columns:
            number = table.numbers.get((i, column.name))
            star = "*" if table.bold(column.name) == i else ""
            words.append(
                "—" if number is None else f"{star}{column.value(number.value)}\n{_span(column, number)}"
            )
        shown.add_row(*table.pivot.lines[i].values, *words, line_n(table, i))
    sink = io.StringIO()
    Console(file=sink, width=_WIDTH, force_terminal=False, highlight=False, markup=False).print(shown)
    lines = [line.rstrip() for line in sink.getvalue().rstrip().splitlines()]
    return "\n".join([title, *lines] if title else lines)


def comparison_md(merged: Merged, tables: Sequence[Table]) -> str:
    """The same in Markdown, with the differences that were taken."""
    parts = ["# Comparison", "\n".join(f"- {one}" for one in verdicts(tables))]
    for table in tables:
        head = [*table.pivot.keys, *(column.name for column in table.columns), "n"]
        rows = []
        for i in shown_order(table):
            words = []
            for column in table.columns:
                number = table.numbers.get((i, column.name))
                value = "—" if number is None else column.value(number.value)
                value = f"**{value}**" if table.bold(column.name) == i else value
                words.append(" ".join(filter(None, [value, "" if number is None else _span(column, number)])))
            rows.append([*table.pivot.lines[i].values, *words, line_n(table, i)])
        parts += [
            f"## {table.title[0].upper()}{table.title[1:]}",
            markdown(head, rows),
            "\n".join(caption(table)),
        ]
        parts += _differences_md(table)
    said = notes(merged, tables)
    if said:
        parts += ["## Of the runs", "\n".join(f"- {note}" for note in said)]
    return "\n\n".join(parts) + "\n"


def _differences_md(table: Table) -> list[str]:
    """Against the best, and against the same without regions, in the leading column."""
    ranking, leading = table.lead, table.columns[0]
    if ranking is None or ranking.lead is None:
        return []
    labels = [line.label for line in table.pivot.lines]
    unit = " (points)" if leading.share else ""
    head = ["", f"less {labels[ranking.order[0]]}{unit}"]
    head += [f"less the same without regions{unit}"] if ranking.to_base else []
    rows = []
    for i in ranking.order:
        words = [labels[i], _signed(leading, ranking.to_best.get(i))]
        rows.append([*words, *([_signed(leading, ranking.to_base.get(i))] if ranking.to_base else [])])
    about = (
        f"Paired differences in {leading.name} on {ranking.n} images, each with its own 95 % interval, not "
        "adjusted for their number:"
    )
    return [about, markdown(head, rows)]


def _signed(column: Column, found: Interval | None) -> str:
    if found is None:
        return ""
    return f"{column.value(found.value, signed=True)} {_span(column, found)}".rstrip()


def comparison_csv(tables: Sequence[Table]) -> str:
    """One line for each line and column of a table; shares as fractions, empty where there is none."""
    keys = list(dict.fromkeys(key for table in tables for key in table.pivot.keys))
    head = ["command", "table", "images", *keys, "metric", "value", "low", "high", "n", "best"]
    head += ["n_common", "to_best", "to_best_low", "to_best_high", "n95"]
    head += ["to_base", "to_base_low", "to_base_high"]
    lines = []
    for table in tables:
        for (i, name), number in table.numbers.items():
            ranking = table.rankings.get(name)
            values = dict(zip(table.pivot.keys, table.pivot.lines[i].values, strict=True))
            start = [
                table.command,
                table.title,
                stratum_name(table),
                *(values.get(key, "") for key in keys),
                name,
            ]
            start += [*_three(number), str(number.n), str(int(table.bold(name) == i))]
            if ranking is None or i not in ranking.order:
                lines.append([*start, *[""] * 8])
                continue
            lead = i == ranking.order[0] and ranking.n95 is not None
            lines.append(
                [
                    *start,
                    str(ranking.n),
                    *_three(ranking.to_best.get(i)),
                    str(ranking.n95) if lead else "",
                    *_three(ranking.to_base.get(i)),
                ]
            )
    return csv_text(head, lines)


def line_n(table: Table, i: int) -> str:
    """How many images a line has; where its columns differ, from the least to the most."""
    sizes = {number.n for (line, _), number in table.numbers.items() if line == i}
    if not sizes:
        return "0"
    return str(min(sizes)) if len(sizes) == 1 else f"{min(sizes)} to {max(sizes)}"


def _three(number: Interval | None) -> list[str]:
    found = (None, None, None) if number is None else (number.value, number.low, number.high)
    return [number_text(None if x is None else x + 0.0) for x in found]  # no sign of a zero


def _span(column: Column, number: Interval) -> str:
    return column.span(number.low, number.high)
