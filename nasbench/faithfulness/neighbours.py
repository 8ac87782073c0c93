"""Flat colours from next door: each removed region becomes the mean of what is left around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasbench.faithfulness.imputer import Described, check_call, image_mean, replaced


@dataclass(frozen=True, kw_only=True)
class NeighbourMean(Described):
    """The mean colour of the pixels not removed in the regions that touch a removed one.

    Two regions touch where pixels of theirs share an edge. With labels a region is a label, and its removed
    pixels, all or some, take one colour; what is left of the region itself does not count. Without labels a
    region is a component of the removed pixels, joined by edges, and each kept pixel is a region of its own:
    the colour is the mean of the kept pixels along the rim. A region with nothing left around it takes the
    image's mean colour.
    """

    name: ClassVar[str] = "neighbour_mean"
    all_removed: ClassVar[str] = "image mean"

    def fill_for(self, image: Tensor, image_id: str) -> None:
        """None: the fill depends on what is removed."""

    def __call__(self, image: Tensor, removed: Tensor, image_id: str, labels: Tensor | None = None) -> Tensor:
        """Images (M, 3, H, W) float32 with the removed pixels replaced; see `Imputer`."""
        del image_id
        check_call(image, removed, labels)
        fill = image_mean(image).expand_as(image).repeat(len(removed), 1, 1, 1)
        pixels = image.detach().cpu().double().flatten(1).numpy().T
        masks = removed.cpu().numpy()
        shared = None if labels is None else _Regions.of(labels.cpu().numpy())
        for i, mask in enumerate(masks):
            regions = _rim_regions(mask) if shared is None else shared
            colours, known = regions.around(pixels, ~mask)
            here = mask & known[regions.numbers]
            if here.any():
                found = torch.from_numpy(colours[regions.numbers[here]].T)
                fill[i][:, torch.from_numpy(here).to(fill.device)] = found.to(fill)
        return replaced(image, removed, fill)


@dataclass(frozen=True, eq=False)
class _Regions:
    """A partition of the grid and its contacts.

    Attributes:
        numbers: (H, W) region of each pixel, 0..K − 1.
        contacts: (2, E), each pair of touching regions once in both directions.
    """

    numbers: NDArray[np.int64]
    contacts: NDArray[np.int64]

    @classmethod
    def of(cls, labels: NDArray[np.int64]) -> _Regions:
        """Regions of labels (H, W), whatever their numbers."""
        numbers = np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
        count = int(numbers.max()) + 1
        sides = [(numbers[:, :-1], numbers[:, 1:]), (numbers[:-1], numbers[1:])]
        one = np.concatenate([a.ravel() for a, _ in sides])
        other = np.concatenate([b.ravel() for _, b in sides])
        differ = one != other
        codes = np.unique(np.concatenate([(one * count + other)[differ], (other * count + one)[differ]]))
        return cls(numbers, np.stack(np.divmod(codes, count)))

    def around(
        self, pixels: NDArray[np.float64], kept: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """(K, 3) mean colours of the kept pixels (H W, 3) in the regions around each, and (K,) if any is."""
        inside = self.numbers.ravel()
        count = int(inside.max()) + 1
        weights = np.column_stack([kept.ravel(), pixels * kept.ravel()[:, None]])
        own = np.column_stack([np.bincount(inside, w, count) for w in weights.T])
        to, of = self.contacts
        total = np.column_stack([np.bincount(to, w[of], count) for w in own.T])
        known = total[:, 0] > 0
        return total[:, 1:] / np.maximum(total[:, :1], 1), known


def _rim_regions(removed: NDArray[np.bool_]) -> _Regions:
    """Components of the removed pixels, and each kept pixel for itself."""
    from scipy.ndimage import label

    components = label(removed)[0].astype(np.int64)
    each = np.arange(removed.size).reshape(removed.shape)
    return _Regions.of(np.where(removed, -components, each))
