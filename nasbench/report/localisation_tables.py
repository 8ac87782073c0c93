"""What `nasbench wsol` says in the end: two CSV files, one to read, and the table for the terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nasbench.localize.thresholds import FOLDS
from nasbench.report.labels import cell_labels
from nasbench.report.localisation import (
    RESAMPLES,
    STRATA,
    Entries,
    Estimate,
    LocalisedCell,
    Scored,
    Stratum,
    read_entries,
    score,
)
from nasbench.report.paired import Difference, bases, differences
from nasbench.report.summary import number_text, value_text
from nasbench.run.store import RunFolder

_SHOWN = ("box_acc@0.50", "box_acc@0.70", "box_acc@0.90")
_MEAN = "box_acc_mean"
TITLES = {
    "small": "largest box under half the frame",
    "all": "all images",
    "single": "one object",
}
_WIDTH = 120
# Those that are named, the most frequent ones.
_REASONS = 12


@dataclass(frozen=True)
class Localised:
    """Everything that is said of a run.

    Attributes:
        cells, labels: the cells and their names.
        entries: what their rows say.
        scored: by cell and stratum.
        paired: against the cells without regions.
    """

    cells: Sequence[LocalisedCell]
    labels: Sequence[str]
    entries: Sequence[Entries]
    scored: Mapping[tuple[int, str], Scored]
    paired: Sequence[Difference]


def localised(
    folder: RunFolder,
    cells: Sequence[LocalisedCell],
    units: Sequence[tuple[int, str]],
    progress: Callable[[str], None] = lambda _: None,
) -> Localised:
    """Score finished units, given as (cell's place, key). Raises RunError for a damaged one."""
    labels = cell_labels([cell.choices for cell in cells], [cell.swept for cell in cells])
    entries, scored = [], {}
    for i, cell in enumerate(cells):
        progress(f"fitting thresholds, {i + 1} of {len(cells)}")
        entries.append(read_entries(folder, [key for index, key in units if index == i]))
        for name in STRATA:
            part = Stratum.of(entries[i], name)
            scored[i, name] = score(part, cell.config["metric"], constant=entries[i].constant)
    paired = [one for name in STRATA for one in differences(cells, entries, scored, name)]
    return Localised(cells, labels, entries, scored, paired)


def write_localisation(said: Localised, folder: RunFolder) -> list[tuple[str, Path]]:
    """Write the files; label and path of each."""
    files = [("boxes", folder.write_text("localisation.csv", localisation_csv(said)))]
    if said.paired:
        files.append(("paired", folder.write_text("localisation_paired.csv", paired_csv(said))))
    return [*files, ("to read", folder.write_text("localisation.md", localisation_md(said)))]


def localisation_csv(said: Localised) -> str:
    """One line per cell, stratum and column."""
    lines = []
    for (i, stratum), scored in said.scored.items():
        left_out = said.entries[i].reasons.total()
        for column, found in scored.estimates.items():
            numbers = [number_text(x) for x in (found.value, found.low, found.high)]
            lines.append([*_names(said, i), stratum, column, *numbers, str(scored.n), str(left_out)])
    return _csv([*_header(said), "stratum", "column", "value", "low", "high", "n", "n_failed"], lines)


def paired_csv(said: Localised) -> str:
    """One line per cell with a base, stratum and column."""
    lines = [
        [
            *_names(said, one.cell),
            one.stratum,
            one.column,
            *(number_text(x) for x in (one.value, one.low, one.high)),
            *("" if x is None else str(x) for x in (one.gained, one.lost)),
            *(number_text(x) for x in (one.p, one.p_holm)),
            str(one.n),
        ]
        for one in said.paired
    ]
    columns = ["stratum", "column", "difference", "low", "high", "gained", "lost", "p", "p_holm", "n"]
    return _csv([*_header(said), *columns], lines)


def localisation_md(said: Localised) -> str:
    """The same for reading: per cent, a table for each stratum, and what it rests on."""
    parts = ["# Localisation", "\n".join(_conventions(said))]
    for name in STRATA:
        parts += [f"## {_title(said, name)}", _stratum_md(said, name)]
        pairs = [one for one in said.paired if one.stratum == name]
        if pairs:
            parts += [f"### Against the same maps without regions, {TITLES[name]}", _paired_md(said, pairs)]
    notes = list(notes_on(said))
    if notes:
        parts += ["## Left out, and maps that say nothing", "\n".join(f"- {note}" for note in notes)]
    return "\n\n".join(parts) + "\n"


def localisation_text(said: Localised) -> str:
    """The table for the terminal: small objects first, they are what a box is worth looking for."""
    from rich.console import Console
    from rich.table import Table

    sink = io.StringIO()
    console = Console(file=sink, width=_WIDTH, force_terminal=False, highlight=False, markup=False)
    for name in STRATA[:2]:
        table = Table(title=_title(said, name), title_justify="left")
        table.add_column("cell")
        for column in (*_SHOWN, _MEAN, "95 % interval"):
            table.add_column(column.removeprefix("box_acc@").removeprefix("box_acc_"), justify="right")
        for i, label in enumerate(said.labels):
            found = said.scored[i, name].estimates
            shown = [_percent(found[column].value) for column in (*_SHOWN, _MEAN)]
            table.add_row(label, *shown, _interval(found[_MEAN]))
        console.print(table)
    console.print("box accuracy in per cent by IoU, and its mean over IoU .50 to .95")
    for note in notes_on(said):
        console.print(note)
    return sink.getvalue().rstrip()


def notes_on(said: Localised) -> Iterable[str]:
    """What a reader of the numbers has to know of the images, a line each."""
    for kind in ("reasons", "faults"):
        found: dict[tuple[str, int], list[str]] = {}
        for label, entries in zip(said.labels, said.entries, strict=True):
            for text, count in sorted(getattr(entries, kind).items()):
                shown = text if kind == "reasons" else f"{text} map: its box is the frame"
                found.setdefault((shown, count), []).append(label)
        frequent = sorted(found, key=lambda one: (-one[1], one[0]))
        for text, count in frequent[:_REASONS]:
            labels = found[text, count]
            where = labels[0] if len(labels) == 1 else f"{labels[0]} and {len(labels) - 1} more"
            yield f"{where}: {count} × {text}"
        if len(frequent) > _REASONS:
            yield f"and {len(frequent) - _REASONS} other reasons, which the rows name"


def _conventions(said: Localised) -> list[str]:
    rules = sorted({str(cell.config["metric"]["threshold"]) for cell in said.cells})
    fitted = (
        f"Thresholds are fitted on the mean accuracy over IoU .50 to .95, one per method, in {FOLDS} folds\n"
        "of images by the hash of their ids, each fold judged at the threshold of the others; in every\n"
        "stratum anew, as is the constant box."
    )
    return [
        "Share of images whose box reaches an IoU with a ground-truth box, in per cent, with 95 % bootstrap",
        f"intervals over images ({RESAMPLES} resamples, thresholds refitted in each).",
        *([fitted] if "crossfit" in rules else []),
        *(f"Thresholds: {rule}." for rule in rules if rule != "crossfit"),
    ]


def _title(said: Localised, name: str) -> str:
    sizes = sorted({said.scored[i, name].n for i in range(len(said.cells))})
    n = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    return f"{TITLES[name]} (n = {n})"


def _stratum_md(said: Localised, name: str) -> str:
    head = [
        "",
        ".50",
        ".70",
        ".90",
        "mean",
        "95 % interval",
        "top-1 .50",
        "oracle mean",
        "upper bound",
        "frame",
    ]
    rows = []
    for i, label in enumerate(said.labels):
        found = said.scored[i, name].estimates
        more = ("top1_loc@0.50", "box_acc_oracle_mean", "box_acc_union_mean", "box_covers_frame")
        values = [_percent(found[column].value) for column in (*_SHOWN, _MEAN)]
        extra = [_percent(found[column].value) if column in found else "" for column in more]
        rows.append([label, *values, _interval(found[_MEAN]), *extra])
    return _md(head, rows)


def _paired_md(said: Localised, pairs: Sequence[Difference]) -> str:
    head = ["", "against", "mean", "95 % interval", *(f"{c[-3:]} gained : lost (p)" for c in _SHOWN)]
    rows = []
    for cell, base in bases(said.cells).items():
        mine = {one.column: one for one in pairs if one.cell == cell}
        if not mine:
            continue
        mean = mine[_MEAN]
        tests = [mine[column] for column in _SHOWN]
        shown = [f"{one.gained} : {one.lost} ({number_text(one.p_holm)[:6]})" for one in tests]
        span = _interval(Estimate(mean.value, mean.low, mean.high))
        rows.append([said.labels[cell], said.labels[base], f"{100 * mean.value:+.1f}", span, *shown])
    return _md(head, rows) + "\n\np: exact McNemar, Holm-adjusted over all cells and IoUs of this stratum."


def _md(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _percent(value: float | None) -> str:
    return "—" if value is None else f"{100 * value:.1f}"


def _interval(found: Estimate) -> str:
    return (
        "" if found.low is None or found.high is None else f"[{100 * found.low:.1f}, {100 * found.high:.1f}]"
    )


def _header(said: Localised) -> list[str]:
    return [*_groups(said), *_swept(said)]


def _names(said: Localised, i: int) -> list[str]:
    cell = said.cells[i]
    swept = [value_text(cell.swept[key]) if key in cell.swept else "" for key in _swept(said)]
    return [*(cell.choices.get(group, "") for group in _groups(said)), *swept]


def _groups(said: Localised) -> list[str]:
    groups = dict.fromkeys(group for cell in said.cells for group in cell.choices)
    return [group for group in groups if group != "metric"]


def _swept(said: Localised) -> list[str]:
    return sorted({key for cell in said.cells for key in cell.swept})


def _csv(header: Sequence[str], lines: Iterable[list[str]]) -> str:
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(sorted(lines))
    return sink.getvalue()
