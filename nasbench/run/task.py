"""One task: a block of samples through the graph of every cell, into rows, into units."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench.data import Dataset, Sample, View
from nasbench.errors import DataError, RunError
from nasbench.run.build import Parts
from nasbench.run.commands import COMMANDS
from nasbench.run.fitted import check_fit
from nasbench.run.graph import BatchGraph
from nasbench.run.plan import Cell, Settings, Task, Unit, artefact_images
from nasbench.run.results import Result
from nasbench.run.rows import MET, MISSED, Row, Status
from nasbench.run.store import RunFolder
from nasbench.run.task_report import TaskReport
from nasbench.segment.matching import is_met
from nasbench.segment.scores import Score

_UINT16_LABELS = 1 << 16


@dataclass
class _Filling:
    """A unit being filled.

    Attributes:
        rows: its rows so far.
        kept: of each result whose artefact is wanted: id, picture, class explained and arrays.
    """

    cell: Cell
    unit: Unit
    rows: list[Row] = field(default_factory=list)
    kept: list[tuple[str, NDArray[np.uint8], int | None, Mapping[str, NDArray[Any]]]] = field(
        default_factory=list
    )


def run_task(task: Task, parts: Parts, folder: RunFolder, settings: Settings) -> TaskReport:
    """Compute a task's units and write them.

    Batches are cut from the block's readable samples in their order, so that a sample meets the same
    batch whichever cells are missing, and whoever computes the block.

    Raises:
        RunError: a sample failed and `on_error` is "fail".
        OSError: a unit cannot be written.
    """
    report = TaskReport(task.block, task.cells[0].choices["dataset"], len(task.units[0].samples))
    dataset: Dataset = parts.get("dataset", task.dataset)
    command = COMMANDS[task.command]
    samples, failures = _loaded(task, dataset, settings, report)
    fillings = [_Filling(cell, unit) for cell, unit in zip(task.cells, task.units, strict=True)]
    _check_fits(task)
    for start in range(0, len(samples), settings.max_batch):
        batch = samples[start : start + settings.max_batch]
        graph = BatchGraph(batch, parts, settings, report, folder)
        for filling in fillings:
            titles = command.titles(parts.get("metric", filling.cell.config["metric"]), dataset.truth)
            views = graph.views(filling.cell)
            found = command.results(graph, filling.cell, dataset.truth)
            for sample, view, results in zip(batch, views, found, strict=True):
                for result in results:
                    if not result.without_meaning:
                        _check(settings, sample.id, result.failed)
                    filling.rows += _rows(task, filling, sample, result, titles)
                    _keep(filling, sample, view, result, settings)
    for filling in fillings:
        titles = command.titles(parts.get("metric", filling.cell.config["metric"]), dataset.truth)
        for sample, reason in failures:
            filling.rows += _rows(task, filling, sample, Result(failed=reason), titles)
    _check_fits(task)
    with report.timed("write"):
        for filling in fillings:
            _write(folder, filling, settings, report)
    return report


def _check_fits(task: Task) -> None:
    """Before and after: a file of clusterings replaced meanwhile must not leave rows. Raises RunError."""
    for fit in {cell.fit for cell in task.cells if cell.fit is not None}:
        check_fit(fit)


def _loaded(
    task: Task, dataset: Dataset, settings: Settings, report: TaskReport
) -> tuple[list[Sample], list[tuple[Sample, str]]]:
    """The block's samples, and those that cannot be read with their reasons."""
    samples, failures = [], []
    with report.timed("load"):
        for sample_id, _ in task.units[0].samples:
            try:
                samples.append(dataset.load(sample_id))
            except DataError as error:
                _check(settings, sample_id, str(error))
                failures.append((Sample(sample_id, np.zeros((0, 0, 3), np.uint8)), str(error)))
    return samples, failures


def _check(settings: Settings, sample_id: str, reason: str) -> None:
    if reason and settings.on_error == "fail":
        raise RunError(f"{sample_id}: {reason} (on_error=fail)")


