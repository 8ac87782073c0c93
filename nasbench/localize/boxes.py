"""Half-open boxes `x0 y0 x1 y1` in pixels: what they must be, their IoU, and the pixels they cover."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

# .30, .35, ... .95; the mean is taken over those from .50.
IOU_GRID = tuple(round(0.05 * i, 2) for i in range(6, 20))
MEAN_IOU = tuple(delta for delta in IOU_GRID if delta >= 0.5)  # noqa: PLR2004


def checked_boxes(boxes: ArrayLike) -> Floats:
    """Ground-truth boxes (n, 4), n >= 1, as float64.

    Raises ValueError: none, another shape, not finite, empty or inverted.
    """
    found = np.asarray(boxes, dtype=np.float64)
    if found.size == 0:
        raise ValueError("there is no ground-truth box")
    if found.ndim != 2 or found.shape[1] != 4:  # noqa: PLR2004
        raise ValueError(f"boxes have shape {found.shape}, not (n, 4)")
    good = np.isfinite(found).all(axis=1) & (found[:, :2] < found[:, 2:]).all(axis=1)
    if not good.all():
        i = int(np.argmin(good))
        text = " ".join(f"{value:g}" for value in found[i])
        raise ValueError(f"ground-truth box {i + 1} ({text}) is empty, inverted or not finite")
    return found


def areas(boxes: ArrayLike) -> Floats:
    """(...,) areas of boxes (..., 4); 0 for empty and inverted ones."""
    corners = np.asarray(boxes, dtype=np.float64)
    sides = np.maximum(corners[..., 2:] - corners[..., :2], 0)
    found: Floats = sides[..., 0] * sides[..., 1]
    return found


def pairwise_iou(boxes: ArrayLike, others: ArrayLike) -> Floats:
    """(n, m) IoU of boxes (n, 4) with others (m, 4); 0 with an empty box."""
    a = np.asarray(boxes, dtype=np.float64)[:, None]
    b = np.asarray(others, dtype=np.float64)[None]
    sides = np.maximum(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0)
    shared = sides[..., 0] * sides[..., 1]
    union = areas(a) + areas(b) - shared
    iou: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return iou


def iou_of(boxes: ArrayLike, gt_boxes: ArrayLike) -> Floats:
    """(E,) the best IoU of each box (E, 4) with any ground-truth box (n, 4).

    A prediction may be empty, its IoU is 0; raises ValueError for ground truth as `checked_boxes`.
    """
    pairs = pairwise_iou(np.asarray(boxes, dtype=np.float64).reshape(-1, 4), checked_boxes(gt_boxes))
    best: Floats = pairs.max(axis=1)
    return best


def box_mask(boxes: ArrayLike, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """(H, W) the pixels whose centres lie in one of the boxes (n, 4), clipped to the frame.

    Raises ValueError as `checked_boxes`.
    """
    mask = np.zeros(shape, dtype=bool)
    # Pixel i has its centre at i + 1/2; in half-open [a, b) lie those from ceil(a − 1/2) to ceil(b − 1/2).
    edges = np.ceil(checked_boxes(boxes) - 0.5)
    height, width = shape
    for x0, y0, x1, y1 in np.clip(edges, 0, [width, height, width, height]).astype(np.int64).tolist():
        mask[y0:y1, x0:x1] = True
    return mask


def unit_boxes(boxes: ArrayLike, size: tuple[int, int]) -> Floats:
    """Ground-truth boxes (n, 4) in pixels of a frame (H, W), as shares of its sides.

    Raises ValueError as `checked_boxes`.
    """
    height, width = size
    return checked_boxes(boxes) / np.array([width, height, width, height], dtype=np.float64)


def covering_share(
    boxes: ArrayLike, sizes: Sequence[tuple[int, int]] | tuple[int, int], *, over: float = 0.95
) -> float:
    """The share of predicted boxes (n, 4) that cover more than `over` of their frames (H, W), in 0..1.

    `sizes` is one frame for all, or one each. Raises ValueError without boxes.
    """
    found = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    if len(found) == 0:
        raise ValueError("there is no box to take a share of")
    frames = np.asarray(sizes, dtype=np.float64).reshape(-1, 2).prod(axis=1)
    return float((areas(found) > over * frames).mean())
