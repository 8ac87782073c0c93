"""What docs/regress.md tells to write and to run works as it stands there, and so does its workflow."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import yaml

from nasbench.config.suite import read_suite
from tests.support.cli import call

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r'^```(\w+)(?: title="(\S+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)


def test_a_suite_of_ones_own(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    ran, names = [], []
    for language, name, text in BLOCK.findall((DOCS / "regress.md").read_text(encoding="utf-8")):
        if name:
            (tmp_path / name).parent.mkdir(parents=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
        elif language == "bash":
            for words in map(shlex.split, text.splitlines()):
                if words[0] == "export":
                    monkeypatch.setenv(*words[1].split("=", 1))
                    continue
                names.append(words[1])
                ran.append(call(capsys, monkeypatch, *words[1:]))
                assert ran[-1].code == 0, ran[-1].err
    assert names == ["ls", "regress", "regress"]
    listed, updated, gated = ran
    assert "Boxes of Grad-CAM on six scenes." in listed.out
    assert "results/baselines/mine.json, 3 figures" in updated.out
    assert gated.out.splitlines()[-1] == "3 figures: 3 ok"
    assert (tmp_path / "regress.xml").is_file()


def test_numbers_in_the_text_are_those_of_the_suite():
    suite = read_suite("default")
    text = (DOCS / "regress.md").read_text(encoding="utf-8")
    assert f"seven steps and {len(suite.figures)} figures" in text
    assert len(suite.steps) == 7
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"holds {len(suite.figures)} figures", readme)


def test_the_workflow_runs_the_gate_and_keeps_its_files():
    workflow = yaml.safe_load((DOCS / "examples" / "github-actions.yml").read_text(encoding="utf-8"))
    steps = workflow["jobs"]["regress"]["steps"]
    (gate,) = [step["run"] for step in steps if "nasbench regress" in step.get("run", "")]
    assert gate == "nasbench regress --junit regress.xml --json regress.json"
    kept = steps[-1]
    assert kept["if"] == "${{ !cancelled() }}", "also of a gate that closes"
    assert kept["with"]["path"].split() == ["regress.xml", "regress.json"]


def test_this_projects_own_ci_runs_the_gate():
    root = DOCS.parent
    lines = (root / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert "make regress" in lines
