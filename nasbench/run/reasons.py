"""Why rows have no value: read from thousands of units in seconds, since most of them are passed over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nasbench.errors import RunError
from nasbench.run.manifest import UnitRecord
from nasbench.run.rows import ROW_SCHEMA
from nasbench.run.store import RunFolder

_COLUMNS = ["status", "reason", "sample"]


@dataclass(frozen=True)
class Reason:
    """Rows without a value for one reason.

    Attributes:
        status: error or skipped.
        reason: why, one line.
        rows: such rows.
        images: images with such a row.
        cells: cells with such a row.
        example: the first such image, in the order of the units.
    """

    status: str
    reason: str
    rows: int
    images: int
    cells: int
    example: str


@dataclass
class _Found:
    rows: int = 0
    images: dict[str, None] = field(default_factory=dict)
    cells: set[int] = field(default_factory=set)


@dataclass
class Reasons:
    """Collects reasons; each unit is read once, however often it is asked for.

    Attributes:
        damaged: by key, why a unit cannot be read, one line that names its file.
    """

    folder: RunFolder
    damaged: dict[str, str] = field(default_factory=dict)
    _read: set[str] = field(default_factory=set)
    _found: dict[tuple[str, str], _Found] = field(default_factory=dict)

    def add(self, units: Iterable[UnitRecord]) -> None:
        """Read finished units. One that cannot be read is kept among `damaged`."""
        for unit in units:
            if unit.key in self._read:
                continue
            self._read.add(unit.key)
            try:
                self._add(unit)
            except RunError as error:
                self.damaged[unit.key] = str(error)

    @property
    def most_frequent(self) -> list[Reason]:
        """Errors, then what has no meaning, each with the most frequent reason first."""
        found = [
            Reason(status, reason, one.rows, len(one.images), len(one.cells), next(iter(one.images)))
            for (status, reason), one in self._found.items()
        ]
        return sorted(found, key=lambda one: (one.status != "error", -one.rows, one.reason))

    def _add(self, unit: UnitRecord) -> None:
        for status, reason, sample in rows_without_value(self.folder.rows_path(unit.key)):
            one = self._found.setdefault((status, reason), _Found())
            one.rows += 1
            one.images[sample] = None
            one.cells.add(unit.cell)


def rows_without_value(path: Path) -> list[tuple[str, str, str]]:
    """Status, reason and sample of a unit's rows that are not ok.

    No other column is read, and none where all rows are. Raises RunError naming the file where it is damaged
    or of another schema.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as handle:
            file = pq.ParquetFile(handle)
            found = (file.metadata.metadata or {}).get(b"nasbench_rows", b"none").decode()
            if found != str(ROW_SCHEMA):
                raise RunError(f"{path}: has row schema {found}, this nasbench reads {ROW_SCHEMA}")
            if _all_ok(file):
                return []
            table = file.read(_COLUMNS)
    except (OSError, pa.ArrowException) as error:
        raise RunError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from error
    columns = (table[name].to_pylist() for name in _COLUMNS)
    return [row for row in zip(*columns, strict=True) if row[0] != "ok"]


def _all_ok(file: Any) -> bool:
    """Whether the file's own statistics say that no row is other than ok."""
    place = file.schema_arrow.get_field_index("status")
    names = [file.metadata.schema.column(i).path for i in range(file.metadata.num_columns)]
    if place < 0 or "status" not in names:
        return False
    at = names.index("status")
    for group in range(file.metadata.num_row_groups):
        said = file.metadata.row_group(group).column(at).statistics
        if said is None or not said.has_min_max or (said.min, said.max) != ("ok", "ok"):
            return False
    return True
