"""One scale for the stages of many images, from moments that merge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nasbench.segment.activations import Scaling
from nasbench.segment.virtual import VirtualFeatures


@dataclass(frozen=True)
class FrozenScale:
    """One scale for the stages of all images.

    Attributes:
        mean: (ΣC,) float32, subtracted from each channel.
        factors: (L,) float32, what each stage is multiplied by after that.
        channels: C_l of each stage.
    """

    mean: Tensor
    factors: Tensor
    channels: tuple[int, ...]

    def apply(self, stages: Sequence[Tensor]) -> list[Tensor]:
        """(stage − mean) · factor for stages (B, C_l, h_l, w_l), on their device, float32 at least.

        Raises ValueError for stages other than those the scale was made from.
        """
        found = tuple(int(stage.shape[1]) for stage in stages)
        if found != self.channels:
            raise ValueError(f"the stages have {found} channels; the scale was made for {self.channels}")
        means = self.mean.split(self.channels)
        return [
            (stage - mean.to(stage.device)[:, None, None]) * factor.to(stage.device)
            for stage, mean, factor in zip(stages, means, self.factors, strict=True)
        ]


@dataclass(frozen=True)
class Moments:
    """Means and spreads of the channels over the target grids of some images; two of them add with `+`.

    Deviations are summed around each image's own mean and merged by the formula of Chan, Golub & LeVeque
    (1983): sums of squares less the square of the sum would cancel where activations have a large mean.

    Attributes:
        count: positions, H·W per image.
        mean: (ΣC,) float64 on the CPU.
        spread: (L,) float64, Σ_p ‖x_l(p) − mean_l‖² of each stage.
        channels: C_l of each stage.
    """

    count: int
    mean: Tensor
    spread: Tensor
    channels: tuple[int, ...]

    def __add__(self, other: Moments) -> Moments:
        if self.channels != other.channels:
            raise ValueError(f"images have stages of {self.channels} and of {other.channels} channels")
        count = self.count + other.count
        between = [part.square().sum() for part in (self.mean - other.mean).split(self.channels)]
        return Moments(
            count=count,
            mean=(self.count * self.mean + other.count * other.mean) / count,
            spread=self.spread + other.spread + torch.stack(between) * (self.count * other.count / count),
            channels=self.channels,
        )

    def scale(self, scaling: Scaling = "variance", weights: Sequence[float] | None = None) -> FrozenScale:
        """The scale these images are clustered on; for one image that of `scale_stages`.

        "variance" subtracts the mean and divides each stage by the square root of its summed channel
        variances; a stage that is constant over all images becomes 0. "none" leaves stages as they are.
        Either is multiplied by the square root of the stage's weight. Raises ValueError.
        """
        if scaling not in ("variance", "none"):
            raise ValueError(f"scaling is {scaling!r}; choose variance or none")
        if weights is not None and (len(weights) != len(self.channels) or min(weights) < 0):
            raise ValueError(f"weights are {list(weights)}; expected {len(self.channels)}, none negative")
        factors = torch.ones(len(self.channels), dtype=torch.float64)
        mean = torch.zeros_like(self.mean)
        if scaling == "variance":
            mean = self.mean
            variance = self.spread / self.count
            # The floor of `scale_stages`: rounding of float32 activations is not a variation.
            squares = torch.stack([part.square().sum() for part in mean.split(self.channels)])
            flat = variance <= (32 * torch.finfo(torch.float32).eps) ** 2 * squares
            factors = torch.where(flat, torch.zeros_like(variance), variance.clamp(min=1e-30).rsqrt())
        if weights is not None:
            factors *= torch.tensor([float(weight) for weight in weights], dtype=torch.float64).sqrt()
        return FrozenScale(mean.float(), factors.float(), self.channels)


def moments(stages: Sequence[Tensor], size: tuple[int, int]) -> Moments:
    """Moments of stages (B, C_l, h_l, w_l) on B target grids of size (H, W).

    Raises ValueError for NaN or infinite activations.
    """
    features = VirtualFeatures.of(stages, size)
    total = image_moments(features.image(0))
    for i in range(1, features.batch):
        total += image_moments(features.image(i))
    return total


def image_moments(image: VirtualFeatures) -> Moments:
    """Moments of one image, a batch of one."""
    centred, mean = image.centred()
    norms = [VirtualFeatures((stage,), image.size).mean_square_norm() for stage in centred.stages]
    count = image.size[0] * image.size[1]
    spread = torch.cat(norms).cpu().double() * count
    return Moments(count, mean[0].cpu().double(), spread, image.channels)
