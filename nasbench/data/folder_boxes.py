"""Boxes of a folder's images: those of a table, or one around each mask."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nasbench.data.files import image_rows
from nasbench.data.sample import extent, no_boxes
from nasbench.errors import DataError, UsageError

Box = tuple[float, float, float, float]


def boxes_from_csv(path: Path, images: Iterable[str]) -> Mapping[str, tuple[Box, ...]]:
    """Boxes by image id, in the order of the file; ids beyond the images' are passed over.

    Raises UsageError that names the file and the line: an empty field, a number that is none, a box that is
    empty or inverted, or a file that names none of the images.
    """
    found: defaultdict[str, list[Box]] = defaultdict(list)
    for where, image, corners in image_rows(path, ("x0", "y0", "x1", "y1"), images):
        try:
            x0, y0, x1, y1 = map(_number, corners)
        except ValueError as error:
            raise UsageError(f"{where}: {' '.join(corners)!r} are not four numbers") from error
        if not all(map(math.isfinite, (x0, y0, x1, y1))) or x1 <= x0 or y1 <= y0:
            raise UsageError(f"{where}: the box {' '.join(corners)} is empty, inverted or not finite")
        found[image].append((x0, y0, x1, y1))
    return {image: tuple(boxes) for image, boxes in found.items()}


def _number(text: str) -> float:
    """Raises ValueError, also for what Python alone takes for a number, as 1_0."""
    if "_" in text or not text.isascii():
        raise ValueError(text)
    return float(text)


def checked_in_image(boxes: Iterable[Box], size: tuple[int, int]) -> NDArray[np.float64]:
    """Boxes (n, 4) of an image of (H, W) pixels. Raises DataError for one that reaches beyond it."""
    height, width = size
    found = np.array(list(boxes), dtype=np.float64).reshape(-1, 4)
    beyond = (found[:, :2] < 0).any(axis=1) | (found[:, 2] > width) | (found[:, 3] > height)
    if beyond.any():
        i = int(np.argmax(beyond))
        text = " ".join(f"{value:g}" for value in found[i])
        raise DataError(f"box {i + 1} ({text}) reaches beyond the {width}×{height} image")
    return found


def box_around(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(1, 4) the least box that holds a mask (H, W); (0, 4) of one that is empty."""
    found = extent(mask)
    return no_boxes() if found is None else np.array([found], dtype=np.float64)
