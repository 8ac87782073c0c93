"""How far a run is and how fast, in closed form from made-up times."""

from __future__ import annotations

import pytest

from nasbench.run.manifest import CellRecord, DataRecord, Manifest, UnitRecord
from nasbench.run.pace import pace_of

START = 1000.0
CELLS = 3


def manifest(blocks, *, status="running", workers=0, there=(), written=START):
    """A run of three cells over blocks of these sizes; `there` are blocks from before it began."""
    units = tuple(
        UnitRecord(f"{cell}-{block}", cell, block, size, "d" if block in there else None)
        for cell in range(CELLS)
        for block, size in enumerate(blocks)
    )
    return Manifest(
        command="wsol",
        status=status,
        plan="p",
        argv=(),
        started=START,
        written=written,
        workers=workers,
        schemas={},
        versions={},
        computed_on=({},),
        datasets=(DataRecord("d", sum(blocks), "x", (None,)),),
        cells=tuple(CellRecord(str(i), {}, {}, 0) for i in range(CELLS)),
        units=units,
        samples=(),
    )


def files(times, cells=CELLS):
    """When the units of each block were written, by file name."""
    return {f"{cell}-{block}.parquet": time for block, time in times.items() for cell in range(cells)}


def test_nothing_is_done_and_no_rate_is_invented():
    pace = pace_of(manifest([32, 32, 8]), {}, now=START + 50)
    assert (pace.units, pace.units_all, pace.images, pace.images_all) == (0, 9, 0, 72)
    assert pace.rate is pace.left is pace.last is None
    assert pace.seconds == 50


def test_one_worker():
    pace = pace_of(manifest([32, 32, 8]), files({0: START + 16}), now=START + 20)
    assert pace.rate == 2
    assert pace.left == 72 / 2 - 20
    assert (pace.units, pace.images, pace.computed, pace.last) == (3, 32, 32, START + 16)
    assert list(pace.cells) == [(1, 3)] * 3


def test_a_task_whose_units_are_not_all_there_does_not_count_yet():
    times = files({0: START + 16}) | files({1: START + 30}, cells=2)
    pace = pace_of(manifest([32, 32, 8]), times, now=START + 30)
    assert (pace.units, pace.images, pace.computed) == (5, 32, 32)
    assert pace.rate == 2
    assert list(pace.cells) == [(2, 3), (2, 3), (1, 3)]


@pytest.mark.parametrize("ended", [1, 2, 3, 4, 5, 6])
def test_workers_that_end_together_have_one_rate_wherever_in_the_wave(ended):
    # Two workers, 16 seconds a task: 4 images a second.
    times = {block: START + 16 * (block // 2 + 1) for block in range(ended)}
    now = START + 16 * ((ended + 1) // 2)
    pace = pace_of(manifest([32] * 10, workers=2), files(times), now=now)
    assert pace.rate == pytest.approx(4)
    assert pace.left == pytest.approx(80 - (now - START))


def test_more_workers_than_tasks():
    pace = pace_of(manifest([32, 32], workers=8), files({0: START + 16}), now=START + 16)
    assert pace.rate == pytest.approx(4)


def test_units_from_before_do_not_count_for_the_rate():
    times = files({0: START - 5000, 1: START - 4000, 2: START + 64})
    pace = pace_of(manifest([32] * 4, there=(0, 1)), times, now=START + 64)
    assert (pace.before, pace.computed, pace.images) == (6, 32, 96)
    assert pace.rate == 0.5
    assert pace.left == 64


def test_a_task_of_which_some_units_were_there_is_one_to_compute():
    times = files({0: START - 10}, cells=2) | {"2-0.parquet": START + 8}
    one = manifest([32, 32])
    units = tuple(
        UnitRecord(u.key, u.cell, u.block, u.samples, "d" if u.cell < 2 and u.block == 0 else None)
        for u in one.units
    )
    pace = pace_of(Manifest(**{**vars(one), "units": units}), times, now=START + 8)
    assert (pace.before, pace.computed) == (2, 32)
    assert pace.rate == 4


def test_of_a_run_that_has_ended_the_times_say_what_was_there():
    times = files({0: START - 100, 1: START + 8})
    pace = pace_of(manifest([32, 32], status="complete", written=START + 10, there=(0, 1)), times, now=None)
    assert (pace.before, pace.computed, pace.seconds) == (3, 32, 10)
    assert pace.rate == 4
    assert pace.left is None


def test_a_run_that_hangs_gets_slower_and_is_never_done_in_less_than_no_time():
    one, times = manifest([32] * 4), files({0: START + 16})
    rates, lefts = [], []
    for now in (16, 32, 64, 1000, 100_000):
        pace = pace_of(one, times, now=START + now)
        assert pace.rate is not None
        assert pace.left is not None
        rates.append(pace.rate)
        lefts.append(pace.left)
    assert rates[:3] == [2, 2, 1]
    assert rates == sorted(rates, reverse=True)
    assert lefts[:3] == [48, 32, 64]
    assert lefts[-1] > lefts[-2] > 0
    last = pace_of(manifest([32, 32]), times, now=START + 500)
    assert last.left == 0


def test_times_that_are_not_the_runs_give_no_rate():
    for later in (START + 100, START + 10_000):  # copied after it, or the clock is wrong
        pace = pace_of(manifest([32, 32]), files({0: later}), now=START + 50)
        assert pace.rate is pace.left is pace.last is None
        assert pace.images == 32


def test_a_killed_run_ends_with_its_last_unit():
    pace = pace_of(manifest([32, 32]), files({0: START + 16}), now=None)
    assert (pace.seconds, pace.rate, pace.left) == (16, 2, None)


def test_data_sets_have_blocks_of_their_own():
    one = manifest([32, 32])
    cells = (one.cells[0], one.cells[1], CellRecord("2", {}, {}, 1))
    pace = pace_of(Manifest(**{**vars(one), "cells": cells}), files({0: START + 1}, cells=2), now=START + 2)
    assert (pace.images, pace.images_all) == (32, 128)
