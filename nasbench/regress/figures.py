"""Figures as they stand in the folders of finished runs."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench.config.suggest import hint
from nasbench.config.suite import ARRAYS, Digest, Figure, TableCell
from nasbench.report.summary import value_text
from nasbench.run.store import RunFolder

if TYPE_CHECKING:
    from nasbench.config.suite import Suite

_DIGEST = "sha256:"


@dataclass(frozen=True)
class Reading:
    """What a run says of a figure.

    Attributes:
        value: its text, as the run wrote it; None where it is missing.
        problem: why it is missing; empty where it is not.
    """

    value: str | None
    problem: str = ""


def read_figures(suite: Suite, folders: Mapping[str, Path]) -> dict[str, Reading]:
    """Every figure of a suite by its name, from the steps' folders. Raises RunError, OSError."""
    return {figure.name: read_figure(figure, folders[figure.step]) for figure in suite.figures}


def read_figure(figure: Figure, folder: Path) -> Reading:
    """A figure from its step's folder. Raises RunError for a damaged artefact, OSError."""
    try:
        if isinstance(figure.source, TableCell):
            return Reading(_cell(figure.source, folder))
        return Reading(_digest(figure.source, folder))
    except _MissingError as error:
        return Reading(None, str(error))


class _MissingError(Exception):
    """A figure is not where the suite says; the message says why."""


def _cell(source: TableCell, folder: Path) -> str:
    path = _existing(folder, source.table)
    with path.open(encoding="utf-8", newline="") as file:
        table = csv.DictReader(file)
        columns = table.fieldnames or []
        for column in (*source.where, source.read):
            if column not in columns:
                raise _MissingError(f"{source.table} has no column {column}; {hint(str(column), columns)}")
        lines = [line for line in table if _matches(line, source.where)]
    if len(lines) != 1:
        said = ", ".join(f"{column}={value_text(value)}" for column, value in source.where.items())
        found = "no line" if not lines else f"{len(lines)} lines"
        more = "; name more columns" if lines else ""
        raise _MissingError(f"{source.table} has {found} with {said or 'no condition'}{more}")
    value: str = lines[0][source.read]
    if not value:
        raise _MissingError(f"{source.table} has an empty {source.read} there")
    return value


def _matches(line: Mapping[str, str], where: Mapping[str, Any]) -> bool:
    return all(line[column] == value_text(value) for column, value in where.items())


def _existing(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise _MissingError(f"the run has written no {name}")
    return path


def _digest(source: Digest, folder: Path) -> str:
    if source.of not in ARRAYS:
        return _DIGEST + hashlib.sha256(_existing(folder, source.of).read_bytes()).hexdigest()
    h = hashlib.sha256()
    for name, array in _arrays(source, RunFolder(folder)):
        shape = ",".join(map(str, array.shape))
        h.update(f"{name}\0{array.dtype.str}\0{shape}\0".encode())
        h.update(array.tobytes())
    return _DIGEST + h.hexdigest()


def _arrays(source: Digest, run: RunFolder) -> Iterator[tuple[str, Any]]:
    """The kept arrays of the cells meant, with their samples' ids, in the run's order."""
    manifest = run.read_manifest() or {}
    cells: Sequence[Mapping[str, Any]] = manifest.get("cells", ())
    meant = [_is_meant(cell, source.where) for cell in cells]
    if not any(meant):
        raise _MissingError(f"the run has no cell with {dict(source.where)}")
    for unit in manifest["units"]:
        if not meant[unit["cell"]]:
            continue
        kept = run.read_artefact(unit["key"], unit["samples"])
        if kept is None or source.of not in kept:
            raise _MissingError(f"the run has kept no {source.of}; the step needs save={source.of}")
        for name, array in zip(kept["ids"], kept[source.of], strict=True):
            yield str(name), array


def _is_meant(cell: Mapping[str, Any], where: Mapping[str, Any]) -> bool:
    has = {**cell["choices"], **cell["swept"]}
    return all(key in has and value_text(has[key]) == value_text(value) for key, value in where.items())
