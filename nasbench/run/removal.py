"""What removal needs of a batch: units, the scores of images with masks removed, and the row they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasbench.faithfulness.evaluation import Job, evaluate, terms_of
from nasbench.faithfulness.guarded import guarded
from nasbench.faithfulness.imputer import Imputer
from nasbench.faithfulness.lattice_scores import LatticeScores
from nasbench.faithfulness.orders import Floats, Masks, Units, patch_units, pixel_units, region_units
from nasbench.faithfulness.packed import PackedMasks
from nasbench.faithfulness.relevance import RelevanceCurves
from nasbench.faithfulness.upsampled import keep_equal
from nasbench.localize.metric import upsample
from nasbench.run.forward import bounded_logits
from nasbench.run.graph import BatchGraph
from nasbench.run.maps import Explained, scored
from nasbench.run.plan import Cell
from nasbench.run.results import Result
from nasbench.segment.scores import Score

# An image of the batch, and the class whose score is watched.
Place = tuple[int, int]
_Plan = TypeVar("_Plan")


@dataclass(frozen=True, eq=False)
class Ready:
    """A map whose image can be taken apart.

    Attributes:
        one: the explanation.
        units: what is removed as a whole.
        values: (H, W) the map on the view's grid.
        target: the class whose score is watched.
        full: (2,) terms of the untouched image.
        correct: whether the class is the network's first guess.
    """

    one: Explained
    units: Units
    values: NDArray[np.floating]
    target: int
    full: Floats
    correct: bool

    @classmethod
    def of(cls, graph: BatchGraph, cell: Cell, one: Explained) -> Ready:
        """Of an explanation that has a map and a class."""
        assert one.map is not None
        assert one.target is not None
        size = graph.classifier(cell).input_size
        logits = graph.features(cell).logits[one.image]
        return cls(
            one,
            units_of(graph, cell, one.image),
            one.map if one.map.shape == size else keep_equal(upsample(one.map, size), one.map),
            one.target,
            terms_of(logits[None], one.target)[0],
            int(logits.argmax()) == one.target,
        )

    @property
    def place(self) -> Place:
        """Where it belongs."""
        return self.one.image, self.target


def by_regions(cell: Cell) -> bool:
    """Whether a cell removes regions, not pixels or patches."""
    units, segmented = cell.config["units"], cell.choices["segmenter"] != "none"
    return units == "regions" or (units == "auto" and segmented)


def units_of(graph: BatchGraph, cell: Cell, i: int) -> Units:
    """What is removed of an image as a whole; see `can_be_removed`."""
    size = graph.classifier(cell).input_size
    if not by_regions(cell):
        side = 1 if cell.config["units"] != "patch" else int(cell.config["patch"])
        units: Units = graph.once(
            ["units", list(size), side], lambda: pixel_units(size) if side == 1 else patch_units(size, side)
        )
        return units

    def compute() -> Units:
        labels = graph.regions(cell)[i].labels
        assert labels is not None
        return region_units(labels)

    of_regions: Units = graph.once(["units", graph.regions_key(cell), i], compute)
    return of_regions


def can_be_removed(graph: BatchGraph, cell: Cell, i: int, target: int) -> bool:
    """Whether an image has units, for regions may be missing, and the network the class."""
    if not 0 <= target < graph.classifier(cell).num_classes:
        return False
    return not by_regions(cell) or graph.regions(cell)[i].labels is not None


def _forward(graph: BatchGraph, cell: Cell) -> Callable[[Tensor], Tensor]:
    classifier = graph.classifier(cell)

    def forward(images: Tensor) -> Tensor:
        graph.report.forwards += len(images)
        return bounded_logits(classifier, images)

    return forward


def imputer_of(graph: BatchGraph, cell: Cell) -> Imputer:
    """The cell's imputer; a user's is held to its contract."""
    return guarded(graph.parts.get("imputer", cell.config["imputer"]))


def empties(graph: BatchGraph, cell: Cell) -> Tensor:
    """(B, classes) logits of the batch's images removed whole: one for all methods, units and orders."""

    def compute() -> Tensor:
        imputer, forward = imputer_of(graph, cell), _forward(graph, cell)
        pixels = graph.pixels(cell, graph.classifier(cell).input_size)
        whole = torch.ones((1, *pixels.shape[2:]), dtype=torch.bool)
        with graph.report.timed("removal"):
            both = zip(pixels, graph.batch, strict=True)
            gone = [imputer(image, whole, sample.id) for image, sample in both]
            return forward(torch.cat(gone)).cpu()

    key = ["empties", cell.config["imputer"], *graph.forward_key(cell)]
    found: Tensor = graph.once(key, compute)
    return found


def scored_masks(
    graph: BatchGraph, cell: Cell, places: Sequence[Place], masks: Sequence[Masks | PackedMasks]
) -> list[Floats]:
    """Terms of each place's masks; images and steps share batches."""
    jobs = [_job(graph, cell, place, own) for place, own in zip(places, masks, strict=True)]
    with graph.report.timed("removal"):
        return evaluate(
            _forward(graph, cell), jobs, imputer_of(graph, cell), max_batch=graph.settings.max_batch
        )


def scored_for_all(
    graph: BatchGraph,
    cell: Cell,
    what: str,
    places: Sequence[Place],
    plan: Callable[[int], _Plan],
    masks: Callable[[_Plan], PackedMasks],
) -> Mapping[Place, tuple[_Plan, Floats]]:
    """By place a plan of its image, and the terms of the plan's masks: one evaluation for all maps.

    Of all places, those whose map has failed too, so that no map decides what the others' passes see.
    """

    def compute() -> Mapping[Place, tuple[_Plan, Floats]]:
        plans = [plan(i) for i, _ in places]
        terms = scored_masks(graph, cell, places, [masks(one) for one in plans])
        return dict(zip(places, zip(plans, terms, strict=True), strict=True))

    units = graph.regions_key(cell) if by_regions(cell) else [cell.config["units"], cell.config["patch"]]
    key = [what, cell.config["metric"], cell.config["imputer"], units, *graph.forward_key(cell)]
    found: Mapping[Place, tuple[_Plan, Floats]]
    found = graph.once([*key, [list(place) for place in places]], compute)
    return found


def _job(graph: BatchGraph, cell: Cell, place: Place, masks: Masks | PackedMasks) -> Job:
    i, target = place
    image = graph.pixels(cell, graph.classifier(cell).input_size)[i]
    labels = torch.from_numpy(units_of(graph, cell, i).labels) if by_regions(cell) else None
    return Job(image, graph.batch[i].id, target, masks, labels)


def removal_result(
    graph: BatchGraph,
    cell: Cell,
    metric: RelevanceCurves | LatticeScores,
    one: Ready,
    scores: Sequence[Score],
) -> Result:
    """The row of a map: its scores, with the conventions of metric, imputer and units."""
    units = cell.config["units"] if not by_regions(cell) else "regions"
    said = {
        **metric.conventions(),
        **imputer_of(graph, cell).conventions(),
        "units": {"auto": "pixel", "patch": f"patches of {cell.config['patch']}"}.get(units, units),
        "wrong": str(cell.config["wrong"]),
    }
    flat = {"fault": "constant"} if float(one.values.min()) == float(one.values.max()) else {}
    correct = Score("correct", float(one.correct), "", {})
    return scored(cell, one.one, [*scores, correct], **said, **flat)
