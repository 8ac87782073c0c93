"""From merged runs to tables: who is best in a column, by how much, and whether that can be told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from nasbench.errors import RunError
from nasbench.report.cell_numbers import CellNumbers, numbers_of
from nasbench.report.columns import Better, Column, column, default_columns, is_ours, rows_behind
from nasbench.report.conventions import check_comparable, check_conventions
from nasbench.report.line_numbers import (
    LEVEL,
    LineNumber,
    difference_of,
    interval_of,
    line_images,
    line_number,
    needed,
)
from nasbench.report.merged import Merged, MergedCell
from nasbench.report.pivot import Pivot, pivot
from nasbench.report.places import ACROSS, places
from nasbench.statistics.bootstrap import Interval

# Small objects first, they are what a box is worth looking for.
STRATA = {"small": "largest box under half the frame", "all": "all images"}
_WHOLE = ("", "all")


@dataclass(frozen=True)
class Ranking:
    """The lines of a table in one column, on the images that all of them have.

    Attributes:
        order: the lines that have a number there, best first.
        lead: the best less the second; None of one line.
        n95: images at which that would be told apart with power 0.8; None where that is not known.
        to_best: of every other line, it less the best.
        to_base: of lines with regions, it less the same without, where there is that.
        n: images.
        significant: whether the lead is, with Holm's adjustment over the table's columns.
    """

    order: tuple[int, ...]
    lead: Interval | None
    n95: int | None
    to_best: Mapping[int, Interval]
    to_base: Mapping[int, Interval]
    n: int
    significant: bool = False


@dataclass(frozen=True)
class Frame:
    """What a table is of.

    Attributes:
        command: the command that made the rows.
        title: what is measured, on what.
        stratum: which of the images; empty where all.
        pivot: its lines.
        columns: its columns, the leading one first.
    """

    command: str
    title: str
    stratum: str
    pivot: Pivot
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Table(Frame):
    """One table: cells that share a protocol.

    Attributes:
        numbers: by line and column, each on the line's own images.
        rankings: by column, where there is anything to rank.
        missed: by line, images without a number in the leading column.
    """

    numbers: Mapping[tuple[int, str], Interval] = field(default_factory=dict)
    rankings: Mapping[str, Ranking] = field(default_factory=dict)
    missed: Mapping[int, int] = field(default_factory=dict)

    @property
    def lead(self) -> Ranking | None:
        """The ranking of the leading column."""
        return self.rankings.get(self.columns[0].name)

    def bold(self, name: str) -> int | None:
        """The line that is best in a column beyond chance."""
        ranking = self.rankings.get(name)
        return ranking.order[0] if ranking is not None and ranking.significant else None


Measured = Mapping[str, Mapping[str, CellNumbers]]


def measure(merged: Merged, progress: Callable[[str], None] = lambda _: None) -> Measured:
    """The numbers of all cells, by digest and stratum. Raises RunError for a damaged unit."""
    numbers = {}
    for i, cell in enumerate(merged.cells):
        progress(f"reading rows, {i + 1} of {len(merged.cells)}")
        numbers[cell.digest] = numbers_of(merged.rows, cell, tuple(STRATA))
    return numbers


def metric_names(measured: Measured) -> list[str]:
    """All that a table could have as a column, whichever command it is of."""
    every = (one for by_stratum in measured.values() for one in by_stratum.values())
    return list(dict.fromkeys(name for one in every for name in one.columns))


def compare(
    merged: Merged,
    measured: Measured,
    *,
    by: Sequence[str] | None = None,
    metrics: Sequence[str] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> list[Table]:
    """The tables of merged runs; `metrics` names their columns, of which each has those it knows.

    Raises RunError: cells whose numbers do not mean the same, no common images, no number at all, or `by`
    as `pivot`.
    """
    tables: list[Table] = []
    for cells, title in places(merged.cells):
        check_comparable(cells, merged.runs, by or ())
        _check_images(cells)
        lines = pivot(cells, by)
        ours = all(is_ours(cell) for cell in cells)
        for stratum in STRATA if cells[0].command == "wsol" else ("",):
            numbers = {cell.digest: measured[cell.digest][stratum] for cell in cells}
            there = [name for cell in cells for name in numbers[cell.digest].columns]
            names = [name for name in metrics if name in there]
            if not metrics:
                names = default_columns(cells, there, across=title.endswith(ACROSS))
            check_conventions(cells, by or (), rows_behind(names, cells[0].command))
            columns = tuple(column(name, cells[0].command, ours=ours) for name in names)
            progress(f"comparing {len(lines.lines)} lines")
            said = ", ".join(filter(None, [title, STRATA.get(stratum)]))
            tables += _table(Frame(cells[0].command, said, stratum, lines, columns), numbers)
    if not tables:
        runs = " and ".join(run.name for run in merged.runs)
        raise RunError(f"{runs}: no image has a number, every row failed or was skipped")
    return tables


def _check_images(cells: Sequence[MergedCell]) -> None:
    common = set(cells[0].samples)
    for cell in cells[1:]:
        common &= set(cell.samples)
    if not common:
        other = next((c for c in cells if not set(c.samples) & set(cells[0].samples)), cells[-1])
        names = " and ".join(dict.fromkeys([cells[0].runs[0], other.runs[0]]))
        raise RunError(f"{names}: their {cells[0].command} rows have no images in common, nothing compares")


def _table(frame: Frame, numbers: Mapping[str, CellNumbers]) -> list[Table]:
    """A table, if any line has a number in it."""
    lines = frame.pivot.lines
    found: dict[tuple[int, str], Interval] = {}
    ranked: dict[str, _Ranked] = {}
    for one in frame.columns:
        images = [line_images(line, numbers, one.name) for line in lines]
        for i, line in enumerate(lines):
            number = line_number(line, numbers, one.name, images[i])
            if number is not None:
                found[i, one.name] = interval_of(number, one.name)
        having = [i for i, some in enumerate(images) if some]
        common = frozenset.intersection(*(images[i] for i in having)) if having else frozenset()
        if one.better is Better.NEITHER or not common:
            continue
        drawn = {i: line_number(lines[i], numbers, one.name, common) for i in having}
        known = {i: number for i, number in drawn.items() if number is not None}
        if known:
            ranked[one.name] = _Ranked(one, frame.pivot, known)
    if not found:
        return []
    told = _adjusted(ranked)
    rankings = {name: one.ranking(significant=name in told) for name, one in ranked.items()}
    missed = _missed(frame, found) if frame.stratum in _WHOLE else {}
    return [Table(**vars(frame), numbers=found, rankings=rankings, missed=missed)]


def _missed(frame: Frame, found: Mapping[tuple[int, str], Interval]) -> dict[int, int]:
    name, lines = frame.columns[0].name, frame.pivot.lines
    every = {
        i: len(set.intersection(*(set(cell.samples) for cell in line.cells))) for i, line in enumerate(lines)
    }
    have = {i: found[i, name].n if (i, name) in found else 0 for i in every}
    return {i: every[i] - have[i] for i in every if every[i] > have[i]}


@dataclass(frozen=True)
class _Ranked:
    """Lines with their numbers on common images, in one column."""

    column: Column
    lines: Pivot
    numbers: Mapping[int, LineNumber]

    @property
    def order(self) -> list[int]:
        """Best first; of equal ones as their labels are."""
        sign = -int(self.column.better)
        labels = [line.label for line in self.lines.lines]
        return sorted(self.numbers, key=lambda i: (sign * self.numbers[i].value, labels[i]))

    def lead(self, level: float) -> Interval | None:
        """The best less the second."""
        order = self.order
        return self._less(order[0], order[1], level) if len(order) > 1 else None

    def ranking(self, *, significant: bool) -> Ranking:
        """The same with the differences of all lines."""
        order = self.order
        first = order[0] if order else -1
        bases = {i: base for i, base in self.lines.bases.items() if i in order and base in order}
        lead, n = self.lead(LEVEL), len(set(self.numbers[first].images)) if order else 0
        n95 = needed(self.numbers[first], self.numbers[order[1]]) if len(order) > 1 else None
        # Refitted thresholds vary too: fewer images than there are cannot be what it takes.
        if n95 is not None and n95 <= n and lead is not None and not lead.excludes_zero:
            n95 = None
        return Ranking(
            order=tuple(order),
            lead=lead,
            n95=n95,
            to_best={i: self._less(i, first, LEVEL) for i in order[1:]},
            to_base={i: self._less(i, base, LEVEL) for i, base in bases.items()},
            n=n,
            significant=significant,
        )

    def _less(self, i: int, other: int, level: float) -> Interval:
        return difference_of(self.numbers[i], self.numbers[other], self.column.name, level)


def _adjusted(rankings: Mapping[str, _Ranked]) -> set[str]:
    """The columns whose lead is significant by Holm's method: 5 % over all columns together.

    Of m leads that with the smallest p is tested at 5 %/m, the next at 5 %/(m − 1), and so on until one
    fails; p <= a is said by an interval at level 1 − a that excludes 0.
    """
    told: set[str] = set()
    tested = [name for name, one in rankings.items() if len(one.numbers) > 1]
    while True:
        left = [name for name in tested if name not in told]
        more = set()
        for name in left:
            lead = rankings[name].lead(1 - (1 - LEVEL) / len(left))
            if lead is not None and lead.excludes_zero:
                more.add(name)
        if not more:
            return told
        told |= more
