"""A sample of a run's units computed again, from its configuration, its data and its weights."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nasbench.digest import digest_value
from nasbench.errors import NasbenchError
from nasbench.run.build import Parts
from nasbench.run.compare_rows import TOLERANCE, Compared, compare_rows
from nasbench.run.device import pick_device
from nasbench.run.engine import execute
from nasbench.run.keys import SCHEMAS, numeric_versions
from nasbench.run.manifest import CONDITIONS, Manifest, UnitRecord
from nasbench.run.plan import Cell, Plan, Settings, Unit
from nasbench.run.planning import make_plan
from nasbench.run.record import conditions_here
from nasbench.run.store import RunFolder
from nasbench.run.task_report import TaskReport
from nasbench.run.verify import Check, Failure
from nasbench.run.verify_units import Samples

NAME = "recomputed"
# Images that have changed are named, up to so many.
_NAMED = 5


@dataclass(frozen=True)
class Source:
    """What a run is computed again from: its composed cells, how to compute, and what its units hold.

    Attributes:
        folder, manifest: the run.
        cells: composed cells, as `config.yaml` has them.
        settings: the run's own.
        samples: by key, the (id, content digest) of the samples of each sound unit.
    """

    folder: RunFolder
    manifest: Manifest
    cells: Sequence[Mapping[str, Any]]
    settings: Settings
    samples: Mapping[str, Samples]

    def units(self) -> list[UnitRecord]:
        """The sound units."""
        return [unit for unit in self.manifest.units if unit.key in self.samples]


@dataclass
class _Found:
    """What was found so far."""

    compared: list[Compared] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


def pick(units: Sequence[UnitRecord], count: int | None, seed: int) -> list[UnitRecord]:
    """So many units by the hash of seed and key, whatever their order; None takes all."""
    if count is None:
        return list(units)
    return sorted(units, key=lambda unit: digest_value([seed, unit.key]))[:count]


def check_recomputed(
    source: Source, chosen: Sequence[UnitRecord], progress: Callable[[str], None] = lambda _: None
) -> Check:
    """Compute units again in a temporary folder, in the batches they had, and compare their rows.

    Equal bits are asked for where all of the run was computed on what is here; else numbers may differ by
    1e-5 of their size.
    """
    places = sorted({unit.cell for unit in chosen})
    parts = Parts()
    # A sample that fails now is a row that differs, not the end; nothing is drawn or kept.
    settings = replace(source.settings, on_error="skip", save=(), sheet_images=0)
    try:
        plan = make_plan(
            source.manifest.command,
            [source.cells[place] for place in places],
            settings,
            parts,
            progress=progress,
        )
        here = conditions_here(plan, str(pick_device(settings.device)))
    except (NasbenchError, OSError) as error:
        return _impossible(f"cannot recompute: {error}")
    found = _Found()
    cells = dict(zip(places, plan.cells, strict=True))
    found.failures += _changed_cells(source, cells)
    found.failures += _changed_samples(source, plan, cells)
    maps = dict(_changed_maps(source, plan, cells, chosen))
    found.failures += maps.values()
    as_they_were = (unit for unit in chosen if _is_as_it_was(source, plan, cells[unit.cell], unit))
    units = [unit for unit in as_they_were if unit.key not in maps]
    other = _other_conditions(source.manifest, here)
    try:
        _recompute(source, plan, cells, units, parts, settings, TOLERANCE if other else 0.0, found, progress)
    except (NasbenchError, OSError) as error:
        found.failures.append(Failure("config.yaml", f"cannot recompute: {error}"))
    return Check(NAME, _said(found, len(units), len(source.manifest.units), other), tuple(found.failures))


def _impossible(reason: str) -> Check:
    return Check(NAME, "nothing", (Failure("config.yaml", reason),))


def _recompute(
    source: Source,
    plan: Plan,
    cells: Mapping[int, Cell],
    chosen: Sequence[UnitRecord],
    parts: Parts,
    settings: Settings,
    tolerance: float,
    found: _Found,
    progress: Callable[[str], None],
) -> None:
    units = [Unit(one.key, cells[one.cell].index, one.block, source.samples[one.key]) for one in chosen]
    tasks = replace(plan, units=tuple(units)).tasks(units)
    done = 0

    def on_done(report: TaskReport) -> None:
        nonlocal done
        done += report.units
        progress(f"recomputing, {done} of {len(units)} units")

    progress(f"recomputing {len(units)} units")
    with (
        tempfile.TemporaryDirectory(prefix="nasbench-verify-") as temp,
        RunFolder(Path(temp) / "run").opened(fresh=False) as anew,
    ):
        execute(tasks, anew, settings, parts, on_done=on_done)
        for unit in units:
            kept = source.folder.read_rows(unit.key)
            compared = compare_rows(kept, anew.read_rows(unit.key), tolerance=tolerance)
            found.compared.append(compared)
            if compared.differing:
                said = f"{compared.differing} of {compared.rows} rows differ from what is computed now"
                found.failures.append(Failure(f"rows/{unit.key}.parquet", f"{said}; {compared.first}"))


def _changed_cells(source: Source, cells: Mapping[int, Cell]) -> Iterator[Failure]:
    """Cells that are no longer what they were: their weights, say. Each reason once."""
    said = set()
    for place, cell in cells.items():
        if cell.fit is not None and cell.fit.missing:
            yield Failure(str(cell.fit.path), "cannot recompute: the clusterings of the run are gone")
        if cell.digest == source.manifest.cells[place].digest:
            continue
        key, old, new = _first_change(_keyed(source, place), cell.keyed)
        file = str(cell.config["model"]["weights"]) if key == "model.weights_digest" else "config.yaml"
        reason = f"{key} was {old} when the run was made, and is {new}"
        if (file, reason) not in said:
            said.add((file, reason))
            yield Failure(file, reason)


def _keyed(source: Source, place: int) -> dict[str, Any]:
    """A cell's configuration as its rows carry it."""
    key = next(unit.key for unit in source.units() if unit.cell == place)
    found: dict[str, Any] = json.loads(source.folder.read_rows(key)["config"][0].as_py())
    return found


