"""What `nasbench leRF` says in the end: a CSV file, one to read, and the tables for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nasbench.report.labels import cell_labels
from nasbench.report.relevance_groups import Group, RelevanceCell, groups_of
from nasbench.report.relevance_images import SAMPLED, read_images
from nasbench.report.relevance_notes import about, legend, notes_on
from nasbench.report.relevance_scores import RATIOS, Number, ScoredCell, best, ranked, score_cell
from nasbench.report.summary import number_text
from nasbench.report.tables import CellColumns, csv_text, markdown, sizes_text, table_text
from nasbench.run.store import RunFolder

# Heading, column, and whether the terminal shows its interval.
Shown = tuple[str, str, bool]
_CURVES: Sequence[Shown] = (
    ("LeRF", "auc_lerf", False),
    ("MoRF", "auc_morf", False),
    ("SRG", "srg", True),
    ("random", "auc_random", False),
    ("over random", "lerf_over_random", True),
)
_LATTICE: Sequence[Shown] = (
    ("percentile", "percentile_lerf", True),
    ("regret", "regret_lerf", True),
    ("of MoRF", "percentile_morf", False),
    ("tau", "shapley_tau", False),
    ("sampled", SAMPLED, False),
    ("and MoRF", "sampled_percentile_morf", False),
)
_ACROSS: Sequence[Shown] = (
    ("to full", "lerf_to_full", True),
    ("MoRF to empty", "morf_to_empty", True),
    ("over random", "lerf_over_random", False),
)
_ACROSS_LATTICE: Sequence[Shown] = (
    ("regret", "regret_lerf", True),
    ("percentile", "percentile_lerf", True),
    ("MoRF regret", "regret_morf", False),
)
# Of which a higher or lower one is no merit of a map.
_NEUTRAL = (
    "auc_random",
    "auc_random_norm",
    "full",
    "empty",
    "correct",
    "null_mean",
    "null_best",
    "null_worst",
)
# Nor, across units: a random order leaves fine units more room.
_ROOM = ("lerf_over_random",)
_NULL = ("null_mean", "null_best", "null_worst")
_HIDDEN = ("full", "empty", "correct", "small_gaps", "sampled_null_mean", *_NULL, *RATIOS)


@dataclass(frozen=True)
class Relevant:
    """Everything that is said of a run: the cells, their names and numbers, and who shares a ranking."""

    cells: Sequence[RelevanceCell]
    labels: Sequence[str]
    scored: Sequence[ScoredCell]
    groups: Sequence[Group]

    def of(self, group: Group) -> dict[int, ScoredCell]:
        """The cells of a group."""
        return {i: self.scored[i] for i in group.labels}

    def ranking(self, group: Group) -> list[int]:
        """The cells of a group, best first: by LeRF, or what there is in its place."""
        return ranked(headline(self, group), self.of(group))

    @property
    def kinds(self) -> set[str]:
        """Of `curves` and `lattice` those that there are."""
        return {"lattice" if group.lattice else "curves" for group in self.groups}

    @cached_property
    def across(self) -> dict[str, list[int]]:
        """By what is watched and how: cells of several groups."""
        found: dict[str, list[Group]] = {}
        for group in self.groups:
            found.setdefault("lattice" if group.lattice else group.score, []).append(group)
        return {
            name: [i for one in some for i in one.labels] for name, some in found.items() if len(some) > 1
        }


def relevant(
    folder: RunFolder,
    cells: Sequence[RelevanceCell],
    units: Sequence[tuple[int, str]],
    progress: Callable[[str], None] = lambda _: None,
) -> Relevant:
    """Score finished units, given as (cell's place, key). Raises RunError for a damaged one."""
    scored = []
    for i in range(len(cells)):
        progress(f"averaging curves, {i + 1} of {len(cells)}")
        scored.append(score_cell(read_images(folder, [key for index, key in units if index == i])))
    labels = cell_labels([cell.choices for cell in cells], [cell.swept for cell in cells])
    return Relevant(cells, labels, scored, groups_of(cells))


def headline(said: Relevant, group: Group) -> str:
    """The column that a group is ranked by."""
    names = ("percentile_lerf", SAMPLED) if group.lattice else ("auc_lerf", "srg", "auc_morf")
    having = {name for one in said.of(group).values() for name, found in one.numbers.items() if found.n}
    return next((name for name in names if name in having), names[0])


def relevance_csv(said: Relevant) -> str:
    """One line per cell and column."""
    columns_of = CellColumns(said.cells)
    # Elsewhere the column says what was measured; two metrics may have one of a name.
    several = len({cell.choices["metric"] for cell in said.cells}) > 1
    lines = []
    for i, cell in enumerate(said.cells):
        metric = [cell.choices["metric"]] if several else []
        for column, found in said.scored[i].numbers.items():
            numbers = [number_text(x) for x in (found.value, found.low, found.high)]
            counts = [str(found.n), str(found.n_failed)]
            lines.append([*columns_of.names(i), *metric, column, *numbers, *counts])
    metric = ["metric"] if several else []
    return csv_text([*columns_of.header, *metric, "column", "value", "low", "high", "n", "n_failed"], lines)


def relevance_md(said: Relevant) -> str:
    """The same for reading: a table for each group, what may be compared across them, what it rests on."""
    scores = {group.score for group in said.groups}
    parts = ["# Relevance curves", about(said.kinds, scores, across=bool(said.across))]
    for group in said.groups:
        cells = {i: said.scored[i] for i in said.ranking(group)}
        shown = _LATTICE if group.lattice else _CURVES
        title = group_title(said, group)
        parts += [f"## {title[0].upper()}{title[1:]}", _markdown(cells, group.labels, shown), *_null(cells)]
        others = _others(cells, shown, lattice=group.lattice)
        if others:
            parts.append(_markdown(cells, group.labels, others))
    for name, members in said.across.items():
        shown, cells = _ranked_across(said, name, members)
        table = _markdown(cells, said.labels, shown, neutral=_ROOM)
        parts += [f"## {_across_title(name, said)}", table]
    notes = list(notes_on(said.labels, said.scored))
    if notes:
        parts += ["## Left out, and images that say little", "\n".join(f"- {note}" for note in notes)]
    return "\n\n".join(parts) + "\n"


def relevance_text(said: Relevant) -> str:
    """The tables for the terminal: one line a cell."""
    parts = []
    for group in said.groups:
        cells = {i: said.scored[i] for i in said.ranking(group)}
        shown = _LATTICE if group.lattice else _CURVES
        parts.append(_text(group_title(said, group), cells, group.labels, shown))
    for name, members in said.across.items():
        shown, cells = _ranked_across(said, name, members)
        parts.append(_text(_across_title(name, said), cells, said.labels, shown, neutral=_ROOM))
    explained = legend(said.kinds, across=bool(said.across))
    return "\n".join([*parts, *explained, *notes_on(said.labels, said.scored)])


def group_title(said: Relevant, group: Group) -> str:
    """What is removed, how many regions an image has, and how many images there are."""
    cells = said.of(group).values()
    found = np.concatenate([one.images.regions for one in cells])
    many = found[np.isfinite(found)] if group.removed.startswith("regions") else found[:0]
    count = f"{round(many.mean(), 1):g} an image, " if len(many) else ""
    return f"{group.title} ({count}n = {sizes_text(len(one.images.keys) for one in cells)})"


def _across_title(name: str, said: Relevant) -> str:
    several = f", {name}" if len(said.across) > 1 else ""
    return f"Across what is removed, each measured from its own random orders{several}"


def _ranked_across(
    said: Relevant, name: str, members: Sequence[int]
) -> tuple[Sequence[Shown], dict[int, ScoredCell]]:
    shown = _ACROSS_LATTICE if name == "lattice" else _ACROSS
    cells = {i: said.scored[i] for i in members}
    return shown, {i: cells[i] for i in ranked(shown[0][1], cells)}


def _null(cells: Mapping[int, ScoredCell]) -> list[str]:
    """What all orders of the regions give, which is the same for all maps: that of the most images."""
    having = [one.numbers for one in cells.values() if all(name in one.numbers for name in _NULL)]
    if not having:
        return []
    numbers = max(having, key=lambda one: one["null_mean"].n)
    mean, highest, lowest = (_value(numbers[name]) for name in _NULL)
    return [f"Areas of all orders of an image's regions: {mean} in the mean, from {lowest} to {highest}."]


def _others(cells: Mapping[int, ScoredCell], shown: Sequence[Shown], *, lattice: bool) -> list[Shown]:
    """What else there is: normalised areas, and measures by their names."""
    norms = {"auc_lerf_norm": "LeRF", "auc_morf_norm": "MoRF", "srg_norm": "SRG"}
    having = dict.fromkeys(name for one in cells.values() for name in one.numbers)
    known = {column for _, column, _ in shown} | {"morf_under_random"}
    plain = [name for name in having if name not in (*known, *_HIDDEN)]
    normal = [(f"normalised {norms[name]}", name, True) for name in norms if name in having and not lattice]
    return [*normal, *((name, name, True) for name in plain)]


def _present(cells: Mapping[int, ScoredCell], shown: Sequence[Shown]) -> list[Shown]:
    return [one for one in shown if any(one[1] in cell.numbers for cell in cells.values())]


def _bests(
    cells: Mapping[int, ScoredCell], shown: Iterable[Shown], neutral: Sequence[str]
) -> dict[str, int | None]:
    neutral = (*_NEUTRAL, *neutral)
    scored = (column for _, column, _ in shown if column not in neutral and not column.endswith("_sd"))
    return {column: best(column, cells) for column in scored}


def _markdown(
    cells: Mapping[int, ScoredCell],
    labels: Mapping[int, str] | Sequence[str],
    shown: Sequence[Shown],
    neutral: Sequence[str] = (),
) -> str:
    shown = _present(cells, shown)
    bests = _bests(cells, shown, neutral)
    rows = []
    for i, cell in cells.items():
        words = []
        for _, column, _ in shown:
            number = cell.numbers.get(column)
            value = _value(number)
            value = f"**{value}**" if bests.get(column) == i else value
            words.append(" ".join(filter(None, [value, _span(number)])))
        rows.append([labels[i], *words, _n(cell)])
    return markdown(["", *(head for head, _, _ in shown), "n"], rows)


def _text(
    title: str,
    cells: Mapping[int, ScoredCell],
    labels: Mapping[int, str] | Sequence[str],
    shown: Sequence[Shown],
    neutral: Sequence[str] = (),
) -> str:
    shown = _present(cells, shown)
    bests = _bests(cells, shown, neutral)
    rows = []
    for i, cell in cells.items():
        words = []
        for _, column, spanned in shown:
            number = cell.numbers.get(column)
            words.append(("*" if bests.get(column) == i else "") + _value(number))
            words += [_span(number)] if spanned else []
        rows.append([labels[i], *words, _n(cell)])
    head = [word for name, _, spanned in shown for word in (name, *(["95 %"] if spanned else []))]
    return table_text(title, ["cell", *head, "n"], rows)


def _value(number: Number | None) -> str:
    return "" if number is None else "—" if number.value is None else _three(number.value)


def _span(number: Number | None) -> str:
    if number is None or number.low is None or number.high is None:
        return ""
    return f"[{_three(number.low)}, {_three(number.high)}]"


def _three(value: float) -> str:
    """Three decimals, and no sign of a zero."""
    return f"{round(value, 3) + 0.0:.3f}"


def _n(cell: ScoredCell) -> str:
    sampled = cell.images.sampled
    whole = len(cell.images.keys) - sampled
    if not sampled:
        return str(whole)
    return f"{whole} + {sampled} sampled" if whole else f"{sampled} sampled"
