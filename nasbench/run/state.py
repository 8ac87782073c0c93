"""Whether a run is going on, from another process: never in its way, never with a trace in its folder."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Literal

from nasbench.run.manifest import Manifest
from nasbench.run.store import LOCK, MARKER, RunFolder

# `starting`: no plan is written yet. `unfinished`: it never was, and no process is at work.
State = Literal["starting", "running", "complete", "interrupted", "failed", "killed", "unfinished"]


def state_of(manifest: Manifest | None, *, held: bool) -> State:
    """What goes on in a run's folder. `held` says whether a process holds its lock.

    A manifest alone does not say: that of a killed run reads `running` for ever.
    """
    if manifest is None:
        return "starting" if held else "unfinished"
    if held:
        return "running"
    for state in ("complete", "interrupted", "failed"):
        if manifest.status == state:
            return state
    return "killed"


def is_held(folder: RunFolder) -> bool:
    """Whether another process holds the folder's lock. Creates no file, changes none, waits for nobody.

    Raises OSError where the lock's file cannot be opened.
    """
    path = folder.path / LOCK
    if not path.exists():
        return False
    if sys.platform == "win32":
        return _held_on_windows(path)
    import fcntl

    handle = os.open(path, os.O_RDONLY)
    try:
        # Shared: two that look do not take each other for a run. A run that starts at this very instant
        # waits a moment for its own, exclusive one.
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return True
        raise
    finally:
        os.close(handle)  # and with it the lock
    return False


def _held_on_windows(path: Path) -> bool:
    from filelock import FileLock, Timeout

    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


def latest_run(root: Path) -> Path | None:
    """The run below a folder that was written to last; None where there is none."""
    found: list[tuple[float, Path]] = []
    for place, folders, files in os.walk(root):
        if MARKER in files:
            folders.clear()
            path = Path(place)
            touched = [one.stat().st_mtime for one in (path, path / "rows") if one.is_dir()]
            found.append((max(touched), path))
    return max(found)[1] if found else None
