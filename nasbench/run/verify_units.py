"""Digests and counts of a run's units: a file is what the manifest says, its rows are what its name says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from nasbench.digest import digest_file
from nasbench.errors import RunError
from nasbench.run.manifest import CellRecord, Manifest, UnitRecord
from nasbench.run.naming import cell_name, samples_name, unit_name
from nasbench.run.rows import arrow_schema
from nasbench.run.state import State
from nasbench.run.store import RunFolder
from nasbench.run.verify import Check, Failure

if TYPE_CHECKING:
    import pyarrow as pa

Samples = tuple[tuple[str, str], ...]
# Their keys hold the maps' content too, which rows do not.
_PRECOMPUTED = ".Precomputed"


@dataclass
class Units:
    """What was found of a run's units.

    Attributes:
        sound: by key, the (id, content digest) of the samples of each unit with which nothing is wrong.
        failures: what is wrong, one for each file.
        absent: keys of units that cannot be read, or are not there though they should be.
        pending: units that are not computed yet.
        undigested: units that are newer than the manifest.
        unnamed: units whose key cannot be recomputed from their rows.
        rows: rows read.
    """

    sound: dict[str, Samples] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    pending: int = 0
    undigested: int = 0
    unnamed: int = 0
    rows: int = 0


def check_units(
    folder: RunFolder,
    manifest: Manifest,
    state: State,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[Check, Units]:
    """Read every unit. Raises nothing for what is in the files."""
    found = Units()
    written = folder.written()
    samples: dict[str, Samples] = {}
    for number, unit in enumerate(manifest.units, start=1):
        if number % 100 == 1:
            progress(f"reading units, {number} of {len(manifest.units)}")
        if f"{unit.key}.parquet" not in written:
            _missing(found, unit, state)
            continue
        reasons = list(_file_faults(folder, unit))
        found.undigested += unit.digest is None
        table = _table(folder, unit.key, reasons)
        if table is None:
            found.absent.append(unit.key)
        else:
            found.rows += table.num_rows
            names = names_of(table, manifest, manifest.cells[unit.cell])
            found.unnamed += not names
            samples[unit.key] = samples_of(table)
            reasons += _row_faults(table, manifest, unit, names)
        if reasons:
            found.failures.append(Failure(f"rows/{unit.key}.parquet", "; ".join(reasons)))
        else:
            found.sound[unit.key] = samples[unit.key]
    found.failures += _disagreeing(manifest, found)
    found.failures += _other_data(manifest, found)
    return Check("units", _said(manifest, found), tuple(found.failures)), found


def samples_of(table: pa.Table) -> Samples:
    """(id, content digest) of a unit's samples in their order."""
    columns = (table[name].to_pylist() for name in ("sample", "sample_digest"))
    return tuple(dict.fromkeys(zip(*columns, strict=True)))


def names_of(table: pa.Table, manifest: Manifest, cell: CellRecord) -> list[str]:
    """The keys that a unit's rows may give it: one, but of an older manifest, or of units of other versions.

    None where rows do not say all that is in a key: of maps from files they do not.
    """
    keyed = _only(table, "config")
    config = {} if keyed is None else _parsed(keyed)
    if str(config.get("saliency", {}).get("_target_", "")).endswith(_PRECOMPUTED):
        return []
    command, schemas, samples = manifest.command, manifest.schemas, samples_of(table)
    others = [one.get("versions") for one in manifest.computed_on]
    known = [manifest.versions, *(one for one in others if one and one != manifest.versions)]
    return [
        unit_name(command, cell.choices, config, samples, truth, schemas=schemas, versions=versions)
        for versions in known
        for truth in manifest.datasets[cell.data].truth
    ]


def _missing(found: Units, unit: UnitRecord, state: State) -> None:
    if unit.digest is None and state != "complete":
        found.pending += 1
        return
    found.absent.append(unit.key)
    said = "is missing, though the run says it is complete" if unit.digest is None else "is missing"
    found.failures.append(Failure(f"rows/{unit.key}.parquet", said))


def _file_faults(folder: RunFolder, unit: UnitRecord) -> Iterator[str]:
    if unit.digest is None:
        return
    try:
        digest = digest_file(folder.rows_path(unit.key))
    except OSError:
        return  # said where it is read
    if digest != unit.digest:
        yield f"has the digest {digest}, in the manifest {unit.digest}"


