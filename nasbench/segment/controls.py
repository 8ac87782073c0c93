"""Segmenters that know nothing of the image: what a score is worth without any."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from nasbench.errors import UsageError
from nasbench.models.features import Features
from nasbench.rng import generator
from nasbench.segment.base import Views, contiguous
from nasbench.segment.matching import Knob


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

    def count_knob(self, wanted: int, size: tuple[int, int]) -> Knob:
        """See `nasbench.segment.matching.Countable`."""
        pixels = size[0] * size[1]
        return Knob(at=lambda n: replace(self, n=int(n)), start=wanted, low=1, high=pixels)


@dataclass(frozen=True, kw_only=True)
class Random:
    """Voronoi cells of points drawn uniformly: regions as irregular as superpixels, and blind.

    Attributes:
        n: number of distinct points, and so of regions: met exactly up to one a pixel.
        seed: with the sample's id, decides the points.
    """

    n: int = 10
    seed: int = 0

    uses_features: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.n < 1:
            raise UsageError(f"segmenter.n={self.n} must be at least 1")

    def __call__(self, views: Views, features: Features | None) -> Tensor:
        """Labels (B, H, W) int64 on the views' grid; see `Segmenter`."""
        del features
        pixels = views.size[0] * views.size[1]
        maps = []
        for name in views.ids:
            points = generator(self.seed, name, "random").choice(pixels, min(self.n, pixels), replace=False)
            maps.append(voronoi_labels(views.size, torch.from_numpy(points)))
        return torch.stack(maps)

    def count_knob(self, wanted: int, size: tuple[int, int]) -> Knob:
        """See `nasbench.segment.matching.Countable`."""
        pixels = size[0] * size[1]
        return Knob(at=lambda n: replace(self, n=int(n)), start=wanted, low=1, high=pixels)


def voronoi_labels(size: tuple[int, int], points: Tensor) -> Tensor:
    """(H, W) int64: the nearest of n distinct pixels, given by their flat positions; the first on a tie."""
    height, width = size
    ys, xs = torch.arange(height)[:, None], torch.arange(width)[None]
    nearest = torch.full((height, width), torch.iinfo(torch.int64).max)
    labels = torch.zeros(height, width, dtype=torch.int64)
    # Point by point, in integers: no rounding decides a tie, and memory does not grow with n.
    for label, point in enumerate(points.tolist()):
        square = (ys - point // width) ** 2 + (xs - point % width) ** 2
        labels.masked_fill_(square < nearest, label)
        nearest = torch.minimum(nearest, square)
    return labels


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


@dataclass(frozen=True, kw_only=True)
class NoRegions:
    """No segmentation: what is explained is the pixel. Never called."""

    uses_features: ClassVar[bool] = False

    def __call__(self, views: Views, features: Features | None) -> Tensor:
        """Raises UsageError: whoever asks for regions needs a segmenter."""
        del views, features
        raise UsageError("segmenter=none cuts nothing; choose a segmenter")
