"""Several runs taken together: cells of one configuration are one cell, its units those of all runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench.digest import canonical_json
from nasbench.errors import RunError
from nasbench.report.run_folders import Run, read_runs
from nasbench.run.rows import arrow_schema

if TYPE_CHECKING:
    import pyarrow as pa

# What a row says beside what its cell says.
_SAID = ("sample_digest", "label", "value", "curve", "n_regions", "status", "reason", "conventions")
_PLACE = ("sample", "target", "metric")


@dataclass(frozen=True)
class MergedCell:
    """One configuration, in one run or in several.

    Attributes:
        command: the command that made its rows.
        digest: of the configuration.
        choices: config group -> choice.
        config: the configuration, digests in place of paths.
        swept: the keys that a run swept, with this cell's values.
        runs: the names of its runs.
        keys: its finished units.
        samples: sample id -> digest of its content.
        said: by metric, what its values rest on: the distinct conventions of rows that are ok.
    """

    command: str
    digest: str
    choices: Mapping[str, str]
    config: Mapping[str, Any]
    swept: Mapping[str, Any]
    runs: tuple[str, ...]
    keys: tuple[str, ...]
    samples: Mapping[str, str]
    said: Mapping[str, frozenset[str]]

    @cached_property
    def order(self) -> str:
        """What cells are ordered by, whichever run came first."""
        return canonical_json([self.command, dict(self.choices), dict(self.config)])


@dataclass(frozen=True)
class Merged:
    """Runs taken together.

    Attributes:
        runs: by name.
        cells: those with a finished unit, in an order of their own.
        rows: the rows of all units, by key.
    """

    runs: Sequence[Run]
    cells: Sequence[MergedCell]
    rows: MergedRows


@dataclass(frozen=True)
class MergedRows:
    """Where the rows of each unit are: by key, the run and the cell's digest."""

    places: Mapping[str, tuple[Run, str]]

    def has_rows(self, key: str) -> bool:
        """Whether a unit is finished in any run."""
        return key in self.places

    def read_rows(self, key: str) -> pa.Table:
        """A unit's rows. Raises RunError naming a file that is damaged, or holds what it should not."""
        run, digest = self.places[key]
        return _read(run, key, digest)


def merge_runs(paths: Sequence[Path]) -> Merged:
    """Read the runs in these folders and take them together.

    Raises RunError naming folder or file: what is no run's folder or half-written, a damaged file, and rows
    of one unit, or of one image in one cell, that differ between two runs.
    """
    runs = read_runs(paths)
    drafts: dict[str, _Draft] = {}
    places: dict[str, tuple[Run, str]] = {}
    for run in runs:
        for unit in run.manifest.units:
            if unit.key not in run.finished:
                continue
            cell = run.manifest.cells[unit.cell]
            if unit.key in places:
                _check_same(places[unit.key][0], run, unit.key, cell.digest)
            places.setdefault(unit.key, (run, cell.digest))
            draft = drafts.setdefault(cell.digest, _Draft(run.manifest.command, dict(cell.choices)))
            draft.swept |= cell.swept
            draft.runs.setdefault(run.name)
            draft.keys.setdefault(unit.key)
    rows = MergedRows(places)
    cells = [_merged_cell(rows, digest, draft) for digest, draft in drafts.items()]
    return Merged(runs, sorted(cells, key=lambda cell: cell.order), rows)


@dataclass
class _Draft:
    command: str
    choices: dict[str, str]
    swept: dict[str, Any] = field(default_factory=dict)
    runs: dict[str, None] = field(default_factory=dict)
    keys: dict[str, None] = field(default_factory=dict)


