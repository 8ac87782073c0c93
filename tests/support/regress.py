"""Suites, baselines and findings as tests make them up."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nasbench.config.locate import baselines_dir
from nasbench.config.suite import Digest, Figure, Step, Suite, TableCell
from nasbench.regress.baseline import Baseline, made, read_baseline
from nasbench.regress.environment import Environment
from nasbench.regress.figures import Reading

HERE: Environment = {
    "nasbench": {"nasbench": "0.1.0"},
    "schemas": {"rows": 2},
    "platform": {"python": "3.11.7", "system": "Linux", "machine": "x86_64", "processor": "P, AVX2"},
    "versions": {"numpy": "2.0.0", "torch": "2.4.0"},
}
ELSEWHERE: Environment = {**HERE, "versions": {"numpy": "2.0.0", "torch": "2.9.1"}}


def close(name: str, tolerance: float = 0.01, *, step: str = "cut") -> Figure:
    """A figure in a table."""
    cell = TableCell("summary.csv", {"metric": name}, "value")
    return Figure(name, step, cell, "close", tolerance, f"as {name} does")


def exact(name: str, of: str = "summary.csv", *, step: str = "cut") -> Figure:
    """A digest."""
    return Figure(name, step, Digest(of, {}), "exact", 0.0, "the same bytes")


def suite_of(*figures: Figure) -> Suite:
    """A suite of one step."""
    return Suite("made", (Step("cut", "segment", ("segmenter=grid",)),), figures)


def baseline_of(suite: Suite, **values: float | str) -> Baseline:
    """A baseline made `HERE`."""
    return made(suite, values.items(), HERE)


def committed() -> tuple[Path, Baseline]:
    """The default suite's baseline."""
    path = baselines_dir() / "default.json"
    found = read_baseline(path, "default")
    assert found is not None
    return path, found


def as_found(baseline: Baseline) -> dict[str, Reading]:
    """What a run says that has every figure as the baseline has it."""
    return {name: Reading(text(held.value)) for name, held in baseline.figures.items()}


def text(value: float | str) -> str:
    """A value as a table holds it, with all its digits."""
    return value if isinstance(value, str) else repr(value)


def beyond(value: float | str, tolerance: float) -> list[str]:
    """Values just too far from a baseline's."""
    if isinstance(value, str):
        return [value[:-1] + ("0" if value[-1] != "0" else "1"), value.upper(), "sha256:"]
    if not tolerance:
        return [repr(math.nextafter(value, math.inf)), repr(math.nextafter(value, -math.inf))]
    return [repr(value + 1.001 * tolerance), repr(value - 1.001 * tolerance)]


def within(value: float | str, tolerance: float) -> list[str]:
    """Values that are just near enough."""
    if isinstance(value, str) or not tolerance:
        return [text(value)]
    return [repr(value + 0.999 * tolerance), repr(value - 0.999 * tolerance), repr(value)]


def edited(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A JSON file with a change made to it."""
    record = json.loads(path.read_text(encoding="utf-8"))
    change(record)
    path.write_text(json.dumps(record), encoding="utf-8")
    return path
