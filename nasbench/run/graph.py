"""The nodes of one batch (views, pixels, features, regions), each computed on first use and kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasbench.data import Sample, View, ViewSpec, make_view
from nasbench.digest import canonical_json
from nasbench.errors import NasbenchError, RunError, SegmentationError
from nasbench.models import Classifier, Features
from nasbench.run.build import Parts
from nasbench.run.device import forward_size, prepared_classifier, source_classifier
from nasbench.run.forward import activation_features
from nasbench.run.plan import Cell, Settings
from nasbench.run.store import RunFolder
from nasbench.run.task_report import TaskReport
from nasbench.segment.base import Activations, Nested, Segmenter, Views

_PLAIN = Activations()

Compute = Callable[[Views, Features | None], Tensor]


@dataclass(frozen=True)
class Regions:
    """One image's regions in one cell: labels (h, w) on the view's grid, or why there are none."""

    labels: NDArray[np.int64] | None
    reason: str = ""

    @property
    def count(self) -> int | None:
        """How many, None where there are none."""
        return None if self.labels is None else int(self.labels.max()) + 1


class BatchGraph:
    """What cells want of one batch; a node's key is its own configuration and that of what it needs."""

    def __init__(
        self,
        batch: Sequence[Sample],
        parts: Parts,
        settings: Settings,
        report: TaskReport,
        folder: RunFolder | None = None,
    ) -> None:
        self.batch = batch
        self._folder = folder
        self.parts = parts
        self.report = report
        self.settings = settings
        self._memo: dict[str, Any] = {}

    def views(self, cell: Cell, size: tuple[int, int] | None = None) -> list[View]:
        """The batch at the size of the cell's model, or at another one."""
        wanted = self.classifier(cell).input_size if size is None else size

        def compute() -> list[View]:
            with self.report.timed("load"):
                spec = ViewSpec(size=wanted, **cell.config["view"])
                return [make_view(sample.image, spec) for sample in self.batch]

        views: list[View] = self.once(["views", cell.config["view"], list(wanted)], compute)
        return views

    def features(self, cell: Cell, activations: Activations = _PLAIN) -> Features:
        """The cell's activations as a segmenter asks for them: from one forward pass, if plain ones."""

        def compute() -> Features:
            size = forward_size(self.classifier(cell), activations)
            classifier = source_classifier(self.parts, cell.config, activations, self.settings.device)
            pixels = self.pixels(cell, size)
            with self.report.timed("forward"):
                self.report.forwards += len(self.batch) * activations.passes
                return activation_features(classifier, pixels, activations)

        key = ["features", asdict(activations), *self.forward_key(cell)]
        features: Features = self.once(key, compute)
        return features

    def regions(self, cell: Cell) -> list[Regions]:
        """The cell's regions, one per image."""
        segmenter: Segmenter = self.parts.get("segmenter", cell.config["segmenter"])
        regions: list[Regions] = self.once(self.regions_key(cell), lambda: self._segment(cell, segmenter))
        return regions

    def regions_key(self, cell: Cell) -> list[Any]:
        """What the cell's regions depend on."""
        segmenter: Segmenter = self.parts.get("segmenter", cell.config["segmenter"])
        behind = self.forward_key(cell) if segmenter.uses_features else self._view_key(cell)
        return ["regions", cell.config["segmenter"], *behind]

    def once(self, key: Sequence[Any], compute: Callable[[], Any]) -> Any:
        """The value kept under a key, computed on first use."""
        name = canonical_json(list(key))
        if name not in self._memo:
            self._memo[name] = compute()
        return self._memo[name]

    def kept(self, kind: str, name: str) -> dict[str, NDArray[Any]] | None:
        """What an earlier run in this folder kept; None where it did not, or the file is damaged."""
        return None if self._folder is None else self._folder.read_kept(kind, name)

    def keep(self, kind: str, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep arrays in the run's folder for later runs. Raises OSError."""
        if self._folder is not None:
            self._folder.write_kept(kind, name, arrays)

    def segmenter_input(self, cell: Cell) -> tuple[Views, Features | None]:
        """What the cell's segmenter reads."""
        segmenter: Segmenter = self.parts.get("segmenter", cell.config["segmenter"])
        activations: Activations = getattr(segmenter, "activations", _PLAIN)
        features = self.features(cell, activations) if segmenter.uses_features else None
        classes = tuple(sample.labels[0] if sample.labels else None for sample in self.batch)
        ids = tuple(sample.id for sample in self.batch)
        return Views(ids, self.pixels(cell, self.classifier(cell).input_size), classes), features

    def pixels(self, cell: Cell, size: tuple[int, int]) -> Tensor:
        """The batch's views at a size, (B, 3, h, w) in [0, 1]."""

        def compute() -> Tensor:
            return torch.from_numpy(np.stack([view.pixels for view in self.views(cell, size)]))

        pixels: Tensor = self.once(["pixels", cell.config["view"], list(size)], compute)
        return pixels

    def _segment(self, cell: Cell, segmenter: Segmenter) -> list[Regions]:
        views, features = self.segmenter_input(cell)
        with self.report.timed("regions"):
            try:
                compute = self._cut(cell, segmenter) if isinstance(segmenter, Nested) else segmenter
                return [Regions(labels) for labels in _labels(segmenter, views, features, compute)]
            except SegmentationError:
                return [_alone(segmenter, views, features, i) for i in range(len(self.batch))]

    def _cut(self, cell: Cell, segmenter: Nested) -> Compute:
        """The segmenter, with trees that all its cuts of this batch share."""
        grown = {key: value for key, value in cell.config["segmenter"].items() if key != segmenter.cut_key}
        behind = self.regions_key(cell)[2:]

        def labels(views: Views, features: Features | None) -> Tensor:
            key = ["trees", grown, *behind]
            return segmenter.cut(self.once(key, lambda: segmenter.trees(views, features)))

        return labels

    def classifier(self, cell: Cell) -> Classifier:
        """The cell's network."""
        return prepared_classifier(self.parts, cell.config, self.settings.device)

    def _view_key(self, cell: Cell) -> list[Any]:
        return [cell.config["view"], list(self.classifier(cell).input_size)]

    def forward_key(self, cell: Cell) -> list[Any]:
        """What the cell's forward pass depends on."""
        return [cell.config["model"], cell.config["precision"], *self._view_key(cell)]


def _labels(
    segmenter: Segmenter, views: Views, features: Features | None, compute: Compute
) -> NDArray[np.int64]:
    """A segmenter's labels, as computed, held to its contract. Raises RunError naming the segmenter."""
    name = type(segmenter).__name__
    labels: Any  # what a user's class really returns
    try:
        labels = compute(views, features)
    except NasbenchError:
        raise
    except Exception as error:  # a user's class may raise anything
        said = f"{type(error).__name__}: {error}"
        raise RunError(f"segmenter {name} failed on {', '.join(views.ids[:3])}...: {said}") from error
    expected = (len(views.ids), *views.size)
    if not isinstance(labels, Tensor) or labels.is_floating_point() or tuple(labels.shape) != expected:
        kind = (
            f"{labels.dtype} {tuple(labels.shape)}" if isinstance(labels, Tensor) else type(labels).__name__
        )
        raise RunError(f"segmenter {name} gave {kind}; expected an integer tensor {expected}")
    for sample, image in zip(views.ids, labels, strict=True):
        found = torch.unique(image)
        if int(found[0]) != 0 or int(found[-1]) != len(found) - 1:
            raise RunError(f"segmenter {name} gave labels of {sample} that are not contiguous from 0")
    return np.asarray(labels.cpu().numpy(), dtype=np.int64)


def _alone(segmenter: Segmenter, views: Views, features: Features | None, i: int) -> Regions:
    """One image of a batch in which some image cannot be segmented."""
    try:
        alone = features and features.image(i)
        return Regions(_labels(segmenter, views.image(i), alone, segmenter)[0])
    except SegmentationError as error:
        return Regions(None, str(error))