def _merged_cell(rows: MergedRows, digest: str, draft: _Draft) -> MergedCell:
    samples: dict[str, str] = {}
    said: dict[str, set[str]] = {}
    config: Mapping[str, Any] = {}
    for key in draft.keys:
        table = rows.read_rows(key)
        found = table.group_by(["sample", "sample_digest"]).aggregate([])
        samples |= dict(zip(*(found[name].to_pylist() for name in ("sample", "sample_digest")), strict=True))
        for metric, status, text in zip(
            *(
                column.to_pylist()
                for column in table.group_by(["metric", "status", "conventions"]).aggregate([]).columns
            ),
            strict=True,
        ):
            if status == "ok":
                said.setdefault(metric, set()).add(text)
        if not config:
            config = _config_of(table, rows.places[key][0], key)
    # A unit's key is of all its samples: with another limit, units of the same images have other keys.
    if len(draft.runs) > 1:
        _check_overlap(rows, tuple(draft.keys))
    return MergedCell(
        command=draft.command,
        digest=digest,
        choices=draft.choices,
        config=config,
        swept=draft.swept,
        runs=tuple(draft.runs),
        keys=tuple(sorted(draft.keys)),
        samples=samples,
        said={metric: frozenset(texts) for metric, texts in said.items()},
    )


def _config_of(table: pa.Table, run: Run, key: str) -> Mapping[str, Any]:
    try:
        config = json.loads(table["config"][0].as_py())
        json.dumps(config, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RunError(f"{_file(run, key)}: its configuration cannot be read ({error})") from error
    if not isinstance(config, dict):
        raise RunError(f"{_file(run, key)}: its configuration is none")
    return config


def _read(run: Run, key: str, digest: str) -> pa.Table:
    table = run.folder.read_rows(key)
    where = _file(run, key)
    if not table.schema.equals(arrow_schema()):
        raise RunError(f"{where}: has other columns than rows have; delete it and run again")
    if table.num_rows == 0:
        raise RunError(f"{where}: has no rows; delete it and run again")
    for name, wanted in (("cell", digest), ("command", run.manifest.command)):
        if (found := set(table[name].unique().to_pylist())) != {wanted}:
            other = ", ".join(sorted(map(str, found - {wanted})))
            raise RunError(f"{where}: its rows are of {name} {other}, manifest.json says {wanted}")
    return table


def _check_same(first: Run, second: Run, key: str, digest: str) -> None:
    """Two runs have a unit: its rows must be the same."""
    a, b = (_read(run, key, digest) for run in (first, second))
    if not a.equals(b) and (ours := _rows(a)) != (theirs := _rows(b)):
        _refuse_different(_file(first, key), _file(second, key), ours, theirs)


def _check_overlap(rows: MergedRows, keys: Sequence[str]) -> None:
    """Units of one cell may have images in common: their rows must be the same."""
    seen: dict[tuple[Any, ...], tuple[str, str]] = {}
    for key in keys:
        where = _file(rows.places[key][0], key)
        for place, said in _rows(rows.read_rows(key)).items():
            other, theirs = seen.setdefault(place, (where, said))
            if theirs != said:
                _refuse_different(other, where, {place: theirs}, {place: said})


def _rows(table: pa.Table) -> dict[tuple[Any, ...], str]:
    """What a unit's rows say, by sample, target and metric; as text, so that NaN is equal to itself."""
    places = zip(*(table[name].to_pylist() for name in _PLACE), strict=True)
    said = zip(*(table[name].to_pylist() for name in _SAID), strict=True)
    return {place: repr(values) for place, values in zip(places, said, strict=True)}


def _refuse_different(
    first: str, second: str, ours: Mapping[tuple[Any, ...], str], theirs: Mapping[tuple[Any, ...], str]
) -> None:
    """Raises RunError: two files with other rows of the same."""
    places = sorted({**ours, **theirs}, key=str)
    sample, _, metric = next(place for place in places if ours.get(place) != theirs.get(place))
    raise RunError(
        f"{first} and {second}: hold different rows of one cell, the first for {metric} of image {sample}; "
        "leave one of the runs out"
    )


def _file(run: Run, key: str) -> str:
    return f"{run.name}/rows/{key}.parquet"
