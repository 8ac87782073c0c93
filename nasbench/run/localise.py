"""`nasbench wsol` on a batch: maps become boxes, boxes are right or wrong at every threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nasbench.data import Sample, View
from nasbench.localize.boxes import IOU_GRID, areas, checked_boxes
from nasbench.localize.choe_metric import ChoeAccuracy
from nasbench.localize.maps import MapError
from nasbench.localize.metric import (
    BOX_TITLES,
    COVERS,
    OTSU,
    TOP,
    UNION,
    BoxAccuracy,
    Found,
    flattened,
    total_length,
    upsample,
)
from nasbench.localize.union_box import best_union_box, refinement
from nasbench.run.classes import model_class
from nasbench.run.graph import BatchGraph
from nasbench.run.maps import Explained, explained, scored, unscored
from nasbench.run.pixel_rows import Masks, pixel_scores, truth_scores
from nasbench.run.plan import Cell
from nasbench.run.published import FITTED_LATER, published
from nasbench.run.results import Result
from nasbench.run.truth import Truth
from nasbench.saliency.controls import ConstBox, FullBox
from nasbench.segment.scores import Score


class Localise:
    """`nasbench wsol`: boxes of the maps, right or wrong."""

    metrics: tuple[type, ...] = (BoxAccuracy, ChoeAccuracy)

    def titles(self, metric: BoxAccuracy | ChoeAccuracy, truth: Truth) -> Sequence[str]:
        """See `Command`."""
        return metric.titles(truth)

    def results(self, graph: BatchGraph, cell: Cell, truth: Truth) -> list[list[Result]]:
        """See `Command`."""
        metric: BoxAccuracy | ChoeAccuracy = graph.parts.get("metric", cell.config["metric"])
        found: list[list[Result]] = [[] for _ in graph.batch]
        for one in explained(graph, cell, truth):
            if isinstance(metric, ChoeAccuracy):
                found[one.image].append(published(graph, cell, metric, one, truth))
            else:
                found[one.image].append(_result(graph, cell, metric, one, truth))
        return found


def _result(graph: BatchGraph, cell: Cell, metric: BoxAccuracy, one: Explained, truth: Truth) -> Result:
    if one.map is None:
        return unscored(cell, one)
    sample, view = graph.batch[one.image], graph.views(cell)[one.image]
    frame = _Frame.of(metric, view)
    if len(sample.boxes) == 0:
        return unscored(cell, one, "the image has no box")
    try:
        boxes = frame.boxes(checked_boxes(sample.boxes))
    except ValueError as error:  # a user's data set, for ours check their boxes
        return replace(unscored(cell, one), failed=str(error))
    if len(boxes) == 0:
        return unscored(cell, one, "no box lies inside the view")
    return _with_boxes(graph, cell, metric, one, truth, frame, boxes)


def _with_boxes(
    graph: BatchGraph,
    cell: Cell,
    metric: BoxAccuracy,
    one: Explained,
    truth: Truth,
    frame: _Frame,
    boxes: NDArray[np.float64],
) -> Result:
    sample = graph.batch[one.image]
    method = graph.parts.get("saliency", cell.config["saliency"])
    scores = truth_scores(boxes, frame.size) + _top_scores(graph, cell, sample, one.image)
    if isinstance(method, ConstBox):
        scores += [Score(name, None, FITTED_LATER, {}) for name in (*BOX_TITLES, COVERS)]
        return scored(cell, one, scores, **{**metric.conventions(), "box": "constant"})
    scores += _union_score(graph, cell, metric, one, frame, boxes)
    with graph.report.timed("sweep"):
        values = frame.of_map(one)
        try:
            said = metric(values, boxes)
        except MapError as error:
            return replace(unscored(cell, one), failed=str(error))
        scores += _box_scores(said)
    with graph.report.timed("pixels"):
        masks = Masks.of(sample, boxes, frame.size, frame.of_mask)
        scores += pixel_scores(values, said.normalised, masks, truth)
    # A map without contrast is a fault, unless it is meant.
    fault = {"fault": said.fault} if said.fault and not isinstance(method, FullBox) else {}
    return scored(cell, one, scores, **metric.conventions(), **fault)


@dataclass(frozen=True)
class _Frame:
    """The grid on which boxes are found: the view's, or the image's pixels as far as the view shows them.

    Attributes:
        view: the view.
        source: (H, W) int64, for each pixel of the frame the view's pixel at its centre, by raster index;
            None for the view's own grid.
        offset: (x, y) of the frame's first pixel, in image pixels.
    """

    view: View
    source: NDArray[np.int64] | None = None
    offset: tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, metric: BoxAccuracy, view: View) -> _Frame:
        if metric.space == "model":
            return cls(view)
        source = view.labels_to_image(np.arange(view.size[0] * view.size[1]).reshape(view.size))
        rows, columns = (np.flatnonzero((source >= 0).any(axis=other)) for other in (1, 0))
        y, x = int(rows[0]), int(columns[0])
        return cls(view, source[y : int(rows[-1]) + 1, x : int(columns[-1]) + 1], (x, y))

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        height, width = self.view.size if self.source is None else self.source.shape
        return height, width

    def boxes(self, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Boxes (n, 4) of the image in pixels of the frame, cut at its edges; those outside are left out."""
        if self.source is None:
            moved = self.view.boxes_to_model(boxes, clip=True)
        else:
            height, width = self.size
            moved = np.clip(boxes - np.tile(self.offset, 2), 0.0, [width, height, width, height])
        return moved[areas(moved) > 0]

    def of_map(self, one: Explained) -> NDArray[np.floating]:
        """The map (H, W) on the frame."""
        assert one.map is not None
        if self.source is None:
            return upsample(one.map, self.view.size)
        if one.labels is not None:  # regions keep their borders
            painted: NDArray[np.floating] = one.map.ravel()[self.source]
            return painted
        return self._sampled(one.map)

    def of_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A mask of the image on the frame."""
        if self.source is None:
            return self.view.mask_to_model(mask)
        (height, width), (x, y) = self.size, self.offset
        return mask[y : y + height, x : x + width]

    def _sampled(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """A map of the view, read bilinearly at the centres of the frame's pixels."""
        (height, width), (h, w) = self.size, self.view.size
        (sx, sy), (tx, ty), (x, y) = self.view.scale, self.view.offset, self.offset
        across = (np.arange(x, x + width) + 0.5) * sx + tx
        down = (np.arange(y, y + height) + 0.5) * sy + ty
        grid = np.stack(np.meshgrid(2 * across / w - 1, 2 * down / h - 1), axis=-1)[None]
        read: Any = torch.nn.functional.grid_sample(
            torch.from_numpy(np.asarray(values, dtype=np.float64))[None, None],
            torch.from_numpy(grid),
            mode="bilinear",
            padding_mode="border",
            align_corners=False,
        )
        return np.asarray(read[0, 0].numpy(), dtype=np.float32)


