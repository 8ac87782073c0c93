"""Suites of `nasbench regress`: commands to run, and the figures of their results with a tolerance each."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError

from nasbench.config.compose import Composed, compose_run
from nasbench.config.locate import choices, config_dir
from nasbench.config.schema import CELL_KEYS
from nasbench.config.suggest import hint
from nasbench.config.tree import first_line
from nasbench.errors import UsageError

# exact: the same bytes; close: the same number, to within a tolerance.
Kind = Literal["exact", "close"]

GROUP = "regress"
# Arrays a run keeps on request (`save=`), of which a digest can be taken.
ARRAYS = ("labels", "maps")
_NAME = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9_.+-]*")
# How commands are typed, beside what they are called inside.
_COMMANDS = {**{name: name for name in CELL_KEYS}, "leRF": "lerf"}
_SUITE_KEYS = ("shared", "steps", "figures")
_STEP_KEYS = ("command", "overrides")
_CELL_KEYS = ("step", "table", "where", "read", "kind", "tolerance", "reason")
_DIGEST_KEYS = ("step", "digest", "where", "kind", "reason")


@dataclass(frozen=True)
class Step:
    """One command of a suite.

    Attributes:
        name: the suite's name for it, also of its folder.
        command: segment, explain, wsol or lerf.
        overrides: its overrides, those that all steps share first.
    """

    name: str
    command: str
    overrides: tuple[str, ...]

    @property
    def text(self) -> str:
        """As a baseline records it."""
        return " ".join([self.command, *self.overrides])


@dataclass(frozen=True)
class TableCell:
    """A cell of a CSV file that a run writes.

    Attributes:
        table: the file's name, e.g. localisation.csv.
        where: column -> value; together they select one line.
        read: the column that holds the figure.
    """

    table: str
    where: Mapping[str, Any]
    read: str


@dataclass(frozen=True)
class Digest:
    """SHA-256 of something a run writes.

    Attributes:
        of: the name of a file, or the arrays that the run kept: labels or maps.
        where: of arrays, choices and swept keys of the cells meant; all cells if empty.
    """

    of: str
    where: Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """What is watched.

    Attributes:
        name: its name in tables and baselines.
        step: the step it comes from.
        source: where it stands.
        kind: how it is compared.
        tolerance: of a close figure, the largest absolute difference that passes; 0 of an exact one.
        reason: why it may differ by so much and no more.
    """

    name: str
    step: str
    source: TableCell | Digest
    kind: Kind
    tolerance: float
    reason: str


@dataclass(frozen=True)
class Suite:
    """A suite, checked."""

    name: str
    steps: tuple[Step, ...]
    figures: tuple[Figure, ...]


def read_suite(name: str) -> Suite:
    """A suite by its name. Raises UsageError, one line, naming the key."""
    found = choices(GROUP)
    if name not in found:
        why = "the overrides of a suite are in its file; " if "=" in name else ""
        raise UsageError(f"regress {name}: no such suite; {why}{hint(name, found)}")
    try:
        return _checked(name, _composed(name))
    except UsageError as error:
        raise UsageError(f"suite {name}: {error}") from error


def compose_steps(suite: Suite) -> dict[str, Composed]:
    """Every step's composed command, by its name. Raises UsageError naming the step."""
    found = {}
    for step in suite.steps:
        try:
            found[step.name] = compose_run(step.command, step.overrides)
        except UsageError as error:
            raise UsageError(f"suite {suite.name}: step {step.name}: {error}") from error
    return found


def _checked(name: str, plain: Any) -> Suite:
    """A suite from its plain values; a step or figure that is null was dropped."""
    node = _mapping(plain, "the file", _SUITE_KEYS)
    shared = _overrides(node.get("shared", []), "shared")
    steps = tuple(
        _step(key, value, shared) for key, value in _named(node.get("steps"), "steps") if value is not None
    )
    names = [step.name for step in steps]
    figures = tuple(
        _figure(key, value, names)
        for key, value in _named(node.get("figures"), "figures")
        if value is not None
    )
    if not steps or not figures:
        raise UsageError(f"{'figures' if steps else 'steps'}: holds none")
    return Suite(name, steps, figures)


def _composed(name: str) -> Any:
    """A suite's file and those it builds on, merged by Hydra, as plain values."""
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException

    from nasbench.config.search_path import add_user_configs

    try:
        add_user_configs()
        with initialize_config_dir(str(config_dir()), version_base="1.3", job_name="nasbench"):
            cfg = compose(f"{GROUP}/{name}")
        missing = sorted(OmegaConf.missing_keys(cfg))
        plain = OmegaConf.to_container(cfg, resolve=True)
    except MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise UsageError(f"{line}{error.problem or first_line(error)}") from error
    except (HydraException, OmegaConfBaseException, YAMLError, UnicodeDecodeError) as error:
        raise UsageError(first_line(error)) from error
    if missing:
        raise UsageError(f"{missing[0].removeprefix(f'{GROUP}.')} is not set")
    assert isinstance(plain, dict)
    return plain.get(GROUP)


