"""All that a run shows when it ends: summary.csv, the contact sheet, overlays, the table."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench.errors import RunError
from nasbench.report.gallery import Pictures
from nasbench.report.labels import cell_labels
from nasbench.report.localisation_tables import Localised
from nasbench.report.predicted import Drawn, predicted_boxes
from nasbench.report.relevance_report import relevance_report
from nasbench.report.summary import SummaryRow, summarise, summary_csv
from nasbench.report.wsol_report import wsol_report
from nasbench.run.plan import Plan, Unit, artefact_images
from nasbench.run.store import RunFolder

if TYPE_CHECKING:
    from PIL import Image

    from nasbench.report.draw import Tile

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


def write_report(
    plan: Plan,
    folder: RunFolder,
    progress: Callable[[str], None] = lambda _: None,
    pictures: Pictures | None = None,
) -> Report:
    """Derive the report of a finished run from its folder; `pictures` makes those that the gallery asks for.

    Raises RunError for a damaged unit, and under `on_error=fail` for a row that failed in an earlier run;
    OSError.
    """
    progress("summarising")
    rows = summarise(folder, plan.cells, [(unit.cell, unit.key) for unit in plan.units])
    if plan.settings.on_error == "fail":
        for row in rows:
            for reason in row.errors:
                raise RunError(f"{row.metric}: {reason} (on_error=fail; a row kept from an earlier run)")
    files = [("table", folder.write_text("summary.csv", summary_csv(rows)))]
    labels = cell_labels([cell.choices for cell in plan.cells], [cell.swept for cell in plan.cells])
    text, said = "", None
    if plan.command == "wsol":
        text, more, said = wsol_report(plan, folder, progress, pictures)
        files += more
    elif plan.command == "lerf":
        text, more = relevance_report(plan, folder, progress)
        files += more
    progress("drawing")
    files.append(("picture", _write_sheet(plan, folder, labels, said)))
    if "overlays" in plan.settings.save:
        files.append(("overlays", _write_overlays(plan, folder, labels, said)))
    if "maps" in plan.settings.save:
        files.append(("maps", _write_maps(plan, folder, labels)))
    reasons = [reason for row in rows for reason in row.reasons if reason]
    return Report(
        text or _table(rows, labels), files, all(row.n == 0 for row in rows), reasons[0] if reasons else ""
    )


def _write_sheet(plan: Plan, folder: RunFolder, labels: Sequence[str], said: Localised | None) -> Path:
    from nasbench.report.draw import SheetColumn, contact_sheet

    first = [unit for unit in plan.units if unit.block == 0][: plan.settings.sheet_columns]
    columns = []
    shown: list[list[tuple[int, str]]] = []
    datasets: list[Any] = []
    for unit in first:
        node = plan.cells[unit.cell].config["dataset"]
        if node not in datasets:
            datasets.append(node)
            wanted = unit.samples[: plan.settings.sheet_images]
            shown.append([(datasets.index(node), sample) for sample, _ in wanted])
        index = datasets.index(node)
        # Of an image with several classes the sheet shows the first.
        kept = {(index, name): tile for name, tile in reversed(tiles(folder, unit, plan, said))}
        columns.append(SheetColumn(labels[unit.cell], index, kept))
    # In turn from each data set, so that each is seen.
    turns = (row for rows in zip_longest(*shown) for row in rows if row is not None)
    samples = list(turns)[: plan.settings.sheet_images]
    left = len([unit for unit in plan.units if unit.block == 0]) - len(first)
    more = f" (and {left} more cells)" if left else ""
    title = f"nasbench {plan.command}: {', '.join(sorted({c.choices['model'] for c in plan.cells}))}{more}"
    picture = contact_sheet(columns, samples, title=title)
    return folder.write_bytes("sheet.png", picture)


def _write_overlays(plan: Plan, folder: RunFolder, labels: Sequence[str], said: Localised | None) -> Path:
    from nasbench.report.draw import png_bytes

    for unit in plan.units:
        place = _file_name(labels[unit.cell])
        shown = zip(tiles(folder, unit, plan, said), targets(folder, unit, plan), strict=True)
        for (sample, tile), target in shown:
            name = _file_name(sample) + (f"__{target}" if target >= 0 else "")
            folder.write_bytes(f"overlays/{place}/{name}.png", png_bytes(tile.draw(2)))
    return folder.path / "overlays"


def _write_maps(plan: Plan, folder: RunFolder, labels: Sequence[str]) -> Path:
    """Each map as `<id>__<class>.npy`, which is how `saliency=precomputed` reads maps."""
    import numpy as np

    for unit in plan.units:
        place = _file_name(labels[unit.cell])
        arrays = folder.read_artefact(unit.key, artefact_images(unit, plan.settings))
        if arrays is None or "maps" not in arrays:
            continue
        for sample, target, values in zip(arrays["ids"], arrays["targets"], arrays["maps"], strict=True):
            sink = io.BytesIO()
            np.save(sink, values, allow_pickle=False)
            folder.write_bytes(f"maps/{place}/{_safe_path(str(sample))}__{target}.npy", sink.getvalue())
    return folder.path / "maps"


def _kept(folder: RunFolder, unit: Unit, plan: Plan) -> list[dict[str, Any]]:
    """What is kept of a unit's results, in its order: one dictionary of arrays each."""
    images = artefact_images(unit, plan.settings)
    arrays = folder.read_artefact(unit.key, images)
    if arrays is None:
        return []
    wanted = {sample for sample, _ in unit.samples[:images]}
    entries = [{name: array[i] for name, array in arrays.items()} for i in range(len(arrays["ids"]))]
    return [entry for entry in entries if str(entry["ids"]) in wanted]


