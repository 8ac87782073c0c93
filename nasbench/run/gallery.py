"""Pictures of chosen images, made again: a run keeps those of its first images only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasbench.data import Dataset, Sample
from nasbench.digest import canonical_json
from nasbench.errors import NasbenchError
from nasbench.run.build import Parts
from nasbench.run.classes import model_class
from nasbench.run.engine import intra_op_threads
from nasbench.run.graph import BatchGraph
from nasbench.run.maps import explained
from nasbench.run.plan import Cell, Plan
from nasbench.run.task_report import TaskReport


class Wanted(NamedTuple):
    """What a picture is to show: a cell's place in the plan, a sample's id, the class explained."""

    cell: int
    sample: str
    target: int


@dataclass(frozen=True)
class Picture:
    """One image and a cell's map of it.

    Attributes:
        image: (H, W, 3) uint8, as the model sees it.
        map: raw, (h, w) at the method's resolution; with regions (H, W), each region at its mean.
        name: of the class explained, by the data set if it is one of the image's.
    """

    image: NDArray[np.uint8]
    map: NDArray[np.float32]
    name: str


def pictures(
    plan: Plan,
    parts: Parts,
    wanted: Sequence[Wanted],
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[tuple[Wanted, Picture | str]]:
    """Each picture, or in one line why there is none; image by image, so not in the order asked.

    An image goes through a network once for all of its cells, alone: a map may differ from the scored one in
    its last bits. Never raises for an image: the run is finished, a picture must not make it a failure.
    """
    images: dict[str, list[Wanted]] = {}
    for one in wanted:
        place = canonical_json([plan.cells[one.cell].config["dataset"], one.sample])
        images.setdefault(place, []).append(one)
    for number, group in enumerate(images.values(), start=1):
        progress(f"drawing the gallery, {number} of {len(images)}")
        with intra_op_threads(plan.settings.threads):
            found = _of_one_image(plan, parts, group)
        yield from zip(group, found, strict=True)


def _of_one_image(plan: Plan, parts: Parts, group: Sequence[Wanted]) -> list[Picture | str]:
    try:
        dataset: Dataset = parts.get("dataset", plan.cells[group[0].cell].config["dataset"])
        sample = dataset.load(group[0].sample)
    except Exception as error:  # noqa: BLE001 - a user's class may raise anything
        return [_said(error)] * len(group)
    graph = BatchGraph([sample], parts, plan.settings, TaskReport(0, "", 1))
    return [_picture(graph, plan.cells[one.cell], dataset, one) for one in group]


def _picture(graph: BatchGraph, cell: Cell, dataset: Dataset, wanted: Wanted) -> Picture | str:
    try:
        (view,) = graph.views(cell)
        found = explained(graph, cell, dataset.truth)
        name = _class_name(graph, cell, dataset, graph.batch[0], wanted.target)
    except Exception as error:  # noqa: BLE001 - a user's class may raise anything
        return _said(error)
    for one in found:
        if one.target == wanted.target:
            picture = np.rint(view.pixels.transpose(1, 2, 0) * 255).astype(np.uint8)
            return one.reason if one.map is None else Picture(picture, one.map, name)
    return f"class {wanted.target} is not explained this time"


def _class_name(graph: BatchGraph, cell: Cell, dataset: Dataset, sample: Sample, target: int | None) -> str:
    for label in sample.labels:
        if 0 <= label < len(dataset.classes) and model_class(graph.parts, cell.config, label) == target:
            return dataset.classes[label]
    return f"class {target}"


def _said(error: Exception) -> str:
    """An error in one line; one that is not meant for the user with its type."""
    text = str(error) if isinstance(error, NasbenchError) else f"{type(error).__name__}: {error}"
    return text.partition("\n")[0]
