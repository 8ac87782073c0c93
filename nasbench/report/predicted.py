"""The boxes of kept maps at the fitted thresholds, for pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench.localize.boxes import iou_of
from nasbench.localize.exact import box_events
from nasbench.localize.maps import normalise
from nasbench.localize.metric import OTSU, upsample
from nasbench.localize.thresholds import fold_of
from nasbench.report.localisation import Entry
from nasbench.report.localisation_tables import Localised

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Drawn:
    """What a picture shows, in pixels of the view.

    Attributes:
        truth: (n, 4) ground-truth boxes.
        box: (4,) predicted; None where nothing is.
        iou: of these.
    """

    truth: Floats
    box: Floats | None
    iou: float


def predicted_boxes(
    said: Localised, cell: int, sample: str, target: int, values: NDArray[Any], size: tuple[int, int]
) -> Drawn | None:
    """A cell's box of one image on the view's grid (H, W), at the threshold fitted for all images.

    `values` (h, w) is the raw map. None where the image is not scored, or boxes are compared elsewhere than
    on this grid.
    """
    metric = said.cells[cell].config["metric"]
    entry = said.entries[cell].kept.get((sample, target))
    if entry is None or metric["space"] != "model":
        return None
    scale = np.array([size[1], size[0], size[1], size[0]], dtype=np.float64)
    truth = entry.boxes * scale
    scored = said.scored[cell, "all"]
    fold = int(fold_of([sample])[0])
    if scored.boxes is not None:
        box = scored.boxes[fold] * scale
    else:
        scaled = normalise(upsample(values, size), metric["normalisation"], share=metric["share"])
        found = box_events(scaled.values).at(_threshold(metric["threshold"], scored.thresholds, fold, entry))
        if found is None:
            return Drawn(truth, None, 0.0)
        box = found.astype(np.float64)
    return Drawn(truth, box, float(iou_of(box, truth)[0]))


def _threshold(rule: str, fitted: Floats, fold: int, entry: Entry) -> float:
    if rule == "otsu":
        return entry.values[OTSU]
    return float(fitted[fold if rule == "crossfit" else 0])
