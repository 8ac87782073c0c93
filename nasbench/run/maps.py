"""Saliency maps of one batch: which class is explained, the raw map, and its regions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasbench.errors import NasbenchError, RunError, SaliencyError
from nasbench.run.checks import counted
from nasbench.run.device import randomised_classifier
from nasbench.run.graph import BatchGraph
from nasbench.run.plan import Cell
from nasbench.run.truth import Truth, object_mask
from nasbench.saliency.base import Batch, Saliency
from nasbench.saliency.precomputed import Precomputed, to_view
from nasbench.saliency.regions import multi_count, signed


@dataclass(frozen=True)
class Explained:
    """The explanation of one class in one image, or why there is none.

    Attributes:
        image: its place in the batch.
        target: the class; None where it could not be told.
        map: float32, raw and (h, w) at the method's resolution; with regions (H, W) on the view's grid, each
            region at its mean. None where there is none.
        labels: (H, W) int64, the regions; None without a segmenter.
        reason: why there is no map, one line.
        without_meaning: whether the method means nothing for this network.
    """

    image: int
    target: int | None
    map: NDArray[np.float32] | None = None
    labels: NDArray[np.int64] | None = None
    reason: str = ""
    without_meaning: bool = False


def explained(graph: BatchGraph, cell: Cell, truth: Truth) -> list[Explained]:
    """The cell's explanations of a batch, in the order of its images."""
    found = _raw(graph, cell, truth)
    if cell.choices["segmenter"] == "none":
        return found
    return [one if one.map is None else _on_regions(graph, cell, one) for one in found]


def _on_regions(graph: BatchGraph, cell: Cell, one: Explained) -> Explained:
    assert one.map is not None
    segmentations = []
    for at_count in _counted_cells(cell):
        regions = graph.regions(at_count)[one.image]
        if regions.labels is None:
            return Explained(one.image, one.target, reason=regions.reason)
        if regions.count == 1:
            return Explained(one.image, one.target, reason="one region only: its mean says nothing of places")
        segmentations.append(torch.from_numpy(regions.labels)[None])
    painted = multi_count(torch.from_numpy(one.map)[None], segmentations)[0].numpy()
    return Explained(one.image, one.target, painted, np.asarray(segmentations[-1][0]))


def _counted_cells(cell: Cell) -> list[Cell]:
    """The cell at each of its counts of regions; itself where it has none."""
    counts = cell.config["counts"]
    if not counts:
        return [cell]
    choice = cell.choices["segmenter"]
    return [cell.with_segmenter(counted(cell.config["segmenter"], choice, count)) for count in counts]


def _raw(graph: BatchGraph, cell: Cell, truth: Truth) -> list[Explained]:
    config = cell.config
    key = ["maps", config["saliency"], config["target"], config["sign"], config["randomise"]]

    def compute() -> list[Explained]:
        targets = _targets(graph, cell)
        wanted = [(i, c) for i, classes in enumerate(targets) if isinstance(classes, list) for c in classes]
        maps = iter(_maps(graph, cell, wanted, truth))
        found = []
        for i, classes in enumerate(targets):
            if isinstance(classes, str):
                found.append(Explained(i, None, reason=classes))
            else:
                found += [next(maps) for _ in classes]
        return found

    explanations: list[Explained] = graph.once([*key, *graph.forward_key(cell)], compute)
    return explanations


def _targets(graph: BatchGraph, cell: Cell) -> list[list[int] | str]:
    """For each image the classes to explain, or why there are none."""
    target = cell.config["target"]
    classes = graph.classifier(cell).num_classes
    if target == "prediction":
        found: list[list[int]] = graph.features(cell).logits.argmax(dim=1)[:, None].tolist()
        return list(found)
    targets: list[list[int] | str] = []
    for sample in graph.batch:
        named = list(sample.labels) if target == "present" else list(sample.labels[:1])
        named = named if target in ("label", "present") else [int(target)]
        beyond = [c for c in named if not 0 <= c < classes]
        if not named:
            targets.append("the image has no label; target=prediction explains what the model sees")
        elif beyond:
            targets.append(f"class {beyond[0]} is beyond the model's {classes} classes (0 to {classes - 1})")
        else:
            targets.append(named)
    return targets


