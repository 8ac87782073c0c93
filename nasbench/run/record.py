"""What a run says of itself: `manifest.json` and `timings.parquet`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import nasbench
from nasbench.digest import canonical_json, digest_file
from nasbench.errors import RunError, UsageError
from nasbench.run.keys import SCHEMAS, numeric_versions, platform_record
from nasbench.run.manifest import CONDITIONS
from nasbench.run.plan import Cell, Plan, Unit
from nasbench.run.store import RunFolder
from nasbench.run.task_report import TaskReport


def check_same_run(folder: RunFolder, plan: Plan) -> None:
    """Refuse a folder that holds cells which are none of the plan's.

    A plan of these and further cells is welcome, so that a method can be added to a finished run, and so are
    more or fewer samples. One that leaves some out is not: the report would forget them. Raises UsageError,
    RunError for a damaged manifest.
    """
    manifest = folder.read_manifest()
    if manifest is None:
        return
    try:
        theirs = {cell["digest"]: "/".join(cell["choices"].values()) for cell in manifest["cells"]}
        samples = {str(sample): digest for sample, digest in manifest["samples"]}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(
            f"{folder.path}/manifest.json: is not a run's manifest; delete it and run again"
        ) from error
    others = set(theirs) - {cell.digest for cell in plan.cells}
    if others or not _same_data(samples, dict(_first_samples(plan))):
        what = ", ".join(sorted({theirs[digest] for digest in others or theirs})[:3])
        raise UsageError(
            f"--out {folder.path}: holds another run ({manifest.get('command')}: {what}); "
            "name another folder, or --fresh to replace it"
        )


def _first_samples(plan: Plan) -> list[tuple[str, str]]:
    """Id and digest of the first samples of each data set: the same for any limit."""
    return sorted({pair for unit in plan.units if unit.block == 0 for pair in unit.samples})


def _same_data(theirs: dict[str, str], ours: dict[str, str]) -> bool:
    """Whether it is the same data set, perhaps grown or with some of its images repaired."""
    common = set(theirs) & set(ours)
    unchanged = sum(theirs[sample] == ours[sample] for sample in common)
    return 2 * unchanged >= max(len(common), 1)


def manifest_json(
    plan: Plan,
    folder: RunFolder,
    *,
    status: str,
    argv: Sequence[str],
    started: float,
    device: str,
    computed_on: Sequence[Mapping[str, Any]],
    reports: Sequence[TaskReport],
) -> str:
    """The manifest: versions, models, data sets, cells and the units with their digests."""
    nodes = list(dict.fromkeys(canonical_json(cell.config["dataset"]) for cell in plan.cells))
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
        "computed_on": list(computed_on),
        "forwards": sum(report.forwards for report in reports),
        "models": plan.models,
        "datasets": plan.datasets,
        "samples": _first_samples(plan),
        "cells": [
            _cell_record(cell, nodes.index(canonical_json(cell.config["dataset"]))) for cell in plan.cells
        ],
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


def conditions(folder: RunFolder, plan: Plan, device: str, missing: Sequence[Unit]) -> list[dict[str, Any]]:
    """All that the units of a folder have been computed on and with, each once: where it is one, bits agree.

    Those of the manifest that is there, and this process's if it has anything to compute.
    """
    manifest = folder.read_manifest() or {}
    found = manifest.get("computed_on")
    if not isinstance(found, list):  # a manifest from before they were kept says what its last process had
        found = [{name: manifest.get(name) for name in CONDITIONS}] if manifest else []
    ours = conditions_here(plan, device)
    return found if ours in found or not missing else [*found, ours]


def conditions_here(plan: Plan, device: str) -> dict[str, Any]:
    """What decides the last bits of what this process computes."""
    return {
        "platform": platform_record(),
        "versions": dict(numeric_versions()),
        "device": device,
        "threads": plan.settings.threads,
        "max_batch": plan.settings.max_batch,
    }


def _cell_record(cell: Cell, data: int) -> dict[str, Any]:
    """`data` is the place of the cell's data set among `datasets`."""
    return {"digest": cell.digest, "choices": cell.choices, "swept": cell.swept, "data": data}


def _utc(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
