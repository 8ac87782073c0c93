"""The folder of a run: units that are written once, and what is derived from them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench.atomic import TEMP_SUFFIX, write_atomic
from nasbench.errors import RunError, UsageError
from nasbench.run.rows import ROW_SCHEMA, Row, encode_rows

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

_DERIVED_FILES = (
    "config.yaml", "manifest.json", "summary.csv", "sheet.png", "timings.parquet",
    "localisation.csv", "localisation_paired.csv", "localisation.md", "localisation.svg", "localisation.png",
    "gallery.png", "relevance.csv", "relevance.md", "relevance.svg", "relevance.png",
)  # fmt: skip
_FOLDERS = ("rows", "artefacts", "overlays", "maps", "lattices")
_PATTERNS = (
    "rows/*.parquet", "artefacts/*.npz", "overlays/*/*.png", "maps/*/**/*.npy", "lattices/*.npz",
)  # fmt: skip
LOCK = ".lock"
# For how long a run waits for its lock, seconds: `nasbench status` looks whether it is held, for an instant.
_GRACE = 0.5
# Says that a folder is a run's, and whose files below may be replaced.
MARKER = ".nasbench"


class RunFolder:
    """One run's folder.

    `rows/<key>.parquet` and `artefacts/<key>-<images>.npz` are immutable; everything else is derived from
    them and may be made again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def opened(self, *, fresh: bool) -> Iterator[RunFolder]:
        """Make the folder, hold its lock, and sweep away half-written files of a killed run.

        Raises UsageError where the path is a file, another kind of folder, or in use by another process.
        """
        from filelock import FileLock, Timeout

        self._check_place()
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / MARKER).touch()
        for folder in _FOLDERS[:2]:
            (self.path / folder).mkdir(exist_ok=True)
        lock = FileLock(self.path / LOCK)
        try:
            lock.acquire(timeout=_GRACE, poll_interval=_GRACE / 20)
        except Timeout as error:
            raise UsageError(
                f"{self.path} is in use by another nasbench; wait for it or choose another --out"
            ) from error
        try:
            if fresh:
                self._clear()
            for stale in self.path.rglob(f".*{TEMP_SUFFIX}"):
                stale.unlink(missing_ok=True)
            yield self
        finally:
            lock.release()

    def check_is_run(self) -> None:
        """Whether there is a run in this folder. Raises RunError where there is none."""
        if not self.path.exists():
            raise RunError(f"{self.path}: there is no such folder")
        if not self.path.is_dir():
            raise RunError(f"{self.path}: is a file, not a run's folder")
        if not (self.path / MARKER).is_file():
            raise RunError(f"{self.path}: is not a run's folder (it has no {MARKER})")

    def has_rows(self, key: str) -> bool:
        """Whether a unit is finished."""
        return self.rows_path(key).is_file()

    def written(self) -> dict[str, float]:
        """By file name, when each file beside the rows was written, in seconds since the epoch."""
        found = {}
        with contextlib.suppress(FileNotFoundError), os.scandir(self.path / "rows") as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # a temporary file that has its name by now
                    found[entry.name] = entry.stat().st_mtime
        return found

    def find_artefact(self, key: str, images: int) -> Path | None:
        """Where pictures and labels of at least a unit's first `images` samples are kept."""
        if images == 0:
            return self.path
        for path in sorted((self.path / "artefacts").glob(f"{key}-*.npz")):
            count = path.stem.rpartition("-")[2]
            if count.isdecimal() and int(count) >= images:
                return path
        return None

    def write_rows(self, key: str, rows: Sequence[Row]) -> None:
        """Write a unit; one that is there already is left alone. Raises OSError."""
        if not self.has_rows(key):
            write_atomic(self.rows_path(key), encode_rows(rows))

    def read_rows(self, key: str) -> pa.Table:
        """A unit's rows. Raises RunError naming a file that is damaged or of another schema."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.rows_path(key)
        try:
            # Read through Python: a memory-mapped file that another process replaces would not be seen whole.
            table = pq.ParquetFile(io.BytesIO(path.read_bytes())).read()
        except (OSError, pa.ArrowException) as error:
            raise RunError(
                f"{path}: cannot be read ({str(error).splitlines()[0]}); delete it and run again"
            ) from error
        found = (table.schema.metadata or {}).get(b"nasbench_rows", b"none").decode()
        if found != str(ROW_SCHEMA):
            raise RunError(f"{path}: has row schema {found}, this nasbench reads {ROW_SCHEMA}")
        return table

    def write_artefact(self, key: str, images: int, arrays: dict[str, NDArray[Any]]) -> None:
        """Keep arrays (`ids`, `images` and others) of a unit's first `images` samples. Raises OSError."""
        import numpy as np

        sink = io.BytesIO()
        np.savez_compressed(sink, allow_pickle=False, **arrays)
        write_atomic(self.path / "artefacts" / f"{key}-{images}.npz", sink.getvalue())

    def read_artefact(self, key: str, images: int) -> dict[str, NDArray[Any]] | None:
        """A unit's arrays, perhaps of more samples; None where not kept. Raises RunError naming the file."""
        import numpy as np

        path = self.find_artefact(key, images)
        if path is None or not images:
            return None
        try:
            with np.load(path, allow_pickle=False) as arrays:
                found = {name: np.asarray(arrays[name]) for name in arrays.files}
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
            raise RunError(f"{path}: cannot be read ({error}); delete it and run again") from error
        if not {"ids", "images"} <= set(found):
            raise RunError(f"{path}: lacks ids or images; delete it and run again")
        return found

    def write_kept(self, kind: str, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep arrays that other cells and later runs may read, by their name. Raises OSError."""
        import numpy as np

        sink = io.BytesIO()
        np.savez_compressed(sink, allow_pickle=False, **arrays)
        self.write_bytes(f"{kind}/{name}.npz", sink.getvalue())

    def read_kept(self, kind: str, name: str) -> dict[str, NDArray[Any]] | None:
        """What was kept under a name; None where nothing was, or where the file cannot be read."""
        import numpy as np

        try:
            with np.load(self.path / kind / f"{name}.npz", allow_pickle=False) as arrays:
                return {key: np.asarray(arrays[key]) for key in arrays.files}
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error):
            return None

    def write_text(self, name: str, text: str) -> Path:
        """Write a derived file, whole or not at all."""
        path = self.path / name
        write_atomic(path, text.encode("utf-8"))
        return path

    def write_bytes(self, name: str, data: bytes) -> Path:
        """Write a derived file, whole or not at all."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, data)
        return path

    def read_manifest(self) -> dict[str, Any] | None:
        """The manifest, None where there is none. Raises RunError naming a damaged one."""
        path = self.path / "manifest.json"
        if not path.is_file():
            return None
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"{path}: cannot be read ({error}); delete it and run again") from error
        if not isinstance(manifest, dict):
            raise RunError(f"{path}: is not a manifest")
        return manifest

    def append_timings(self, records: Sequence[dict[str, Any]]) -> None:
        """Add records to timings.parquet."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not records:
            return
        path = self.path / "timings.parquet"
        table = pa.Table.from_pylist(list(records))
        if path.is_file():
            with contextlib.suppress(pa.ArrowException):
                table = pa.concat_tables(
                    [pq.ParquetFile(io.BytesIO(path.read_bytes())).read(), table], promote_options="default"
                )
        sink = io.BytesIO()
        pq.write_table(table, sink, compression="zstd")
        write_atomic(path, sink.getvalue())

    def rows_path(self, key: str) -> Path:
        """Where a unit's rows are, or will be."""
        return self.path / "rows" / f"{key}.parquet"

    def _check_place(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"--out {self.path}: is a file; name a folder")
        for parent in self.path.parents:
            if parent.exists() and not parent.is_dir():
                raise UsageError(f"--out {self.path}: {parent} is a file, not a folder")
        if self.path.is_dir() and not (self.path / MARKER).is_file():
            foreign = sorted(entry.name for entry in self.path.iterdir())
            if foreign:
                raise UsageError(
                    f"--out {self.path}: holds {foreign[0]} and is not a run's folder; name another"
                )

    def _clear(self) -> None:
        """Forget everything a run wrote, and nothing else."""
        for name in _DERIVED_FILES:
            (self.path / name).unlink(missing_ok=True)
        for pattern in _PATTERNS:
            for path in self.path.glob(pattern):
                path.unlink()
