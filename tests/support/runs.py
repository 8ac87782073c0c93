"""Folders of runs as a test makes them up: a manifest, and rows that no network has made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nasbench.digest import digest_value
from nasbench.run.rows import Row
from nasbench.run.store import RunFolder

SCHEMAS = {"rows": 2, "run": 2, "data": 1, "models": 1, "segment": 3, "saliency": 2, "localize": 2}
SCHEMAS |= {"faithfulness": 1}
METRICS: dict[str, dict[str, Any]] = {
    "segment": {"_target_": "nasbench.segment.scores.RegionScores", "names": ["object_iou"]},
    "explain": {"_target_": "nasbench.saliency.statistics.MapStatistics"},
    "wsol": {
        "_target_": "nasbench.localize.metric.BoxAccuracy",
        "threshold": "crossfit",
        "fixed": 0.5,
        "normalisation": "minmax",
    },
    "lerf": {"_target_": "nasbench.faithfulness.relevance.RelevanceCurves", "score": "probability"},
}


@dataclass(frozen=True)
class MadeCell:
    """A cell of a made-up run.

    Attributes:
        blocks: its rows, unit by unit; None for a unit that is not finished.
        more: further or other keys of its configuration, dotted.
    """

    blocks: Sequence[Sequence[Row] | None]
    model: str = "m"
    saliency: str = "cam"
    segmenter: str = "none"
    dataset: str = "d"
    imputer: str = "i"
    command: str = "wsol"
    more: dict[str, Any] = field(default_factory=dict)
    swept: dict[str, Any] = field(default_factory=dict)

    @property
    def choices(self) -> dict[str, str]:
        chosen = {"model": self.model, "dataset": self.dataset}
        chosen |= {} if self.command == "segment" else {"saliency": self.saliency}
        chosen |= {"segmenter": self.segmenter}
        chosen |= {"imputer": self.imputer} if self.command == "lerf" else {}
        return {**chosen, "metric": "x"}

    @property
    def config(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "model": {"name": self.model, "seed": 0},
            "dataset": {"split": "test"},
            "segmenter": {"_target_": f"s.{self.segmenter}", "seed": 0},
            "metric": dict(METRICS[self.command]),
            "view": {"resize": "squash"},
            "precision": {"dtype": "float32"},
            "seed": 0,
        }
        if self.command != "segment":
            found |= {"saliency": {"_target_": f"a.{self.saliency}"}, "target": "label", "sign": "signed"}
        if self.command == "lerf":
            found |= {"imputer": {"_target_": "b"}, "units": "auto", "patch": 16, "wrong": "keep"}
        for key, value in self.more.items():
            *above, last = key.split(".")
            node = found
            for name in above:
                node = node.setdefault(name, {})
            node[last] = value
        return found

    @property
    def digest(self) -> str:
        return digest_value([self.choices, self.config])

    def key(self, block: int) -> str:
        rows = self.blocks[block] or []
        samples = sorted({(row.sample, row.sample_digest) for row in rows})
        return digest_value([self.digest, samples or block])

    def rows(self, block: int) -> list[Row]:
        """A unit's rows, as of this cell."""
        same: dict[str, Any] = {
            "command": self.command,
            "cell": self.digest,
            "config": json.dumps(self.config, sort_keys=True),
        }
        same |= {"model": self.model, "dataset": self.dataset, "segmenter": self.segmenter}
        same |= {"saliency": "" if self.command == "segment" else self.saliency}
        return [replace(row, **same) for row in self.blocks[block] or []]


def made_run(path: Path, *cells: MadeCell, **manifest: Any) -> Path:
    """Write a run of these cells, all of one command; `manifest` replaces what its manifest says."""
    folder = RunFolder(path)
    units = []
    data = {name: i for i, name in enumerate(dict.fromkeys(cell.dataset for cell in cells))}
    with folder.opened(fresh=True):
        for i, cell in enumerate(cells):
            for block, rows in enumerate(cell.blocks):
                units.append(
                    {"key": cell.key(block), "cell": i, "block": block, "samples": 32, "digest": None}
                )
                if rows is not None:
                    folder.write_rows(cell.key(block), cell.rows(block))
        record = {
            "nasbench": "0.1.0",
            "command": cells[0].command,
            "status": "complete",
            "plan": digest_value([one["key"] for one in units]),
            "argv": [cells[0].command],
            "started": "2026-01-01T00:00:00Z",
            "written": "2026-01-01T00:01:00Z",
            "workers": 0,
            "versions": {"torch": "2.0", "numpy": "2.1"},
            "schemas": SCHEMAS,
            "cells": [
                {
                    "digest": cell.digest,
                    "choices": cell.choices,
                    "swept": cell.swept,
                    "data": data[cell.dataset],
                }
                for cell in cells
            ],
            "datasets": [{"name": name, "n": 32, "digest": "d", "truth": None} for name in data],
            "samples": [],
            "units": units,
        }
        folder.write_text("manifest.json", json.dumps(record | manifest))
    return path


def scored(scores: dict[str, Any], *, metric: str = "object_iou", **more: Any) -> list[Row]:
    """Rows of one metric, by sample."""
    from tests.run.test_store import row

    return [row(sample, float(value), metric=metric, **more) for sample, value in scores.items()]
