"""What a run says of itself: `config.yaml`, from which it can be repeated, and `manifest.json`."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nasbench
from nasbench.digest import digest_file
from nasbench.errors import UsageError
from nasbench.run.keys import SCHEMAS, numeric_versions, platform_record
from nasbench.run.plan import Cell, Plan
from nasbench.run.store import RunFolder
from nasbench.run.task import TaskReport

CONFIG_FORMAT = 1


def config_yaml(command: str, cells: Sequence[dict[str, Any]], settings: dict[str, Any]) -> str:
    """The run as YAML: command, settings and every cell, resolved."""
    import yaml

    record = {"nasbench": CONFIG_FORMAT, "command": command, "settings": settings, "cells": list(cells)}
    text: str = yaml.safe_dump(record, sort_keys=False, allow_unicode=True)
    return text


def read_config(path: Path, command: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Cells and settings of a `config.yaml`. Raises UsageError, one line, naming the file."""
    import yaml

    try:
        record = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--config {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {path}: is not YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(record, dict) or not {"nasbench", "command", "settings", "cells"} <= set(record):
        raise UsageError(f"--config {path}: is not the config.yaml of a nasbench run")
    if record["nasbench"] != CONFIG_FORMAT:
        found = record["nasbench"]
        raise UsageError(f"--config {path}: format {found}, this nasbench reads {CONFIG_FORMAT}")
    if record["command"] != command:
        raise UsageError(f"--config {path}: is of nasbench {record['command']}, not of nasbench {command}")
    cells = record["cells"]
    if not cells or not all({"choices", "config", "swept"} <= set(cell) for cell in cells):
        raise UsageError(f"--config {path}: holds no complete cells")
    return cells, record["settings"]


def check_same_run(folder: RunFolder, plan: Plan) -> None:
    """Refuse a folder that holds a run of other cells; more or fewer samples of the same are welcome."""
    manifest = folder.read_manifest()
    if manifest is None:
        return
    theirs = {cell["digest"]: cell for cell in manifest.get("cells", [])}
    if set(theirs) != {cell.digest for cell in plan.cells}:
        choices = (cell["choices"] for cell in theirs.values())
        what = ", ".join(sorted({"/".join(c[group] for group in sorted(c)) for c in choices})[:3])
        raise UsageError(
            f"--out {folder.path}: holds another run ({manifest.get('command')}: {what}); "
            "name another folder, or --fresh to replace it"
        )


def manifest_json(
    plan: Plan,
    folder: RunFolder,
    *,
    status: str,
    argv: Sequence[str],
    started: float,
    device: str,
    reports: Sequence[TaskReport],
) -> str:
    """The manifest: versions, models, data sets, cells and the units with their digests."""
    units = []
    for unit in plan.units:
        done = folder.has_rows(unit.key)
        path = folder.path / "rows" / f"{unit.key}.parquet"
        units.append(
            {
                "key": unit.key,
                "cell": unit.cell,
                "block": unit.block,
                "samples": len(unit.samples),
                "digest": digest_file(path) if done else None,
            }
        )
    record = {
        "nasbench": nasbench.__version__,
        "command": plan.command,
        "status": status,
        "plan": plan.digest,
        "argv": list(argv),
        "started": _utc(started),
        "written": _utc(time.time()),
        "platform": platform_record(),
        "versions": numeric_versions(),
        "schemas": SCHEMAS,
        "device": device,
        "threads": plan.settings.threads,
        "workers": plan.settings.workers,
        "max_batch": plan.settings.max_batch,
        "limit": plan.settings.limit,
        "forwards": sum(report.forwards for report in reports),
        "models": plan.models,
        "datasets": plan.datasets,
        "cells": [_cell_record(cell) for cell in plan.cells],
        "units": units,
    }
    return json.dumps(record, indent=1, ensure_ascii=False) + "\n"


def timing_records(reports: Sequence[TaskReport], *, started: float, device: str) -> list[dict[str, Any]]:
    """One record per task and step, for timings.parquet."""
    return [
        {
            "run": _utc(started),
            "device": device,
            "dataset": report.dataset,
            "block": report.block,
            "step": step,
            "seconds": seconds,
            "units": report.units,
            "forwards": report.forwards,
        }
        for report in reports
        for step, seconds in report.seconds.items()
    ]


def _cell_record(cell: Cell) -> dict[str, Any]:
    return {"digest": cell.digest, "choices": cell.choices, "swept": cell.swept}


def _utc(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
