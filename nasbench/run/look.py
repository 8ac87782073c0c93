"""A look at a run from outside: its state, its pace, and why rows have no value."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nasbench.run.manifest import Manifest, read_manifest
from nasbench.run.pace import Pace, pace_of
from nasbench.run.reasons import Reason, Reasons
from nasbench.run.state import State, is_held, state_of
from nasbench.run.store import RunFolder


@dataclass(frozen=True)
class Look:
    """What was seen.

    Attributes:
        path: the run's folder.
        state: what goes on in it.
        now: when it was looked at, seconds since the epoch.
        manifest, pace: None where the run has no plan yet.
        reasons: why rows of finished units have no value, errors first.
        damaged: finished units that cannot be read, a line each.
    """

    path: Path
    state: State
    now: float
    manifest: Manifest | None
    pace: Pace | None
    reasons: Sequence[Reason]
    damaged: Sequence[str]


class Looker:
    """Looks at one run, and again; what does not change is read once."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._reasons = Reasons(folder)

    def look(self) -> Look:
        """Look now. Raises RunError where there is no run, or its manifest is damaged; OSError."""
        self._folder.check_is_run()
        # First whether it runs: one that ends right after has its last manifest, one that starts its first.
        held = is_held(self._folder)
        manifest = read_manifest(self._folder)
        state, now = state_of(manifest, held=held), time.time()
        if manifest is None:
            return Look(self._folder.path, state, now, None, None, (), ())
        written = self._folder.written()
        self._reasons.add(unit for unit in manifest.units if f"{unit.key}.parquet" in written)
        return Look(
            self._folder.path,
            state,
            now,
            manifest,
            pace_of(manifest, written, now=now if state == "running" else None),
            self._reasons.most_frequent,
            tuple(self._reasons.damaged.values()),
        )