def _top_scores(graph: BatchGraph, cell: Cell, sample: Sample, i: int) -> list[Score]:
    """Whether one of the image's classes is among the network's first guesses."""
    stand = {model_class(graph.parts, cell.config, label) for label in sample.labels} - {None}
    if not stand:
        reason = "the image has no label" if not sample.labels else "the image's class is none of the model's"
        return [Score(name, None, reason, {}) for name in TOP]
    logits = graph.features(cell).logits[i]
    if not bool(torch.isfinite(logits).all()):
        return [Score(name, None, "the network's outputs are NaN or infinite", {}) for name in TOP]
    ranks = [int((logits > logits[c]).sum()) for c in stand if c is not None and 0 <= c < len(logits)]
    return [Score(name, float(any(rank < k for rank in ranks)), "", {}) for name, k in TOP.items()]


def _box_scores(said: Found) -> list[Score]:
    """The thresholds at which the box is right, by IoU, and at which it covers the frame."""
    scores = [
        Score(name, total_length(right), "", {"iou": f"{delta:.2f}"}, flattened(right))
        for name, delta, right in zip(BOX_TITLES, IOU_GRID, said.right, strict=True)
    ]
    scores.append(Score(COVERS, total_length(said.covers), "", {}, flattened(said.covers)))
    return scores if said.otsu is None else [*scores, Score(OTSU, said.otsu, "", {})]


def _union_score(
    graph: BatchGraph,
    cell: Cell,
    metric: BoxAccuracy,
    one: Explained,
    frame: _Frame,
    boxes: NDArray[np.float64],
) -> list[Score]:
    """The IoU of the best box that any union of the regions has: an upper bound for every map over them."""
    if not one.segmentations:
        return []

    def compute() -> float:
        with graph.report.timed("union"):
            labels = refinement(one.segmentations)
            seen = labels if frame.source is None else labels.ravel()[frame.source]
            return best_union_box(seen, boxes)[1]

    averaged = [cell.config["counts"], cell.config["over"]]
    value: float = graph.once(["union", metric.space, graph.regions_key(cell), averaged, one.image], compute)
    return [Score(UNION, value, "", {"box": "best box around any pieces of regions"})]
