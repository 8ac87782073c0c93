"""Reading `key=value` overrides: Hydra's grammar, with the traps explained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasbench.config.locate import choices
from nasbench.config.schema import ALIASES, GROUPS, LIST_KEYS
from nasbench.config.suggest import hint
from nasbench.errors import UsageError


@dataclass(frozen=True)
class Override:
    """One override; more than one value is a sweep.

    Attributes:
        key: dotted key, or the name of a group.
        values: the values it takes, in the order given.
    """

    key: str
    values: tuple[Any, ...]

    @property
    def is_group(self) -> bool:
        """Whether it chooses from a group instead of setting a value."""
        return self.key in GROUPS

    @property
    def section(self) -> str:
        """The first part of its key."""
        return self.key.partition(".")[0]


def parse_overrides(tokens: Sequence[str]) -> list[Override]:
    """Parse command-line tokens. Raises UsageError, one line, naming the token."""
    overrides = [_parse(token) for token in tokens]
    seen: set[str] = set()
    for override in overrides:
        if override.key in seen:
            other = [alias for alias in ALIASES if any(is_alias(token, alias) for token in tokens)]
            how = f"{other[0]} is another name of it" if other else f"a sweep is written {override.key}=a,b"
            raise UsageError(f"{override.key} is given twice; {how}")
        seen.add(override.key)
    return overrides


def is_alias(token: str, alias: str) -> bool:
    """Whether an override is of a key called by this other name, or of one below it."""
    key = token.partition("=")[0]
    return key == alias or key.startswith(f"{alias}.")


def _parse(token: str) -> Override:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import Glob
    from hydra.errors import HydraException

    if token.startswith(("+", "~")):
        prefix = token[: len(token) - len(token.lstrip("+~"))]
        raise UsageError(
            f"{token}: {prefix} is not used here: keys cannot be added or deleted, "
            "and keys below *.kwargs need no prefix"
        )
    for alias, meant in ALIASES.items():
        token = meant + token.removeprefix(alias) if is_alias(token, alias) else token
    key, equals, raw = token.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"{token!r} is not an override; write key=value, e.g. segmenter.k=20")
    if "@" in key:
        raise UsageError(f"{token}: packages (@) are not used here")
    _refuse_path_as_sweep(key, raw)
    parser = OverridesParser.create()
    try:
        parsed = parser.parse_override(token)
    except HydraException as error:
        if _is_plain(raw):
            return _override(key, (raw,))
        raise UsageError(_explain(key, raw)) from error
    if not parsed.is_sweep_override():
        return _override(key, (parsed.value(),))
    if isinstance(parsed.value(), Glob):
        return _override(key, _matching(token, key, parsed.value()))
    try:
        # Each element goes through the grammar again, alone: it then has the type it would have unswept.
        elements = [parser.parse_override(f"{key}={text}").value() for text in parsed.sweep_string_iterator()]
    except HydraException as error:
        raise UsageError(f"{token}: this kind of sweep is not used here; write a,b or range(a,b)") from error
    return _override(key, tuple(elements))


def _matching(token: str, key: str, pattern: Any) -> tuple[str, ...]:
    """The choices of a group that a `glob()` matches."""
    if key not in GROUPS:
        raise UsageError(f"{token}: glob() is for groups: {', '.join(GROUPS)}")
    found = tuple(pattern.filter(choices(key)))
    if not found:
        raise UsageError(f"{token}: matches nothing; {hint('', choices(key))}")
    return found


def _override(key: str, values: tuple[Any, ...]) -> Override:
    if not values:
        raise UsageError(f"{key}: the sweep is empty")
    if key in LIST_KEYS and not isinstance(values[0], list):
        values = (list(values),)
    if key in GROUPS:
        for value in values:
            if key == "experiment" and value is None:
                continue
            if value not in choices(key):
                raise UsageError(f"{key}={value}: no such {key}; {hint(str(value), choices(key))}")
    return Override(key, values)


def _is_plain(raw: str) -> bool:
    """Whether a value the grammar refuses (a non-ASCII path, say) has only one possible reading."""
    return bool(raw) and not set(raw) & set("=,[]{}()'\"$\\")


def _explain(key: str, raw: str) -> str:
    if "=" in raw:
        return f"""{key}={raw}: a value that contains = must be quoted twice: '{key}="{raw}"'"""
    return f"""{key}={raw}: cannot be read; check brackets and quotes, or quote it twice: '{key}="{raw}"'"""


def _refuse_path_as_sweep(key: str, raw: str) -> None:
    """An existing path with a comma would silently sweep over its halves."""
    if "," in raw and raw[0] not in "'\"[{" and Path(raw).expanduser().exists():
        raise UsageError(
            f"""{key}={raw}: a comma sweeps; to name this path, quote it twice: '{key}="{raw}"'"""
        )
