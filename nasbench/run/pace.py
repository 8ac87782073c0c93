"""How far a run is, how fast, and how long it will take: from the times its units were written.

A task writes the units of all its cells at its end, so it is tasks, and the images in them, that are counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nasbench.run.manifest import Manifest, UnitRecord

# Clocks of two machines, and times kept to the second.
_SLACK = 2.0


@dataclass(frozen=True)
class Pace:
    """How far and how fast.

    Attributes:
        units, units_all: units that are there, and all.
        images, images_all: images that every cell has, and all.
        before: units that were there when the last process began.
        computed: images in the tasks that this process has ended.
        cells: of each cell, units that are there, and all.
        seconds: since the process began: till now, or till it ended.
        rate: images a second; None where no task has ended yet, or the times say nothing.
        left: seconds that the rest will take at this rate, 0 where it should have been done; None likewise.
        last: when this process wrote its last unit, seconds since the epoch; None where it has not.
    """

    units: int
    units_all: int
    images: int
    images_all: int
    before: int
    computed: int
    cells: Sequence[tuple[int, int]]
    seconds: float
    rate: float | None
    left: float | None
    last: float | None


@dataclass(frozen=True)
class _Task:
    """A block of samples: how many, whether this process has units of it to compute, when all were there."""

    size: int
    mine: bool
    ended: float | None


def pace_of(manifest: Manifest, written: Mapping[str, float], *, now: float | None) -> Pace:
    """The pace of a run's last process.

    Args:
        manifest: the run's.
        written: by file name, when a file beside the rows was written.
        now: seconds since the epoch; None where the process has ended.
    """
    times = {
        unit.key: written[f"{unit.key}.parquet"]
        for unit in manifest.units
        if f"{unit.key}.parquet" in written
    }
    before = _there_before(manifest, times) & set(times)
    tasks = [_task(units, times, before) for units in manifest.tasks.values()]
    new = [time for key, time in times.items() if key not in before]
    end = now if now is not None else _ended(manifest, new)
    # Of a folder that was copied, say: its files' times are not those of the run.
    plausible = all(manifest.started <= time <= end + _SLACK for time in new)
    own = [task for task in tasks if task.mine]
    rate = _rate(own, manifest, now) if plausible else None
    left = None
    if rate is not None and now is not None:
        left = max(sum(task.size for task in own) / rate - (now - manifest.started), 0.0)
    cells = [[0, 0] for _ in manifest.cells]
    for unit in manifest.units:
        cells[unit.cell][0] += unit.key in times
        cells[unit.cell][1] += 1
    return Pace(
        units=len(times),
        units_all=len(manifest.units),
        images=sum(task.size for task in tasks if task.ended is not None),
        images_all=sum(task.size for task in tasks),
        before=len(before),
        computed=sum(task.size for task in own if task.ended is not None),
        cells=[(done, total) for done, total in cells],
        seconds=max(end - manifest.started, 0.0),
        rate=rate,
        left=left,
        last=max(new, default=None) if plausible else None,
    )


def _there_before(manifest: Manifest, times: Mapping[str, float]) -> set[str]:
    """The units that were there when the last process began."""
    if manifest.status == "running":  # written at the start, with the digests of those
        return {unit.key for unit in manifest.units if unit.digest is not None}
    return {key for key, time in times.items() if time < manifest.started}


def _ended(manifest: Manifest, new: Sequence[float]) -> float:
    """When the last process ended: as it wrote, or when a killed one wrote its last unit."""
    return max([manifest.written, *new]) if manifest.status == "running" else manifest.written


def _task(units: Sequence[UnitRecord], times: Mapping[str, float], before: set[str]) -> _Task:
    mine = [unit.key for unit in units if unit.key not in before]
    whole = all(unit.key in times for unit in units)
    ended = max((times[key] for key in mine), default=0.0) if whole else None
    return _Task(max(unit.samples for unit in units), bool(mine), ended)


def _rate(tasks: Sequence[_Task], manifest: Manifest, now: float | None) -> float | None:
    """Images a second of a process with these tasks; None where none has ended."""
    ended = sorted((task.ended, task.size) for task in tasks if task.ended is not None)
    if not ended:
        return None
    workers = max(min(manifest.workers, len(tasks)), 1)
    # Workers end their tasks together, in waves: in the middle of one, the rest of it is not seen yet.
    counted = ended[: len(ended) - len(ended) % workers] or ended
    seconds = counted[-1][0] - manifest.started
    if seconds <= 0:
        return None
    # Within the first wave each worker is about as far as those that have ended.
    images = sum(size for _, size in counted) * max(workers / len(ended), 1.0)
    rate = images / seconds
    if now is not None and now > manifest.started:
        # With all that is in flight no more than this can be done by now: a run that hangs gets slower.
        open_ = sorted((task.size for task in tasks if task.ended is None), reverse=True)
        most = sum(size for _, size in ended) + sum(open_[:workers])
        rate = min(rate, most / (now - manifest.started))
    return rate
