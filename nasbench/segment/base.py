"""The contract every segmenter follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from nasbench.models.features import Features


@dataclass(frozen=True)
class Activations:
    """Which forward passes a segmenter's features come from; the plain one by default.

    Attributes:
        source: "self", the model; for controls "random_weights" (an untrained network of the same kind),
            "mirror" (the mirrored image, whose features are not mirrored back), or "model:<name>" (another).
        model: configuration of that other model; None for the others.
        forward_size: pixels of the shorter side of what the network reads, the longer in proportion; None is
            the view's own size. The regions stay on the view's grid.
        average: "flip" averages with the mirrored image's features, mirrored back; "shift" averages four
            diagonally shifted images' features, shifted back. Both together are eight passes.
    """

    source: str = "self"
    model: Mapping[str, Any] | None = None
    forward_size: int | None = None
    average: tuple[str, ...] = ()

    @property
    def passes(self) -> int:
        """Forward passes an image costs."""
        return (2 if "flip" in self.average else 1) * (4 if "shift" in self.average else 1)


@dataclass(frozen=True)
class Views:
    """A batch of images as the model sees them.

    Attributes:
        ids: B sample ids; with the segmenter's seed they are all its randomness may depend on.
        pixels: (B, 3, H, W) float32 RGB in [0, 1].
        classes: the label of each image, None where it is unknown; empty where nobody asked. Read by what
            clusters a whole class at once.
    """

    ids: tuple[str, ...]
    pixels: Tensor
    classes: tuple[int | None, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return int(self.pixels.shape[-2]), int(self.pixels.shape[-1])

    def image(self, i: int) -> Views:
        """Image i alone, still as a batch of one."""
        part = slice(i, i + 1)
        return Views(self.ids[part], self.pixels[part], self.classes[part])


class Segmenter(Protocol):
    """Cuts each view into regions.

    A segmenter that picks stages may have a method `check_stages(n)`, which is called with the model's
    number of stages before a run begins and raises UsageError.

    A segmenter may have an attribute `activations` that asks for others than the model's plain ones: see
    `Activations`.
    """

    @property
    def uses_features(self) -> bool:
        """Whether `features` is read; where it is not, no forward pass is spent."""
        ...

    def __call__(self, views: Views, features: Features | None) -> Tensor:
        """Labels (B, H, W) int64 on the views' grid, contiguous from 0 in each image.

        The number of labels is the number of regions the consumer sees; it may be below what was asked.
        Raises SegmentationError for an image that cannot be segmented.
        """
        ...


@runtime_checkable
class Nested(Protocol):
    """A segmenter whose regions are cuts of one tree an image, the same tree whatever the number of regions.

    A run grows the trees of a batch once for all segmenters that differ in nothing but `cut_key`.
    """

    @property
    def cut_key(self) -> str:
        """The option that says where a tree is cut."""
        ...

    def trees(self, views: Views, features: Features | None) -> list[Any]:
        """Each image's tree. Raises SegmentationError for an image that cannot be segmented."""
        ...

    def cut(self, trees: Sequence[Any]) -> Tensor:
        """Labels as `Segmenter` gives them, from the images' trees."""
        ...


def contiguous(labels: Tensor) -> Tensor:
    """Renumber each image's labels to 0..K-1, keeping their order; (B, H, W) integer -> int64."""
    out = [torch.unique(image, return_inverse=True)[1] for image in labels]
    return torch.stack(out).to(torch.int64)
