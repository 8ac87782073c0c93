"""What each command measures on a batch: the one place where a new command joins the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from nasbench.data import Sample
from nasbench.run.graph import BatchGraph
from nasbench.run.plan import Cell
from nasbench.segment.scores import RegionScores, Scene, Score

Truth = Literal["mask", "box", "segments"] | None


class Command(Protocol):
    """A command's scores."""

    def titles(self, metric: RegionScores, truth: Truth) -> list[str]:
        """The metric names a sample's rows carry, also when the sample cannot be read."""
        ...

    def scores(self, graph: BatchGraph, cell: Cell, i: int, truth: Truth) -> Sequence[Score]:
        """The cell's scores of image i, whose regions exist."""
        ...


class Segment:
    """`nasbench segment`: scores of the regions themselves."""

    def titles(self, metric: RegionScores, truth: Truth) -> list[str]:
        """See `Command`."""
        return metric.titles(truth)

    def scores(self, graph: BatchGraph, cell: Cell, i: int, truth: Truth) -> Sequence[Score]:
        """See `Command`."""
        metric: RegionScores = graph.parts.get("metric", cell.config["metric"])
        sample, view, regions = graph.batch[i], graph.views(cell)[i], graph.regions(cell)[i]
        labels = regions.labels
        assert labels is not None
        count = regions.count
        assert count is not None

        def compute() -> Sequence[Score]:
            with graph.report.timed("scores"):
                mapped = view.labels_to_image(labels)
                target = _target(sample, truth)
                return metric(
                    Scene(
                        sample.image,
                        mapped,
                        count,
                        target,
                        truth,
                        sample.ignore,
                        sample.segmentations,
                        _reference(graph, cell, i) if metric.uses_reference else None,
                    )
                )

        scores: Sequence[Score] = graph.once([cell.config["metric"], graph.regions_key(cell), i], compute)
        return scores


COMMANDS: dict[str, Command] = {"segment": Segment()}


def _reference(graph: BatchGraph, cell: Cell, i: int) -> NDArray[np.int64] | None:
    """The regions the same segmenter finds in image i alone, in image pixels.

    None where the segmenter works image by image anyway, or finds none.
    """
    segmenter = cell.config["segmenter"]
    if segmenter.get("scope", "image") == "image":
        return None
    alone = {**segmenter, "scope": "image", "centroids": None}
    labels = graph.regions(replace(cell, config={**cell.config, "segmenter": alone}))[i].labels
    return None if labels is None else graph.views(cell)[i].labels_to_image(labels)


def _target(sample: Sample, truth: Truth) -> NDArray[np.bool_] | None:
    """The object in image pixels: its mask, or the union of its boxes, by what the data set offers."""
    if truth == "mask":
        return sample.mask
    if truth != "box" or len(sample.boxes) == 0:
        return None
    target = np.zeros(sample.image.shape[:2], dtype=np.bool_)
    for x0, y0, x1, y1 in np.rint(sample.boxes).astype(int).tolist():
        target[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = True
    return target
