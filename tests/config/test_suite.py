"""Suites are read, built upon and refused by the key that is wrong."""

from __future__ import annotations

import pytest
import yaml

from nasbench.config.suite import Digest, TableCell, compose_steps, read_suite
from nasbench.errors import UsageError

SUITE = {
    "shared": ["device=cpu", "limit=4"],
    "steps": {"cut": {"command": "segment", "overrides": ["segmenter=grid,slic", "limit=2"]}},
    "figures": {
        "iou": {
            "step": "cut", "table": "summary.csv", "where": {"segmenter": "grid", "segmenter.n": 4},
            "read": "value",
            "kind": "close", "tolerance": 0.01, "reason": "some words",
        },
        "bytes": {"step": "cut", "digest": "summary.csv", "kind": "exact", "reason": "some words"},
        "labels": {
            "step": "cut", "digest": "labels", "where": {"segmenter": "grid"}, "kind": "exact",
            "reason": "words",
        },
    },
}  # fmt: skip


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Writes a suite of the user's."""
    monkeypatch.setenv("NASBENCH_CONFIGS", str(tmp_path / "configs"))
    (tmp_path / "configs" / "regress").mkdir(parents=True)

    def write(record, name="mine"):
        text = record if isinstance(record, str) else yaml.safe_dump(record, sort_keys=False)
        (tmp_path / "configs" / "regress" / f"{name}.yaml").write_text(text, encoding="utf-8")

    return write


def changed(change):
    record = yaml.safe_load(yaml.safe_dump(SUITE))
    change(record)
    return record


def refusal(name="mine"):
    with pytest.raises(UsageError) as error:
        compose_steps(read_suite(name))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_suite_of_ones_own(own):
    own(SUITE)
    suite = read_suite("mine")
    (step,) = suite.steps
    assert (step.name, step.command) == ("cut", "segment")
    assert step.overrides == ("device=cpu", "segmenter=grid,slic", "limit=2"), "a step's own win"
    iou, digest, labels = suite.figures
    assert iou.source == TableCell("summary.csv", {"segmenter": "grid", "segmenter.n": 4}, "value")
    assert (iou.kind, iou.tolerance, iou.reason) == ("close", 0.01, "some words")
    assert digest.source == Digest("summary.csv", {})
    assert (digest.kind, digest.tolerance) == ("exact", 0)
    assert labels.source == Digest("labels", {"segmenter": "grid"})
    assert len(compose_steps(suite)["cut"].cells) == 2


def test_a_suite_may_build_on_another(own):
    own(SUITE, "base")
    own(
        "defaults: [base, _self_]\n"
        "steps: {more: {command: leRF, overrides: [limit=1]}}\n"
        "figures: {iou: {tolerance: 0.5}, labels: null}\n"
    )
    suite = read_suite("mine")
    assert [(step.name, step.command) for step in suite.steps] == [("cut", "segment"), ("more", "lerf")]
    assert [figure.name for figure in suite.figures] == ["iou", "bytes"]
    assert suite.figures[0].tolerance == 0.5


def test_it_may_build_on_ours(own):
    own("defaults: [default, _self_]\nshared: [device=cpu, max_batch=1]\n")
    suite = read_suite("mine")
    assert suite.figures == read_suite("default").figures
    assert all("max_batch=1" in step.overrides for step in suite.steps)


def test_a_path_may_come_from_the_environment(own, monkeypatch):
    monkeypatch.setenv("WEIGHTS", "w.safetensors")
    own(changed(lambda r: r["shared"].append("model.weights=${oc.env:WEIGHTS}")))
    assert "model.weights=w.safetensors" in read_suite("mine").steps[0].overrides


def test_ours_can_be_composed():
    assert set(compose_steps(read_suite("default"))) == {
        "segment", "explain", "wsol", "blind", "choe", "lerf", "lattice",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("defualt", "regress defualt: no such suite; did you mean default?"),
        ("segmenter=nas", "the overrides of a suite are in its file"),
        ("../default", "no such suite"),
        ("", "no such suite"),
    ],
)
def test_an_unknown_suite(name, message):
    assert message in refusal(name)