def _mapping(node: Any, key: str, known: tuple[str, ...]) -> dict[str, Any]:
    """A mapping that has no other keys."""
    if not isinstance(node, dict):
        raise UsageError(f"{key} must be a mapping with {', '.join(known)}")
    for name in node:
        if name not in known:
            where = "" if key == "the file" else f"{key}."
            raise UsageError(f"unknown key {where}{name}; {hint(str(name), known)}")
    return node


def _named(node: Any, key: str) -> list[tuple[str, Any]]:
    """The entries of a mapping whose keys are names, fit for a file."""
    if not isinstance(node, dict):
        raise UsageError(f"{key} must be a mapping of names")
    for name in node:
        if not _NAME.fullmatch(str(name)):
            raise UsageError(f"{key}.{name}: a name is of letters, digits and _ . + -")
    return [(str(name), value) for name, value in node.items()]


def _step(name: str, node: Any, shared: tuple[str, ...]) -> Step:
    key = f"steps.{name}"
    node = _mapping(node, key, _STEP_KEYS)
    command = _text(node, key, "command")
    if command not in _COMMANDS:
        raise UsageError(f"{key}.command={command}: {hint(command, _COMMANDS)}")
    own = _overrides(node.get("overrides", []), f"{key}.overrides")
    given = {token.partition("=")[0] for token in own}
    kept = tuple(token for token in shared if token.partition("=")[0] not in given)
    return Step(name, _COMMANDS[command], (*kept, *own))


def _overrides(node: Any, key: str) -> tuple[str, ...]:
    if not isinstance(node, list) or not all(isinstance(token, str) for token in node):
        raise UsageError(f"{key} must be a list of overrides, such as [segmenter=nas, limit=8]")
    return tuple(node)


def _figure(name: str, node: Any, steps: list[str]) -> Figure:
    key = f"figures.{name}"
    if not isinstance(node, dict) or ("table" in node) == ("digest" in node):
        raise UsageError(f"{key} must have table and read, or digest")
    node = _mapping(node, key, _CELL_KEYS if "table" in node else _DIGEST_KEYS)
    step = _text(node, key, "step")
    if step not in steps:
        raise UsageError(f"{key}.step={step}: no such step; {hint(step, steps)}")
    kind: Kind = node.get("kind", "")
    if kind not in get_args(Kind):
        raise UsageError(f"{key}.kind={kind}: choose one of {', '.join(get_args(Kind))}")
    source = _source(node, key)
    if isinstance(source, Digest) and kind != "exact":
        raise UsageError(f"{key}.kind={kind}: a digest can only be exact")
    return Figure(name, step, source, kind, _tolerance(node, key, kind), _text(node, key, "reason"))


def _source(node: dict[str, Any], key: str) -> TableCell | Digest:
    where = node.get("where", {})
    if not isinstance(where, dict):
        raise UsageError(f"{key}.where must be a mapping of columns and values")
    if "table" in node:
        table = _file(node, key, "table")
        if not table.endswith(".csv"):
            raise UsageError(f"{key}.table={table}: must be a CSV file of the run, such as summary.csv")
        return TableCell(table, where, _text(node, key, "read"))
    of = _file(node, key, "digest")
    if where and of not in ARRAYS:
        raise UsageError(f"{key}.where: a digest of a file is of all of it")
    return Digest(of, where)


def _file(node: dict[str, Any], key: str, name: str) -> str:
    """The name of a file in a run's folder, not of one elsewhere."""
    text = _text(node, key, name)
    if text.startswith((".", "/")) or "\\" in text or ".." in text.split("/"):
        raise UsageError(f"{key}.{name}={text}: must be the name of a file in the run's folder")
    return text


def _tolerance(node: dict[str, Any], key: str, kind: Kind) -> float:
    if kind == "exact":
        if "tolerance" in node:
            raise UsageError(f"{key}.tolerance: an exact figure has none")
        return 0.0
    value = node.get("tolerance")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise UsageError(f"{key}.tolerance={value}: must be a number of at least 0")
    return float(value)


def _text(node: dict[str, Any], key: str, name: str) -> str:
    value = node.get(name)
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{key}.{name} must be a text that is not empty")
    return " ".join(value.split())
