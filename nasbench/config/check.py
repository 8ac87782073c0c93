"""Checking a composed configuration: missing values, types, closed lists, ranges."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nasbench.config.schema import (
    CELL_KEYS,
    CLOSED,
    GROUPS,
    LEAST,
    MOST,
    PRIMARIES,
    SAVE_CHOICES,
    SCHEMAS,
    Custom,
)
from nasbench.config.suggest import hint
from nasbench.config.tree import first_line
from nasbench.errors import UsageError


def checked(cfg: DictConfig, command: str) -> dict[str, Any]:
    """A command's composed configuration as a plain, resolved dictionary of the right types.

    Raises UsageError, one line, naming the key.
    """
    OmegaConf.set_struct(cfg, value=False)
    for extra in ("cells", "experiment"):
        cfg.pop(extra, None)
    try:
        missing = sorted(OmegaConf.missing_keys(cfg))
        if missing:
            raise UsageError(f"{missing[0]} is not set; add {missing[0]}=...")
        plain = _typed(PRIMARIES[command], OmegaConf.to_container(cfg, resolve=True))
        for group in GROUPS:
            node = plain.get(group)
            if group not in CELL_KEYS[command]:
                continue
            if not isinstance(node, dict) or not isinstance(node.get("_target_"), str):
                raise UsageError(f"{group}: the file of the choice lacks _target_, what it is made by")
            schema = SCHEMAS.get(node["_target_"], Custom if set(node) <= {"_target_", "kwargs"} else None)
            if schema is not None:
                plain[group] = _typed(schema, node, group)
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None) or "configuration"
        said = first_line(error)
        if "is not a ListConfig" in said:
            said = "is a list; write it in brackets, such as [3, 6]"
        raise UsageError(f"{key}: {said}") from error
    _check_finite(plain)
    _check_values(plain, command)
    return plain


def _typed(schema: type, node: Any, group: str | None = None) -> dict[str, Any]:
    """A node with its schema's types; within its group, so that an error names the whole key."""
    wrapped = (
        OmegaConf.create({group: OmegaConf.structured(schema)}) if group else OmegaConf.structured(schema)
    )
    merged = OmegaConf.to_container(OmegaConf.merge(wrapped, {group: node} if group else node), resolve=True)
    assert isinstance(merged, dict)
    found = merged[group] if group else merged
    return {str(key): value for key, value in found.items()}


def _check_values(plain: dict[str, Any], command: str) -> None:
    for key, valid in CLOSED.items():
        if key.partition(".")[0] not in plain:
            continue  # of another command
        value = _at(plain, key)
        if value not in valid:
            raise UsageError(f"{key}={value}: {hint(str(value), valid)}")
    for value in plain["save"]:
        if value not in SAVE_CHOICES[command]:
            raise UsageError(f"save={value}: {hint(str(value), SAVE_CHOICES[command])}")
    for key, least in LEAST.items():
        value = _at(plain, key) if key.partition(".")[0] in plain else None  # else of another command
        if value is not None and value < least:
            raise UsageError(f"{key}={value} must be at least {least}")
    for key, most in MOST.items():
        if _at(plain, key) > most:
            raise UsageError(f"{key}={_at(plain, key)} must be at most {most}")


def _check_finite(plain: dict[str, Any]) -> None:
    for key, value in _leaves(plain):
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"{key}={value} must be a finite number")


def _leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a configuration with their dotted keys."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _leaves(value, f"{key}.{name}" if key else str(name))
    elif isinstance(node, list):
        for value in node:
            yield from _leaves(value, key)
    else:
        yield key, node


def _at(plain: dict[str, Any], key: str) -> Any:
    node: Any = plain
    for part in key.split("."):
        node = node[part]
    return node
