"""Bilinear interpolation as matrices: two taps a row, so that it can be transposed and squared.

The convention is the one of `torch.nn.functional.interpolate(mode="bilinear", align_corners=False)`:
pixel centres at half-integers, positions outside the first and last centre clamped.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor


@dataclass(frozen=True)
class Axis:
    """Interpolation of one axis from n_in to n_out positions.

    Attributes:
        taps: (n_out, n_in), rows sum to 1, at most two non-zeros a row.
        squares: (n_out, n_in), the taps squared.
        products: (n_out, n_in - 1), the product of a row's taps at i and i + 1.
    """

    taps: Tensor
    squares: Tensor
    products: Tensor


@lru_cache(maxsize=256)
def axis(n_in: int, n_out: int, device: torch.device, dtype: torch.dtype) -> Axis:
    """The matrices that interpolate n_in positions to n_out. Raises ValueError for an empty axis."""
    if n_in < 1 or n_out < 1:
        raise ValueError(f"cannot interpolate {n_in} positions to {n_out}: both must be at least 1")
    taps, low, weight = _taps(n_in, n_out, 0.0)
    products = torch.zeros(n_out, max(n_in - 1, 0), dtype=torch.float64)
    inner = low + 1 < n_in
    products[torch.arange(n_out)[inner], low[inner]] = (weight * (1 - weight))[inner]

    def cast(matrix: Tensor) -> Tensor:
        return matrix.to(device=device, dtype=dtype)

    return Axis(cast(taps), cast(taps.square()), cast(products))


def shifted_taps(n_in: int, n_out: int, shift: float) -> Tensor:
    """(n_out, n_in) float64: interpolation of an axis whose content has moved up by `shift` input positions.

    Up is towards higher indices; output position p reads what stood there before the move.
    Raises ValueError for an empty axis.
    """
    if n_in < 1 or n_out < 1:
        raise ValueError(f"cannot interpolate {n_in} positions to {n_out}: both must be at least 1")
    return _taps(n_in, n_out, shift)[0]


def _taps(n_in: int, n_out: int, shift: float) -> tuple[Tensor, Tensor, Tensor]:
    """The taps (n_out, n_in), and of each row the lower position read and the share of the one above it."""
    position = (torch.arange(n_out, dtype=torch.float64) + 0.5) * (n_in / n_out) - 0.5 + shift
    position = position.clamp(min=0)
    low = position.floor().long().clamp(max=n_in - 1)
    high = (low + 1).clamp(max=n_in - 1)
    weight = torch.where(high > low, position - low, torch.zeros_like(position))
    rows = torch.arange(n_out)
    taps = torch.zeros(n_out, n_in, dtype=torch.float64)
    taps[rows, low] += 1 - weight
    taps[rows, high] += weight
    return taps, low, weight
