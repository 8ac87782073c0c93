"""The plan of a run: cells, their units, and the tasks that make the missing ones."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from nasbench.digest import canonical_json
from nasbench.run.fitted import Fit
from nasbench.run.naming import cell_name, plan_name
from nasbench.run.store import RunFolder

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
        forwards: the shared forward passes it needs, by name, with their cost in forwards an image.
        fit: the clusterings it needs, where its segmenter clusters more than an image.
    """

    index: int
    choices: dict[str, str]
    config: dict[str, Any]
    swept: dict[str, Any]
    keyed: dict[str, Any]
    forwards: Mapping[str, int]
    fit: Fit | None = None

    @cached_property
    def digest(self) -> str:
        """Of everything but the samples; seeds the cell's bootstrap."""
        return cell_name(self.choices, self.keyed)

    def with_segmenter(self, node: dict[str, Any]) -> Cell:
        """This cell with another segmenter: for regions that are only compared with, or averaged over."""
        return replace(self, config={**self.config, "segmenter": node})

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
        datasets: name, number of samples, digest and truth of each distinct data set, for the manifest.
        notes: what the user should read before the run begins.
    """

    command: str
    cells: tuple[Cell, ...]
    units: tuple[Unit, ...]
    settings: Settings
    models: list[dict[str, Any]]
    datasets: list[dict[str, Any]]
    notes: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Names the run: of its units' keys, which say all that determines its rows."""
        return plan_name(unit.key for unit in self.units)

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
            sum(dict(pass_ for cell in task.cells for pass_ in cell.forwards.items()).values())
            * len(task.units[0].samples)
            for task in tasks
        )

    def samples(self, cell: Cell) -> list[str]:
        """The ids of a cell's samples, in the run's order."""
        return [sample for unit in self.units if unit.cell == cell.index for sample, _ in unit.samples]


def artefact_images(unit: Unit, settings: Settings) -> int:
    """How many of a unit's first samples keep picture and labels: all on request, else those of the sheet."""
    if settings.save:
        return len(unit.samples)
    return min(settings.sheet_images, len(unit.samples)) if unit.block == 0 else 0
