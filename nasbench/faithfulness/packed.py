"""Masks of an image, a bit a pixel until they are used: a task holds those of 32 images at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nasbench.faithfulness.orders import Masks

# How many bits of a byte are set.
_ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint8)


@dataclass(frozen=True, eq=False)
class PackedMasks:
    """M masks of (H, W). A part, `masks[2:9]`, is an array (n, H, W) bool, and so is `np.asarray(masks)`.

    Attributes:
        bits: (M, ceil(H · W / 8)) uint8, rows as `np.packbits` makes them.
        size: (H, W).
    """

    bits: NDArray[np.uint8]
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.bits)

    def __getitem__(self, part: slice) -> Masks:
        height, width = self.size
        found = np.unpackbits(self.bits[part], axis=1, count=height * width).astype(bool)
        return found.reshape(-1, height, width)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: FBT001
        del copy  # unpacking makes one
        return self[:].astype(dtype or np.bool_, copy=False)

    def chosen(self, which: NDArray[np.bool_]) -> PackedMasks:
        """Those masks of which `which` (M,) is true."""
        return PackedMasks(self.bits[which], self.size)

    def removed(self) -> NDArray[np.int64]:
        """(M,) how many pixels each removes."""
        return np.asarray(_ONES[self.bits].sum(axis=1, dtype=np.int64))
