"""Superpixels from the image alone, by scikit-image."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from nasbench.errors import SegmentationError, UsageError
from nasbench.models.features import Features
from nasbench.segment.base import Views, contiguous

# Options of scikit-image's slic that are ours to set.
_OWN = {"image", "n_segments", "compactness", "min_size_factor", "sigma", "start_label", "channel_axis"}


@dataclass(frozen=True, kw_only=True)
class Slic:
    """SLIC (Achanta et al. 2012), `skimage.segmentation.slic`, on the view.

    Attributes:
        n: regions asked for; SLIC returns fewer as often as not, and the count is recorded.
        compactness: weight of the position against colour.
        min_size_factor: pieces below this share of the mean size asked for join a neighbour.
        sigma: width in pixels of the Gaussian that smooths the view first.
        kwargs: anything else `skimage.segmentation.slic` takes.
    """

    n: int = 10
    compactness: float = 20.0
    min_size_factor: float = 0.2
    sigma: float = 0.0
    kwargs: dict[str, Any] = field(default_factory=dict)

    uses_features: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.n < 1:
            raise UsageError(f"segmenter.n={self.n} must be at least 1")
        if self.compactness <= 0:
            raise UsageError(f"segmenter.compactness={self.compactness} must be above 0")
        from skimage.segmentation import slic

        known = set(inspect.signature(slic).parameters) - _OWN
        for name in self.kwargs:
            if name not in known:
                raise UsageError(f"segmenter.kwargs.{name}: slic takes {', '.join(sorted(known))}")

    def __call__(self, views: Views, features: Features | None) -> Tensor:
        """Labels (B, H, W) int64 on the views' grid; see `Segmenter`."""
        from skimage.segmentation import slic

        del features
        images = views.pixels.permute(0, 2, 3, 1).float().cpu().numpy()
        maps = []
        for image in images:
            try:
                labels = slic(
                    image,
                    n_segments=self.n,
                    compactness=self.compactness,
                    min_size_factor=self.min_size_factor,
                    sigma=self.sigma,
                    start_label=0,
                    channel_axis=-1,
                    **self.kwargs,
                )
            except (TypeError, ValueError) as error:
                raise SegmentationError(f"slic: {error}") from error
            maps.append(torch.from_numpy(np.asarray(labels, dtype=np.int64)))
        return contiguous(torch.stack(maps))
