"""What is made of a figure: whether it has moved, and by how much."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from nasbench.config.suite import Figure, Suite
from nasbench.regress.baseline import Baseline, Held
from nasbench.regress.environment import Environment, same_bits_expected
from nasbench.regress.figures import Reading

# ok; drift: beyond the tolerance; missing: the run has no such figure; new: the baseline has none; stale:
# suite and baseline say different things of it; not comparable: other bits, where none are promised to be the
# same.
Verdict = Literal["ok", "drift", "missing", "new", "stale", "not comparable"]
FAILS: tuple[Verdict, ...] = ("drift", "missing", "new", "stale")


@dataclass(frozen=True)
class Judged:
    """A figure and what was found.

    Attributes:
        figure: the suite's.
        held: the baseline's; None where it has none.
        now: what the run says: a number of a close figure, text of an exact one; None where missing.
        difference: now − baseline, of close figures; None where there is none.
        verdict: see above.
        said: why, in words; empty of what is ok.
    """

    figure: Figure
    held: Held | None
    now: float | str | None
    difference: float | None
    verdict: Verdict
    said: str

    @property
    def fails(self) -> bool:
        """Whether it closes the gate."""
        return self.verdict in FAILS


def judge(
    suite: Suite, baseline: Baseline | None, found: Mapping[str, Reading], now: Environment
) -> list[Judged]:
    """Every figure of a suite against a baseline, in the suite's order; `now` is where it was found."""
    return [
        _judged(figure, baseline, found.get(figure.name, Reading(None, "the run says nothing of it")), now)
        for figure in suite.figures
    ]


def unused(suite: Suite, baseline: Baseline | None) -> list[str]:
    """Figures of the baseline that the suite has not."""
    names = {figure.name for figure in suite.figures}
    return [] if baseline is None else [name for name in baseline.figures if name not in names]


def moved_steps(suite: Suite, baseline: Baseline | None) -> list[str]:
    """Steps whose command is another than when the baseline was written."""
    if baseline is None:
        return []
    steps = {step.name: step.text for step in suite.steps}
    return [name for name, text in steps.items() if baseline.steps.get(name, text) != text]


def opens(judged: Sequence[Judged]) -> bool:
    """Whether the gate opens: nothing has moved."""
    return not any(one.fails for one in judged)


def _judged(figure: Figure, baseline: Baseline | None, reading: Reading, now: Environment) -> Judged:
    held = None if baseline is None else baseline.figures.get(figure.name)
    value, problem = _value(figure, reading)
    if value is None:
        return Judged(figure, held, None, None, "missing", problem)
    if baseline is None or held is None:
        return Judged(figure, held, value, None, "new", "the baseline has no such figure; --update adds it")
    if held.kind != figure.kind:
        said = f"{held.kind} in the baseline, {figure.kind} in the suite; --update takes the suite's"
        return Judged(figure, held, value, None, "stale", said)
    if held.tolerance != figure.tolerance:
        said = (
            f"tolerance {held.tolerance:g} in the baseline, {figure.tolerance:g} in the suite; "
            "--update takes the suite's"
        )
        return Judged(figure, held, value, None, "stale", said)
    if isinstance(value, str) or isinstance(held.value, str):
        return _exactly(figure, held, value, comparable=same_bits_expected(baseline.environment, now))
    return _closely(figure, held, held.value, value)


def _exactly(figure: Figure, held: Held, value: float | str, *, comparable: bool) -> Judged:
    """Equal bytes are equal anywhere; unequal ones are a fault only where the same are promised."""
    if held.value == value:
        return Judged(figure, held, value, None, "ok", "")
    if comparable:
        said = "other bytes, on the same versions and kind of machine"
        return Judged(figure, held, value, None, "drift", said)
    said = "other bytes, but also other versions or another machine: no bit is promised to be the same"
    return Judged(figure, held, value, None, "not comparable", said)


def _closely(figure: Figure, held: Held, before: float, value: float) -> Judged:
    difference = value - before
    if not math.isfinite(value):
        return Judged(figure, held, value, None, "drift", "is not a finite number")
    if abs(difference) <= figure.tolerance:
        return Judged(figure, held, value, difference, "ok", "")
    times = f", {abs(difference) / figure.tolerance:.3g} times the tolerance" if figure.tolerance else ""
    return Judged(figure, held, value, difference, "drift", f"moved by {difference:+.3g}{times}")


def _value(figure: Figure, reading: Reading) -> tuple[float | str | None, str]:
    """A figure's value in its kind; None, and why, where there is none."""
    if reading.value is None or figure.kind == "exact":
        return reading.value, reading.problem
    try:
        return float(reading.value), ""
    except ValueError:
        return None, f"{reading.value!r} is not a number"
