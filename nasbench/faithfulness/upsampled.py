"""Ties of a map that is upsampled: rounding must not part them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nasbench.faithfulness.orders import Ints


def keep_equal(upsampled: NDArray[np.floating], native: NDArray[np.floating]) -> NDArray[np.floating]:
    """A bilinearly upsampled map (H, W) held to the values of `native` (h, w) that it lies between.

    A mean of equal values may differ from them in the last bit, differently from pixel to pixel. Where the
    native map is flat its pixels are tied, and rounding must not rank them.
    """
    rows, columns = (_between(n, size) for n, size in zip(native.shape, upsampled.shape, strict=True))
    corners = np.stack([native[y][:, x] for y in rows for x in columns])
    held: NDArray[np.floating] = np.clip(upsampled, corners.min(axis=0), corners.max(axis=0))
    return held


def _between(n: int, size: int) -> tuple[Ints, Ints]:
    """Both (size,): the two of n pixels that each of `size` lies between, centres at half-integers."""
    below = np.floor((np.arange(size) + 0.5) * n / size - 0.5).astype(np.int64)
    return below.clip(0, n - 1), (below + 1).clip(0, n - 1)
