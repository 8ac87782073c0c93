"""Inpainting by fast marching (Telea 2004), as OpenCV has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from nasbench.faithfulness.imputer import Described, check_above_0, check_call, image_mean, replaced


@dataclass(frozen=True, kw_only=True)
class Telea(Described):
    """Removed pixels are filled from the rim inwards, each from the known ones near it and their gradients.

    Telea, "An Image Inpainting Technique Based on the Fast Marching Method", J. Graphics Tools 9, 2004, by
    `cv2.inpaint`. That works on 8 bits: the kept pixels are rounded to 1/255 before they are read, and the
    fill has 256 levels, with a grain of some three of them even in a flat image. Kept pixels themselves stay
    as they are. Where all is removed there is no rim to start from: the image's mean colour, unrounded.

    Attributes:
        radius: pixels around a removed one that it is filled from.
    """

    radius: float = 3.0

    name: ClassVar[str] = "telea"
    all_removed: ClassVar[str] = "image mean"

    def __post_init__(self) -> None:
        check_above_0("radius", self.radius)

    def fill_for(self, image: Tensor, image_id: str) -> None:
        """None: the fill depends on what is removed."""

    def __call__(self, image: Tensor, removed: Tensor, image_id: str, labels: Tensor | None = None) -> Tensor:
        """Images (M, 3, H, W) float32 with the removed pixels replaced; see `Imputer`."""
        import cv2

        del image_id
        check_call(image, removed, labels)
        fill = image_mean(image).expand_as(image).repeat(len(removed), 1, 1, 1)
        bytes_ = (image.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        for i, mask in enumerate(removed.cpu().numpy()):
            if not mask.all():
                known = np.where(mask[..., None], np.uint8(0), bytes_)
                # A frame to be filled as well: without it OpenCV reads removed pixels near the edges, and its
                # versions differ in what they make of those on the very edge.
                framed = np.pad(known, ((1, 1), (1, 1), (0, 0)))
                where = np.pad(mask.astype(np.uint8), 1, constant_values=1)
                filled = cv2.inpaint(framed, where, self.radius, cv2.INPAINT_TELEA)[1:-1, 1:-1]
                fill[i] = (torch.from_numpy(filled).permute(2, 0, 1).float() / 255).to(fill)
        return replaced(image, removed, fill)
