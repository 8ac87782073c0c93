"""Maps of a layer's activations alone: no class has a say in them, and no gradient is taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasbench.saliency.base import Method
from nasbench.saliency.layer import LayerMethod

# Of its scale: a covariance below this is float32's rounding.
_CONSTANT = 1e-5


@dataclass(frozen=True, kw_only=True)
class EigenCam(LayerMethod):
    """The layer's strongest component: positions as rows of channels, along their first singular vector.

    Its sign is arbitrary; it is chosen so that the map correlates positively with the mean activation. Where
    that is the same everywhere (after a layer norm that has learnt nothing), so that the largest is positive.

    Attributes:
        centre: subtract each channel's mean over positions first, as pytorch-grad-cam does and the paper does
            not; else the first vector is mostly the mean activation itself.
    """

    centre: bool = False

    uses_gradients: ClassVar[bool] = False
    method: ClassVar[Method] = Method(
        name="eigencam",
        title="Eigen-CAM",
        source="Muhammad & Yeasin, Eigen-CAM: class activation map using principal components, IJCNN 2020, "
        "arXiv:2008.00299",
        formula="A v₁, A as a matrix of positions × channels, v₁ its first right singular vector",
        range="real; of one sign where activations are",
        passes="1 forward",
        needs="activations",
    )

    def rule(self, acts: Tensor, grads: Tensor) -> Tensor:
        """See `LayerMethod`."""
        del grads
        # In double precision, so that a batch's rounding does not reach the sign.
        rows = acts.double().flatten(2).transpose(1, 2)
        mean = rows.mean(dim=2)
        if self.centre:
            rows = rows - rows.mean(dim=1, keepdim=True)
        first = torch.linalg.svd(rows, full_matrices=False).Vh[:, :1]
        maps: Tensor = (rows @ first.transpose(1, 2))[..., 0]
        along = ((mean - mean.mean(dim=1, keepdim=True)) * maps).sum(dim=1, keepdim=True)
        scale = maps.norm(dim=1, keepdim=True) * rows.square().mean(dim=2).sum(dim=1, keepdim=True).sqrt()
        largest = maps.gather(1, maps.abs().argmax(dim=1, keepdim=True))
        sign = torch.where(along.abs() > _CONSTANT * scale, along, largest)
        return torch.where(sign < 0, -maps, maps).reshape(len(acts), *acts.shape[2:])


class MeanActivation(LayerMethod):
    """The mean over channels: where the layer is active at all. What any CAM has to beat."""

    uses_gradients: ClassVar[bool] = False
    method: ClassVar[Method] = Method(
        name="mean_activation",
        title="mean activation",
        source="after Zagoruyko & Komodakis, Paying more attention to attention, ICLR 2017, "
        "arXiv:1612.03928, whose maps sum sizes, not signed values",
        formula="mean_c A_c",
        range="real; >= 0 where activations are",
        passes="1 forward",
        needs="activations",
    )

    def rule(self, acts: Tensor, grads: Tensor) -> Tensor:
        """See `LayerMethod`."""
        del grads
        return acts.mean(dim=1)