def _maps(graph: BatchGraph, cell: Cell, wanted: list[tuple[int, int]], truth: Truth) -> list[Explained]:
    """Raw maps of these (image, class) pairs."""
    method: Saliency = graph.parts.get("saliency", cell.config["saliency"])
    classifier = randomised_classifier(graph.parts, cell.config, graph.settings.device)
    reason = method.unsupported(classifier)
    if reason is not None:
        return [Explained(i, c, reason=reason, without_meaning=True) for i, c in wanted]
    if isinstance(method, Precomputed):
        return [_stored(graph, cell, method, i, c) for i, c in wanted]
    views = graph.views(cell)
    pixels = graph.pixels(cell, classifier.input_size)
    masks = [_mask_on_view(graph, cell, i, truth) for i in range(len(views))]
    found: list[Explained] = []
    for start in range(0, len(wanted), graph.settings.max_batch):
        part = wanted[start : start + graph.settings.max_batch]
        batch = Batch(
            ids=tuple(graph.batch[i].id for i, _ in part),
            x=pixels[[i for i, _ in part]],
            target=torch.tensor([c for _, c in part]),
            truth=torch.from_numpy(np.stack([masks[i] for i, _ in part])),
            max_batch=graph.settings.max_batch,
        )
        with graph.report.timed("maps"):
            maps = _called(method, classifier, batch)
        for (i, c), one in zip(part, maps, strict=True):
            found.append(_checked(i, c, one, cell))
    return found


def _mask_on_view(graph: BatchGraph, cell: Cell, i: int, truth: Truth) -> NDArray[np.bool_]:
    view = graph.views(cell)[i]
    mask = object_mask(graph.batch[i], truth)
    return np.zeros(view.size, dtype=np.bool_) if mask is None else view.mask_to_model(mask)


def _called(method: Saliency, classifier: Any, batch: Batch) -> list[Tensor | str]:
    """One map per image, or why there is none; where one image fails the others are explained alone."""
    try:
        maps: Any = method(classifier, batch)  # what a user's class really returns
    except NasbenchError as error:
        if len(batch.ids) == 1:
            return [str(error)]
        return [_called(method, classifier, batch.image(i))[0] for i in range(len(batch.ids))]
    except Exception as error:  # a user's class may raise anything
        name = type(method).__name__
        said = f"{type(error).__name__}: {error}"
        raise RunError(f"saliency {name} failed on {', '.join(batch.ids[:3])}...: {said}") from error
    count = len(batch.ids)
    if not isinstance(maps, Tensor) or not maps.is_floating_point() or maps.ndim != 3 or len(maps) != count:  # noqa: PLR2004
        kind = f"{maps.dtype} {tuple(maps.shape)}" if isinstance(maps, Tensor) else type(maps).__name__
        raise RunError(
            f"saliency {type(method).__name__} gave {kind}; expected floating point ({count}, h, w)"
        )
    return list(maps.detach().cpu())


def _checked(i: int, c: int, one: Tensor | str, cell: Cell) -> Explained:
    if isinstance(one, str):
        return Explained(i, c, reason=one)
    if not bool(torch.isfinite(one).all()):
        return Explained(i, c, reason="the map holds NaN or infinite values")
    return Explained(i, c, signed(one, cell.config["sign"]).float().numpy())


def _stored(graph: BatchGraph, cell: Cell, method: Precomputed, i: int, c: int) -> Explained:
    view, settings = graph.views(cell)[i], cell.config["view"]
    try:
        stored = method.load(graph.batch[i].id, c)
        placed = to_view(
            stored,
            method.space,
            image_size=view.image_size,
            size=view.size,
            scale=view.scale,
            offset=view.offset,
            crop_fraction=settings["crop_fraction"],
        )
    except SaliencyError as error:
        return Explained(i, c, reason=str(error))
    return _checked(i, c, placed, cell)