def targets(folder: RunFolder, unit: Unit, plan: Plan) -> list[int]:
    """The class of each of a unit's kept results, -1 where none is explained."""
    return [int(entry.get("targets", -1)) for entry in _kept(folder, unit, plan)]


def tiles(folder: RunFolder, unit: Unit, plan: Plan, said: Localised | None = None) -> list[tuple[str, Tile]]:
    """Pictures of a unit's kept results, with the samples' ids; with boxes where they were scored."""
    from nasbench.report.draw import Tile, heat, overlay

    kept = _kept(folder, unit, plan)
    # One scale for all maps of a cell: where some have negative values, 0 is in the middle of all.
    diverging = any(float(entry["maps"].min()) < 0 for entry in kept if "maps" in entry)
    found = []
    for entry in kept:
        image, labels = entry["images"], entry.get("labels")
        if "maps" in entry:
            draw = partial(_zoomed, partial(heat, diverging=diverging), image, entry["maps"], labels)
            note = f"class {int(entry['targets'])}"
            at = (unit.cell, str(entry["ids"]), int(entry["targets"]))
            drawn = None if said is None else predicted_boxes(said, *at, entry["maps"], image.shape[:2])
            if drawn is not None:
                draw, note = partial(_boxed, draw, drawn), f"IoU {drawn.iou:.2f}"
        else:
            labels = entry["labels"]
            draw = partial(_zoomed, overlay, image, labels)
            note = f"{int(labels.max()) + 1} regions"
        found.append((str(entry["ids"]), Tile(image, note, draw)))
    return found


def _zoomed(drawn: Callable[..., Image.Image], *what: Any) -> Image.Image:
    *arguments, zoom = what
    return drawn(*arguments, zoom=zoom)


def _boxed(draw: Callable[[int], Image.Image], drawn: Drawn, zoom: int) -> Image.Image:
    from nasbench.report.draw import boxed

    return boxed(draw(zoom), drawn.truth, drawn.box, zoom=zoom)


def _safe_path(sample: str) -> str:
    """An id as a relative path: its slashes are folders, and none leads upwards."""
    return "/".join("_" if part in ("", ".", "..") else part for part in sample.split("/"))


def _file_name(text: str) -> str:
    return "".join(c if c.isalnum() or c in "-_.=" else "_" for c in text)


def _table(rows: Sequence[SummaryRow], labels: Sequence[str]) -> str:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="mean over images [95 % interval]", title_justify="left")
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
    missed = {row.cell: row.n_missed for row in rows if row.n_missed}
    for cell, count in missed.items():
        console.print(f"{labels[cell]}: {count} × regions not within max(1, 5 %) of segmenter.match")
    failures: dict[tuple[str, str, int], list[str]] = {}
    for row in rows:
        for reason, count in sorted(row.reasons.items()):
            failures.setdefault((row.metric, reason, count), []).append(labels[row.cell])
    for (metric, reason, count), cells in failures.items():
        where = cells[0] if len(cells) == 1 else f"{cells[0]} and {len(cells) - 1} more"
        console.print(f"{where}, {metric}: {count} × {reason}")
    return sink.getvalue().rstrip()
