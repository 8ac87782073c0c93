"""Baselines are read as they were written, and what is none is refused in one line."""

from __future__ import annotations

import json

import pytest

from nasbench.config.locate import baselines_dir
from nasbench.errors import RunError, UsageError
from nasbench.regress.baseline import baseline_file, new_baseline_file, read_baseline, write_baseline
from tests.support.regress import HERE, baseline_of, close, edited, exact, suite_of

SUITE = suite_of(close("a"), exact("b"))


@pytest.fixture
def path(tmp_path):
    write_baseline(tmp_path / "made.json", baseline_of(SUITE, a=0.5, b="sha256:ab"))
    return tmp_path / "made.json"


def test_it_is_read_as_it_was_written(path):
    found = read_baseline(path, "made")
    assert found == baseline_of(SUITE, a=0.5, b="sha256:ab")
    record = json.loads(path.read_text())
    assert record["figures"]["a"] == {
        "value": 0.5, "tolerance": 0.01, "kind": "close", "reason": "as a does",
    }  # fmt: skip
    assert record["environment"] == HERE
    assert record["steps"] == {"cut": "segment segmenter=grid"}


def test_all_digits_survive(tmp_path):
    value = 0.1 + 0.2
    write_baseline(tmp_path / "made.json", baseline_of(SUITE, a=value))
    found = read_baseline(tmp_path / "made.json", "made")
    assert found is not None
    assert found.figures["a"].value == value


def test_no_file_is_no_baseline(tmp_path):
    assert read_baseline(tmp_path / "made.json", "made") is None


DAMAGE = {
    "is not a baseline": lambda r: r.pop("nasbench_baseline"),
    "has format 9": lambda r: r.update(nasbench_baseline=9),
    "is the baseline of suite other, not of made": lambda r: r.update(suite="other"),
    "lacks environment": lambda r: r.pop("environment"),
    "lacks steps": lambda r: r.update(steps=[]),
    "lacks figures": lambda r: r.update(figures=None),
    "environment must hold mappings": lambda r: r["environment"].update(versions="all"),
    "figures.a is not a mapping": lambda r: r["figures"].update(a=0.5),
    "figures.a.kind must be one of exact, close": lambda r: r["figures"]["a"].update(kind="near"),
    "figures.a.value must be a number": lambda r: r["figures"]["a"].update(value="0.5"),
    "figures.b.value must be a text": lambda r: r["figures"]["b"].update(value=1),
    "figures.a.tolerance must be a number of at least 0": lambda r: r["figures"]["a"].update(tolerance=-1),
    "figures.b.tolerance must be a number": lambda r: r["figures"]["b"].pop("tolerance"),
    "figures.a.reason must be a text": lambda r: r["figures"]["a"].pop("reason"),
    "holds NaN": lambda r: r["figures"]["a"].update(value=float("nan")),
    "holds Infinity": lambda r: r["figures"]["a"].update(tolerance=float("inf")),
}


@pytest.mark.parametrize("message", sorted(DAMAGE))
def test_a_damaged_or_foreign_one_is_named(path, message):
    edited(path, DAMAGE[message])
    with pytest.raises(RunError) as error:
        read_baseline(path, "made")
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"a: 1"])
def test_what_is_no_json_is_named(path, data):
    path.write_bytes(data)
    with pytest.raises(RunError, match="made.json: "):
        read_baseline(path, "made")


def test_a_folder_in_its_place(tmp_path):
    (tmp_path / "made.json").mkdir()
    with pytest.raises(RunError, match="made.json: "):
        read_baseline(tmp_path / "made.json", "made")


def test_where_it_is_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert baseline_file("default", None) == baselines_dir() / "default.json"
    assert baseline_file("mine", None) == new_baseline_file("mine", None)
    local = tmp_path / "results" / "baselines"
    local.mkdir(parents=True)
    (local / "default.json").write_text("{}")
    assert baseline_file("default", None).resolve() == local / "default.json"
    assert baseline_file("default", tmp_path) == new_baseline_file("default", tmp_path)
    (tmp_path / "file").touch()
    for folder, why in (("nowhere", "no such folder"), ("file", "is a file")):
        with pytest.raises(UsageError, match=f"--baselines .*{folder}: {why}"):
            baseline_file("default", tmp_path / folder)


def test_a_value_that_is_none_is_never_written(path):
    before = path.read_bytes()
    with pytest.raises(ValueError, match="Out of range"):
        write_baseline(path, baseline_of(SUITE, a=float("nan")))
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["made.json"]
