"""One task: a block of samples through view → forward → regions → scores, each node computed once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasbench.data import Dataset, Sample, View, ViewSpec, make_view
from nasbench.digest import canonical_json
from nasbench.errors import DataError, RunError, SegmentationError
from nasbench.models import Classifier, Features
from nasbench.run.build import Parts
from nasbench.run.device import prepared_classifier
from nasbench.run.forward import bounded_features
from nasbench.run.plan import Cell, Settings, Task, Unit, artefact_images, artefact_name
from nasbench.run.rows import Row, Status
from nasbench.run.store import RunFolder
from nasbench.segment.base import Segmenter, Views
from nasbench.segment.scores import RegionScores, Scene


@dataclass
class TaskReport:
    """What a task did.

    Attributes:
        block: the block of samples.
        dataset: the data set's choice.
        samples: samples in the block.
        units: units written.
        rows: rows written.
        failed: rows whose status is error.
        forwards: images sent through a network.
        seconds: wall time by step.
        reason: the first error's reason, empty where there is none.
    """

    block: int
    dataset: str
    samples: int
    units: int = 0
    rows: int = 0
    failed: int = 0
    forwards: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    reason: str = ""

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Add the wall time of the block to a step."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[step] = self.seconds.get(step, 0.0) + time.perf_counter() - start


@dataclass(frozen=True)
class Regions:
    """One image's regions in one cell: labels on the view's grid, or why there are none."""

    labels: NDArray[np.int64] | None
    reason: str = ""


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
    samples: dict[str, Sample] = {}
    failures: dict[str, str] = {}
    with report.timed("load"):
        for sample_id, _ in task.units[0].samples:
            try:
                samples[sample_id] = dataset.load(sample_id)
            except DataError as error:
                _fail(settings, sample_id, str(error))
                failures[sample_id] = str(error)
    rows: list[list[Row]] = [[] for _ in task.cells]
    kept: list[list[tuple[str, NDArray[np.uint8], NDArray[np.int64]]]] = [[] for _ in task.cells]
    readable = list(samples)
    for start in range(0, len(readable), settings.max_batch):
        batch = [samples[sample_id] for sample_id in readable[start : start + settings.max_batch]]
        graph = _BatchGraph(batch, parts, settings, report)
        for index, cell in enumerate(task.cells):
            view, regions = graph.regions(cell)
            for i, sample in enumerate(batch):
                _fail(settings, sample.id, regions[i].reason)
                rows[index] += graph.rows(cell, i, _row_maker(task, index, sample), dataset.truth)
                labels = regions[i].labels
                if labels is not None:
                    kept[index].append((sample.id, _as_bytes(view[i]), labels))
    for index, cell in enumerate(task.cells):
        metric: RegionScores = parts.get("metric", cell.config["metric"])
        for sample_id, reason in failures.items():
            make = _row_maker(task, index, Sample(sample_id, np.zeros((0, 0, 3), np.uint8)))
            rows[index] += [make(title, None, None, reason, {}) for title in metric.titles(dataset.truth)]
    with report.timed("write"):
        for unit, unit_rows, arrays in zip(task.units, rows, kept, strict=True):
            _write(folder, unit, unit_rows, arrays, settings, report)
    return report


class _BatchGraph:
    """The nodes of one batch, each computed on first use and kept by its own configuration."""

    def __init__(self, batch: list[Sample], parts: Parts, settings: Settings, report: TaskReport) -> None:
        self._batch = batch
        self._parts = parts
        self._settings = settings
        self._report = report
        self._memo: dict[str, Any] = {}

    def regions(self, cell: Cell) -> tuple[list[View], list[Regions]]:
        """The cell's views and regions, one per image."""
        views = self._views(cell)
        segmenter: Segmenter = self._parts.get("segmenter", cell.config["segmenter"])
        return views, self._once(self._regions_key(cell, segmenter), lambda: self._segment(cell, segmenter))

    def rows(self, cell: Cell, i: int, make: _MakeRow, truth: Any) -> list[Row]:
        """The cell's rows for image i."""
        views, regions = self.regions(cell)
        metric: RegionScores = self._parts.get("metric", cell.config["metric"])
        segmenter: Segmenter = self._parts.get("segmenter", cell.config["segmenter"])
        labels = regions[i].labels
        if labels is None:
            return [make(title, None, None, regions[i].reason, {}) for title in metric.titles(truth)]
        count = int(labels.max()) + 1
        sample, view = self._batch[i], views[i]

        def score() -> Any:
            with self._report.timed("scores"):
                mapped = view.labels_to_image(labels)
                return metric(
                    Scene(sample.image, mapped, count, _target(sample, truth), truth, sample.ignore)
                )

        key = canonical_json([cell.config["metric"], self._regions_key(cell, segmenter), i])
        shared = _conventions(cell)
        return [
            make(s.name, s.value, count, s.reason, {**shared, **s.conventions})
            for s in self._once(key, score)
        ]

    def _views(self, cell: Cell) -> list[View]:
        def compute() -> list[View]:
            with self._report.timed("load"):
                spec = ViewSpec(size=self._classifier(cell).input_size, **cell.config["view"])
                return [make_view(sample.image, spec) for sample in self._batch]

        views: list[View] = self._once(self._view_key(cell), compute)
        return views

    def _pixels(self, cell: Cell) -> Tensor:
        def compute() -> Tensor:
            return torch.from_numpy(np.stack([view.pixels for view in self._views(cell)]))

        pixels: Tensor = self._once("pixels" + self._view_key(cell), compute)
        return pixels

    def _features(self, cell: Cell) -> Features:
        def compute() -> Features:
            with self._report.timed("forward"):
                self._report.forwards += len(self._batch)
                return bounded_features(self._classifier(cell), self._pixels(cell))

        features: Features = self._once(self._forward_key(cell), compute)
        return features

    def _segment(self, cell: Cell, segmenter: Segmenter) -> list[Regions]:
        pixels = self._pixels(cell)
        features = self._features(cell) if segmenter.uses_features else None
        views = Views(tuple(sample.id for sample in self._batch), pixels)
        with self._report.timed("regions"):
            try:
                return [Regions(labels) for labels in _labels(segmenter, views, features)]
            except SegmentationError:
                return [_alone(segmenter, views, features, i) for i in range(len(self._batch))]

    def _classifier(self, cell: Cell) -> Classifier:
        return prepared_classifier(self._parts, cell.config, self._settings.device)

    def _view_key(self, cell: Cell) -> str:
        return canonical_json([cell.config["view"], self._classifier(cell).input_size])

    def _forward_key(self, cell: Cell) -> str:
        return canonical_json([cell.config["model"], cell.config["precision"], self._view_key(cell)])

    def _regions_key(self, cell: Cell, segmenter: Segmenter) -> str:
        behind = self._forward_key(cell) if segmenter.uses_features else self._view_key(cell)
        return canonical_json([cell.config["segmenter"], behind])

    def _once(self, key: str, compute: Callable[[], Any]) -> Any:
        if key not in self._memo:
            self._memo[key] = compute()
        return self._memo[key]


