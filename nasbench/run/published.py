"""`nasbench wsol metric=choe` on one image: the published protocol's decisions as rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nasbench.localize.boxes import checked_boxes
from nasbench.localize.choe_metric import ALL, LARGEST, ChoeAccuracy, runs
from nasbench.localize.maps import MapError
from nasbench.localize.metric import PIXELS, flattened
from nasbench.run.graph import BatchGraph
from nasbench.run.maps import Explained, scored, unscored
from nasbench.run.pixel_rows import precision_score, truth_scores
from nasbench.run.plan import Cell
from nasbench.run.results import Result
from nasbench.run.truth import Truth
from nasbench.saliency.controls import ConstBox, FullBox
from nasbench.segment.scores import Score

FITTED_LATER = "the box is fitted on the other folds when the report is made: localisation.csv"


def published(graph: BatchGraph, cell: Cell, metric: ChoeAccuracy, one: Explained, truth: Truth) -> Result:
    """What a cell says of one class of one image."""
    if one.map is None:
        return unscored(cell, one)
    sample, view = graph.batch[one.image], graph.views(cell)[one.image]
    if view.size[0] != view.size[1]:
        return unscored(cell, one, "metric=choe needs a model that reads squares")
    if len(sample.boxes) == 0:
        return unscored(cell, one, "the image has no box")
    try:
        return _decided(graph, cell, metric, one, truth)
    except (MapError, ValueError) as error:  # boxes of a user's data set, for ours check theirs
        return replace(unscored(cell, one), failed=str(error))


def _decided(graph: BatchGraph, cell: Cell, metric: ChoeAccuracy, one: Explained, truth: Truth) -> Result:
    assert one.map is not None
    sample, view = graph.batch[one.image], graph.views(cell)[one.image]
    size, said = view.size[0], metric.conventions()
    scores = truth_scores(view.boxes_to_model(checked_boxes(sample.boxes), clip=True), view.size)
    method = graph.parts.get("saliency", cell.config["saliency"])
    if isinstance(method, ConstBox):
        scores += [Score(name, None, FITTED_LATER, {}) for name in (*LARGEST, *ALL)]
        return scored(cell, one, scores, **{**said, "box": "constant"})
    gt_boxes = metric.truth(sample.boxes, view.image_size, size)
    if isinstance(method, FullBox):
        scores += _rows(metric, metric.of_frame(gt_boxes, size))
        return scored(cell, one, scores, **{**said, "box": "frame"})
    with graph.report.timed("sweep"):
        found = metric(one.map, gt_boxes, size)
    scores += _rows(metric, found.right)
    if truth == "mask" and sample.mask is None:
        scores.append(Score(PIXELS, None, "the image has no mask", {}))
    elif truth == "mask" and sample.mask is not None:
        ignore = None if sample.ignore is None else view.mask_to_model(sample.ignore)
        scores.append(precision_score(found.values, view.mask_to_model(sample.mask), ignore))
    fault = {"fault": found.fault} if found.fault else {}
    return scored(cell, one, scores, **said, **fault)


def _rows(metric: ChoeAccuracy, right: NDArray[np.bool_]) -> list[Score]:
    """The share of thresholds at which the image is right, and which they are."""
    thresholds = metric.thresholds
    named = zip((*LARGEST, *ALL), right, strict=True)
    return [
        Score(name, float(one.mean()), "", {"iou": name[-4:]}, flattened(runs(one, thresholds)))
        for name, one in named
    ]
