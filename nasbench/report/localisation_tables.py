"""What `nasbench wsol` says in the end: two CSV files, one to read, and the table for the terminal."""

from __future__ import annotations

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
from nasbench.report.summary import number_text
from nasbench.report.tables import (
    CellColumns,
    csv_text,
    markdown,
    percent,
    percent_span,
    sizes_text,
    table_text,
)
from nasbench.run.store import RunFolder

_SHOWN = ("box_acc@0.50", "box_acc@0.70", "box_acc@0.90")
_MEAN = "box_acc_mean"
TITLES = {
    "small": "largest box under half the frame",
    "all": "all images",
    "single": "one object",
}
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
            part = Stratum.of(entries[i].kept, name)
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
    columns_of, lines = CellColumns(said.cells), []
    for (i, stratum), scored in said.scored.items():
        left_out = said.entries[i].reasons.total()
        for column, found in scored.estimates.items():
            numbers = [number_text(x) for x in (found.value, found.low, found.high)]
            lines.append([*columns_of.names(i), stratum, column, *numbers, str(scored.n), str(left_out)])
    return csv_text([*columns_of.header, "stratum", "column", "value", "low", "high", "n", "n_failed"], lines)


def paired_csv(said: Localised) -> str:
    """One line per cell with a base, stratum and column."""
    columns_of = CellColumns(said.cells)
    lines = [
        [
            *columns_of.names(one.cell),
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
    return csv_text([*columns_of.header, *columns], lines)


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
    head = ["cell", *(column[-3:] for column in _SHOWN), "mean", "95 % interval"]
    parts = []
    for name in STRATA[:2]:
        rows = []
        for i, label in enumerate(said.labels):
            found = said.scored[i, name].estimates
            shown = [percent(found[column].value) for column in (*_SHOWN, _MEAN)]
            rows.append([label, *shown, _span(found[_MEAN])])
        parts.append(table_text(_title(said, name), head, rows))
    parts.append("box accuracy in per cent by IoU, and its mean over IoU .50 to .95")
    return "\n".join([*parts, *notes_on(said)])


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
    n = sizes_text(said.scored[i, name].n for i in range(len(said.cells)))
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
        values = [percent(found[column].value) for column in (*_SHOWN, _MEAN)]
        extra = [percent(found[column].value) if column in found else "" for column in more]
        rows.append([label, *values, _span(found[_MEAN]), *extra])
    return markdown(head, rows)


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
        rows.append([said.labels[cell], said.labels[base], f"{100 * mean.value:+.1f}", _span(mean), *shown])
    return markdown(head, rows) + "\n\np: exact McNemar, Holm-adjusted over cells and IoUs of this stratum."


def _span(found: Estimate | Difference) -> str:
    return percent_span(found.low, found.high)
