"""`config.yaml`: a run, resolved, and reading it back with the checks of a composed one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nasbench.config.check import checked
from nasbench.config.compose import Composed
from nasbench.config.schema import CELL_KEYS, GROUPS, SETTING_KEYS
from nasbench.config.tree import first_line
from nasbench.errors import UsageError

_FORMAT = 1


def config_yaml(composed: Composed) -> str:
    """The run as YAML: command, settings and every cell, resolved."""
    record = {
        "nasbench": _FORMAT,
        "command": composed.command,
        "settings": composed.settings,
        "cells": composed.cells,
    }
    text: str = yaml.safe_dump(record, sort_keys=False, allow_unicode=True)
    return text


def read_config(path: Path, command: str, settings: Mapping[str, Any]) -> Composed:
    """A run from its `config.yaml` alone; `settings` replace what the file says of them.

    Raises UsageError, one line, naming the file.
    """
    try:
        record = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--config {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {path}: is not YAML ({first_line(error)})") from error
    try:
        return _checked(record, command, settings)
    except UsageError as error:
        raise UsageError(f"--config {path}: {error}") from error


def _checked(record: Any, command: str, settings: Mapping[str, Any]) -> Composed:
    if not isinstance(record, dict) or not {"nasbench", "command", "settings", "cells"} <= set(record):
        raise UsageError("is not the config.yaml of a nasbench run")
    if record["nasbench"] != _FORMAT:
        raise UsageError(f"format {record['nasbench']}, this nasbench reads {_FORMAT}")
    if record["command"] != command:
        raise UsageError(f"is of nasbench {record['command']}, not of nasbench {command}")
    if (
        not isinstance(record["settings"], dict)
        or not isinstance(record["cells"], list)
        or not record["cells"]
    ):
        raise UsageError("holds no settings or no cells")
    merged = {**record["settings"], **settings}
    checked_cells = [
        _checked_cell(command, number, cell, merged) for number, cell in enumerate(record["cells"])
    ]
    plain = checked_cells[0][1]
    return Composed(command, [cell for cell, _ in checked_cells], {key: plain[key] for key in SETTING_KEYS})


def _checked_cell(
    command: str, number: int, cell: Any, settings: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A cell, and its configuration together with the settings."""
    parts = ("choices", "config", "swept")
    if not isinstance(cell, dict) or not all(isinstance(cell.get(part), dict) for part in parts):
        raise UsageError(f"cell {number} lacks choices, config or swept")
    for group in (group for group in GROUPS if group in CELL_KEYS[command]):
        if not isinstance(cell["choices"].get(group), str):
            raise UsageError(f"cell {number}: choices lacks {group}")
        node = cell["config"].get(group)
        if not isinstance(node, dict) or not isinstance(node.get("_target_"), str):
            raise UsageError(f"cell {number}: config.{group} lacks _target_")
    try:
        plain = checked(OmegaConf.create({**settings, **cell["config"]}), command)
    except OmegaConfBaseException as error:
        raise UsageError(f"cell {number}: {first_line(error)}") from error
    return {
        **{part: cell[part] for part in parts},
        "config": {key: plain[key] for key in CELL_KEYS[command]},
    }, plain
