"""The object of an image, by what its data set offers."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nasbench.data import Sample

Truth = Literal["mask", "box", "segments"] | None


def object_mask(sample: Sample, truth: Truth) -> NDArray[np.bool_] | None:
    """The object in image pixels, (H, W) bool: its mask, or the union of its boxes; None where none is."""
    if truth == "mask":
        return sample.mask
    if truth != "box" or len(sample.boxes) == 0:
        return None
    target = np.zeros(sample.image.shape[:2], dtype=np.bool_)
    for x0, y0, x1, y1 in np.rint(sample.boxes).astype(int).tolist():
        target[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = True
    return target
