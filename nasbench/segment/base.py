"""The contract every segmenter follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from nasbench.models.features import Features

# Whose activations are clustered: the model's; for controls those of an untrained network of the same kind or
# of the mirrored image (whose regions are not mirrored back); or none but the pixels themselves.
Source = Literal["self", "random_weights", "mirror", "pixels"]


@dataclass(frozen=True)
class Views:
    """A batch of images as the model sees them.

    Attributes:
        ids: B sample ids; with the segmenter's seed they are all its randomness may depend on.
        pixels: (B, 3, H, W) float32 RGB in [0, 1].
    """

    ids: tuple[str, ...]
    pixels: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return int(self.pixels.shape[-2]), int(self.pixels.shape[-1])

    def image(self, i: int) -> Views:
        """Image i alone, still as a batch of one."""
        return Views(self.ids[i : i + 1], self.pixels[i : i + 1])


class Segmenter(Protocol):
    """Cuts each view into regions.

    A segmenter that picks stages may have a method `check_stages(n)`, which is called with the model's
    number of stages before a run begins and raises UsageError.

    A segmenter may have an attribute `source` that asks for other activations than the model's own: see
    `Source`.
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


def contiguous(labels: Tensor) -> Tensor:
    """Renumber each image's labels to 0..K-1, keeping their order; (B, H, W) integer -> int64."""
    out = [torch.unique(image, return_inverse=True)[1] for image in labels]
    return torch.stack(out).to(torch.int64)
