"""Progress on a terminal: what is done, the rate, the time left. Silent anywhere else."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Self


class Progress:
    """A Rich progress bar on standard error, or nothing where that is not a terminal."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._failed = 0

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._bar = _make_bar()
            self._task = self._bar.add_task("starting", total=None, rate="", failed="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def say(self, words: str) -> None:
        """Tell in a few words what takes time."""
        if self._bar is not None:
            self._bar.update(self._task, description=words)

    def start(self, total: int, unit: str) -> None:
        """Count up to `total`."""
        if self._bar is not None:
            self._bar.reset(self._task, total=total, description=unit)

    def advance(self, count: int, *, failed: int = 0) -> None:
        """Count `count` more, and failures."""
        self._failed += failed
        if self._bar is None:
            return
        self._bar.advance(self._task, count)
        speed = self._bar.tasks[0].finished_speed or self._bar.tasks[0].speed
        rate = f"{speed:.1f}/s" if speed else ""
        self._bar.update(self._task, rate=rate, failed=f"{self._failed} failed" if self._failed else "")

    def stop(self) -> None:
        """Take the bar down."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _make_bar() -> Any:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as RichProgress

    return RichProgress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("[red]{task.fields[failed]}"),
        console=Console(stderr=True),
        transient=True,
    )
