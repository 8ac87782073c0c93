"""Everything a gate has found, as text for people and as JSON for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nasbench.config.suite import Suite
from nasbench.regress.baseline import Baseline
from nasbench.regress.environment import Environment, differences
from nasbench.regress.verdict import FAILS, Judged, moved_steps, opens, unused
from nasbench.report.tables import table_text

_HEAD = ("figure", "kind", "baseline", "now", "difference", "tolerance", "verdict")
_FORMAT = 1
# Of a digest, what tells it from another at a glance.
_SHORT = 12
# Figures named of those with one reason.
_NAMED = 6


@dataclass(frozen=True)
class Outcome:
    """A suite, held against a baseline.

    Attributes:
        suite: what was run.
        path: the baseline's file.
        baseline: None where there is no such file yet.
        judged: every figure of the suite, in its order.
        now: where it was run.
    """

    suite: Suite
    path: Path
    baseline: Baseline | None
    judged: Sequence[Judged]
    now: Environment

    @property
    def opens(self) -> bool:
        """Whether nothing has moved."""
        return opens(self.judged)

    @property
    def counts(self) -> dict[str, int]:
        """Verdict -> number of figures; ok always first, then what there is."""
        found = Counter(one.verdict for one in self.judged)
        return {"ok": found.pop("ok", 0), **dict(sorted(found.items()))}

    @property
    def changes(self) -> list[str]:
        """What is another environment than the baseline's, in words."""
        return [] if self.baseline is None else differences(self.baseline.environment, self.now)


def outcome_text(outcome: Outcome) -> str:
    """The table, then what it cannot say, then the count."""
    rows = [_row(one) for one in outcome.judged]
    lines = [table_text(f"nasbench regress {outcome.suite.name}: against {outcome.path}", _HEAD, rows)]
    lines += _reasons(outcome.judged)
    if outcome.changes:
        lines.append(f"not as the baseline was made: {'; '.join(outcome.changes)}")
    lines += [
        f"step {name} is another command than when the baseline was written"
        for name in moved_steps(outcome.suite, outcome.baseline)
    ]
    lines += [
        f"{name}: in the baseline, not in the suite; --update drops it"
        for name in unused(outcome.suite, outcome.baseline)
    ]
    lines.append(count_text(outcome))
    return "\n".join(lines)


def count_text(outcome: Outcome) -> str:
    """How many figures have which verdict."""
    said = ", ".join(f"{count} {verdict}" for verdict, count in outcome.counts.items())
    return f"{len(outcome.judged)} figures: {said}"


def value_shown(value: float | str | None) -> str:
    """A figure's value as tables show it."""
    if value is None:
        return "—"
    if isinstance(value, float):
        return f"{value:.6g}"
    name, colon, digest = value.partition(":")
    return f"{digest[:_SHORT]}…" if colon and name == "sha256" else value


def outcome_json(outcome: Outcome) -> str:
    """All of it for programs; numbers that are none (NaN) are written as text."""
    record = {
        "nasbench_regress": _FORMAT,
        "suite": outcome.suite.name,
        "passed": outcome.opens,
        "counts": outcome.counts,
        "baseline": str(outcome.path),
        "environment": outcome.now,
        "baseline_environment": None if outcome.baseline is None else outcome.baseline.environment,
        "changes": outcome.changes,
        "moved_steps": moved_steps(outcome.suite, outcome.baseline),
        "unused": unused(outcome.suite, outcome.baseline),
        "steps": {step.name: step.text for step in outcome.suite.steps},
        "figures": [
            {
                "name": one.figure.name,
                "step": one.figure.step,
                "kind": one.figure.kind,
                "baseline": None if one.held is None else one.held.value,
                "now": _jsonable(one.now),
                "difference": _jsonable(one.difference),
                "tolerance": one.figure.tolerance,
                "reason": one.figure.reason,
                "verdict": one.verdict,
                "failed": one.verdict in FAILS,
                "said": one.said,
            }
            for one in outcome.judged
        ],
    }
    return json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _reasons(judged: Sequence[Judged]) -> list[str]:
    """Why figures are not ok; many with one reason in one line."""
    found: dict[str, list[str]] = {}
    for one in judged:
        if one.verdict != "ok":
            tolerance = f" (tolerance: {one.figure.reason})" if one.verdict == "drift" else ""
            found.setdefault(f"{one.verdict}: {one.said}{tolerance}", []).append(one.figure.name)
    return [
        f"{', '.join(names) if len(names) <= _NAMED else f'{names[0]} and {len(names) - 1} more'}: {said}"
        for said, names in found.items()
    ]


def _row(one: Judged) -> list[str]:
    close = one.figure.kind == "close"
    difference = "" if one.difference is None else f"{one.difference:+.2g}" if one.difference else "0"
    return [
        one.figure.name,
        one.figure.kind,
        value_shown(None if one.held is None else one.held.value),
        value_shown(one.now),
        difference,
        f"{one.figure.tolerance:.2g}" if close else "",
        one.verdict,
    ]


def _jsonable(value: float | str | None) -> float | str | None:
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):  # noqa: PLR0124 - NaN
        return str(value)
    return value
