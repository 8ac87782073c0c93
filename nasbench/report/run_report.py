"""All that a run shows when it ends: summary.csv, the contact sheet, overlays, the table."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench.report.labels import cell_labels
from nasbench.report.summary import SummaryRow, summarise, summary_csv
from nasbench.run.plan import Plan, Unit, artefact_name
from nasbench.run.store import RunFolder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WIDTH = 120


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        text: the table, for the terminal.
        files: label and path of each file worth opening.
        all_failed: whether no image has any value.
        first_reason: one reason of a failure, empty where there is none.
    """

    text: str
    files: list[tuple[str, Path]]
    all_failed: bool
    first_reason: str


def write_report(plan: Plan, folder: RunFolder, progress: Callable[[str], None] = lambda _: None) -> Report:
    """Derive the report of a finished run from its folder. Raises RunError for a damaged unit, OSError."""
    progress("summarising")
    rows = summarise(folder, plan.cells, [(unit.cell, unit.key) for unit in plan.units])
    files = [("table", folder.write_text("summary.csv", summary_csv(rows)))]
    labels = cell_labels([cell.choices for cell in plan.cells], [cell.swept for cell in plan.cells])
    progress("drawing")
    sheet = _write_sheet(plan, folder, labels)
    if sheet is not None:
        files.append(("picture", sheet))
    if "overlays" in plan.settings.save:
        files.append(("overlays", _write_overlays(plan, folder, labels)))
    reasons = [reason for row in rows for reason in row.reasons if reason]
    return Report(_table(rows, labels), files, all(row.n == 0 for row in rows), reasons[0] if reasons else "")


def _write_sheet(plan: Plan, folder: RunFolder, labels: Sequence[str]) -> Path | None:
    from nasbench.report.draw import contact_sheet

    first = [unit for unit in plan.units if unit.block == 0][: plan.settings.sheet_columns]
    samples: list[str] = []
    columns = []
    for unit in first:
        kept = _kept(folder, unit, plan)
        columns.append((labels[unit.cell], kept))
        shown = [sample for sample, _ in unit.samples[: plan.settings.sheet_images]]
        samples += [sample for sample in shown if sample not in samples]
    if not samples:
        return None
    left = len([unit for unit in plan.units if unit.block == 0]) - len(first)
    more = f" (and {left} more cells)" if left else ""
    title = f"nasbench {plan.command}: {', '.join(sorted({c.choices['model'] for c in plan.cells}))}{more}"
    picture = contact_sheet(columns, samples[: plan.settings.sheet_images], title=title)
    return folder.write_bytes("sheet.png", picture)


def _write_overlays(plan: Plan, folder: RunFolder, labels: Sequence[str]) -> Path:
    from nasbench.report.draw import overlay, png_bytes

    for unit in plan.units:
        place = _file_name(labels[unit.cell])
        for sample, (image, regions) in _kept(folder, unit, plan).items():
            folder.write_bytes(
                f"overlays/{place}/{_file_name(sample)}.png", png_bytes(overlay(image, regions))
            )
    return folder.path / "overlays"


def _kept(
    folder: RunFolder, unit: Unit, plan: Plan
) -> dict[str, tuple[NDArray[np.uint8], NDArray[np.integer[Any]]]]:
    name = artefact_name(unit, plan.settings)
    arrays = folder.read_artefact(name) if name else None
    if arrays is None:
        return {}
    pairs = zip(arrays["images"], arrays["labels"], strict=True)
    return {str(sample): pair for sample, pair in zip(arrays["ids"], pairs, strict=True)}


def _file_name(text: str) -> str:
    return "".join(c if c.isalnum() or c in "-_.=" else "_" for c in text)


def _table(rows: Sequence[SummaryRow], labels: Sequence[str]) -> str:
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title="mean over images [95 % interval], higher is better except for n_regions", title_justify="left"
    )
    for column, side in (
        ("cell", "left"),
        ("metric", "left"),
        ("mean", "right"),
        ("interval", "right"),
        ("n", "right"),
    ):
        table.add_column(column, justify=side)  # type: ignore[arg-type]
    table.add_column("failed", justify="right")
    last = None
    for row in rows:
        name = labels[row.cell]
        table.add_section() if last not in (None, name) else None
        interval = "" if row.low is None or row.high is None else f"[{row.low:.3f}, {row.high:.3f}]"
        mean = "—" if row.value is None else f"{row.value:.3f}"
        table.add_row("" if name == last else name, row.metric, mean, interval, str(row.n), str(row.n_failed))
        last = name
    sink = io.StringIO()
    console = Console(file=sink, width=_WIDTH, force_terminal=False, highlight=False, markup=False)
    console.print(table)
    for row in rows:
        for reason, count in sorted(row.reasons.items()):
            console.print(f"{labels[row.cell]}, {row.metric}: {count} × {reason}")
    return sink.getvalue().rstrip()
