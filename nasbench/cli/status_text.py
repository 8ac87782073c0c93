"""What `nasbench status` says, for people and for programs."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from nasbench.run.look import Look
from nasbench.run.manifest import Manifest
from nasbench.run.pace import Pace
from nasbench.run.reasons import Reason

# More cells than these are not listed one by one, and more reasons are only counted.
_CELLS = 12
_REASONS = 8
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_STATES = {
    "starting": "starting: no plan is written yet",
    "unfinished": "stopped before a plan was written; run it again",
    "killed": "killed: it was stopped before it could say so",
}


def status_record(look: Look) -> dict[str, Any]:
    """A look for programs; numbers are None where there are none yet."""
    record: dict[str, Any] = {"run": str(look.path), "state": look.state}
    if look.manifest is None or look.pace is None:
        return record
    manifest, pace = look.manifest, look.pace
    return record | {
        "command": manifest.command,
        "workers": manifest.workers,
        "started": manifest.started,
        "seconds": pace.seconds,
        "units": {"done": pace.units, "all": pace.units_all, "before": pace.before},
        "images": {"done": pace.images, "all": pace.images_all, "computed": pace.computed},
        "images_per_second": pace.rate,
        "seconds_left": pace.left,
        "last_unit": pace.last,
        "cells": [
            {"cell": label, "done": done, "all": total}
            for label, (done, total) in zip(_labels(manifest), pace.cells, strict=True)
        ],
        "reasons": [asdict(reason) for reason in look.reasons],
        "damaged": list(look.damaged),
    }


def status_text(look: Look) -> str:
    """A look for people."""
    lines = [("run", str(look.path))]
    if look.manifest is None or look.pace is None:
        lines.append(("state", _STATES[look.state]))
    else:
        lines += _progress(look, look.manifest, look.pace)
        lines += _cells(look.manifest, look.pace)
        lines += _reasons(look.reasons)
        lines += [("damaged", said) for said in look.damaged[:_REASONS]]
        if look.state in ("interrupted", "failed", "killed"):
            again = [word for word in look.manifest.argv if word != "--fresh"]
            lines.append(("resume", shlex.join(["nasbench", *again])))
    last, shown = "", []
    for name, text in lines:
        shown.append(f"{'' if name == last else name:<9} {text}")
        last = name
    return "\n".join(shown)


def _progress(look: Look, manifest: Manifest, pace: Pace) -> Iterator[tuple[str, str]]:
    running = look.state == "running"
    cells = _count(len(manifest.cells), "cell")
    yield "command", f"{manifest.command}: {cells} × {_count(pace.images_all, 'image')}"
    yield "state", _state(look, manifest, pace)
    missing = pace.units_all - pace.units
    if look.state == "complete" and missing:
        are = "is" if missing == 1 else "are"
        yield "state", f"but {_count(missing, 'unit')} {are} missing now; see nasbench verify {look.path}"
    before = f", {pace.before:,} of them before this process began" if pace.before else ""
    yield "done", f"{pace.images:,} of {_count(pace.images_all, 'image')} in all cells"
    yield "done", f"{pace.units:,} of {_count(pace.units_all, 'unit')}{before}"
    if pace.rate is not None:
        yield "rate", f"{_rate(pace.rate)}, from {_count(pace.computed, 'image')} by this process"
    elif running and missing:
        yield "rate", "no rate yet: a task's units are written at its end, and none has ended"
    if running:
        if not missing:
            yield "left", "all units are there, the report is being made"
        elif pace.left is not None:
            due = "any moment" if pace.left <= 0 else f"about {_span(pace.left)}"
            yield "left", f"{due} (at this rate, without the report)"
        if pace.last is not None:
            yield "last unit", f"{_span(look.now - pace.last)} ago"


def _state(look: Look, manifest: Manifest, pace: Pace) -> str:
    if look.state in _STATES:
        return _STATES[look.state]
    workers = f", {_count(manifest.workers, 'worker')}" if manifest.workers else ""
    how_long = "for" if look.state == "running" else "after"
    return f"{look.state} {how_long} {_span(pace.seconds)}{workers}"


def _cells(manifest: Manifest, pace: Pace) -> Iterator[tuple[str, str]]:
    labels = _labels(manifest)
    if not 1 < len(labels) <= _CELLS:
        return
    width = max(map(len, labels))
    for label, (done, total) in zip(labels, pace.cells, strict=True):
        yield "cells", f"{label:<{width}}  {done:,} of {_count(total, 'unit')}"


def _reasons(reasons: Sequence[Reason]) -> Iterator[tuple[str, str]]:
    if not any(one.status == "error" for one in reasons):
        yield "errors", "none"
    for status, name in (("error", "errors"), ("skipped", "skipped")):
        found = [one for one in reasons if one.status == status]
        for one in found[:_REASONS]:
            where = f"{_count(one.images, 'image')}, {_count(one.cells, 'cell')}; {one.example} first"
            yield name, f"{_count(one.rows, 'row')}: {one.reason} ({where})"
        if len(found) > _REASONS:
            rows = sum(one.rows for one in found[_REASONS:])
            yield name, f"{_count(rows, 'row')}: {len(found) - _REASONS} other reasons, see --json"


def _labels(manifest: Manifest) -> list[str]:
    from nasbench.report.labels import cell_labels

    return cell_labels([cell.choices for cell in manifest.cells], [cell.swept for cell in manifest.cells])


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def _rate(rate: float) -> str:
    """Images a second, or a minute or an hour, so that it is a number one can read."""
    for seconds, name in ((1, "second"), (_MINUTE, "minute")):
        if rate * seconds >= 1:
            return f"{rate * seconds:.1f} images a {name}"
    return f"{rate * _HOUR:.1f} images an hour"


def _span(seconds: float) -> str:
    """A time, in its two largest units."""
    whole = max(round(seconds), 0)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"
