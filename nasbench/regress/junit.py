"""JUnit XML, which every CI server reads: one test case per figure."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from nasbench.regress.outcome import Outcome, value_shown
from nasbench.regress.verdict import Judged


def junit_xml(outcome: Outcome) -> bytes:
    """The outcome as JUnit XML, UTF-8.

    What has moved is a failure; what cannot be compared here is skipped, which servers count and show.
    """
    name = f"nasbench regress {outcome.suite.name}"
    failed = sum(one.fails for one in outcome.judged)
    skipped = sum(one.verdict == "not comparable" for one in outcome.judged)
    counts = {
        "tests": str(len(outcome.judged)),
        "failures": str(failed),
        "errors": "0",
        "skipped": str(skipped),
    }
    root = ET.Element("testsuites", {"name": name, **counts})
    suite = ET.SubElement(root, "testsuite", {"name": name, **counts})
    properties = ET.SubElement(suite, "properties")
    for part, values in outcome.now.items():
        for key, value in values.items():
            ET.SubElement(properties, "property", {"name": f"{part}.{key}", "value": _clean(str(value))})
    for change in outcome.changes:
        ET.SubElement(properties, "property", {"name": "change", "value": _clean(change)})
    for one in outcome.judged:
        _case(suite, outcome.suite.name, one)
    ET.indent(root, " ")
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _case(suite: ET.Element, name: str, one: Judged) -> None:
    where = f"nasbench.regress.{name}.{one.figure.step}"
    case = ET.SubElement(suite, "testcase", {"classname": where, "name": one.figure.name, "time": "0"})
    if one.verdict == "not comparable":
        ET.SubElement(case, "skipped", {"message": _clean(one.said)})
    elif one.fails:
        about = {"type": one.verdict, "message": _clean(f"{one.verdict}: {one.said}")}
        failure = ET.SubElement(case, "failure", about)
        before = value_shown(None if one.held is None else one.held.value)
        failure.text = _clean(
            f"{one.figure.kind}: baseline {before}, now {value_shown(one.now)}, "
            f"tolerance {one.figure.tolerance:g}: {one.figure.reason}"
        )


def _clean(text: str) -> str:
    """Without the control characters that XML 1.0 forbids even escaped."""
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text)
