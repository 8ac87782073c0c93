"""Baselines: the figures that are held to be right, in a JSON file that people review."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from nasbench.atomic import write_atomic
from nasbench.config.locate import baselines_dir
from nasbench.config.suite import Kind, Suite
from nasbench.errors import RunError, UsageError
from nasbench.regress.environment import Environment

_FORMAT = 1
_KEYS = ("nasbench_baseline", "suite", "environment", "steps", "figures")
# Beside the user's own work; in a checkout's root, those of the checkout.
_LOCAL = Path("results") / "baselines"


@dataclass(frozen=True)
class Held:
    """A figure as a baseline holds it.

    Attributes:
        value: a number of a close figure, text of an exact one.
        kind, tolerance, reason: the suite's, when it was written.
    """

    value: float | str
    kind: Kind
    tolerance: float
    reason: str


@dataclass(frozen=True)
class Baseline:
    """A suite's figures, and where they were made.

    Attributes:
        suite: the suite's name.
        environment: versions and platform.
        steps: step -> its command and overrides.
        figures: name -> figure.
    """

    suite: str
    environment: Environment
    steps: Mapping[str, str]
    figures: Mapping[str, Held]


def baseline_file(suite: str, folder: Path | None) -> Path:
    """Where a suite's baseline is read: the folder named, ./results/baselines, or what nasbench brings.

    Raises UsageError where the folder is none.
    """
    if folder is not None:
        if not folder.is_dir():
            raise UsageError(f"--baselines {folder}: {'is a file' if folder.exists() else 'no such folder'}")
        return folder / f"{suite}.json"
    local = _LOCAL / f"{suite}.json"
    carried = baselines_dir() / f"{suite}.json"
    return carried if carried.is_file() and not local.exists() else local


def new_baseline_file(suite: str, folder: Path | None) -> Path:
    """Where a suite's baseline is written: the folder named, else ./results/baselines."""
    return (folder or _LOCAL) / f"{suite}.json"


def read_baseline(path: Path, suite: str) -> Baseline | None:
    """A baseline; None where the file does not exist. Raises RunError naming what is wrong with the file."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"{path}: {error.strerror or error}") from error
    try:
        return _checked(json.loads(text.decode("utf-8"), parse_constant=_no_constant), suite)
    except (ValueError, _DamagedError) as error:  # of JSON, of UTF-8 or ours
        said = " ".join(str(error).split())
        raise RunError(f"{path}: {said}; restore it, or delete it and let --update make another") from error


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Write a baseline, whole or not at all. Raises OSError."""
    record = {
        "nasbench_baseline": _FORMAT,
        "suite": baseline.suite,
        "environment": baseline.environment,
        "steps": dict(baseline.steps),
        "figures": {
            name: {
                "value": held.value,
                "tolerance": held.tolerance,
                "kind": held.kind,
                "reason": held.reason,
            }
            for name, held in baseline.figures.items()
        },
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, (json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())


def made(suite: Suite, values: Iterable[tuple[str, float | str]], now: Environment) -> Baseline:
    """A baseline of these values of a suite's figures."""
    figures = {figure.name: figure for figure in suite.figures}
    held = {}
    for name, value in values:
        figure = figures[name]
        held[name] = Held(value, figure.kind, figure.tolerance, figure.reason)
    return Baseline(suite.name, now, {step.name: step.text for step in suite.steps}, held)


class _DamagedError(Exception):
    """A file is no baseline; the message says why."""


def _no_constant(name: str) -> float:
    raise ValueError(f"holds {name}, which is no value")


def _checked(record: Any, suite: str) -> Baseline:
    """Raises _DamagedError."""
    if not isinstance(record, dict) or "nasbench_baseline" not in record:
        raise _DamagedError("is not a baseline of nasbench regress")
    if record["nasbench_baseline"] != _FORMAT:
        raise _DamagedError(f"has format {record['nasbench_baseline']}, this nasbench reads {_FORMAT}")
    for key in _KEYS[2:]:
        if not isinstance(record.get(key), dict):
            raise _DamagedError(f"lacks {key}")
    if record.get("suite") != suite:
        raise _DamagedError(f"is the baseline of suite {record.get('suite')}, not of {suite}")
    environment = record["environment"]
    if not all(isinstance(part, dict) for part in environment.values()):
        raise _DamagedError("environment must hold mappings")
    figures = {name: _held(name, node) for name, node in record["figures"].items()}
    return Baseline(suite, environment, record["steps"], figures)


def _held(name: str, node: Any) -> Held:
    if not isinstance(node, dict):
        raise _DamagedError(f"figures.{name} is not a mapping")
    found: Iterator[Any] = (node.get(key) for key in ("kind", "value", "tolerance", "reason"))
    kind, value, tolerance, reason = found
    if kind not in get_args(Kind):
        raise _DamagedError(f"figures.{name}.kind must be one of {', '.join(get_args(Kind))}")
    if not (_is_number(value) if kind == "close" else isinstance(value, str)):
        raise _DamagedError(f"figures.{name}.value must be {'a number' if kind == 'close' else 'a text'}")
    if not _is_number(tolerance) or tolerance < 0:
        raise _DamagedError(f"figures.{name}.tolerance must be a number of at least 0")
    if not isinstance(reason, str):
        raise _DamagedError(f"figures.{name}.reason must be a text")
    return Held(float(value) if kind == "close" else value, kind, float(tolerance), reason)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
