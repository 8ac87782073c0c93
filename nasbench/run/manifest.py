"""`manifest.json` as others read it: checked, typed, and without what computes."""

from __future__ import annotations

import calendar
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nasbench.digest import canonical_json
from nasbench.errors import RunError
from nasbench.run.store import RunFolder

# What decides the last bits of a row, beside its key.
CONDITIONS = ("platform", "versions", "device", "threads", "max_batch")
_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class UnitRecord:
    """A unit: its key, the place of its cell, its block of samples, how many, and the digest of its file.

    The digest is None of a unit that was not there when the manifest was written.
    """

    key: str
    cell: int
    block: int
    samples: int
    digest: str | None


@dataclass(frozen=True)
class CellRecord:
    """A cell: its digest, config group -> choice, swept key -> value, and the place of its data set."""

    digest: str
    choices: Mapping[str, str]
    swept: Mapping[str, Any]
    data: int


@dataclass(frozen=True)
class DataRecord:
    """A data set: its choice, the number of samples taken, the digest of these.

    `truth` is a tuple of the kinds of truth it may have: one, but of an older manifest, which does not say.
    """

    name: str
    n: int
    digest: str
    truth: tuple[str | None, ...]


@dataclass(frozen=True)
class Manifest:
    """What a run says of itself.

    Attributes:
        command: the command.
        status: running, complete, interrupted or failed, when it was written: see `nasbench.run.state`.
        plan: digest of the units' keys.
        argv: the command line.
        started, written: when the last process began, and when it wrote this; seconds since the epoch.
        workers: worker processes, 0 for none.
        schemas, versions: behind the units' keys.
        computed_on: the distinct conditions, of `CONDITIONS`, that its units were computed under.
        datasets, cells, units: the plan.
        samples: (id, content digest) of the first block of each data set.
    """

    command: str
    status: str
    plan: str
    argv: tuple[str, ...]
    started: float
    written: float
    workers: int
    schemas: Mapping[str, int]
    versions: Mapping[str, str]
    computed_on: tuple[Mapping[str, Any], ...]
    datasets: tuple[DataRecord, ...]
    cells: tuple[CellRecord, ...]
    units: tuple[UnitRecord, ...]
    samples: tuple[tuple[str, str], ...]

    @cached_property
    def keys(self) -> frozenset[str]:
        """The units' keys."""
        return frozenset(unit.key for unit in self.units)

    @cached_property
    def tasks(self) -> dict[tuple[int, int], list[UnitRecord]]:
        """By (data set, block) the units over the same samples: what one task computes."""
        found: dict[tuple[int, int], list[UnitRecord]] = {}
        for unit in self.units:
            found.setdefault((self.cells[unit.cell].data, unit.block), []).append(unit)
        return found


def read_manifest(folder: RunFolder) -> Manifest | None:
    """A run's manifest; None where it has none yet.

    Raises RunError naming the file where it is damaged or another thing.
    """
    record = folder.read_manifest()
    if record is None:
        return None
    try:
        return _manifest(record)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        said = f"it lacks {error.args[0]}" if isinstance(error, KeyError) else str(error)
        path = folder.path / "manifest.json"
        raise RunError(f"{path}: is not a run's manifest ({said})") from error


def _manifest(record: Mapping[str, Any]) -> Manifest:
    cells, count = _cells(record["cells"])
    datasets = tuple(
        DataRecord(
            _text(one["name"]),
            _count(one["n"]),
            _text(one["digest"]),
            (one["truth"],) if "truth" in one else (None, "mask", "box", "segments"),
        )
        for one in record["datasets"]
    )
    if count > len(datasets):
        raise ValueError(f"its cells have {count} data sets, it lists {len(datasets)}")
    units = tuple(
        UnitRecord(
            _text(one["key"]),
            _count(one["cell"]),
            _count(one["block"]),
            _count(one["samples"]),
            None if one["digest"] is None else _text(one["digest"]),
        )
        for one in record["units"]
    )
    stray = [unit.key for unit in units if unit.cell >= len(cells)]
    if stray or not units:
        raise ValueError(f"unit {stray[0]} is of no cell" if stray else "it lists no units")
    return Manifest(
        command=_text(record["command"]),
        status=_text(record["status"]),
        plan=_text(record["plan"]),
        argv=tuple(map(_text, record["argv"])),
        started=_seconds(record["started"]),
        written=_seconds(record["written"]),
        workers=_count(record["workers"]),
        schemas={_text(room): _count(number) for room, number in record["schemas"].items()},
        versions={_text(name): _text(version) for name, version in record["versions"].items()},
        computed_on=tuple(dict(one) for one in record.get("computed_on") or [_conditions(record)]),
        datasets=datasets,
        cells=cells,
        units=units,
        samples=tuple((_text(name), _text(digest)) for name, digest in record["samples"]),
    )


def _cells(records: list[Mapping[str, Any]]) -> tuple[tuple[CellRecord, ...], int]:
    """The cells, and how many data sets they have."""
    places: dict[str, int] = {}
    found = []
    for one in records:
        choices = {_text(group): _text(choice) for group, choice in one["choices"].items()}
        swept = dict(one["swept"])
        data = one.get("data")
        if data is None:  # an older manifest: told apart by the choice and what was swept of it
            said = {key: value for key, value in swept.items() if key.startswith("dataset.")}
            data = places.setdefault(canonical_json([choices["dataset"], said]), len(places))
        found.append(CellRecord(_text(one["digest"]), choices, swept, _count(data)))
    return tuple(found), max((cell.data for cell in found), default=-1) + 1


def _conditions(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: record.get(name) for name in CONDITIONS}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{canonical_json(value)[:40]} is no text")
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"{canonical_json(value)[:40]} is no count")
    return value


def _seconds(text: Any) -> float:
    return float(calendar.timegm(time.strptime(_text(text), _TIME)))
