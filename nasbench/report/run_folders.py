"""The folders of runs as a report reads them: what each says of itself, checked before anything is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasbench.errors import RunError
from nasbench.run.rows import ROW_SCHEMA
from nasbench.run.store import MARKER, RunFolder

COMMANDS = ("segment", "explain", "wsol", "lerf")
_NEEDED = ("command", "status", "versions", "schemas", "cells", "units")
# Subfolders named where a parent of runs was given.
_NAMED = 3


@dataclass(frozen=True)
class CellRecord:
    """A cell as a manifest has it."""

    digest: str
    choices: Mapping[str, str]
    swept: Mapping[str, Any]


@dataclass(frozen=True)
class UnitRecord:
    """A unit likewise; `cell` is the cell's place in the manifest."""

    key: str
    cell: int
    finished: bool


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        name: its folder, as it was named.
        folder: the folder.
        command: the command that made it.
        status: complete, running, interrupted or failed.
        versions: of the numeric libraries.
        schemas: by room, what its results are of.
        cells, units: those of its plan.
    """

    name: str
    folder: RunFolder
    command: str
    status: str
    versions: Mapping[str, str]
    schemas: Mapping[str, int]
    cells: Sequence[CellRecord]
    units: Sequence[UnitRecord]

    @property
    def finished(self) -> int:
        """How many of its units have rows."""
        return sum(unit.finished for unit in self.units)


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """The runs in these folders, each once, by name.

    Raises RunError naming the folder or file that is none of a run's, or half-written.
    """
    distinct = {path.resolve(): path for path in sorted(paths, key=str, reverse=True)}
    return sorted((_read_run(path) for path in distinct.values()), key=lambda run: run.name)


def _read_run(path: Path) -> Run:
    if not path.is_dir():
        what = "it is a file" if path.exists() else "there is no such folder"
        raise RunError(f"{path}: is no run's folder; {what}")
    if not (path / MARKER).is_file():
        below = sorted(str(one.parent) for one in path.glob(f"*/{MARKER}"))
        more = f"; it holds runs, name them: {', '.join(below[:_NAMED])}" if below else ""
        raise RunError(f"{path}: is no run's folder (it has no {MARKER}){more}")
    folder = RunFolder(path)
    manifest = folder.read_manifest()
    if manifest is None:
        raise RunError(f"{path}: is half-written, manifest.json is missing; run it again or leave it out")
    run = _run_of(path, folder, manifest)
    if run.finished == 0:
        raise RunError(f"{path}: has no finished unit (status {run.status}); run it again or leave it out")
    return run


def _run_of(path: Path, folder: RunFolder, manifest: Mapping[str, Any]) -> Run:
    where = f"{path}/manifest.json"
    lacking = [key for key in _NEEDED if key not in manifest]
    if lacking:
        raise RunError(f"{where}: is not a run's manifest (it lacks {lacking[0]})")
    try:
        schemas = {str(room): int(number) for room, number in manifest["schemas"].items()}
        if schemas.get("rows") != ROW_SCHEMA:
            raise RunError(f"{where}: has row schema {schemas.get('rows')}, this nasbench reads {ROW_SCHEMA}")
        cells = [
            CellRecord(str(one["digest"]), _texts(one["choices"]), dict(one["swept"]))
            for one in manifest["cells"]
        ]
        units = [
            UnitRecord(str(one["key"]), range(len(cells))[one["cell"]], folder.has_rows(str(one["key"])))
            for one in manifest["units"]
        ]
        versions = _texts(manifest["versions"])
        command, status = str(manifest["command"]), str(manifest["status"])
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{where}: is not a run's manifest ({error})") from error
    if command not in COMMANDS:
        raise RunError(f"{where}: is of {command}, which this nasbench does not report")
    return Run(str(path), folder, command, status, versions, schemas, cells, units)


def _texts(found: Mapping[str, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in found.items()}