def _labels(segmenter: Segmenter, views: Views, features: Features | None) -> NDArray[np.int64]:
    labels = segmenter(views, features)
    expected = (len(views.ids), *views.size)
    if tuple(labels.shape) != expected:
        raise RunError(f"{type(segmenter).__name__} gave labels {tuple(labels.shape)}; expected {expected}")
    return np.asarray(labels.cpu().numpy(), dtype=np.int64)


def _alone(segmenter: Segmenter, views: Views, features: Features | None, i: int) -> Regions:
    """One image of a batch in which some image cannot be segmented."""
    alone = Views(views.ids[i : i + 1], views.pixels[i : i + 1])
    part = None
    if features is not None:
        stages = tuple(stage[i : i + 1] for stage in features.stages)
        part = Features(features.logits[i : i + 1], stages, features.final[i : i + 1])
    try:
        return Regions(_labels(segmenter, alone, part)[0])
    except SegmentationError as error:
        return Regions(None, str(error))


def _target(sample: Sample, truth: str | None) -> NDArray[np.bool_] | None:
    """The object in image pixels: its mask, or the union of its boxes, by what the data set offers."""
    if truth == "mask":
        return sample.mask
    if truth != "box" or len(sample.boxes) == 0:
        return None
    target = np.zeros(sample.image.shape[:2], dtype=np.bool_)
    for x0, y0, x1, y1 in np.rint(sample.boxes).astype(int).tolist():
        target[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = True
    return target


def _conventions(cell: Cell) -> dict[str, str]:
    view = cell.config["view"]
    return {"resize": str(view["resize"]), "interpolation": str(view["interpolation"]), "resizer": "Pillow"}


_MakeRow = Callable[[str, float | None, int | None, str, Mapping[str, str]], Row]


def _row_maker(task: Task, index: int, sample: Sample) -> _MakeRow:
    cell, unit = task.cells[index], task.units[index]
    digest = dict(unit.samples)[sample.id]
    config = json.dumps(cell.keyed, sort_keys=True)

    def make(
        metric: str, value: float | None, n_regions: int | None, reason: str, conventions: Mapping[str, str]
    ) -> Row:
        # A score without a value on regions that exist has no meaning here; without regions, something broke.
        status: Status = "ok" if value is not None else "error" if n_regions is None else "skipped"
        return Row(
            command=task.command,
            cell=cell.digest,
            model=cell.choices["model"],
            dataset=cell.choices["dataset"],
            segmenter=cell.choices["segmenter"],
            config=config,
            sample=sample.id,
            sample_digest=digest,
            label=sample.labels[0] if sample.labels else None,
            metric=metric,
            value=value,
            curve=None,
            n_regions=n_regions,
            status=status,
            reason=reason,
            conventions=json.dumps(dict(conventions), sort_keys=True),
        )

    return make


def _fail(settings: Settings, sample_id: str, reason: str) -> None:
    if reason and settings.on_error == "fail":
        raise RunError(f"{sample_id}: {reason} (on_error=fail)")


def _as_bytes(view: View) -> NDArray[np.uint8]:
    return np.rint(view.pixels.transpose(1, 2, 0) * 255).astype(np.uint8)


def _write(
    folder: RunFolder,
    unit: Unit,
    rows: list[Row],
    arrays: list[tuple[str, NDArray[np.uint8], NDArray[np.int64]]],
    settings: Settings,
    report: TaskReport,
) -> None:
    """Artefacts first: a unit counts as finished once its rows are there."""
    name = artefact_name(unit, settings)
    if name and not folder.has_artefact(name):
        wanted = {sample_id for sample_id, _ in unit.samples[: artefact_images(unit, settings)]}
        chosen = [entry for entry in arrays if entry[0] in wanted]
        folder.write_artefact(
            name,
            {
                "ids": np.array([entry[0] for entry in chosen], dtype=np.str_),
                "images": np.array([entry[1] for entry in chosen], dtype=np.uint8),
                "labels": np.array([entry[2] for entry in chosen], dtype=np.uint16),
            },
        )
    order = {sample_id: position for position, (sample_id, _) in enumerate(unit.samples)}
    rows.sort(key=lambda row: order[row.sample])
    folder.write_rows(unit.key, rows)
    report.units += 1
    report.rows += len(rows)
    errors = [row for row in rows if row.status == "error"]
    report.failed += len(errors)
    if errors and not report.reason:
        report.reason = f"{errors[0].sample}: {errors[0].reason}"
