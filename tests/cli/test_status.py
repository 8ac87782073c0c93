"""`nasbench status`: while a run goes on, after it was killed or interrupted, and when it is done."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nasbench.cli.app import run
from nasbench.cli.status_text import _rate, _span
from tests.run.test_interrupts import start, units, wait_for
from tests.support import tamper
from tests.support.cli import call, make_images, tiny

BLOCKS = 4


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return make_images(tmp_path_factory.mktemp("data") / "photos", 32 * BLOCKS, size=(8, 8))


@pytest.fixture
def look(capsys, monkeypatch):
    """Look at a run; what is said, by the first word of a line."""

    def go(folder, *args, code=0):
        result = call(capsys, monkeypatch, "status", str(folder), *args)
        assert result.code == code, result.err
        if "--json" in args:
            return json.loads(result.out)
        said: dict[str, str] = {}
        name = ""
        for line in result.out.splitlines():
            name = line[:9].strip() or name
            said[name] = f"{said.get(name, '')}\n{line[10:]}".strip()
        return said

    return go


@pytest.fixture
def status(look):
    """The same at a run where no process is at work, so that a trace can be seen: there must be none."""

    def go(folder, *args, code=0):
        before = tamper.tree(folder)
        found = look(folder, *args, code=code)
        assert tamper.tree(folder) == before
        return found

    return go


@pytest.fixture(scope="module")
def finished(images, tmp_path_factory):
    out = tmp_path_factory.mktemp("finished") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nasbench.report.run_report._write_sheet", lambda *_: out / "sheet.png")
        assert run(tiny(images, "segmenter=grid,slic", "--limit", "40", "--out", str(out))) == 0
    return out


def test_a_run_that_goes_on_is_killed_and_resumed(images, tmp_path, look, status):
    out = tmp_path / "out"
    process = start(images, out, sleep="0.8")
    wait_for((out / "manifest.json").is_file)
    said = look(out)
    assert said["rate"].startswith("no rate yet")
    assert "left" not in said
    wait_for(lambda: units(out))
    said, record = look(out), look(out, "--json")
    assert process.poll() is None, "nobody disturbs it"
    assert re.match(r"running for \d+ s", said["state"])
    assert said["command"] == "segment: 1 cell × 128 images"
    assert re.search(r"[\d.]+ images a (second|minute), from \d+ images by this process", said["rate"])
    assert said["left"].startswith(("about", "any moment"))
    assert "resume" not in said
    assert record["state"] == "running"
    assert 1 <= record["units"]["done"] <= BLOCKS
    assert record["units"]["all"] == BLOCKS
    assert record["images"]["done"] == 32 * record["units"]["done"]
    assert record["images_per_second"] > 0
    assert record["seconds_left"] >= 0
    process.kill()
    process.wait()
    kept = len(units(out))
    said = status(out)
    assert said["state"] == "killed: it was stopped before it could say so"
    assert said["done"].startswith(f"{32 * kept} of 128 images in all cells\n{kept} of 4 units")
    assert "left" not in said
    assert said["resume"].startswith("nasbench segment model=timm")
    process = start(images, out, sleep="0.8")
    wait_for(lambda: look(out, "--json")["state"] == "running" and len(units(out)) > kept)
    record = look(out, "--json")
    assert record["units"]["before"] == kept
    assert record["images"]["computed"] == 32 * (record["units"]["done"] - kept)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert status(out)["state"].startswith("interrupted after")


def test_a_finished_run(finished, status):
    said, record = status(finished), status(finished, "--json")
    assert said["run"] == str(finished)
    assert said["state"].startswith("complete after")
    assert said["done"] == "40 of 40 images in all cells\n4 of 4 units"
    assert said["cells"] == "grid  2 of 2 units\nslic  2 of 2 units"
    assert said["errors"] == "none"
    assert record["cells"] == [{"cell": cell, "done": 2, "all": 2} for cell in ("grid", "slic")]
    assert {one["status"] for one in record["reasons"]} == {"skipped"}
    assert record["damaged"] == []


def test_errors_are_named_with_their_number_and_an_image(tmp_path, status, run_here):
    bad = tmp_path / "bad"
    make_images(bad, 6, size=(8, 8))
    (bad / "images" / "003.png").write_bytes(b"no image")
    run_here(*tiny(bad, "segmenter=grid,slic", "--out", "out"))
    said = status(tmp_path / "out")
    assert re.fullmatch(r"6 rows: not an image .* \(1 image, 2 cells; 003\.png first\)", said["errors"]), said
    reason, *_ = status(tmp_path / "out", "--json")["reasons"]
    assert (reason["status"], reason["rows"], reason["images"], reason["cells"]) == ("error", 6, 1, 2)


@pytest.fixture
def run_here(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return lambda *args: call(capsys, monkeypatch, *args)


def test_without_a_folder_it_is_the_run_written_to_last(finished, run_here, tmp_path):
    result = run_here("status")
    assert (result.code, result.out) == (1, "")
    assert result.line == "nasbench: there is no run below results/runs; name a run's folder"
    assert not list(tmp_path.iterdir())
    for name in ("old", "new"):
        tamper.copy_of(finished, tmp_path / "results" / "runs" / "segment" / name)
    os.utime(tmp_path / "results" / "runs" / "segment" / "new" / "rows")
    assert run_here("status").out.split()[1] == str(Path("results", "runs", "segment", "new"))


def test_a_unit_that_is_missing_or_damaged_is_said(finished, tmp_path, status, capsys, monkeypatch):
    folder = tamper.copy_of(finished, tmp_path / "run")
    first, second, *_ = tamper.keys(folder)
    tamper.unit_file(folder, first).unlink()
    assert status(folder)["state"].endswith(f"but 1 unit is missing now; see nasbench verify {folder}")
    tamper.unit_file(folder, second).write_bytes(b"PAR1")
    result = call(capsys, monkeypatch, "status", str(folder))
    assert result.code == 1
    assert "3 of 4 units" in result.out
    assert re.match(rf"nasbench: .*{second}\.parquet: cannot be read", result.line)
    assert status(folder, "--json", code=1)["damaged"]


def test_a_run_without_a_plan(finished, tmp_path, status):
    folder = tamper.copy_of(finished, tmp_path / "run")
    (folder / "manifest.json").unlink()
    assert status(folder)["state"] == "stopped before a plan was written; run it again"
    assert status(folder, "--json") == {"run": str(folder), "state": "unfinished"}


@pytest.mark.parametrize("kind", ["absent", "file", "other"])
def test_what_is_no_run_is_one_line(run_here, tmp_path, kind):
    if kind == "file":
        (tmp_path / "place").write_text("")
    elif kind == "other":
        (tmp_path / "place").mkdir()
    before = tamper.tree(tmp_path)
    result = run_here("status", "place")
    assert (result.code, result.out) == (1, "")
    assert result.line.startswith("nasbench: place: ")
    assert tamper.tree(tmp_path) == before


@pytest.mark.parametrize("seconds", ["0", "-1", "nan"])
def test_misuse(run_here, finished, seconds):
    result = run_here("status", str(finished), "--watch", seconds)
    assert result.code == 2
    assert "must be above 0 seconds" in result.line


def test_watching_ends_with_the_run_and_with_ctrl_c(finished, tmp_path, run_here, monkeypatch):
    result = run_here("status", str(finished), "--watch", "5", "--json")
    assert result.code == 0
    assert len(result.out.splitlines()) == 1
    folder = tamper.copy_of(finished, tmp_path / "run")
    seen = []

    def looked(looker, *, as_json):
        seen.append(as_json)
        found = looker.look()
        return replace(found, state="running" if len(seen) < 3 else "complete")

    monkeypatch.setattr(sys.modules["nasbench.cli.status"], "_shown", looked)
    monkeypatch.setattr("time.sleep", lambda _: None)
    assert run_here("status", str(folder), "--watch", "5").code == 0
    assert len(seen) == 3

    def interrupted(_):
        raise KeyboardInterrupt

    seen.clear()
    monkeypatch.setattr("time.sleep", interrupted)
    result = run_here("status", str(folder), "--watch", "5")
    assert result.code == 130
    assert result.line == "nasbench: no longer watching; the run goes on"


def test_neither_command_imports_torch_for_files_alone(finished):
    code = (
        "import sys; from nasbench.cli.app import run;"
        f"run(['status', {str(finished)!r}]); run(['verify', {str(finished)!r}, '--sample', '0']);"
        "print('heavy:', sorted({'torch', 'timm', 'sklearn', 'skimage'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "heavy: []"


def test_times_and_rates_are_numbers_one_can_read():
    assert [_span(s) for s in (0.2, 59, 61, 3600, 3725, 90_000)] == [
        "0 s",
        "59 s",
        "1 min 1 s",
        "1 h 0 min",
        "1 h 2 min",
        "1 d 1 h",
    ]
    assert [_rate(r) for r in (7.34, 0.115, 0.001)] == [
        "7.3 images a second",
        "6.9 images a minute",
        "3.6 images an hour",
    ]
