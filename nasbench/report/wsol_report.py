"""What a run of `nasbench wsol` leaves beside its summary, by the protocol it follows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nasbench.report.gallery import Pictures, write_gallery
from nasbench.report.localisation_plots import localisation_plots
from nasbench.report.localisation_tables import Localised, localisation_text, localised, write_localisation
from nasbench.report.published import is_published, published, published_text, write_published
from nasbench.run.plan import Plan
from nasbench.run.store import RunFolder

Files = list[tuple[str, Path]]


def wsol_report(
    plan: Plan, folder: RunFolder, progress: Callable[[str], None], pictures: Pictures | None
) -> tuple[str, Files, Localised | None]:
    """Text for the terminal, files by label, and what boxes can be drawn from.

    The last is None under the published protocol. Raises RunError for a damaged unit; OSError.
    """
    finished = [(unit.cell, unit.key) for unit in plan.units]
    if is_published(plan.cells[0]):
        found = published(folder, plan.cells, finished, progress)
        return published_text(found), write_published(found, folder), None
    said = localised(folder, plan.cells, finished, progress)
    files = write_localisation(said, folder)
    text = localisation_text(said)
    progress("drawing")
    for suffix, picture in localisation_plots(said).items():
        files.append(("plot", folder.write_bytes(f"localisation.{suffix}", picture)))
    if pictures is not None:
        gallery, notes = write_gallery(said, folder, pictures)
        files += [] if gallery is None else [("gallery", gallery)]
        text = "\n".join([text, *notes])
    return text, files, said
