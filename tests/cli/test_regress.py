"""`nasbench regress` from its arguments to its exit code, with runs made up and once with real ones."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

from nasbench.config.locate import baselines_dir
from nasbench.config.suite import compose_steps, read_suite
from nasbench.errors import DataError
from nasbench.regress.baseline import made, write_baseline
from nasbench.regress.environment import environment
from nasbench.regress.figures import Reading
from tests.support.cli import call, command
from tests.support.regress import as_found, beyond, committed, edited, within

SUITE, BASELINE = read_suite("default"), committed()[1]
NAMES = sorted(BASELINE.figures)
# A step without a network worth the name, on two scenes.
QUICK = {
    "shared": ["model=timm", "model.name=test_resnet", "model.weights=random", "model.input_size=32",
               "dataset.n=2", "dataset.size=32", "device=cpu"],
    "steps": {"cut": {"command": "segment", "overrides": ["segmenter=grid,slic", "save=labels"]}},
    "figures": {
        "grid_iou": {
            "step": "cut", "table": "summary.csv", "where": {"segmenter": "grid", "metric": "object_iou"},
            "read": "value", "kind": "close", "tolerance": 1e-6, "reason": "looks at no network",
        },
        "labels": {"step": "cut", "digest": "labels", "where": {"segmenter": "slic"}, "kind": "exact",
                   "reason": "b"},
        "table": {"step": "cut", "digest": "summary.csv", "kind": "exact", "reason": "b"},
    },
}  # fmt: skip


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return lambda *args: call(capsys, monkeypatch, "regress", *args)


@pytest.fixture
def faked(monkeypatch):
    """Runs that compute nothing and of which the figures are what the test says."""
    started = []
    monkeypatch.setattr("nasbench.cli.execute.run_anew", lambda _, path: started.append(path.name))

    def say(found):
        monkeypatch.setattr("nasbench.regress.figures.read_figures", lambda *_: found)
        return started

    return say


@pytest.fixture
def here(tmp_path):
    """The committed figures, as if they had been made in this environment."""
    values = [(name, held.value) for name, held in BASELINE.figures.items()]
    (tmp_path / "b").mkdir()
    write_baseline(tmp_path / "b" / "default.json", made(SUITE, values, environment()))
    return tmp_path / "b"


@pytest.fixture(autouse=True)
def default_is_read_once(monkeypatch):
    """The default suite takes most of a second to compose; the other suites are read as they are."""
    composed = dict.fromkeys(step.name for step in SUITE.steps)
    monkeypatch.setattr(
        "nasbench.config.suite.read_suite", lambda name: SUITE if name == "default" else read_suite(name)
    )
    monkeypatch.setattr(
        "nasbench.config.suite.compose_steps",
        lambda suite: composed if suite is SUITE else compose_steps(suite),
    )


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """A suite of the user's that takes a second."""
    folder = tmp_path / "configs" / "regress"
    folder.mkdir(parents=True)
    (folder / "quick.yaml").write_text(yaml.safe_dump(QUICK))
    monkeypatch.setenv("NASBENCH_CONFIGS", str(tmp_path / "configs"))


def test_nothing_moved(run, faked, here):
    started = faked(as_found(BASELINE))
    result = run("--baselines", str(here))
    assert result.code == 0
    assert started == ["segment", "explain", "wsol", "blind", "choe", "lerf", "lattice"]
    assert result.out.splitlines()[-1] == f"{len(NAMES)} figures: {len(NAMES)} ok"
    assert "step 1 of 7, segment: nasbench segment device=cpu" in result.err


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_closes_the_gate_beyond_its_tolerance_only(run, faked, here, tmp_path, name):
    held = BASELINE.figures[name]
    for values, code in ((within(held.value, held.tolerance), 0), (beyond(held.value, held.tolerance), 1)):
        faked({**as_found(BASELINE), name: Reading(values[0])})
        result = run("--json", "out.json", "default", "--baselines", str(here))
        assert result.code == code
        figures = {one["name"]: one for one in json.loads((tmp_path / "out.json").read_text())["figures"]}
        assert {key for key, one in figures.items() if one["failed"]} == ({name} if code else set())


def test_the_baseline_that_comes_with_nasbench(run, faked):
    faked(as_found(BASELINE))
    result = run()
    assert result.code == 0
    assert "default.json" in result.out


