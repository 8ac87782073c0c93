"""Runs of `nasbench explain` as a test looks at them."""

from __future__ import annotations

import json

import pyarrow.parquet as pq

from nasbench.run.store import RunFolder
from tests.support.cli import make_images

STATISTICS = ("map_max", "map_mean", "map_min", "map_positive")
UNLABELLED = "011.png"
TWO_CLASSES = "003.png"


def make_labelled(root):
    """Twelve images of two classes; one has both, one has none."""
    make_images(root, 12)
    lines = [f"{i:03d}.png,{'cat' if i % 3 else 'dog'}" for i in range(11)]
    (root / "labels.csv").write_text("image,label\n" + "\n".join([*lines, f"{TWO_CLASSES},cat"]) + "\n")
    return root


def rows(folder, **wanted):
    """The rows of a run whose columns have these values, by cell, sample, class and metric."""
    found = [row for path in (folder / "rows").iterdir() for row in pq.read_table(path).to_pylist()]
    kept = [row for row in found if all(row[key] == value for key, value in wanted.items())]
    order = ("saliency", "segmenter", "config", "sample", "target", "metric")
    return sorted(kept, key=lambda row: [str(row[key]) for key in order])


def values(folder, **wanted):
    return {(row["sample"], row["target"], row["metric"]): row["value"] for row in rows(folder, **wanted)}


def names(folder):
    return sorted(path.name for path in (folder / "rows").iterdir())


def arrays(folder, images):
    """The arrays kept of a run of one unit."""
    (unit,) = json.loads((folder / "manifest.json").read_text())["units"]
    kept = RunFolder(folder).read_artefact(unit["key"], images)
    assert kept is not None
    return kept