def _rows(task: Task, filling: _Filling, sample: Sample, result: Result, titles: Sequence[str]) -> list[Row]:
    """A result's rows: its scores, or one row per title that says why there are none."""
    cell = filling.cell
    conventions = {**_view_conventions(cell), **_match_conventions(cell, result), **result.conventions}
    broken = result.failed and not result.without_meaning
    rows = []
    for score in result.scores or [Score(title, None, result.failed, {}) for title in titles]:
        # A score without a value where something was measured has no meaning here.
        status: Status = "ok" if score.value is not None else "error" if broken else "skipped"
        row = Row(
            command=task.command,
            cell=cell.digest,
            model=cell.choices["model"],
            dataset=cell.choices["dataset"],
            saliency=cell.choices.get("saliency", ""),
            segmenter=cell.choices["segmenter"],
            config=cell.keyed_json,
            sample=sample.id,
            sample_digest=filling.unit.digests[sample.id],
            label=sample.labels[0] if sample.labels else None,
            target=result.target,
            metric=score.name,
            value=score.value,
            curve=None if score.curve is None else list(score.curve),
            n_regions=result.n_regions,
            status=status,
            reason=score.reason,
            conventions=json.dumps({**conventions, **score.conventions}, sort_keys=True),
        )
        rows.append(row)
    return rows


def _view_conventions(cell: Cell) -> dict[str, str]:
    view = cell.config["view"]
    return {"resize": str(view["resize"]), "interpolation": str(view["interpolation"]), "resizer": "Pillow"}


def _match_conventions(cell: Cell, result: Result) -> dict[str, str]:
    """Whether the regions were brought to the number asked for."""
    wanted = cell.config["segmenter"].get("match")
    if wanted is None or result.n_regions is None:
        return {}
    return {"match": MET if is_met(result.n_regions, wanted) else MISSED}


def _keep(filling: _Filling, sample: Sample, view: View, result: Result, settings: Settings) -> None:
    wanted = filling.unit.samples[: artefact_images(filling.unit, settings)]
    if result.arrays and sample.id in {sample_id for sample_id, _ in wanted}:
        picture = np.rint(view.pixels.transpose(1, 2, 0) * 255).astype(np.uint8)
        filling.kept.append((sample.id, picture, result.target, result.arrays))


def _write(folder: RunFolder, filling: _Filling, settings: Settings, report: TaskReport) -> None:
    """Artefacts first: a unit counts as finished once its rows are there."""
    unit, images = filling.unit, artefact_images(filling.unit, settings)
    if images and folder.find_artefact(unit.key, images) is None:
        folder.write_artefact(unit.key, images, _arrays(filling))
    order = {sample_id: position for position, (sample_id, _) in enumerate(unit.samples)}
    filling.rows.sort(key=lambda row: order[row.sample])
    folder.write_rows(unit.key, filling.rows)
    report.units += 1
    report.failed += sum(row.status == "error" for row in filling.rows)


def _arrays(filling: _Filling) -> dict[str, NDArray[Any]]:
    """What is kept of a unit: `ids`, `images`, `targets` (-1 for none) and the results' arrays, stacked."""
    kept = filling.kept
    arrays: dict[str, NDArray[Any]] = {
        "ids": np.array([entry[0] for entry in kept], dtype=np.str_),
        "images": np.array([entry[1] for entry in kept], dtype=np.uint8),
        "targets": np.array([-1 if entry[2] is None else entry[2] for entry in kept], dtype=np.int64),
    }
    for name in sorted({name for entry in kept for name in entry[3]}):
        shapes = sorted({entry[3][name].shape for entry in kept})
        if len(shapes) > 1:
            said = f"{name} of several sizes, {shapes[0]} and {shapes[-1]}; a cell's must be of one"
            raise RunError(f"saliency {filling.cell.choices.get('saliency', '')} gave {said}")
        stacked = np.array([entry[3][name] for entry in kept])
        if name == "labels":
            small = stacked.max(initial=0) < _UINT16_LABELS
            stacked = stacked.astype(np.uint16 if small else np.uint32)
        arrays[name] = stacked
    return arrays
