"""A comparison as files in a folder of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nasbench.atomic import write_atomic
from nasbench.errors import UsageError
from nasbench.report.run_folders import COMMANDS

# Says that a folder is a report's, and that what it holds may be replaced.
_MARKER = ".nasbench-report"
_FIGURES = ("differences", "counts", *(f"side_by_side_{command}" for command in COMMANDS))
NAMES = ("report.md", "report.csv", "report.tex", *(f"{name}.svg" for name in _FIGURES))
NAMES += tuple(f"{name}.png" for name in _FIGURES)


@dataclass(frozen=True)
class ReportFolder:
    """Where a comparison is written."""

    path: Path

    def check(self) -> None:
        """Raises UsageError where the path is a file, or a folder with something in it that is no report."""
        where = f"--out {self.path}"
        for parent in (self.path, *self.path.parents):
            if parent.exists() and not parent.is_dir():
                raise UsageError(f"{where}: {parent} is a file, not a folder")
        if self.path.is_dir() and not (self.path / _MARKER).is_file():
            foreign = sorted(entry.name for entry in self.path.iterdir())
            if foreign:
                raise UsageError(f"{where}: holds {foreign[0]} and is not a report's folder; name another")

    def write(self, files: Mapping[str, bytes]) -> list[Path]:
        """Write each file whole, and take away those of an earlier report that this one has not.

        Raises UsageError as `check`; OSError.
        """
        self.check()
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / _MARKER).touch()
        for name, data in files.items():
            write_atomic(self.path / name, data)
        for name in NAMES:
            if name not in files:
                (self.path / name).unlink(missing_ok=True)
        return [self.path / name for name in files]
