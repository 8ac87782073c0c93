"""Imputers that need not know what is removed: one fill for an image, shown through the mask."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasbench.errors import UsageError
from nasbench.faithfulness.imputer import (
    Described,
    check_above_0,
    check_call,
    check_image,
    check_seed,
    image_mean,
    replaced,
)
from nasbench.rng import generator

_CHANNELS = 3
# Where a Gaussian is cut if nothing is said, in standard deviations: 0.006 % of its mass is beyond.
_REACH = 4


class _Filled(Described, ABC):
    """A fill that depends on the image alone."""

    all_removed: ClassVar[str] = "the whole fill"

    def fill_for(self, image: Tensor, image_id: str) -> Tensor:
        """The fill (3, H, W) float32; see `Imputer`."""
        check_image(image)
        return self._fill(image.detach(), image_id).to(image).expand_as(image).contiguous()

    def __call__(self, image: Tensor, removed: Tensor, image_id: str, labels: Tensor | None = None) -> Tensor:
        """Images (M, 3, H, W) float32 with the removed pixels replaced; see `Imputer`."""
        check_call(image, removed, labels)
        return replaced(image, removed, self.fill_for(image, image_id))

    @abstractmethod
    def _fill(self, image: Tensor, image_id: str) -> Tensor:
        """What takes the place of the pixels, (3, H, W) or (3, 1, 1)."""


@dataclass(frozen=True, kw_only=True)
class Zero(_Filled):
    """Black: 0 in each channel of the image in [0, 1], before the network's normalisation."""

    name: ClassVar[str] = "zero"

    def _fill(self, image: Tensor, image_id: str) -> Tensor:
        del image_id
        return torch.zeros_like(image)


@dataclass(frozen=True, kw_only=True)
class DatasetMean(_Filled):
    """One colour for all images, by default ImageNet's mean: what becomes 0 when the network normalises.

    RISE's deletion (Petsiuk et al., BMVC 2018) sets pixels to it.

    Attributes:
        mean: RGB in [0, 1].
    """

    mean: Sequence[float] = (0.485, 0.456, 0.406)

    name: ClassVar[str] = "dataset_mean"

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", _checked_colour("mean", self.mean))

    def _fill(self, image: Tensor, image_id: str) -> Tensor:
        del image, image_id
        return torch.tensor(self.mean)[:, None, None]


@dataclass(frozen=True, kw_only=True)
class ImageMean(_Filled):
    """The image's mean colour, of all its pixels, so that it is the same for every mask."""

    name: ClassVar[str] = "image_mean"

    def _fill(self, image: Tensor, image_id: str) -> Tensor:
        del image_id
        return image_mean(image)


@dataclass(frozen=True, kw_only=True)
class Uniform(_Filled):
    """A random colour for each pixel, uniform on [0, 1)³: Samek et al., IEEE TNNLS 2017.

    Attributes:
        seed: with the image's id, decides the colours.
    """

    seed: int = 0

    name: ClassVar[str] = "uniform"

    def __post_init__(self) -> None:
        check_seed(self.seed)

    def _fill(self, image: Tensor, image_id: str) -> Tensor:
        return torch.from_numpy(_rng(self, image_id).random(image.shape, dtype=np.float32))


@dataclass(frozen=True, kw_only=True)
class Blur(_Filled):
    """The image convolved with a Gaussian, mirrored about its outermost pixels.

    The kernel exp(−d² / 2σ²) is separable and cut at `kernel_size`. RISE's insertion (Petsiuk et al., BMVC
    2018) starts from `kernel_size: 11, sigma: 5`; its code differs in that what is cut off a kernel is folded
    back into it and that beyond the edge is 0.

    Attributes:
        sigma: standard deviation, pixels.
        kernel_size: width of the kernel, pixels, an odd number; 4 σ to each side where none is given.
    """

    sigma: float = 10.0
    kernel_size: int | None = None

    name: ClassVar[str] = "blur"
    all_removed: ClassVar[str] = "the blurred image"

    def __post_init__(self) -> None:
        check_above_0("sigma", self.sigma)
        size = self.kernel_size
        odd = isinstance(size, int) and not isinstance(size, bool) and size >= 1 and size % 2 == 1
        if size is not None and not odd:
            raise UsageError(f"imputer.kernel_size={size} must be an odd number of pixels, such as 11")

    def _fill(self, image: Tensor, image_id: str) -> Tensor:
        del image_id
        radius = math.ceil(_REACH * self.sigma) if self.kernel_size is None else self.kernel_size // 2
        along = [torch.from_numpy(_blurring(n, self.sigma, radius)) for n in image.shape[1:]]
        return along[0] @ image.cpu().double() @ along[1].T


@dataclass(frozen=True, kw_only=True)
class Noise(_Filled):
    """The image plus independent Gaussian noise in each channel, clipped to [0, 1].

    Attributes:
        sd: standard deviation in units of an image in [0, 1]. Half the range drowns most of an object; with
            much less it stays easy to see, and little is removed.
        seed: with the image's id, decides the noise.
    """

    sd: float = 0.5
    seed: int = 0

    name: ClassVar[str] = "noise"
    all_removed: ClassVar[str] = "the noisy image"

    def __post_init__(self) -> None:
        check_above_0("sd", self.sd)
        check_seed(self.seed)

    def _fill(self, image: Tensor, image_id: str) -> Tensor:
        noise = _rng(self, image_id).standard_normal(image.shape)
        return (image.cpu().double() + self.sd * torch.from_numpy(noise)).clamp(0, 1)


@dataclass(frozen=True, kw_only=True)
class Shuffle(_Filled):
    """The image's own pixels in random order: its colours without its shapes.

    Attributes:
        seed: with the image's id, decides the permutation.
    """

    seed: int = 0

    name: ClassVar[str] = "shuffle"
    all_removed: ClassVar[str] = "the shuffled image"

    def __post_init__(self) -> None:
        check_seed(self.seed)

    def _fill(self, image: Tensor, image_id: str) -> Tensor:
        order = _rng(self, image_id).permutation(image[0].numel())
        return image.flatten(1)[:, torch.from_numpy(order).to(image.device)].view_as(image)


def _rng(imputer: Uniform | Noise | Shuffle, image_id: str) -> np.random.Generator:
    return generator(imputer.seed, image_id, f"faithfulness.{imputer.name}")


def _blurring(n: int, sigma: float, radius: int) -> NDArray[np.float64]:
    """Convolution of n pixels in a line with a Gaussian of `radius` pixels to each side: a matrix (n, n)."""
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-(offsets**2) / (2 * sigma**2))
    kernel /= kernel.sum()
    mirrored = np.pad(np.arange(n), radius, mode="reflect")
    matrix = np.zeros((n, n))
    for weight, start in zip(kernel, range(2 * radius + 1), strict=True):
        matrix[np.arange(n), mirrored[start : start + n]] += weight
    return matrix


def _checked_colour(key: str, value: Any) -> tuple[float, ...]:
    """Three numbers in [0, 1] as a tuple. Raises UsageError."""
    try:
        colour = tuple(float(v) for v in value)
    except (TypeError, ValueError):
        colour = ()
    if len(colour) != _CHANNELS or not all(0 <= v <= 1 for v in colour):
        raise UsageError(
            f"imputer.{key}={value}: give three numbers in [0, 1], such as [0.485, 0.456, 0.406]"
        )
    return colour
