"""Connected components of label maps."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def connected_regions(labels: Tensor, *, min_size: float = 0.0) -> Tensor:
    """Split labels (B, H, W) into 4-connected components, contiguous from 0 in raster order.

    Components smaller than `min_size` (a share of the image, in [0, 1)) join the neighbour they share the
    longest border with, smallest first; the lower label wins a tie.
    """
    device = labels.device
    maps = []
    for image in labels.cpu().numpy():
        split = _split(image)
        if min_size > 0:
            split = _absorb(split, min_size * split.size)
        maps.append(torch.from_numpy(split))
    return torch.stack(maps).to(device)


def _split(image: NDArray[np.int64]) -> NDArray[np.int64]:
    from skimage.measure import label

    components = label(image, background=-1, connectivity=1)
    return np.asarray(components, dtype=np.int64) - 1


def _absorb(labels: NDArray[np.int64], least: float) -> NDArray[np.int64]:
    """Merge components below `least` pixels into their closest neighbour until none is left."""
    borders = region_borders(labels)
    sizes = dict(enumerate(np.bincount(labels.ravel()).tolist()))
    parent = np.arange(len(sizes))
    while len(sizes) > 1:
        small = min(sizes, key=lambda name: (sizes[name], name))
        if sizes[small] >= least:
            break
        around = borders.pop(small)
        into = min(around, key=lambda name: (-around[name], name))
        for other, length in around.items():
            del borders[other][small]
            if other != into:
                borders[other][into] = borders[other].get(into, 0) + length
                borders[into][other] = borders[into].get(other, 0) + length
        sizes[into] += sizes.pop(small)
        parent[parent == small] = into
    _, compact = np.unique(parent[labels], return_inverse=True)
    return compact.reshape(labels.shape).astype(np.int64)


def region_borders(labels: NDArray[np.int64]) -> dict[int, dict[int, int]]:
    """For each label its neighbours and the number of pixel edges shared with them."""
    pairs = np.concatenate(
        [
            np.stack([labels[:, :-1].ravel(), labels[:, 1:].ravel()]),
            np.stack([labels[:-1].ravel(), labels[1:].ravel()]),
        ],
        axis=1,
    )
    pairs = np.sort(pairs[:, pairs[0] != pairs[1]], axis=0)
    names, counts = np.unique(pairs, axis=1, return_counts=True)
    borders: dict[int, dict[int, int]] = {int(name): {} for name in np.unique(labels)}
    for (a, b), count in zip(names.T.tolist(), counts.tolist(), strict=True):
        borders[a][b] = count
        borders[b][a] = count
    return borders
