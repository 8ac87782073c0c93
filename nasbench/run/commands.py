"""What each command measures on a batch: the one place where a new command joins the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nasbench.errors import UsageError
from nasbench.run.graph import BatchGraph
from nasbench.run.localise import Localise
from nasbench.run.maps import explained, scored, unscored
from nasbench.run.plan import Cell
from nasbench.run.relevance import Relevance
from nasbench.run.results import Result
from nasbench.run.truth import Truth, object_mask
from nasbench.saliency.statistics import MapStatistics
from nasbench.segment.scores import RegionScores, Scene, Score


class Command(Protocol):
    """A command's part in a task.

    Attributes:
        metrics: what it measures with, of ours.
    """

    metrics: tuple[type, ...]

    def titles(self, metric: Any, truth: Truth) -> Sequence[str]:
        """The metric names a sample's rows carry, also when the sample cannot be read."""
        ...

    def results(self, graph: BatchGraph, cell: Cell, truth: Truth) -> list[list[Result]]:
        """What the cell says of each image of the batch: one result or, for several classes, more."""
        ...


class Segment:
    """`nasbench segment`: scores of the regions themselves."""

    metrics: tuple[type, ...] = (RegionScores,)

    def titles(self, metric: RegionScores, truth: Truth) -> Sequence[str]:
        """See `Command`."""
        return metric.titles(truth)

    def results(self, graph: BatchGraph, cell: Cell, truth: Truth) -> list[list[Result]]:
        """See `Command`."""
        found = []
        for i, regions in enumerate(graph.regions(cell)):
            if regions.labels is None:
                found.append([Result(failed=regions.reason)])
                continue
            scores = _region_scores(graph, cell, i, regions.labels, truth)
            found.append([Result(scores, regions.count, arrays={"labels": regions.labels})])
        return found


class Explain:
    """`nasbench explain`: the maps, and what they look like in numbers."""

    metrics: tuple[type, ...] = (MapStatistics,)

    def titles(self, metric: MapStatistics, truth: Truth) -> Sequence[str]:
        """See `Command`."""
        del truth
        return metric.names

    def results(self, graph: BatchGraph, cell: Cell, truth: Truth) -> list[list[Result]]:
        """See `Command`."""
        metric: MapStatistics = graph.parts.get("metric", cell.config["metric"])
        found: list[list[Result]] = [[] for _ in graph.batch]
        for one in explained(graph, cell, truth):
            if one.map is None:
                found[one.image].append(unscored(cell, one))
                continue
            values = zip(metric.names, metric(one.map), strict=True)
            scores = [Score(name, value, "", {}) for name, value in values]
            found[one.image].append(scored(cell, one, scores))
        return found


COMMANDS: dict[str, Command] = {
    "segment": Segment(),
    "explain": Explain(),
    "wsol": Localise(),
    "lerf": Relevance(),
}


def check_metric(command: str, choice: str, metric: Any) -> None:
    """Refuse a metric of another command's. Raises UsageError."""
    for name, other in COMMANDS.items():
        if isinstance(metric, other.metrics) and not isinstance(metric, COMMANDS[command].metrics):
            raise UsageError(f"metric={choice} is for nasbench {name}, not for nasbench {command}")


def check_one_protocol(command: str, metrics: Mapping[str, Any]) -> None:
    """Refuse, in one run, metrics that its report cannot set side by side. Raises UsageError.

    `metrics` has the chosen ones by their choice.
    """
    kinds = {type(metric): choice for choice, metric in metrics.items()}
    if command == "wsol" and len(kinds) > 1:
        first, second, *_ = kinds.values()
        raise UsageError(f"metric={first},{second}: two protocols are two runs, their numbers do not compare")


def _region_scores(
    graph: BatchGraph, cell: Cell, i: int, labels: NDArray[np.int64], truth: Truth
) -> Sequence[Score]:
    metric: RegionScores = graph.parts.get("metric", cell.config["metric"])
    sample, view = graph.batch[i], graph.views(cell)[i]

    def compute() -> Sequence[Score]:
        with graph.report.timed("scores"):
            scene = Scene(
                sample.image,
                view.labels_to_image(labels),
                int(labels.max()) + 1,
                object_mask(sample, truth),
                truth,
                sample.ignore,
                sample.segmentations,
                _reference(graph, cell, i) if metric.uses_reference else None,
            )
            return metric(scene)

    scores: Sequence[Score] = graph.once([cell.config["metric"], graph.regions_key(cell), i], compute)
    return scores


def _reference(graph: BatchGraph, cell: Cell, i: int) -> NDArray[np.int64] | None:
    """The regions the same segmenter finds in image i alone, in image pixels.

    None where the segmenter works image by image anyway, or finds none.
    """
    segmenter = cell.config["segmenter"]
    if segmenter.get("scope", "image") == "image":
        return None
    alone = cell.with_segmenter({**segmenter, "scope": "image", "centroids": None})
    labels = graph.regions(alone)[i].labels
    return None if labels is None else graph.views(cell)[i].labels_to_image(labels)
