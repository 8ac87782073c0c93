"""The plan of a run: cells, their units, and the tasks that make the missing ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nasbench.data import ViewSpec, run_order
from nasbench.digest import canonical_json, digest_value
from nasbench.errors import RunError, UsageError
from nasbench.run.build import Parts
from nasbench.run.device import prepared_classifier, source_classifier
from nasbench.run.fitted import Fit, planned_fit
from nasbench.run.keys import PATH_KEYS, keyed_config, short_paths, unit_key
from nasbench.run.store import RunFolder
from nasbench.segment.base import Activations

# Samples of a unit. A constant of the schema: another number makes other units.
UNIT_SAMPLES = 32


@dataclass(frozen=True)
class Settings:
    """What decides how a run computes, and none of its rows.

    Attributes:
        workers: worker processes; 0 computes in this one.
        threads: intra-op threads of each process.
        limit: samples to take of each data set; None takes all.
        device: auto, cpu, cuda or mps.
        max_batch: images per forward at most.
        on_error: "skip" makes a failed sample a row, "fail" ends the run.
        save: artefacts to keep beside the rows: labels, overlays.
        sheet_images: images on the contact sheet.
        sheet_columns: cells on the contact sheet at most.
    """

    workers: int = 0
    threads: int = 1
    limit: int | None = None
    device: str = "auto"
    max_batch: int = 16
    on_error: str = "skip"
    save: tuple[str, ...] = ()
    sheet_images: int = 8
    sheet_columns: int = 8

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Settings:
        """From the settings of a composed command."""
        return cls(
            workers=settings["engine"]["workers"],
            threads=settings["engine"]["threads"],
            limit=settings["limit"],
            device=settings["device"],
            max_batch=settings["max_batch"],
            on_error=settings["on_error"],
            save=tuple(settings["save"]),
            sheet_images=settings["sheet"]["images"],
            sheet_columns=settings["sheet"]["columns"],
        )


@dataclass(frozen=True)
class Cell:
    """One resolved configuration.

    Attributes:
        index: its place in the plan.
        choices: config group -> choice.
        config: its configuration, with paths.
        swept: swept key -> this cell's value.
        keyed: its configuration with digests in place of paths.
        forward: names the forward pass it needs; None where it needs none.
        passes: what that costs, in forwards an image.
        fit: the clusterings it needs, where its segmenter clusters more than an image.
    """

    index: int
    choices: dict[str, str]
    config: dict[str, Any]
    swept: dict[str, Any]
    keyed: dict[str, Any]
    forward: str | None
    passes: int = 1
    fit: Fit | None = None

    @cached_property
    def digest(self) -> str:
        """Of everything but the samples; seeds the cell's bootstrap."""
        return digest_value([self.choices, self.keyed])

    @cached_property
    def keyed_json(self) -> str:
        """`keyed` as a row carries it."""
        return json.dumps(self.keyed, sort_keys=True)


@dataclass(frozen=True)
class Unit:
    """A cell × up to 32 samples.

    Attributes:
        key: names its files.
        cell: the cell's index.
        block: the block of samples, counted within the data set.
        samples: (id, content digest) in the run's order.
    """

    key: str
    cell: int
    block: int
    samples: tuple[tuple[str, str], ...]

    @cached_property
    def digests(self) -> dict[str, str]:
        """Sample id -> content digest."""
        return dict(self.samples)


@dataclass(frozen=True)
class Task:
    """A block of samples × the cells whose units are missing; picklable.

    Attributes:
        command: the command.
        dataset: the data set's configuration.
        block: the block of samples.
        cells: the cells to compute.
        units: their units, in the same order.
    """

    command: str
    dataset: dict[str, Any]
    block: int
    cells: tuple[Cell, ...]
    units: tuple[Unit, ...]


@dataclass(frozen=True)
class Plan:
    """Everything a run is going to do.

    Attributes:
        command: the command.
        cells: its cells.
        units: all units of all cells, cell by cell.
        settings: how to compute.
        models: description of each distinct classifier, for the manifest.
        datasets: name, number of samples and digest of each distinct data set, for the manifest.
    """

    command: str
    cells: tuple[Cell, ...]
    units: tuple[Unit, ...]
    settings: Settings
    models: list[dict[str, Any]]
    datasets: list[dict[str, Any]]

    @property
    def digest(self) -> str:
        """Names the run: of its units' keys, which say all that determines its rows."""
        return digest_value(sorted(unit.key for unit in self.units))

    def missing(self, folder: RunFolder) -> list[Unit]:
        """Units without rows, or without the pictures and labels this run is asked to keep."""
        return [
            unit
            for unit in self.units
            if not folder.has_rows(unit.key)
            or folder.find_artefact(unit.key, artefact_images(unit, self.settings)) is None
        ]

    def tasks(self, missing: Iterable[Unit]) -> list[Task]:
        """Tasks for these units: one per data set and block, with all its missing cells."""
        groups: dict[tuple[str, int], list[Unit]] = {}
        for unit in missing:
            dataset = canonical_json(self.cells[unit.cell].config["dataset"])
            groups.setdefault((dataset, unit.block), []).append(unit)
        return [
            Task(
                self.command,
                self.cells[units[0].cell].config["dataset"],
                block,
                tuple(self.cells[unit.cell] for unit in units),
                tuple(units),
            )
            for (_, block), units in groups.items()
        ]

    def forwards(self, tasks: Sequence[Task]) -> int:
        """Images these tasks send through a network: each once per distinct forward pass."""
        return sum(
            sum({cell.forward: cell.passes for cell in task.cells if cell.forward}.values())
            * len(task.units[0].samples)
            for task in tasks
        )

    def samples(self, cell: Cell) -> list[str]:
        """The ids of a cell's samples, in the run's order."""
        return [sample for unit in self.units if unit.cell == cell.index for sample, _ in unit.samples]


