"""Activations averaged over flips and shifts of the image: finer maps for more forward passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor
from torch.nn.functional import pad

from nasbench.models.features import Features
from nasbench.segment.interpolation import shifted_taps

# A shift is this share of the deepest stage's cell: four diagonal shifts then lie on a grid twice as fine.
_SHARE = 4


@dataclass(frozen=True)
class Variant:
    """One pass of an average.

    Attributes:
        flip: whether the image is mirrored, left to right.
        shift: (rows, columns), pixels by which its content is moved down and to the right.
    """

    flip: bool = False
    shift: tuple[int, int] = (0, 0)

    def of(self, pixels: Tensor) -> Tensor:
        """The images (B, 3, H, W) of this pass; what moves in at an edge repeats the edge's pixels."""
        height, width = pixels.shape[-2:]
        (dy, dx), reach = self.shift, max(map(abs, self.shift))
        if reach:
            wide = pad(pixels, (reach, reach, reach, reach), mode="replicate")
            pixels = wide[:, :, reach - dy : reach - dy + height, reach - dx : reach - dx + width]
        return pixels.flip(-1) if self.flip else pixels


def variants(average: Sequence[str], deepest: tuple[int, int], size: tuple[int, int]) -> list[Variant]:
    """The passes of an average; the first is the plain image unless shifts are asked for.

    Args:
        average: any of "flip" and "shift".
        deepest: (h, w) of the deepest stage.
        size: (H, W), pixels of the network's input.
    """
    shifts = [(0, 0)]
    if "shift" in average:
        dy, dx = (max(1, round(n / (_SHARE * cells))) for n, cells in zip(size, deepest, strict=True))
        shifts = [(sy * dy, sx * dx) for sy in (-1, 1) for sx in (-1, 1)]
    return [
        Variant(flip, shift) for shift in shifts for flip in ([False, True] if "flip" in average else [False])
    ]


def averaged(passes: Sequence[Features], variants: Sequence[Variant], size: tuple[int, int]) -> Features:
    """The mean of passes brought back to the unshifted, unmirrored image.

    With shifts, every map is sampled bilinearly on a grid of twice its resolution. Logits are those of the
    first pass.

    Args:
        passes: one per variant, in the same order.
        variants: what was done to the images.
        size: (H, W), pixels of the network's input.
    """
    finer = any(variant.shift != (0, 0) for variant in variants)

    def back(stage: Tensor, variant: Variant) -> Tensor:
        stage = stage.flip(-1) if variant.flip else stage
        if not finer:
            return stage
        taps = []
        for axis, moved in enumerate(variant.shift):
            cells = int(stage.shape[2 + axis])
            shift = moved * cells / size[axis]
            taps.append(shifted_taps(cells, 2 * cells, shift).to(stage))
        return taps[0] @ stage @ taps[1].T

    def mean(maps: Sequence[Tensor]) -> Tensor:
        total = back(maps[0], variants[0])
        for stage, variant in zip(maps[1:], variants[1:], strict=True):
            total = total + back(stage, variant)
        return total / len(variants)

    stages = tuple(mean([features.stages[l] for features in passes]) for l in range(len(passes[0].stages)))
    return replace(passes[0], stages=stages, final=mean([features.final for features in passes]))
