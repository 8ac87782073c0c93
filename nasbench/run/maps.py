"""Saliency maps of one batch: which class is explained, the raw map, and its regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasbench.errors import NasbenchError, RunError, SaliencyError
from nasbench.models import Classifier
from nasbench.run.checks import shares_forward
from nasbench.run.classes import model_class, no_counterpart
from nasbench.run.device import randomised_classifier
from nasbench.run.graph import BatchGraph
from nasbench.run.plan import Cell
from nasbench.run.results import Result
from nasbench.run.rows import MET, MISSED
from nasbench.run.segmentations import segmenter_nodes
from nasbench.run.truth import Truth, object_mask
from nasbench.saliency.base import Batch, Saliency
from nasbench.saliency.layer import LayerMethod
from nasbench.saliency.layercam import FusedLayerCam
from nasbench.saliency.precomputed import Precomputed, to_view
from nasbench.saliency.regions import signed, superpixelify
from nasbench.segment.matching import is_met
from nasbench.segment.scores import Score

# How torch says that no gradient comes through a network.
_NOT_DIFFERENTIABLE = (
    "does not require grad",
    "have been used in the graph",
    "derivative for",
    "Inference tensors",
)


@dataclass(frozen=True)
class Explained:
    """The explanation of one class in one image, or why there is none.

    Attributes:
        image: its place in the batch.
        target: the class; None where it could not be told.
        map: float32, raw and (h, w) at the method's resolution; with regions (H, W) on the view's grid, each
            region at its mean. None where there is none.
        segmentations: (H, W) int64 each, the regions it was averaged over; empty without a segmenter.
        reason: why there is no map, one line.
        without_meaning: whether the method means nothing for this network.
    """

    image: int
    target: int | None
    map: NDArray[np.float32] | None = None
    segmentations: tuple[NDArray[np.int64], ...] = ()
    reason: str = ""
    without_meaning: bool = False

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """(H, W) int64, the regions, the last ones of several; None without a segmenter."""
        return self.segmentations[-1] if self.segmentations else None

    @property
    def counts(self) -> tuple[int, ...]:
        """How many regions there are, in each of the segmentations."""
        return tuple(int(labels.max()) + 1 for labels in self.segmentations)


def explained(graph: BatchGraph, cell: Cell, truth: Truth) -> list[Explained]:
    """The cell's explanations of a batch, in the order of its images."""
    found = _raw(graph, cell, truth)
    if cell.choices["segmenter"] == "none":
        return found
    return [one if one.map is None else _on_regions(graph, cell, one) for one in found]


def scored(cell: Cell, one: Explained, scores: Sequence[Score], **more: str) -> Result:
    """What a cell says of a class that it has a map of; `more` are conventions of all scores."""
    assert one.map is not None
    arrays: dict[str, NDArray[Any]] = {"maps": one.map}
    if one.labels is not None:
        arrays["labels"] = one.labels
    count = one.counts[-1] if one.counts else None
    said = {**_conventions(cell, one), **more}
    return Result(scores, count, one.target, arrays=arrays, conventions=said)


def unscored(cell: Cell, one: Explained, reason: str = "") -> Result:
    """What a cell says of a class without a map, or, for a reason of its own, without a meaning."""
    return Result(
        target=one.target,
        failed=reason or one.reason,
        without_meaning=one.without_meaning or bool(reason),
        conventions=_conventions(cell, one),
    )


def _conventions(cell: Cell, one: Explained) -> dict[str, str]:
    """What a map rests on: class, sign, and of several counts of regions those found and whether as asked."""
    said = {"sign": str(cell.config["sign"]), "target": str(cell.config["target"])}
    found, wanted = one.counts, cell.config["counts"]
    if found and (wanted or cell.config["over"]):
        said["counts"] = " ".join(map(str, found))
    if found and wanted:  # the counts are the innermost of what is averaged over
        met = all(is_met(n, wanted[i % len(wanted)]) for i, n in enumerate(found))
        said["match"] = MET if met else MISSED
    return said


