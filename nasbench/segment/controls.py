"""Segmenters that know nothing of the image: what a score is worth without any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasbench.errors import UsageError
from nasbench.models.features import Features
from nasbench.segment.base import Views, contiguous


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Rectangles of nearly equal area: rows as in a square, the remainder spread over the last rows.

    Attributes:
        n: number of rectangles, met exactly wherever the view has that many pixels a side.
    """

    n: int = 10

    uses_features: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.n < 1:
            raise UsageError(f"segmenter.n={self.n} must be at least 1")

    def __call__(self, views: Views, features: Features | None) -> Tensor:
        """Labels (B, H, W) int64 on the views' grid; see `Segmenter`."""
        del features
        labels = contiguous(grid_labels(views.size, self.n)[None])
        return labels.expand(len(views.ids), -1, -1)


def grid_labels(size: tuple[int, int], n: int) -> Tensor:
    """(H, W) int64 labels of n rectangles in raster order."""
    height, width = size
    rows = max(1, round((n * height / width) ** 0.5))
    rows = min(rows, n)
    per_row = [n // rows + (row >= rows - n % rows) for row in range(rows)]
    # A row's height follows its number of rectangles, so that all areas are close to H·W / n.
    edges = [round(height * sum(per_row[:row]) / n) for row in range(rows + 1)]
    labels = torch.zeros(height, width, dtype=torch.int64)
    first = 0
    for row, columns in enumerate(per_row):
        band = torch.div(torch.arange(width) * columns, width, rounding_mode="floor")
        labels[edges[row] : edges[row + 1]] = first + band
        first += columns
    return labels