def test_junit_and_json_are_written_also_of_drift(run, faked, here, tmp_path):
    faked({**as_found(BASELINE), "cam_box_acc": Reading("0.9")})
    result = run("--junit", "j.xml", "--baselines", str(here), "--json", "j.json")
    assert result.code == 1
    assert "cam_box_acc: drift: moved by +0.696" in result.out
    root = ET.parse(tmp_path / "j.xml").getroot()
    assert [case.get("name") for case in root.iter("testcase") if len(case)] == ["cam_box_acc"]
    assert json.loads((tmp_path / "j.json").read_text())["passed"] is False
    assert not list(tmp_path.glob(".*part"))


def test_an_edited_baseline_is_a_drift(run, faked, here):
    edited(here / "default.json", lambda r: r["figures"]["cam_srg"].update(value=0.5))
    faked(as_found(BASELINE))
    result = run("--baselines", str(here))
    assert result.code == 1
    assert "cam_srg: drift" in result.out


def test_figures_that_cannot_be_compared_are_counted_and_pass(run, faked, here):
    edited(here / "default.json", lambda r: r["environment"]["versions"].update(torch="1.0"))
    faked({**as_found(BASELINE), "maps": Reading("sha256:0")})
    result = run("--baselines", str(here))
    assert result.code == 0
    assert result.out.splitlines()[-1] == f"{len(NAMES)} figures: {len(NAMES) - 1} ok, 1 not comparable"
    assert "not as the baseline was made: torch 1.0 then" in result.out


def test_update_shows_the_difference_and_rewrites(run, faked, here, tmp_path):
    faked({**as_found(BASELINE), "cam_srg": Reading("0.5")})
    result = run("--update", "--baselines", str(here))
    assert result.code == 0
    assert "cam_srg: drift: moved by" in result.out
    assert result.out.splitlines()[-1] == f"baseline: {here / 'default.json'}, {len(NAMES)} figures"
    assert json.loads((here / "default.json").read_text())["figures"]["cam_srg"]["value"] == 0.5
    assert run("--baselines", str(here)).code == 0
    assert not (tmp_path / "results").exists()


def test_update_without_a_folder_writes_beside_the_users_work(run, faked, tmp_path):
    before = (baselines_dir() / "default.json").read_bytes()
    faked({**as_found(BASELINE), "cam_srg": Reading("0.5")})
    assert run("--update").code == 0
    assert (baselines_dir() / "default.json").read_bytes() == before
    assert (tmp_path / "results" / "baselines" / "default.json").is_file()
    assert run().code == 0, "from now on it is the one that counts"


@pytest.mark.parametrize("reading", [Reading("nan"), Reading(None, "no line")])
def test_update_takes_no_figure_without_a_value(run, faked, here, reading):
    before = (here / "default.json").read_bytes()
    faked({**as_found(BASELINE), "cam_srg": reading})
    result = run("--update", "--baselines", str(here))
    assert result.code == 1
    assert "--update: cam_srg has no value to take" in result.err
    assert (here / "default.json").read_bytes() == before


@pytest.mark.usefixtures("quick")
def test_a_suite_without_a_baseline(run, faked, tmp_path):
    started = faked({})
    result = run("quick")
    assert result.code == 2
    assert "quick.json: there is no baseline of suite quick yet; --update makes one" in result.line
    assert not started
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["defualt"], "regress defualt: no such suite; did you mean default?"),
        (["segmenter=nas"], "the overrides of a suite are in its file"),
        (["default", "limit=3"], "unexpected extra argument"),
        (["--limit", "3"], "No such option: --limit"),
        (["--baselines", "nowhere"], "--baselines nowhere: no such folder"),
        (["--baselines", "file"], "--baselines file: is a file"),
        (["--junit", "nowhere/j.xml"], "--junit nowhere/j.xml: no file can be written in nowhere"),
        (["--junit", "file/j.xml"], "--junit file/j.xml: no file can be written in file"),
        (["--json", "folder"], "--json folder: is a folder"),
        (["--json", "x", "--junit", "./x"], "--junit and --json name one file"),
        (["--out", "file"], "--out file: is a file"),
    ],
)
def test_misuse_is_one_line_and_nothing_is_run(run, faked, tmp_path, args, message):
    started = faked(as_found(BASELINE))
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    result = run(*args)
    assert result.code == 2
    assert message in result.line
    assert not started
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("more", [[], ["--update"]])
@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "default.json: "), ("{}", "default.json: is not a baseline of nasbench regress")],
)
def test_a_damaged_baseline_is_one_line_and_stays(run, faked, here, text, message, more):
    started = faked(as_found(BASELINE))
    (here / "default.json").write_text(text)
    result = run("--baselines", str(here), *more)
    assert result.code == 1
    assert message in result.line
    assert (here / "default.json").read_text() == text
    assert not started


