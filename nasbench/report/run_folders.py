"""The folders of runs as a report reads them: what each says of itself, checked before anything is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nasbench.errors import RunError
from nasbench.run.manifest import Manifest, read_manifest
from nasbench.run.rows import ROW_SCHEMA
from nasbench.run.store import MARKER, RunFolder

COMMANDS = ("segment", "explain", "wsol", "lerf")
# Subfolders named where a parent of runs was given.
_NAMED = 3


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        name: its folder, as it was named.
        folder: the folder.
        manifest: what it says of itself.
        finished: the keys of its units that have rows.
    """

    name: str
    folder: RunFolder
    manifest: Manifest
    finished: frozenset[str]


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
    manifest = read_manifest(folder)
    if manifest is None:
        raise RunError(f"{path}: is half-written, manifest.json is missing; run it again or leave it out")
    if (rows := manifest.schemas.get("rows")) != ROW_SCHEMA:
        raise RunError(f"{path}/manifest.json: has row schema {rows}, this nasbench reads {ROW_SCHEMA}")
    if manifest.command not in COMMANDS:
        raise RunError(f"{path}/manifest.json: is of {manifest.command}, which this nasbench does not report")
    finished = frozenset(filter(folder.has_rows, manifest.keys))
    if not finished:
        raise RunError(
            f"{path}: has no finished unit (status {manifest.status}); run it again or leave it out"
        )
    return Run(str(path), folder, manifest, finished)