def _on_regions(graph: BatchGraph, cell: Cell, one: Explained) -> Explained:
    segmentations, painted = [], []
    for node in segmenter_nodes(cell.config, cell.choices["segmenter"]):
        at_node = cell.with_segmenter(node)
        regions = graph.regions(at_node)[one.image]
        if regions.labels is None:
            return Explained(one.image, one.target, reason=regions.reason)
        if regions.count == 1:
            return Explained(one.image, one.target, reason="one region only: its mean says nothing of places")
        segmentations.append(regions.labels)
        painted.append(_painted(graph, at_node, one, regions.labels))
    mean: NDArray[np.float32] = np.asarray(np.mean(painted, axis=0, dtype=np.float64), dtype=np.float32)
    return Explained(one.image, one.target, mean, tuple(segmentations))


def _painted(graph: BatchGraph, cell: Cell, one: Explained, labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """(H, W) the map with each region at its mean: computed once, however many averages it is part of."""

    def compute() -> NDArray[np.float32]:
        with graph.report.timed("regions"):
            painted = superpixelify(torch.from_numpy(one.map)[None], torch.from_numpy(labels)[None])
            return np.asarray(painted[0].numpy(), dtype=np.float32)

    key = ["painted", _map_key(graph, cell), graph.regions_key(cell), one.image, one.target]
    painted: NDArray[np.float32] = graph.once(key, compute)
    return painted


def _map_key(graph: BatchGraph, cell: Cell) -> list[Any]:
    """What the cell's raw maps depend on."""
    config = cell.config
    own = [config["saliency"], config["target"], config["sign"], config["randomise"]]
    return ["maps", *own, *graph.forward_key(cell)]


def _raw(graph: BatchGraph, cell: Cell, truth: Truth) -> list[Explained]:
    def compute() -> list[Explained]:
        asked = _asked(graph, cell)
        wanted = [(one.image, one.target) for one in asked if one.target is not None and not one.reason]
        maps = iter(_maps(graph, cell, wanted, truth))
        return [one if one.reason else next(maps) for one in asked]

    explanations: list[Explained] = graph.once(_map_key(graph, cell), compute)
    return explanations


def _asked(graph: BatchGraph, cell: Cell) -> list[Explained]:
    """Image by image the classes to explain, as yet without a map; with a reason where there will be none."""
    target = cell.config["target"]
    classes = graph.classifier(cell).num_classes
    if target == "prediction":
        predicted: list[int] = graph.features(cell).logits.argmax(dim=1).tolist()
        return [Explained(i, c) for i, c in enumerate(predicted)]
    asked = []
    for i, sample in enumerate(graph.batch):
        named = list(sample.labels) if target == "present" else list(sample.labels[:1])
        named = named if target in ("label", "present") else [int(target)]
        if not named:
            reason = "the image has no label; target=prediction explains what the model sees"
            asked.append(Explained(i, None, reason=reason))
        for label in named:
            c = label if isinstance(target, int) else model_class(graph.parts, cell.config, label)
            if c is None:
                reason = no_counterpart(graph.parts, cell.config, label)
                asked.append(Explained(i, None, reason=reason, without_meaning=True))
                continue
            beyond = f"class {c} is beyond the model's {classes} classes (0 to {classes - 1})"
            asked.append(Explained(i, c, reason="" if 0 <= c < classes else beyond))
    return asked


def _maps(graph: BatchGraph, cell: Cell, wanted: list[tuple[int, int]], truth: Truth) -> list[Explained]:
    """Raw maps of these (image, class) pairs."""
    method: Saliency = graph.parts.get("saliency", cell.config["saliency"])
    classifier = randomised_classifier(graph.parts, cell.config, graph.settings.device)
    reason, without_meaning = _refusal(method, classifier)
    if reason:
        return [Explained(i, c, reason=reason, without_meaning=without_meaning) for i, c in wanted]
    if isinstance(method, Precomputed):
        return [_stored(graph, cell, method, i, c) for i, c in wanted]
    views = graph.views(cell)
    pixels = graph.pixels(cell, classifier.input_size)
    masks = [_mask_on_view(graph, cell, i, truth) for i in range(len(views))]
    final = None
    if shares_forward(cell.config, graph.parts, graph.settings.device):
        final = graph.features(cell).final
    found: list[Explained] = []
    for start in range(0, len(wanted), graph.settings.max_batch):
        part = wanted[start : start + graph.settings.max_batch]
        batch = Batch(
            ids=tuple(graph.batch[i].id for i, _ in part),
            x=pixels[[i for i, _ in part]],
            target=torch.tensor([c for _, c in part]),
            truth=torch.from_numpy(np.stack([masks[i] for i, _ in part])),
            max_batch=graph.settings.max_batch,
            final=None if final is None else final[[i for i, _ in part]],
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


def _refusal(method: Saliency, classifier: Classifier) -> tuple[str, bool]:
    """Why there can be no map of this network, empty where there can, and whether that is no mistake."""
    layers: list[int | str] = []
    if isinstance(method, LayerMethod) and method.layer != "auto":
        layers = [method.layer]
    elif isinstance(method, FusedLayerCam):
        layers = list(method.stages)
    try:
        for layer in layers:
            classifier.reads_grid(layer)  # one that it has not is a mistake, whatever it is wanted for
        return method.unsupported(classifier) or "", True
    except NasbenchError as error:
        return str(error), False
    except Exception as error:  # a user's class may raise anything
        said = f"{type(error).__name__}: {error}"
        raise RunError(f"saliency {type(method).__name__}.unsupported failed: {said}") from error


def _called(method: Saliency, classifier: Classifier, batch: Batch) -> list[Tensor | str]:
    """One map per image, or why there is none; where one image fails the others are explained alone."""
    name = type(method).__name__
    try:
        maps: Any = method(classifier, batch)  # what a user's class really returns
    except RunError:  # memory, say: no fault of the image, and the next attempt may go well
        raise
    except Exception as error:  # a user's class may raise anything
        reason = _reason(error)
        if reason is None:
            said = f"{type(error).__name__}: {error}"
            raise RunError(f"saliency {name} failed on {', '.join(batch.ids[:3])}...: {said}") from error
        if len(batch.ids) == 1:
            return [reason]
        return [_called(method, classifier, batch.image(i))[0] for i in range(len(batch.ids))]
    count = len(batch.ids)
    shape = tuple(maps.shape) if isinstance(maps, Tensor) else ()
    if len(shape) != 3 or shape[0] != count or 0 in shape or not maps.is_floating_point():  # noqa: PLR2004
        kind = f"{maps.dtype} {shape}" if isinstance(maps, Tensor) else type(maps).__name__
        raise RunError(f"saliency {name} gave {kind}; expected floating point ({count}, h, w)")
    return list(maps.detach().cpu())


def _reason(error: Exception) -> str | None:
    """What an error says of an image or its network, one line; None for one that speaks of neither."""
    if isinstance(error, NasbenchError):
        return str(error)
    if isinstance(error, RuntimeError) and any(words in str(error) for words in _NOT_DIFFERENTIABLE):
        return f"the network cannot be differentiated: {str(error).splitlines()[0]}"
    return None


def _checked(i: int, c: int, one: Tensor | str, cell: Cell) -> Explained:
    if isinstance(one, str):
        return Explained(i, c, reason=one)
    values = signed(one.float(), cell.config["sign"])
    if not bool(torch.isfinite(values).all()):
        return Explained(i, c, reason="the map holds NaN or infinite values")
    return Explained(i, c, values.numpy())


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
