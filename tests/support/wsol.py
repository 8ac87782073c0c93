"""Runs of `nasbench wsol` as a test looks at them."""

from __future__ import annotations

import csv
import json

import numpy as np

from nasbench.localize.boxes import IOU_GRID
from tests.run.test_store import row


def tiny_wsol(*more: str, size: int = 64) -> list[str]:
    """A quick run: a random test-sized network at 64 px on twelve rendered scenes, which have a box each."""
    return [
        "wsol",
        "model=timm",
        "model.name=test_resnet",
        "model.weights=random",
        "model.input_size=64",
        "dataset=rendered",
        "dataset.n=12",
        f"dataset.size={size}",
        *more,
    ]


def table(folder, name="localisation.csv", **wanted):
    """The lines of a run's table whose columns have these values."""
    with (folder / name).open() as file:
        return [line for line in csv.DictReader(file) if all(line[k] == v for k, v in wanted.items())]


def made_up(sample, *, right=(), boxes=((0.25, 0.25, 0.75, 0.75),), top=(1, 1), target=0, **more):
    """The rows of one image: `right` has a list of intervals for every IoU, or one list for all.

    `more`: `constant` for a constant box, `covers`, `union`, `otsu`, `fault`, `failed`.
    """
    said = {"box": "constant" if more.get("constant") else "largest"}
    if "fault" in more:
        said["fault"] = more["fault"]
    every = right if right and isinstance(right[0], list) else [list(right)] * len(IOU_GRID)
    shares = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in boxes]
    values = {
        "gt_boxes": (len(boxes), [edge for box in boxes for edge in box]),
        "gt_box_share": (max(shares, default=0), None),
    }
    if top is not None:
        values |= {"top1": (top[0], None), "top5": (top[1], None)}
    if not more.get("constant"):
        for delta, found in zip(IOU_GRID, every, strict=True):
            values[f"box@{delta:.2f}"] = (0.0, [end for interval in sorted(found) for end in interval])
        values["box_covers_frame"] = (0.0, [end for interval in more.get("covers", ()) for end in interval])
    for name, key in (("box_union_iou", "union"), ("otsu_threshold", "otsu")):
        if key in more:
            values[name] = (more[key], None)
    rows = []
    for name, (value, curve) in values.items():
        failed = more.get("failed", "")
        rows.append(
            row(
                sample,
                None if failed else float(value),
                curve=None if failed or curve is None else [float(x) for x in np.ravel(curve)],
                metric=name,
                target=target,
                status="error" if failed else "ok",
                reason=failed,
                conventions=json.dumps(said),
                command="wsol",
            )
        )
    return rows
