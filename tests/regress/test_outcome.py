"""What people, CI servers and programs are told."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from nasbench.regress.figures import Reading
from nasbench.regress.junit import junit_xml
from nasbench.regress.outcome import Outcome, outcome_json, outcome_text, value_shown
from nasbench.regress.verdict import judge
from tests.support.regress import ELSEWHERE, HERE, baseline_of, close, exact, suite_of

SUITE = suite_of(close("fine"), close("moved"), close("gone"), close("fresh"), close("odd"), exact("bytes"))
BEFORE = {"fine": 0.5, "moved": 0.5, "gone": 0.5, "odd": 0.5, "bytes": "sha256:" + 64 * "a"}
FOUND = {
    "fine": Reading("0.501"),
    "moved": Reading("0.75"),
    "gone": Reading(None, "summary.csv has no line with metric=gone"),
    "fresh": Reading("1"),
    "odd": Reading("nan"),
    "bytes": Reading("sha256:" + 64 * "b"),
}


def outcome_of(suite=SUITE, before=BEFORE, found=FOUND, now=HERE, baseline_suite=None):
    baseline = baseline_of(baseline_suite or suite, **before)
    return Outcome(suite, Path("b/made.json"), baseline, judge(suite, baseline, found, now), now)


def lines(outcome):
    """The cells of each line of the table, and the lines below it."""
    text = outcome_text(outcome).splitlines()
    rows = {}
    for line in (line for line in text if line.startswith("│")):
        name, *cells = (cell.strip() for cell in line.strip("│").split("│"))
        rows[name] = cells
    last = max(i for i, line in enumerate(text) if line.startswith("└"))
    return rows, text[last + 1 :]


def test_the_table_has_figure_baseline_now_difference_tolerance_verdict():
    rows, _ = lines(outcome_of())
    assert rows["fine"] == ["close", "0.5", "0.501", "+0.001", "0.01", "ok"]
    assert rows["moved"] == ["close", "0.5", "0.75", "+0.25", "0.01", "drift"]
    assert rows["gone"] == ["close", "0.5", "—", "", "0.01", "missing"]
    assert rows["fresh"] == ["close", "—", "1", "", "0.01", "new"]
    assert rows["odd"][-1] == "drift"
    assert rows["bytes"] == ["exact", "aaaaaaaaaaaa…", "bbbbbbbbbbbb…", "", "", "drift"]


def test_below_it_is_said_why():
    _, below = lines(outcome_of())
    assert "moved: drift: moved by +0.25, 25 times the tolerance (tolerance: as moved does)" in below
    assert "gone: missing: summary.csv has no line with metric=gone" in below
    assert below[-1] == "6 figures: 1 ok, 3 drift, 1 missing, 1 new"


def test_many_figures_with_one_reason_are_one_line():
    suite = suite_of(*(close(f"f{i}") for i in range(9)))
    found = {f"f{i}": Reading("1") for i in range(9)}
    outcome = Outcome(suite, Path("b.json"), None, judge(suite, None, found, HERE), HERE)
    _, below = lines(outcome)
    assert below[0].startswith("f0 and 8 more: new: ")
    assert len(below) == 2


def test_what_cannot_be_compared_is_counted_and_the_change_named():
    outcome = outcome_of(suite_of(exact("bytes"), close("fine")), now=ELSEWHERE, baseline_suite=SUITE)
    rows, below = lines(outcome)
    assert outcome.opens
    assert rows["bytes"][-1] == "not comparable"
    assert "not as the baseline was made: torch 2.4.0 then, 2.9.1 now" in below
    assert below[-1] == "2 figures: 1 ok, 1 not comparable"


def test_the_change_is_named_even_if_nothing_differs():
    found = {"fine": Reading("0.5")}
    _, below = lines(outcome_of(suite_of(close("fine")), {"fine": 0.5}, found, ELSEWHERE))
    assert below == ["not as the baseline was made: torch 2.4.0 then, 2.9.1 now", "1 figures: 1 ok"]


def test_a_figure_that_the_suite_no_longer_has_is_said():
    outcome = outcome_of(suite_of(close("fine")), baseline_suite=SUITE)
    _, below = lines(outcome)
    assert outcome.opens
    assert "moved: in the baseline, not in the suite; --update drops it" in below


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "—"), (0.1234567891, "0.123457"), (1e-9, "1e-09"), (19.0, "19"), (float("nan"), "nan"),
        ("sha256:0123456789abcdef", "0123456789ab…"), ("true", "true"), ("a:b", "a:b"),
    ],
)  # fmt: skip
def test_values_are_shown_short(value, shown):
    assert value_shown(value) == shown


def test_json_holds_all_of_it():
    record = json.loads(outcome_json(outcome_of()), parse_constant=pytest.fail)
    assert record["passed"] is False
    assert record["counts"] == {"ok": 1, "drift": 3, "missing": 1, "new": 1}
    assert record["environment"] == record["baseline_environment"] == HERE
    assert record["steps"] == {"cut": "segment segmenter=grid"}
    figures = {figure.pop("name"): figure for figure in record["figures"]}
    assert figures["moved"] == {
        "step": "cut", "kind": "close", "baseline": 0.5, "now": 0.75, "difference": 0.25, "tolerance": 0.01,
        "reason": "as moved does", "verdict": "drift", "failed": True,
        "said": "moved by +0.25, 25 times the tolerance",
    }  # fmt: skip
    assert figures["odd"]["now"] == "nan"
    assert figures["bytes"]["now"] == "sha256:" + 64 * "b"
    assert figures["fresh"]["baseline"] is figures["gone"]["now"] is None
    assert json.loads(outcome_json(outcome_of(now=ELSEWHERE)))["changes"] == ["torch 2.4.0 then, 2.9.1 now"]


def cases(outcome):
    root = ET.fromstring(junit_xml(outcome))
    assert root.tag == "testsuites"
    (suite,) = root
    return suite, {case.get("name"): case for case in suite.iter("testcase")}


def test_junit_has_a_case_for_every_figure():
    suite, found = cases(outcome_of())
    assert list(found) == [figure.name for figure in SUITE.figures]
    assert {case.get("classname") for case in found.values()} == {"nasbench.regress.made.cut"}
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "6", "failures": "5", "errors": "0", "skipped": "0"}
    assert len(found["fine"]) == 0
    (failure,) = found["moved"]
    assert (failure.tag, failure.get("type")) == ("failure", "drift")
    assert "moved by +0.25" in failure.get("message")
    assert "baseline 0.5, now 0.75, tolerance 0.01: as moved does" in failure.text
    versions = {item.get("name"): item.get("value") for item in suite.iter("property")}
    assert versions["versions.torch"] == "2.4.0"


def test_in_junit_what_cannot_be_compared_is_skipped():
    suite, found = cases(outcome_of(now=ELSEWHERE))
    assert suite.get("skipped") == "1"
    assert [child.tag for child in found["bytes"]] == ["skipped"]
    changes = [item.get("value") for item in suite.iter("property") if item.get("name") == "change"]
    assert changes == ["torch 2.4.0 then, 2.9.1 now"]


def test_junit_survives_any_text():
    suite = suite_of(close("a"))
    found = {"a": Reading(None, "\x00 <b> & ]]> \x1b[31m \ud800 é")}
    outcome = Outcome(suite, Path("b.json"), None, judge(suite, None, found, HERE), HERE)
    _, of = cases(outcome)
    (failure,) = of["a"]
    assert "<b> & ]]>" in failure.get("message")
    assert "é" in failure.get("message")
