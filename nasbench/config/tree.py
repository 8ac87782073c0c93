"""Keys of a composed configuration: which exist, setting one, and what an unknown one may have meant."""

# ruff: noqa: SLF001 - OmegaConf says whether a key exists, even while it is ???, by its nodes alone

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from nasbench.config.locate import choices, config_file
from nasbench.config.schema import GROUPS, OPEN_KEYS
from nasbench.config.suggest import hint, nearest
from nasbench.errors import UsageError


def has_key(cfg: DictConfig, key: str) -> bool:
    """Whether a key exists, or lies below an open dictionary (`over`, `*.kwargs`)."""
    node: Any = cfg
    for part in key.split("."):
        if not isinstance(node, DictConfig):
            return False
        child = node._get_node(part, validate_access=False)  # `in` would deny a key that is still ???
        if child is None:
            return node._key() in OPEN_KEYS
        node = child
        if isinstance(node, DictConfig) and part in OPEN_KEYS:
            return True
    return True


def set_key(cfg: DictConfig, key: str, value: Any) -> None:
    """Set a key that exists; keys below an open dictionary are added. Raises UsageError naming it."""
    try:
        node = OmegaConf.select(cfg, key, throw_on_missing=False)
        if isinstance(node, DictConfig) and not isinstance(value, dict):
            keys = ", ".join(map(str, node))
            raise UsageError(f"{key} is a section, not a value; set one of its keys: {keys}")
        OmegaConf.update(
            cfg, key, value, merge=False, force_add=any(part in OPEN_KEYS for part in key.split(".")[:-1])
        )
    except OmegaConfBaseException as error:
        raise UsageError(f"{key}={value}: {first_line(error)}") from error


def unknown_key(key: str, bases: Sequence[tuple[DictConfig, dict[str, str]]]) -> str:
    """What is wrong with a key that none of the composed configurations has, and what comes close."""
    valid = sorted({leaf for cfg, _ in bases for leaf in _leaves(cfg)})
    group, _, rest = key.partition(".")
    if rest and group in GROUPS:
        holders = [c for c in choices(group) if rest in _keys_of(group, c)]
        if holders:
            chosen = sorted({c[group] for _, c in bases if group in c})
            return f"{key}: {group}={','.join(chosen)} has no key {rest}; {group}={','.join(holders)} has"
    if group in ("hydra", "cells"):
        return f"{key} cannot be set"
    near = nearest(key, valid)
    if near:
        return f"unknown key {key}; did you mean {near}?"
    section = [leaf for leaf in valid if leaf.startswith(f"{group}.")] or sorted(
        {v.split(".")[0] for v in valid}
    )
    return f"unknown key {key}; {hint(key, section)}"


def _keys_of(group: str, choice: str) -> list[str]:
    try:
        node = OmegaConf.load(config_file(group, choice))
    except (OmegaConfBaseException, YAMLError, UnicodeDecodeError):  # a user's file, and not the one chosen
        return []
    return [str(name) for name in node] if isinstance(node, DictConfig) else []


def _leaves(cfg: DictConfig, prefix: str = "") -> Iterator[str]:
    for name in cfg:
        node = cfg._get_node(name)
        if isinstance(node, DictConfig) and not node._is_none():
            yield from _leaves(node, f"{prefix}{name!s}.")
        elif name != "_target_":
            yield f"{prefix}{name!s}"


def first_line(error: Exception) -> str:
    """The first line of an error: Hydra's and OmegaConf's run to dozens."""
    return str(error).strip().split("\n", 1)[0]
