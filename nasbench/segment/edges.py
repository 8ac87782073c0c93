"""nas+image: NAS whose borders follow the edges of the image. Its name says that it uses colour."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from nasbench.errors import UsageError
from nasbench.models.features import Features
from nasbench.segment.base import Views
from nasbench.segment.nas import Nas
from nasbench.segment.virtual import VirtualFeatures

# Rec. 601 luma.
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True, kw_only=True)
class NasImage(Nas):
    """NAS with a guided filter between distances and arg-min.

    The assignment of NAS is the arg-min over k upsampled maps of distance. Each map is filtered with the
    image as the guide (He, Sun, Tang 2010, "Guided image filtering") before the arg-min, so that borders
    move to nearby edges of the image.

    Attributes:
        radius: pixels, of the filter's square window: about the distance a border may move.
        eps: contrast below the root of which an edge is smoothed over; luma is in [0, 1].
    """

    radius: int = 8
    eps: float = 0.001

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.radius < 1:
            raise UsageError(f"segmenter.radius={self.radius} must be at least 1")
        if self.eps <= 0:
            raise UsageError(f"segmenter.eps={self.eps} must be above 0")

    def _labels(self, views: Views, features: Features | None) -> Tensor:
        stages, clusters = self._clustered(views, features)
        centroids = clusters.centroids
        whole = VirtualFeatures.of(stages, views.size)
        # ‖x‖² is common to all centroids, and the filter is linear: left out before the arg-min, it stays
        # out of it.
        distances = centroids.square().sum(dim=2)[:, :, None, None] - 2 * whole.inner(centroids)
        luma = torch.einsum("bchw,c->bhw", views.pixels.to(distances), distances.new_tensor(_LUMA))
        return guided_filter(distances, luma[:, None], self.radius, self.eps).argmin(dim=1)


def guided_filter(maps: Tensor, guide: Tensor, radius: int, eps: float) -> Tensor:
    """Each map as a local linear function of the guide (He, Sun, Tang 2010, eqs. 4 to 8).

    Args:
        maps: (B, k, H, W) to be filtered.
        guide: (B, 1, H, W).
        radius: pixels; windows are squares of 2 · radius + 1, cut at the image's edge.
        eps: regularisation, in squared units of the guide.
    """

    def mean(x: Tensor) -> Tensor:
        return avg_pool2d(x, 2 * radius + 1, stride=1, padding=radius, count_include_pad=False)

    centre = mean(guide)
    variance = mean(guide * guide) - centre * centre
    averages = mean(maps)
    slope = (mean(maps * guide) - averages * centre) / (variance.clamp(min=0) + eps)
    return mean(slope) * guide + mean(averages - slope * centre)