def _table(folder: RunFolder, key: str, reasons: list[str]) -> pa.Table | None:
    """A unit's rows; None where they cannot be read, and then why is among the reasons."""
    try:
        table = folder.read_rows(key)
    except RunError as error:
        reasons.append(str(error).removeprefix(f"{folder.rows_path(key)}: "))
        return None
    wanted = arrow_schema()
    for name in wanted.names:
        if name not in table.schema.names or table.schema.field(name).type != wanted.field(name).type:
            reasons.append(f"has no column {name} of type {wanted.field(name).type}")
            return None
    return table


def _row_faults(table: pa.Table, manifest: Manifest, unit: UnitRecord, names: list[str]) -> Iterator[str]:
    """What is wrong with a unit's rows."""
    cell = manifest.cells[unit.cell]
    wanted = {"command": manifest.command, "cell": cell.digest}
    groups = ("model", "dataset", "saliency", "segmenter")
    wanted |= {group: cell.choices.get(group, "") for group in groups}
    for name, value in wanted.items():
        found = table[name].unique().to_pylist()
        if found != [value]:
            other = next((one for one in found if one != value), None)
            yield f"has rows of {name} {other}, not {value}" if found else "has no rows"
            return
    keyed = _only(table, "config")
    if keyed is None or cell_name(cell.choices, _parsed(keyed)) != cell.digest:
        yield "its rows carry another configuration than their cell's"
    samples = samples_of(table)
    if len(samples) != unit.samples:
        yield f"has {len(samples)} samples, in the manifest {unit.samples}"
    places = list(zip(*(table[name].to_pylist() for name in ("sample", "target", "metric")), strict=True))
    if len(set(places)) < len(places):
        sample, target, metric = next(one for one in places if places.count(one) > 1)
        yield f"has more than one row of sample {sample}, target {target}, metric {metric}"
    said = zip(table["status"].to_pylist(), table["value"].to_pylist(), strict=True)
    if any((status == "ok") != (value is not None) for status, value in said):
        yield "has a row that is ok without a value, or has one and is not"
    if names and unit.key not in names:
        others = [name for name in names if name in manifest.keys]
        yield (
            f"its rows are those of {others[0]}" if others else "its rows do not give the key it is named by"
        )


def _disagreeing(manifest: Manifest, found: Units) -> Iterator[Failure]:
    """Units whose samples are not those of the same block in other cells."""
    for (data, block), units in manifest.tasks.items():
        there = [unit for unit in units if unit.key in found.sound]
        sets = {found.sound[unit.key] for unit in there}
        known = set(manifest.samples)
        if len(sets) > 1:
            first = found.sound[there[0].key]
            other = next(unit for unit in there if found.sound[unit.key] != first)
            yield Failure(
                f"rows/{other.key}.parquet",
                f"has other samples than rows/{there[0].key}.parquet of the same block {block}",
            )
        elif block == 0 and sets and not set(next(iter(sets))) <= known:
            name = manifest.datasets[data].name
            yield Failure(
                "manifest.json", f"its samples of {name} are not those of rows/{there[0].key}.parquet"
            )


def _other_data(manifest: Manifest, found: Units) -> Iterator[Failure]:
    """Data sets that are not what the manifest says of them; only where all of their blocks can be read."""
    for place, data in enumerate(manifest.datasets):
        blocks: list[tuple[str, str]] = []
        tasks = sorted((block, units) for (of, block), units in manifest.tasks.items() if of == place)
        for _, units in tasks:
            there = next((found.sound[unit.key] for unit in units if unit.key in found.sound), None)
            if there is None:
                break
            blocks += there
        else:
            if tasks and samples_name(blocks) != data.digest:
                said = f"its digest of the data set {data.name} is not that of the samples in the units"
                yield Failure("manifest.json", said)


def _only(table: pa.Table, name: str) -> str | None:
    """The one value of a column; None where it has several, or none."""
    found = table[name].unique().to_pylist()
    return found[0] if len(found) == 1 and isinstance(found[0], str) else None


@cache
def _parsed(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _said(manifest: Manifest, found: Units) -> str:
    there = len(manifest.units) - found.pending
    said = [f"{len(found.sound):,} of {there:,} sound, {found.rows:,} rows: digests, columns, samples, keys"]
    if found.pending:
        said.append(f"{found.pending:,} not computed yet")
    if found.undigested:
        said.append(f"{found.undigested:,} newer than the manifest, which has no digest of them")
    if found.unnamed:
        said.append(f"{found.unnamed:,} with maps from files, whose keys only --sample can recompute")
    return "; ".join(said)
