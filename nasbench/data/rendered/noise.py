"""Smooth noise from hashed lattices, interpolated with integers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nasbench.data.rendered.integer import hash_grid

if TYPE_CHECKING:
    from numpy.typing import NDArray


def value_noise(key: int, size: int, rows: int, columns: int) -> NDArray[np.int32]:
    """Smooth noise over the image, shape (size, size), int32 in 0..255, with rows × columns lattice cells."""
    lattice = (hash_grid(key, rows + 1, columns + 1) >> np.uint32(24)).astype(np.int32)
    ix, fx = _taps(size, columns)
    iy, fy = _taps(size, rows)
    across = lattice[:, ix] * (256 - fx) + lattice[:, ix + 1] * fx
    across >>= np.int32(8)
    step = (across[1:] - across[:-1])[iy]
    step *= fy[:, None]
    step >>= np.int32(8)
    step += across[iy]
    return step


def fractal(key: int, size: int, rows: int, columns: int, octaves: int = 3) -> NDArray[np.int32]:
    """A sum of octaves of `value_noise`, each half as strong: (size, size) int32 in 0..255."""
    total = np.zeros((size, size), dtype=np.int32)
    weight, weights = 1 << octaves, 0
    for octave in range(octaves):
        total += value_noise(key + octave, size, rows << octave, columns << octave) * np.int32(weight)
        weights += weight
        weight //= 2
    total //= np.int32(weights)
    return total


def speckle(key: int, size: int) -> NDArray[np.int32]:
    """Independent noise per pixel: (size, size) int32 in 0..255."""
    return (hash_grid(key, size, size) >> np.uint32(24)).astype(np.int32)


def _taps(size: int, cells: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The lattice cell of each pixel's centre and its smoothed position in that cell (0..256)."""
    position = (2 * np.arange(size, dtype=np.int64) + 1) * cells * 256 // (2 * size)
    f = position & 255
    smooth = f * f * (768 - 2 * f) >> 16
    return position >> 8, smooth.astype(np.int32)
