"""What an imputer is, and what all of them share: the description, the check of a call, the replacing."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from nasbench.errors import UsageError

_IMAGE_DIMS = 3
# What an imputer must have to be called.
CONTRACT = ("__call__", "fill_for", "conventions")


class Imputer(Protocol):
    """Replaces removed pixels.

    The result for a mask depends on the image, its id, the imputer's options and that mask only, on the CPU
    to the last bit. Kept pixels stay bit for bit: an image of which nothing is removed comes back itself.
    Noise is one field for an image, the same for all its masks: curves are smooth in the mask, and two
    methods meet the same. Inputs and the global random state are left as they were.

    Attributes:
        name: as in the configuration and the rows.
    """

    name: ClassVar[str]

    def fill_for(self, image: Tensor, image_id: str) -> Tensor | None:
        """What takes the place of the pixels of an image (3, H, W), as far as no mask is needed to know it.

        Returns (3, H, W) float32, or None where the fill depends on what is removed.
        """
        ...

    def __call__(self, image: Tensor, removed: Tensor, image_id: str, labels: Tensor | None = None) -> Tensor:
        """The image with its removed pixels replaced, once for each mask.

        Args:
            image: (3, H, W) float32, RGB in [0, 1].
            removed: (M, H, W) bool.
            image_id: the sample's id; with the seed it decides the noise.
            labels: (H, W) int64, the regions that are removed as a whole, where there are some.

        Returns:
            (M, 3, H, W) float32 on the image's device. Raises ValueError for inputs of other shapes or types.
        """
        ...

    def conventions(self) -> dict[str, str]:
        """The imputer in words, for the row: its name, its options, what it does when all is removed."""
        ...


class Described:
    """Conventions of a dataclass: its name, its options, what becomes of an image removed whole.

    Attributes:
        name: see `Imputer`.
        all_removed: what an image becomes that is removed whole.
    """

    name: ClassVar[str]
    all_removed: ClassVar[str]

    def conventions(self) -> dict[str, str]:
        """See `Imputer`."""
        options = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        return {
            "imputer": self.name,
            **{f"imputer.{key}": _said(value) for key, value in options.items()},
            "imputer.all_removed": self.all_removed,
        }


def replaced(image: Tensor, removed: Tensor, fill: Tensor) -> Tensor:
    """(M, 3, H, W) float32: `fill`, (3, H, W) or (M, 3, H, W), where (M, H, W) is removed, else the image."""
    return torch.where(removed[:, None], fill.to(image), image)


def image_mean(image: Tensor) -> Tensor:
    """The mean colour (3, 1, 1) float32 of (3, H, W), removed or not."""
    return image.detach().cpu().contiguous().double().mean((1, 2), keepdim=True).float().to(image.device)


def check_call(image: Tensor, removed: Tensor, labels: Tensor | None) -> None:
    """Refuse a call that breaks the contract of `Imputer`. Raises ValueError."""
    check_image(image)
    size = tuple(image.shape[1:])
    if removed.dtype != torch.bool or removed.ndim != _IMAGE_DIMS or tuple(removed.shape[1:]) != size:
        raise ValueError(f"removed must be (M, {size[0]}, {size[1]}) bool, not {_shape(removed)}")
    if labels is not None and (labels.dtype != torch.int64 or tuple(labels.shape) != size):
        raise ValueError(f"labels must be ({size[0]}, {size[1]}) int64, not {_shape(labels)}")


def check_image(image: Tensor) -> None:
    """Refuse what is no image (3, H, W) float32. Raises ValueError."""
    if image.dtype != torch.float32 or image.ndim != _IMAGE_DIMS or image.shape[0] != 3 or image.numel() == 0:  # noqa: PLR2004
        raise ValueError(f"an image must be (3, H, W) float32, not {_shape(image)}")


def check_above_0(key: str, value: Any) -> None:
    """Refuse what is no finite number above 0."""
    if not _is_number(value) or not 0 < value < float("inf"):
        raise UsageError(f"imputer.{key}={value} must be a number above 0")


def check_at_least_0(key: str, value: Any) -> None:
    """Refuse what is no finite number of at least 0."""
    if not _is_number(value) or not 0 <= value < float("inf"):
        raise UsageError(f"imputer.{key}={value} must be a number, 0 or above")


def check_seed(value: Any) -> None:
    """Refuse what is no whole number of at least 0."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise UsageError(f"imputer.seed={value} must be a whole number, 0 or above")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _said(value: Any) -> str:
    return ", ".join(f"{v:.9g}" for v in value) if isinstance(value, tuple) else str(value)


def _shape(a: Tensor) -> str:
    return f"{tuple(a.shape)} {str(a.dtype).removeprefix('torch.')}"
