"""The table of what relevance curves cost: every ratio is the median of those within the repeats."""

from __future__ import annotations

import re
from argparse import Namespace

import pytest

from tests.support.scripts import SCRIPTS, load_script

RESULTS = SCRIPTS.parent / "results" / "benchmarks" / "lerf.md"


@pytest.fixture(scope="module")
def script():
    return load_script("bench_lerf")


def cells(text):
    """{row: its cells} of the table."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if re.match(r"\| [a-z]", line)]
    return {line[0]: line[1:] for line in lines}


def ends(text):
    """The numbers of the sentences below the table."""
    (slower,) = re.findall(r"takes ([\d.]+) times as long", text)
    ((worst, road),) = re.findall(r"of zero, mean and blur at most ([\d.]+), of ROAD ([\d.]+)$", text.strip())
    return slower, worst, road


def test_a_repeat_that_is_slow_as_a_whole_changes_no_ratio(script):
    # By medians of seconds zero would take 1.5 times as long, ROAD 2, and pytorch-grad-cam 3 times that.
    alone = {"bare": 1.0, **dict.fromkeys(script.OURS, 1.1), "blur": 1.25, "road": 1.5, "grad-cam": 6.0}
    seconds = {name: [one, 8 * one, 2 * one] for name, one in alone.items()}
    seconds["zero"] = [1.0, 8.8, 3.0]
    seconds["road"] = [1.5, 12.0, 4.0]
    forwards = dict.fromkeys(alone, 38) | {"grad-cam": 72}
    text = script.table(seconds, forwards, Namespace(images=2, repeats=3, steps=10))
    found = cells(text)
    assert found["zero"] == ["19.0", "1500", "1.10", "1.00 1.10 1.50"]
    assert found["road"] == ["19.0", "2000", "1.50", "1.50 1.50 2.00"]
    assert ends(text) == ("4.00", "1.25", "1.50")
    assert "spends 4.0 forwards a fraction" in text
    assert "ours 2.1," in text


def test_the_lines_of_the_committed_table_agree_with_its_columns():
    text = RESULTS.read_text(encoding="utf-8")
    found = cells(text)
    for name, (_, _, ratio, repeats) in found.items():
        assert float(ratio) == sorted(map(float, repeats.split()))[len(repeats.split()) // 2], name
    slower, worst, road = ends(text)
    assert worst == max(found[name][2] for name in ("zero", "dataset_mean", "blur"))
    assert road == found["road"][2]
    pairs = zip(*(map(float, found[name][3].split()) for name in ("grad-cam", "road")), strict=True)
    within = sorted(own / beside for own, beside in pairs)
    assert float(slower) == pytest.approx(within[len(within) // 2], abs=0.02)  # of ratios that are rounded