def _first_change(old: Any, new: Any, key: str = "") -> tuple[str, str, str]:
    """The first key, dotted, at which two configurations differ, and what they have there."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in sorted({*old, *new}):
            if old.get(name) != new.get(name):
                return _first_change(old.get(name), new.get(name), f"{key}.{name}".lstrip("."))
    return key or "the configuration", _short(old), _short(new)


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - so long a line can be read


def _changed_samples(source: Source, plan: Plan, cells: Mapping[int, Cell]) -> Iterator[Failure]:
    """Images, of the data sets that were read again, that are not what they were: each by name."""
    known: dict[int, dict[str, str]] = {}
    for unit in source.units():
        known.setdefault(source.manifest.cells[unit.cell].data, {}).update(source.samples[unit.key])
    for data in sorted({source.manifest.cells[place].data for place in cells}):
        name = source.manifest.datasets[data].name
        now = _samples_now(plan, next(c for p, c in cells.items() if source.manifest.cells[p].data == data))
        faults = [
            (sample, "has changed since the run" if sample in now else "is not in the data set any more")
            for sample, digest in known[data].items()
            if now.get(sample) != digest
        ]
        for sample, said in faults[:_NAMED]:
            yield Failure(f"{name}: {sample}", said)
        if len(faults) > _NAMED:
            yield Failure(f"{name}: {len(faults) - _NAMED} more", "have changed or are gone")


def _changed_maps(
    source: Source, plan: Plan, cells: Mapping[int, Cell], chosen: Sequence[UnitRecord]
) -> Iterator[tuple[str, Failure]]:
    """Units whose keys are others now, though all that rows say is as it was: maps have changed."""
    if (source.manifest.schemas, source.manifest.versions) != (SCHEMAS, numeric_versions()):
        return
    now = {(unit.cell, unit.samples): unit.key for unit in plan.units}
    for unit in chosen:
        cell = cells[unit.cell]
        key = now.get((cell.index, source.samples[unit.key]), unit.key)
        if key != unit.key and cell.digest == source.manifest.cells[unit.cell].digest:
            place = (cell.config.get("saliency") or {}).get("path", "config.yaml")
            said = f"the maps behind rows/{unit.key}.parquet have changed since the run"
            yield unit.key, Failure(str(place), said)


def _samples_now(plan: Plan, cell: Cell) -> dict[str, str]:
    return {name: digest for unit in plan.units if unit.cell == cell.index for name, digest in unit.samples}


def _is_as_it_was(source: Source, plan: Plan, cell: Cell, unit: UnitRecord) -> bool:
    """Whether a unit would be computed from what it was computed from."""
    if cell.digest != source.manifest.cells[unit.cell].digest or (cell.fit and cell.fit.missing):
        return False
    now = _samples_now(plan, cell)
    return all(now.get(name) == digest for name, digest in source.samples[unit.key])


def _other_conditions(manifest: Manifest, here: Mapping[str, Any]) -> str:
    """What the run was computed on or with that is not here, so that bits need not be equal; else empty."""
    if manifest.schemas != SCHEMAS:
        key, old, new = _first_change(manifest.schemas, SCHEMAS, "schemas")
        return f"{key} {old}, here {new}"
    for one in manifest.computed_on:
        for name in CONDITIONS:
            if one.get(name) != here[name]:
                key, old, new = _first_change(one.get(name), here[name], name)
                return f"{key} {old}, here {new}"
    return "" if here["device"] == "cpu" else f"device {here['device']}"


def _said(found: _Found, units: int, total: int, other: str) -> str:
    rows = sum(one.rows for one in found.compared)
    equal = sum(one.equal for one in found.compared)
    largest = max((one.largest for one in found.compared), default=0.0)
    said = [f"{units:,} of {total:,} units, {rows:,} rows, {equal:,} of them equal in every bit"]
    if equal < rows:
        said.append(f"largest relative difference {largest:.2g}")
    if other:
        said.append(f"allowed is {TOLERANCE:g} (computed with {other})")
    return "; ".join(said)
