"""What `nasbench wsol metric=choe` says in the end: MaxBoxAcc, MaxBoxAccV2 and PxAP, as they are published.

The best threshold is taken on the reported images themselves, for every number anew, and again in every
resample: what the protocol says, an upper bound on what a threshold fitted elsewhere would give.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nasbench.localize.baselines import fit_const_boxes
from nasbench.localize.boxes import IOU_GRID
from nasbench.localize.choe import CHOE_IOU, choe_thresholds
from nasbench.localize.choe_metric import ALL, LARGEST, ChoeAccuracy, unrun
from nasbench.localize.metric import BOXES, unflattened
from nasbench.localize.pixel_curves import PixelCurves
from nasbench.report.image_rows import (
    Key,
    SaidRow,
    UnitRows,
    first_failure,
    histogram_of,
    rows_by_image,
    unit_boxes_of,
)
from nasbench.report.labels import cell_labels
from nasbench.report.localisation import (
    RESAMPLES,
    STRATA,
    Estimate,
    LocalisedCell,
    Stratum,
    estimates_of,
)
from nasbench.report.localisation_tables import TITLES
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

Floats = NDArray[np.float64]

V1 = tuple(f"max_box_acc@{delta:.2f}" for delta in CHOE_IOU)
V2 = tuple(f"max_box_acc_v2@{delta:.2f}" for delta in CHOE_IOU)
MEAN, PXAP = "max_box_acc_v2", "px_ap"
_ABOUT = f"""MaxBoxAcc, MaxBoxAccV2 and PxAP (Choe et al., CVPR 2020 and TPAMI 2022) in per cent, each at the
threshold that is best for it on these very images, with 95 % bootstrap intervals over images
({RESAMPLES} resamples, the best threshold taken in each). A constant box is fitted on the other folds."""
_SHOWN = (V1[1], *V2, MEAN, PXAP)


@dataclass(frozen=True)
class Image:
    """What the rows of one image and class say.

    Attributes:
        boxes: (n, 4) ground truth, as shares of the frame's sides.
        right: (6, T) decisions by threshold; None for a constant box.
        pixels: (2, T + 1) histogram of its pixels' scores; None without a mask.
    """

    boxes: Floats
    right: NDArray[np.bool_] | None
    pixels: Floats | None


@dataclass
class Images:
    """The rows of one cell: what is scored, and why the rest is not, with numbers."""

    kept: dict[Key, Image] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Published:
    """Everything that is said of a run: by (cell, stratum) the estimates by column, and how many images."""

    cells: Sequence[LocalisedCell]
    labels: Sequence[str]
    images: Sequence[Images]
    estimates: Mapping[tuple[int, str], tuple[Mapping[str, Estimate], int]]


def is_published(cell: LocalisedCell) -> bool:
    """Whether a cell follows this protocol."""
    found: bool = cell.config["metric"]["_target_"] == f"{ChoeAccuracy.__module__}.{ChoeAccuracy.__name__}"
    return found


def published(
    folder: RunFolder,
    cells: Sequence[LocalisedCell],
    units: Sequence[tuple[int, str]],
    progress: Callable[[str], None] = lambda _: None,
) -> Published:
    """Score finished units, given as (cell's place, key). Raises RunError for a damaged one."""
    labels = cell_labels([cell.choices for cell in cells], [cell.swept for cell in cells])
    images, estimates = [], {}
    for i, cell in enumerate(cells):
        progress(f"taking the best thresholds, {i + 1} of {len(cells)}")
        images.append(_read(folder, [key for index, key in units if index == i], cell))
        for name in STRATA:
            part = Stratum.of(images[i].kept, name)
            estimates[i, name] = score_published(part), len(part.entries)
    return Published(cells, labels, images, estimates)


def _read(folder: UnitRows, keys: Sequence[str], cell: LocalisedCell) -> Images:
    return images_of(rows_by_image(folder, keys), cell)


def images_of(found: Mapping[Key, Mapping[str, SaidRow]], cell: LocalisedCell) -> Images:
    """What a cell's rows say, image by image."""
    thresholds = choe_thresholds(cell.config["metric"]["step"])
    images = Images()
    for place, rows in found.items():
        titles = () if rows[BOXES].said.get("box") == "constant" else (*LARGEST, *ALL)
        reason = first_failure(rows, (BOXES, *titles))
        if reason is not None:
            images.reasons[reason] += 1
            continue
        curves = [unflattened(rows[title].curve or ()) for title in titles]
        right = np.stack([unrun(curve, thresholds) for curve in curves]) if curves else None
        images.kept[place] = Image(unit_boxes_of(rows), right, histogram_of(rows))
    return images


def score_published(stratum: Stratum[Image]) -> dict[str, Estimate]:
    """The numbers of a cell's images by column; the resamples are those of all cells with these images."""
    n = len(stratum.entries)
    if n == 0:
        return {name: Estimate(None) for name in (*V1, *V2, MEAN)}
    # The images themselves first, then the resamples.
    drawn = np.concatenate([np.ones((1, n), dtype=np.int64), stratum.counts])
    if stratum.entries[0].right is None:
        columns = [IOU_GRID.index(delta) for delta in CHOE_IOU]
        fitted = fit_const_boxes([entry.boxes for entry in stratum.entries], stratum.fold)
        best = np.tile(fitted.bootstrap(drawn)[:, columns], (1, 2))
    else:
        # (6, n, T) and (B, n): the accuracy at each threshold, of which the best is taken column by column.
        right = np.stack([e.right for e in stratum.entries if e.right is not None], axis=1).astype(np.float32)
        weights = (drawn / drawn.sum(axis=1, keepdims=True)).astype(np.float32)
        best = np.stack([(weights @ one).max(axis=1) for one in right], axis=1).astype(np.float64)
    best = np.column_stack([best, best[:, len(V1) :].mean(axis=1)])
    found = estimates_of([*V1, *V2, MEAN], best[0], best[1:])
    pixels = [entry.pixels for entry in stratum.entries if entry.pixels is not None]
    if len(pixels) == n:
        px_ap = PixelCurves.of(pixels).px_ap(drawn)[:, None]
        found |= estimates_of([PXAP], px_ap[0], px_ap[1:])
    return found


def decided_published(stratum: Stratum[Image]) -> dict[str, Floats]:
    """By column (n,) what each image adds to the accuracy at the thresholds that are best for all."""
    if stratum.entries[0].right is None:
        fitted = fit_const_boxes([entry.boxes for entry in stratum.entries], stratum.fold)
        at_iou = fitted.right()[:, [IOU_GRID.index(delta) for delta in CHOE_IOU]]
        decided = np.tile(at_iou, (1, 2)).astype(np.float64)
    else:
        # Of shape (6, n, T).
        right = np.stack([e.right for e in stratum.entries if e.right is not None], axis=1)
        decided = np.stack([one[:, one.mean(axis=0).argmax()] for one in right], axis=1).astype(np.float64)
    found = dict(zip((*V1, *V2), decided.T, strict=True))
    return {**found, MEAN: decided[:, len(V1) :].mean(axis=1)}


def write_published(said: Published, folder: RunFolder) -> list[tuple[str, Path]]:
    """Write the files; label and path of each."""
    return [
        ("boxes", folder.write_text("localisation.csv", published_csv(said))),
        ("to read", folder.write_text("localisation.md", published_md(said))),
    ]


def published_csv(said: Published) -> str:
    """One line per cell, stratum and column."""
    table = CellColumns(said.cells)
    lines = []
    for (i, stratum), (found, n) in said.estimates.items():
        left_out = said.images[i].reasons.total()
        for column, one in found.items():
            numbers = [number_text(x) for x in (one.value, one.low, one.high)]
            lines.append([*table.names(i), stratum, column, *numbers, str(n), str(left_out)])
    return csv_text([*table.header, "stratum", "column", "value", "low", "high", "n", "n_failed"], lines)


def published_md(said: Published) -> str:
    """The same for reading: per cent, a table for each stratum."""
    parts = [
        "# Localisation by the published protocol",
        _ABOUT,
    ]
    for name in STRATA:
        parts += [f"## {_title(said, name)}", markdown(_head(), _rows(said, name))]
    notes = list(_notes(said))
    if notes:
        parts += ["## Left out", "\n".join(f"- {note}" for note in notes)]
    return "\n\n".join(parts) + "\n"


def published_text(said: Published) -> str:
    """The tables for the terminal."""
    shown = [(_title(said, name), _rows(said, name)) for name in STRATA[:2]]
    notes = ["in per cent, each at its best threshold on these images", *_notes(said)]
    return "\n".join([table_text(title, _head(), rows) for title, rows in shown] + notes)


def _head() -> list[str]:
    return ["cell", "MaxBoxAcc", *(f"V2 at .{100 * d:.0f}" for d in CHOE_IOU), "V2", "95 % interval", "PxAP"]


def _rows(said: Published, stratum: str) -> list[list[str]]:
    rows = []
    for i, label in enumerate(said.labels):
        found, _ = said.estimates[i, stratum]
        values = [percent(found[column].value) if column in found else "" for column in _SHOWN]
        rows.append([label, *values[:-1], percent_span(found[MEAN].low, found[MEAN].high), values[-1]])
    return rows


def _title(said: Published, name: str) -> str:
    n = sizes_text(said.estimates[i, name][1] for i in range(len(said.cells)))
    return f"{TITLES[name]} (n = {n})"


def _notes(said: Published) -> list[str]:
    return [
        f"{label}: {count} × {reason}"
        for label, images in zip(said.labels, said.images, strict=True)
        for reason, count in sorted(images.reasons.items())
    ]
