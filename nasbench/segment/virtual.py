"""The feature matrix that never exists: upsampled, concatenated stages as a linear operator.

Every target position p carries x(p) = [U_1 a_1](p) ⊕ ... ⊕ [U_L a_L](p), U_l being the bilinear
upsampling of stage l. For ResNet-50 at 224² that is a 50,176 × 3,840 matrix. k-means needs four things
of it, and each is a product at the stages' own resolutions followed or preceded by an interpolation of
scalar maps (DESIGN, "Factored k-means"):

* ⟨x(p), v⟩ for a few vectors v: `inner`,
* weighted sums Σ_p w(p) x(p): `pull`, the transpose of `inner`,
* ‖x(p)‖²: `square_norms`, a quadratic form in neighbouring native positions,
* the matrix itself, only in tests: `materialise`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nasbench.segment.interpolation import Axis, axis


@dataclass(frozen=True)
class VirtualFeatures:
    """Stages (B, C_l, h_l, w_l) seen on a target grid of H × W positions.

    Attributes:
        stages: the stages, float32 or float64, on one device.
        size: (H, W) of the target grid.
    """

    stages: tuple[Tensor, ...]
    size: tuple[int, int]

    @classmethod
    def of(cls, stages: Sequence[Tensor], size: tuple[int, int]) -> VirtualFeatures:
        """Check the stages and bring half precision to float32. Raises ValueError, naming the stage."""
        if not stages:
            raise ValueError("at least one stage is needed")
        batch = stages[0].shape[0]
        for l, stage in enumerate(stages):
            if stage.ndim != 4 or 0 in stage.shape:  # noqa: PLR2004 - B, C, h, w
                raise ValueError(
                    f"stage {l} has shape {tuple(stage.shape)}; expected (B, C, h, w), none of them 0"
                )
            if stage.shape[0] != batch:
                raise ValueError(f"stage {l} has {stage.shape[0]} images, stage 0 has {batch}")
            if not stage.is_floating_point():
                raise ValueError(f"stage {l} is {stage.dtype}; expected a floating-point tensor")
            # A sum is cheap and finite only if all its terms are; an overflow alone does not condemn.
            if not torch.isfinite(stage.sum()):
                bad = ~torch.isfinite(stage).flatten(1).all(dim=1)
                if bad.any():
                    image = int(bad.nonzero()[0])
                    raise ValueError(f"stage {l} of image {image} holds NaN or infinite values")
        if min(size) < 1:
            raise ValueError(f"target size {size} must be at least 1 × 1")
        wide = torch.float64 if any(s.dtype == torch.float64 for s in stages) else torch.float32
        return cls(tuple(stage.to(wide).contiguous() for stage in stages), (int(size[0]), int(size[1])))

    @property
    def batch(self) -> int:
        """Number of images, B."""
        return int(self.stages[0].shape[0])

    @property
    def channels(self) -> tuple[int, ...]:
        """C_l of each stage; a feature vector has their sum."""
        return tuple(int(stage.shape[1]) for stage in self.stages)

    def at_size(self, size: tuple[int, int]) -> VirtualFeatures:
        """The same stages on another target grid."""
        return replace(self, size=size)

    def image(self, i: int) -> VirtualFeatures:
        """Image i alone, still as a batch of one."""
        return replace(self, stages=tuple(stage[i : i + 1] for stage in self.stages))

    def inner(self, vectors: Tensor) -> Tensor:
        """⟨x(p), v⟩: vectors (B, k, ΣC) -> (B, k, H, W)."""
        rows, columns = [], []
        for stage, part in zip(self.stages, vectors.split(self.channels, dim=2), strict=True):
            vertical, horizontal = self._axes(stage)
            native = torch.bmm(part, stage.flatten(2)).unflatten(2, stage.shape[2:])
            rows.append(vertical.taps @ native)
            columns.append(horizontal.taps)
        # One product for all stages: the horizontal taps stand side by side.
        return torch.cat(rows, dim=3) @ torch.cat(columns, dim=1).T

    def pull(self, weights: Tensor) -> Tensor:
        """Σ_p w(p) x(p): weights (B, k, H, W) -> (B, k, ΣC)."""
        axes = [self._axes(stage) for stage in self.stages]
        pulled = weights @ torch.cat([horizontal.taps for _, horizontal in axes], dim=1)
        parts = pulled.split([int(stage.shape[3]) for stage in self.stages], dim=3)
        sums = []
        for stage, (vertical, _), part in zip(self.stages, axes, parts, strict=True):
            native = vertical.taps.T @ part
            sums.append(torch.bmm(native.flatten(2), stage.flatten(2).transpose(1, 2)))
        return torch.cat(sums, dim=2)

    def square_norms(self) -> Tensor:
        """‖x(p)‖² (B, H, W), never below 0."""
        total = torch.stack([self._quadratic(stage) for stage in self.stages]).sum(dim=0)
        return total.clamp(min=0)

    def mean_square_norm(self) -> Tensor:
        """The mean of ‖x(p)‖² over the target grid, (B,): no map is upsampled for it."""
        height, width = self.size
        total = torch.stack([self._quadratic(stage, summed=True) for stage in self.stages]).sum(dim=0)
        return total.flatten(1).sum(dim=1).clamp(min=0) / (height * width)

    def mean(self) -> Tensor:
        """The mean of x(p) over the target grid, (B, ΣC)."""
        height, width = self.size
        weights = self.stages[0].new_full((self.batch, 1, height, width), 1 / (height * width))
        return self.pull(weights)[:, 0]

    def centred(self) -> tuple[VirtualFeatures, Tensor]:
        """The features less their mean, and that mean (B, ΣC).

        Subtracting at native resolution is the same as on the target grid: taps sum to 1. Centred
        features lose fewer digits in ‖x‖² − 2⟨x, c⟩ + ‖c‖².
        """
        mean = self.mean()
        parts = mean.split(self.channels, dim=1)
        stages = tuple(s - m[:, :, None, None] for s, m in zip(self.stages, parts, strict=True))
        return replace(self, stages=stages), mean

    def materialise(self) -> Tensor:
        """The matrix itself, (B, H·W, ΣC): for tests and tiny inputs only."""
        upsampled = []
        for stage in self.stages:
            vertical, horizontal = self._axes(stage)
            upsampled.append((vertical.taps @ stage @ horizontal.taps.T).flatten(2))
        return torch.cat(upsampled, dim=1).transpose(1, 2)

    def _axes(self, stage: Tensor) -> tuple[Axis, Axis]:
        height, width = self.size
        return (
            axis(int(stage.shape[2]), height, stage.device, stage.dtype),
            axis(int(stage.shape[3]), width, stage.device, stage.dtype),
        )

    def _quadratic(self, stage: Tensor, *, summed: bool = False) -> Tensor:
        """‖[U a](p)‖² (B, H, W) from products of each native position with itself and four neighbours.

        `summed` gives its sum over the target grid instead, (B, 1, 1).
        """
        vertical, horizontal = self._axes(stage)

        def spread(rows: Tensor, products: Tensor, columns: Tensor) -> Tensor:
            if summed:
                rows, columns = rows.sum(dim=0, keepdim=True), columns.sum(dim=0, keepdim=True)
            return rows @ products @ columns.T

        def dot(a: Tensor, b: Tensor) -> Tensor:
            return (a * b).sum(dim=1)

        below, right = stage[:, :, 1:], stage[:, :, :, 1:]
        above, left = stage[:, :, :-1], stage[:, :, :, :-1]
        norms = spread(vertical.squares, dot(stage, stage), horizontal.squares)
        norms += 2 * spread(vertical.squares, dot(left, right), horizontal.products)
        norms += 2 * spread(vertical.products, dot(above, below), horizontal.squares)
        falling = dot(above[:, :, :, :-1], below[:, :, :, 1:])
        rising = dot(above[:, :, :, 1:], below[:, :, :, :-1])
        return norms + 2 * spread(vertical.products, falling + rising, horizontal.products)
