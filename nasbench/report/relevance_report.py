"""What a run of `nasbench leRF` leaves beside its summary."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nasbench.report.relevance_plots import relevance_plots
from nasbench.report.relevance_tables import relevance_csv, relevance_md, relevance_text, relevant
from nasbench.run.plan import Plan
from nasbench.run.store import RunFolder


def relevance_report(
    plan: Plan, folder: RunFolder, progress: Callable[[str], None]
) -> tuple[str, list[tuple[str, Path]]]:
    """Text for the terminal, and files by label. Raises RunError for a damaged unit; OSError."""
    said = relevant(folder, plan.cells, [(unit.cell, unit.key) for unit in plan.units], progress)
    files = [
        ("curves", folder.write_text("relevance.csv", relevance_csv(said))),
        ("to read", folder.write_text("relevance.md", relevance_md(said))),
    ]
    progress("drawing")
    for suffix, picture in relevance_plots(said).items():
        files.append(("plot", folder.write_bytes(f"relevance.{suffix}", picture)))
    return relevance_text(said), files