def test_a_step_that_fails_is_one_line_that_names_it(run, faked, here, monkeypatch, tmp_path):
    faked(as_found(BASELINE))

    def fail(_, path):
        if path.name == "wsol":
            raise DataError("x.png: is not an image")

    monkeypatch.setattr("nasbench.cli.execute.run_anew", fail)
    result = run("--baselines", str(here), "--junit", "j.xml")
    assert result.code == 1
    assert result.err.splitlines()[-1] == "nasbench: step wsol: x.png: is not an image"
    assert not result.out
    assert not (tmp_path / "j.xml").exists()


def test_ctrl_c_says_where(run, faked, here, monkeypatch):
    faked(as_found(BASELINE))

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("nasbench.cli.execute.run_anew", interrupted)
    result = run("--baselines", str(here))
    assert result.code == 130
    assert result.err.splitlines()[-1] == "nasbench: interrupted in step segment; nothing was compared"


@pytest.mark.usefixtures("quick")
def test_real_runs(run, tmp_path):
    assert run("quick", "--update", "--out", "kept").code == 0
    assert (tmp_path / "kept" / "cut" / "summary.csv").is_file()
    path = tmp_path / "results" / "baselines" / "quick.json"
    first = path.read_bytes()
    result = run("quick")
    assert result.code == 0
    assert "3 figures: 3 ok" in result.out
    assert run("quick", "--update").code == 0
    assert path.read_bytes() == first
    edited(path, lambda r: r["figures"]["grid_iou"].update(value=r["figures"]["grid_iou"]["value"] + 2e-6))
    edited(path, lambda r: r["figures"]["labels"].update(value="sha256:0"))
    result = run("quick")
    assert result.code == 1
    assert "3 figures: 1 ok, 2 drift" in result.out


@pytest.mark.usefixtures("quick")
def test_runs_that_are_kept_are_computed_anew(run, tmp_path):
    """Rows of before a change of the code must not stand for those of after it."""
    assert run("quick", "--update", "--out", "kept").code == 0
    (rows, *_) = (tmp_path / "kept" / "cut" / "rows").iterdir()
    before = rows.stat().st_mtime_ns
    assert run("quick", "--out", "kept").code == 0
    assert rows.stat().st_mtime_ns > before


@pytest.mark.usefixtures("quick")
def test_a_step_folder_of_other_things_is_left_alone(run, tmp_path):
    (tmp_path / "kept" / "cut").mkdir(parents=True)
    (tmp_path / "kept" / "cut" / "thesis.tex").write_text("mine")
    result = run("quick", "--update", "--out", "kept")
    assert result.code == 1
    assert "step cut: --out kept/cut: holds thesis.tex and is not a run's folder" in result.err
    assert [path.name for path in (tmp_path / "kept" / "cut").iterdir()] == ["thesis.tex"]
    assert not (tmp_path / "results").exists()


@pytest.mark.usefixtures("quick")
def test_a_real_interruption_leaves_nothing(tmp_path):
    record = yaml.safe_load(yaml.safe_dump(QUICK))
    slow = ["segmenter=custom", "segmenter._target_=tests.support.slow.SlowGrid"]
    record["steps"]["cut"]["overrides"] = slow
    (tmp_path / "configs" / "regress" / "quick.yaml").write_text(yaml.safe_dump(record))
    (tmp_path / "tmp").mkdir()
    process = subprocess.Popen(
        command("regress", "quick", "--update"),
        cwd=tmp_path,
        env={
            **os.environ,
            "NASBENCH_TEST_SLEEP": "60",
            "TMPDIR": str(tmp_path / "tmp"),
            "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + 200
    while (
        not list((tmp_path / "tmp").glob("nasbench-regress-*/cut/manifest.json")) and time.monotonic() < end
    ):
        time.sleep(0.05)
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "nasbench: interrupted in step cut; nothing was compared"
    assert not list((tmp_path / "tmp").iterdir())
    assert not (tmp_path / "results").exists()


@pytest.mark.usefixtures("quick")
def test_ls_shows_suites(capsys, monkeypatch):
    result = call(capsys, monkeypatch, "ls", "suites")
    assert [line.split()[0] for line in result.out.splitlines()] == ["default", "quick"]
    assert "rendered scenes" in result.out


def test_misuse_is_found_before_torch_is_imported():
    code = (
        "import sys; from nasbench.cli.app import run;"
        "codes = run(['regress', 'nosuch']), run(['regress', '--baselines', 'nowhere']);"
        "print(*codes, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "2", "False"]