def make_plan(
    command: str,
    cells: Sequence[Mapping[str, Any]],
    settings: Settings,
    parts: Parts,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> Plan:
    """Load models and list samples, check every configuration, and key every unit.

    Args:
        command: the command.
        cells: composed cells: `choices`, `config`, `swept`.
        settings: how to compute.
        parts: keeps what is built, for a run in this process.
        progress: told in a few words what takes time.

    Raises:
        UsageError: a configuration that cannot be built.
        RunError: a data set without samples or with doubled ids.
    """
    swept = _with_short_paths([dict(composed["swept"]) for composed in cells])
    listed: dict[str, tuple[tuple[tuple[str, str], ...], str | None]] = {}
    models: dict[str, dict[str, Any]] = {}
    datasets: list[dict[str, Any]] = []
    fits: dict[Path, Fit] = {}
    planned: list[Cell] = []
    units: list[Unit] = []
    for index, composed in enumerate(cells):
        config, choices = dict(composed["config"]), dict(composed["choices"])
        progress(f"loading {choices['model']}")
        classifier = prepared_classifier(parts, config, settings.device)
        described = classifier.describe()
        models.setdefault(canonical_json(described), described)
        try:
            ViewSpec(size=classifier.input_size, **config["view"])
        except UsageError as error:
            raise UsageError(f"view.{error}") from error
        parts.get("metric", config["metric"])
        segmenter = parts.get("segmenter", config["segmenter"])
        activations: Activations = getattr(segmenter, "activations", Activations())
        reader = classifier
        if segmenter.uses_features:
            reader = source_classifier(parts, config, activations, settings.device)
        if hasattr(segmenter, "check_stages"):
            segmenter.check_stages(len(reader.stage_names))
        name = canonical_json(config["dataset"])
        if name not in listed:
            progress(f"reading {choices['dataset']}")
            listed[name] = _samples(parts, config["dataset"], choices["dataset"], settings.limit)
            datasets.append(
                {
                    "name": choices["dataset"],
                    "n": len(listed[name][0]),
                    "digest": digest_value([list(pair) for pair in listed[name][0]]),
                }
            )
        samples, truth = listed[name]
        forward = None
        if segmenter.uses_features:
            forward = canonical_json(
                [config["model"], config["view"], config["precision"], asdict(activations)]
            )
        other = reader.describe() if activations.model is not None else None
        keyed = keyed_config(config, described, other)
        fit = planned_fit(segmenter, keyed, samples)
        if fit is not None:
            _check_one_fit(fits.setdefault(fit.path, fit), fit)
            keyed["segmenter"]["fit"] = fit.key
        cell = Cell(index, choices, config, swept[index], keyed, forward, activations.passes, fit)
        planned.append(cell)
        for block, start in enumerate(range(0, len(samples), UNIT_SAMPLES)):
            part = samples[start : start + UNIT_SAMPLES]
            units.append(Unit(unit_key(command, choices, cell.keyed, part, truth), index, block, part))
    return Plan(command, tuple(planned), tuple(units), settings, list(models.values()), datasets)


def _check_one_fit(first: Fit, other: Fit) -> None:
    """Two cells of a run that name one file must mean the same clusterings. Raises UsageError."""
    if first.key != other.key:
        raise UsageError(
            f"segmenter.centroids={other.path}: cells of this run would fit it in different ways; "
            "give each a file of its own, in runs of their own"
        )


def _with_short_paths(swept: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Swept values as a table may show them: of a path, what tells it from the others."""
    for key in {key for values in swept for key in values if key.rpartition(".")[2] in PATH_KEYS}:
        holders = [values for values in swept if isinstance(values.get(key), str)]
        for values, short in zip(holders, short_paths([values[key] for values in holders]), strict=True):
            values[key] = short
    return swept


def artefact_images(unit: Unit, settings: Settings) -> int:
    """How many of a unit's first samples keep picture and labels: all on request, else those of the sheet."""
    if settings.save:
        return len(unit.samples)
    return min(settings.sheet_images, len(unit.samples)) if unit.block == 0 else 0


def _samples(
    parts: Parts, node: Mapping[str, Any], name: str, limit: int | None
) -> tuple[tuple[tuple[str, str], ...], str | None]:
    dataset = parts.get("dataset", node)
    ids = run_order(dataset.ids(), limit)
    if not ids:
        raise RunError(f"the data set {name} has no samples")
    return tuple((sample, dataset.digest(sample)) for sample in ids), dataset.truth
