"""Whatever ends a run loses only the tasks in flight."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.cli import command, make_images, spawn, tiny

REPO = Path(__file__).resolve().parents[2]
UNITS = 4

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc to find worker processes")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return make_images(tmp_path_factory.mktemp("data") / "photos", 32 * UNITS, size=(8, 8))


@pytest.fixture(scope="module")
def expected(images, tmp_path_factory):
    """The summary of a run that nothing interrupts."""
    out = tmp_path_factory.mktemp("whole") / "out"
    assert spawn(*arguments(images, out), cwd=REPO).code == 0
    return (out / "summary.csv").read_bytes()


def arguments(images, out, *more):
    target = "segmenter._target_=tests.support.slow.SlowGrid"
    return tiny(images, "segmenter=custom", target, "--out", str(out), *more)


def start(images, out, *more, sleep="0.6"):
    return subprocess.Popen(
        command(*arguments(images, out, *more)),
        cwd=REPO,
        env={**os.environ, "NASBENCH_TEST_SLEEP": sleep},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("waited in vain")


def units(out):
    return sorted((out / "rows").glob("*.parquet"))


def children(pid):
    """Worker processes below a process."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(child) for child in task.read_text().split()]
    return [c for c in found if b"spawn_main" in Path(f"/proc/{c}/cmdline").read_bytes()]


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def resumed(images, out, kept):
    """Resume without waiting; finished units stay as they were, and the summary is that of a whole run."""
    before = {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in kept}
    result = spawn(*arguments(images, out), cwd=REPO)
    assert result.code == 0, result.err
    assert {
        n: ((out / "rows" / n).stat().st_mtime_ns, (out / "rows" / n).read_bytes()) for n in before
    } == before
    assert f"{UNITS - len(kept)} of {UNITS} units computed" in result.err
    assert not list(out.rglob("*.part"))
    return (out / "summary.csv").read_bytes()


@pytest.mark.parametrize("workers", [0, 2])
def test_sigkill_and_resume(images, expected, tmp_path, workers):
    out = tmp_path / "out"
    process = start(images, out, f"engine.workers={workers}")
    wait_for(lambda: units(out))
    pool = children(process.pid)
    assert bool(pool) == bool(workers)
    process.kill()
    process.wait()
    wait_for(lambda: not any(alive(pid) for pid in pool), seconds=30)
    kept = units(out)
    assert 0 < len(kept) < UNITS
    assert resumed(images, out, kept) == expected


@pytest.mark.parametrize("workers", [0, 2])
def test_ctrl_c_exits_130_and_names_the_command_that_resumes(images, expected, tmp_path, workers):
    out = tmp_path / "out"
    process = start(images, out, f"engine.workers={workers}")
    wait_for(lambda: units(out))
    pool = children(process.pid)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.count("\n") == 1, err
    assert "Resume with: nasbench segment model=timm" in err
    assert f"--out {out}" in err
    wait_for(lambda: not any(alive(pid) for pid in pool), seconds=30)
    kept = units(out)
    assert 0 < len(kept) < UNITS
    assert resumed(images, out, kept) == expected


def test_a_killed_worker_is_one_line_and_nothing_is_lost(images, expected, tmp_path):
    out = tmp_path / "out"
    process = start(images, out, "engine.workers=2")
    wait_for(lambda: units(out))
    os.kill(children(process.pid)[0], signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.count("\n") == 1, err
    assert "a worker process was killed" in err
    assert resumed(images, out, units(out)) == expected
