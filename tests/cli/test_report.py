"""`nasbench report` as a user calls it."""

from __future__ import annotations

import csv
import subprocess
import sys

import pytest

from nasbench.report import localisation
from nasbench.report.comparison_files import NAMES
from tests.support.cli import call, spawn
from tests.support.runs import MadeCell, made_run, scored
from tests.support.wsol import table, tiny_wsol

SCORES = {f"i{n}": n / 20 for n in range(12)}


def regions(segmenter, shift=0.0, **more):
    values = {name: value + shift for name, value in SCORES.items()}
    return MadeCell([scored(values)], command="segment", segmenter=segmenter, **more)


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    made_run(tmp_path / "a", regions("nas", 0.1), regions("slic"))
    made_run(tmp_path / "b", regions("grid", more={"segmenter.n": 9}))
    return lambda *args: call(capsys, monkeypatch, "report", *args)


def test_the_sentence_comes_first(run):
    result = run("a", "b")
    assert result.code == 0
    first, second, *rest = result.out.splitlines()
    assert first.startswith("nas leads grid in object_iou by 0.100 [0.100, 0.100] on 12 images: told apart;")
    assert second == ""
    assert rest[0] == "segmentation, d"
    assert result.err == ""


def test_formats(run):
    assert run("a", "--format", "markdown").out.startswith("# Comparison\n\n- nas leads slic")
    assert run("a", "--format", "latex").out.startswith("% Needs \\usepackage{booktabs}")
    assert run("a", "--format", "csv").out.startswith("command,table,images,segmenter,metric,value")
    both = run("a", "--format", "csv,markdown").out
    assert both.index("command,table") < both.index("# Comparison")


def test_out(run, tmp_path):
    result = run("a", "b", "--out", "tables/one")
    assert result.code == 0
    assert result.out.splitlines()[0].startswith("nas leads grid")
    folder = tmp_path / "tables" / "one"
    # No number of regions varies, and the runs kept no pictures.
    names = [name for name in NAMES if name.startswith(("report", "differences"))]
    assert {path.name for path in folder.iterdir()} == {*names, ".nasbench-report"}
    assert (folder / "report.md").read_text() == run("a", "b", "--format", "markdown").out
    before = {name: (folder / name).read_bytes() for name in names}
    assert run("b", "a", "--out", "tables/one").code == 0
    assert {name: (folder / name).read_bytes() for name in names} == before
    # Of one line there is no difference to draw: the pictures of the earlier report must not stay.
    assert run("b", "--out", "tables/one").code == 0
    assert not (folder / "differences.png").exists()


def test_out_refuses_what_is_not_its_own(run, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    result = run("a", "--out", "mine")
    assert result.code == 2
    assert result.line == "nasbench: --out mine: holds notes.txt and is not a report's folder; name another"
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    assert run("a", "--out", "a").code == 2
    assert run("a", "--out", "mine/notes.txt").line.endswith("mine/notes.txt is a file, not a folder")
    assert run("a", "--out", "mine/notes.txt/x").code == 2


def test_nothing_is_written_where_the_runs_are_refused(run, tmp_path):
    other = {"view.resize": "crop"}
    made_run(tmp_path / "c", regions("quickshift", more=other))
    result = run("a", "c", "--out", "out")
    assert result.code == 1
    assert result.line == (
        "nasbench: c and a differ in view.resize (crop, squash): their rows do not share a table; "
        "name it in --by to compare segment across it"
    )
    assert not (tmp_path / "out").exists()
    assert run("a", "c", "--by", "segmenter,view.resize").code == 0


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["a", "--by", "segmentr"], "--by segmentr: did you mean segmenter?"),
        (["a", "--by", "zzz"], "--by zzz: choose one of dataset, metric, model, seed, segmenter"),
        (["a", "--by", ","], "--by names no key"),
        (["a", "--metric", "object_iuo"], "--metric object_iuo: did you mean object_iou?"),
        (["a", "--format", "latx"], "--format latx: did you mean latex?"),
        (["a", "--format", "csv", "--out", "o"], "--out writes all formats; leave out --format"),
        ([], "Missing argument 'RUN...'. Try: nasbench report --help"),
        (["a", "--bye", "x"], "No such option: --bye"),
    ],
)
def test_misuse_is_one_line(run, args, said):
    result = run(*args)
    assert result.code == 2
    assert said in result.line


@pytest.mark.parametrize("args", [["nowhere"], ["a", "a/rows"], ["."]])
def test_what_is_no_run_is_one_line(run, args):
    result = run(*args)
    assert result.code == 1
    assert "is no run's folder" in result.line


def test_a_metric_may_lead(run):
    assert run("a", "--metric", "object_iou").out.startswith("nas leads slic")
    header = run("a", "--by", "model,segmenter", "--format", "csv").out.splitlines()[0]
    assert header.startswith("command,table,images,model,segmenter,metric")


def test_debug_shows_the_traceback(run):
    with pytest.raises(Exception, match="is no run's folder"):
        run("nowhere", "--debug")


def test_neither_torch_nor_a_data_set_is_loaded(tmp_path):
    made_run(tmp_path / "a", regions("nas", 0.1), regions("slic"))
    code = (
        "import sys; from nasbench.cli.app import run;"
        f"print(run(['report', {str(tmp_path / 'a')!r}, '--out', {str(tmp_path / 'o')!r}]));"
        "print('heavy:', sorted({'torch', 'timm', 'nasbench.data', 'nasbench.models'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-2:] == ["0", "heavy: []"]


def test_a_real_run_has_the_numbers_of_its_tables(run, tmp_path, monkeypatch):
    monkeypatch.setattr(localisation, "RESAMPLES", 50)
    done = spawn(*tiny_wsol("saliency=cam,centre", "segmenter=none,grid"), "--out", "w", cwd=tmp_path)
    assert done.code == 0, done.err
    result = run("w", "--format", "csv")
    assert result.code == 0, result.err
    (found,) = (
        line
        for line in csv.DictReader(result.out.splitlines())
        if (line["images"], line["saliency"], line["segmenter"]) == ("all", "cam", "grid")
        and line["metric"] == "box_acc_mean"
    )
    (wanted,) = table(tmp_path / "w", saliency="cam", segmenter="grid", stratum="all", column="box_acc_mean")
    assert (found["value"], found["n"]) == (wanted["value"], wanted["n"])