WRONG = {
    "unknown key stepz; did you mean steps?": lambda r: r.update(stepz={}),
    "steps must be a mapping": lambda r: r.update(steps=[1]),
    "steps: holds none": lambda r: r.update(steps={}, figures={}),
    "figures must be a mapping": lambda r: r.pop("figures"),
    "figures: holds none": lambda r: r.update(figures={}),
    "shared must be a list of overrides": lambda r: r.update(shared="device=cpu"),
    "steps.a/b: a name is of letters": lambda r: r["steps"].update({"a/b": {"command": "wsol"}}),
    "steps.cut must be a mapping with command, overrides": lambda r: r["steps"].update(cut="segment"),
    "unknown key steps.cut.override; did you mean overrides?":
        lambda r: r["steps"]["cut"].update(override=[]),
    "steps.cut.command must be a text": lambda r: r["steps"]["cut"].pop("command"),
    "steps.cut.command=segmnt: did you mean segment?": lambda r: r["steps"]["cut"].update(command="segmnt"),
    "steps.cut.overrides must be a list": lambda r: r["steps"]["cut"].update(overrides=[1]),
    "step cut: segmenter=slik: no such segmenter; did you mean slic?":
        lambda r: r["steps"]["cut"].update(overrides=["segmenter=slik"]),
    "figures.iou must have table and read, or digest": lambda r: r["figures"]["iou"].pop("table"),
    "figures.bytes must have table and read, or digest":
        lambda r: r["figures"]["bytes"].update(table="a.csv"),
    "figures.iou.step=cutt: no such step; did you mean cut?":
        lambda r: r["figures"]["iou"].update(step="cutt"),
    "figures.iou.kind=near: choose one of exact, close": lambda r: r["figures"]["iou"].update(kind="near"),
    "figures.iou.kind=: choose one": lambda r: r["figures"]["iou"].pop("kind"),
    "figures.bytes.kind=close: a digest can only be exact":
        lambda r: r["figures"]["bytes"].update(kind="close"),
    "figures.iou.tolerance=-1: must be": lambda r: r["figures"]["iou"].update(tolerance=-1),
    "figures.iou.tolerance=nan: must be": lambda r: r["figures"]["iou"].update(tolerance=float("nan")),
    "figures.iou.tolerance=inf: must be": lambda r: r["figures"]["iou"].update(tolerance=float("inf")),
    "figures.iou.tolerance=None: must be": lambda r: r["figures"]["iou"].pop("tolerance"),
    "figures.iou.tolerance=True: must be": lambda r: r["figures"]["iou"].update(tolerance=True),
    "figures.iou.tolerance: an exact figure has none": lambda r: r["figures"]["iou"].update(kind="exact"),
    "figures.iou.reason must be a text that is not empty": lambda r: r["figures"]["iou"].update(reason=" "),
    "figures.iou.read must be a text": lambda r: r["figures"]["iou"].pop("read"),
    "figures.iou.where must be a mapping": lambda r: r["figures"]["iou"].update(where=["nas"]),
    "unknown key figures.iou.wher; did you mean where?": lambda r: r["figures"]["iou"].update(wher={}),
    "figures.iou.table=summary.json: must be a CSV":
        lambda r: r["figures"]["iou"].update(table="summary.json"),
    "figures.iou.table=../a.csv: must be the name of a file":
        lambda r: r["figures"]["iou"].update(table="../a.csv"),
    "figures.bytes.digest=/etc/passwd: must be the name":
        lambda r: r["figures"]["bytes"].update(digest="/etc/passwd"),
    "figures.bytes.where: a digest of a file is of all of it":
        lambda r: r["figures"]["bytes"].update(where={"segmenter": "nas"}),
}  # fmt: skip


@pytest.mark.parametrize("message", sorted(WRONG))
def test_a_malformed_suite_is_refused_by_its_key(own, message):
    own(changed(WRONG[message]))
    assert refusal().startswith("suite mine: ")
    assert message in refusal()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: [", "suite mine: line 1: "),
        ("steps:\n  a: {command: segment\nfigures: {}\n", "suite mine: line 3: "),
        ("", "suite mine: "),
        ("- a\n- b\n", "suite mine: "),
        ("defaults: [nowhere]\n", "nowhere"),
        ("steps: ???\nfigures: {}\n", "steps is not set"),
        ("shared:\n- ${nope}\n", "nope"),
        ("# @package _global_\nsteps: {}\n", "suite mine: "),
    ],
)
def test_what_is_no_suite_is_one_line(own, text, message):
    own(text)
    assert message in refusal()
