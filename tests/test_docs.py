"""The page for people who add a method: what it tells to write is written, what it tells to run is run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import call

DOCS = Path(__file__).resolve().parents[1] / "docs"
BLOCK = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def run_block(capsys, monkeypatch, tmp_path):
    """Runs the lines of a block as a shell would, but for what nasbench does, which is done here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])  # a run appends the current folder

    def run(text):
        shown = []
        for line in text.splitlines():
            words = shlex.split(line, comments=False)
            if words[0] == "export":
                monkeypatch.setenv(*words[1].split("=", 1))
            elif words[0] == "nasbench":
                pipe = words.index("|") if "|" in words else len(words)
                result = call(capsys, monkeypatch, *words[1:pipe])
                assert result.code == 0, result.err
                filtered = subprocess.run(
                    words[pipe + 1 :] or ["cat"], input=result.out, capture_output=True, text=True, check=True
                )
                shown.append(filtered.stdout)
            else:
                subprocess.run(line, shell=True, check=True)
        return shown

    return run


def test_a_method_of_ones_own_by_one_file_and_one_yaml(run_block, tmp_path):
    shown = []
    for language, name, text in BLOCK.findall((DOCS / "own-method.md").read_text(encoding="utf-8")):
        if language == "bash":
            shown += run_block(text)
            continue
        assert name, "a block to be written names its file"
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    sys.modules.pop("margin", None)
    ls, explained, custom, before, after = shown
    lines = ls.splitlines()
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == ["margin", "mean_activation"]
    assert (
        lines[0]
        == f"{'margin':<20} Margin gradient: how far the class explained is ahead of the best of the others."
    )
    assert lines[1].strip() == "Not for networks of one class."
    cells = {line.split("│")[1].strip() for line in explained.splitlines() if line.count("│") > 3}
    assert {"margin power=1", "margin slic power=2", "gradient", "gradient slic"} <= cells
    assert "failed" in custom
    assert "error" not in explained + custom
    assert before.startswith("folder ")
    assert before != after, "the source is in the key"
