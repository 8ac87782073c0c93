"""How far two labellings of one image agree, whatever their regions are called.

Both functions take `a` and `b` (H, W) of any integer type, negative where a pixel has no region. Only pixels
that have a region in both count. Names of regions mean nothing, regions need not be connected, and the order
of the two does not matter. ValueError where the shapes differ or no pixel counts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench.segment.superpixel_scores import overlaps


def adjusted_rand(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Agreement over pairs of pixels, corrected for chance: 1 for equal partitions, about 0 for unrelated.

    ARI = (S − E) / ((A + B) / 2 − E) with E = A·B / C(N, 2), where S, A and B count the pairs of pixels that
    share a region in both, in `a` and in `b` (Hubert & Arabie, "Comparing partitions", Journal of
    Classification 1985). At most 1; below 0 where they agree less than chance. 1 where both are the same
    trivial partition (one region, or each pixel its own), 0 where only one of them is one region.
    """
    left, right, shared = _overlaps(a, b)
    pairs = _pairs(shared)
    in_a, in_b = _pairs(_areas(left, shared)), _pairs(_areas(right, shared))
    total = _pairs(shared.sum(keepdims=True))
    # All of it is multiplied by 2·C(N, 2): with Python's integers nothing is rounded before the division.
    chance = 2 * in_a * in_b
    most = (in_a + in_b) * total
    return 1.0 if most == chance else (2 * pairs * total - chance) / (most - chance)


def matched_iou(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Mean IoU of the regions of `a` and `b`, matched one to one so that it is highest; in 0..1.

    max_π Σ_{(i, j) ∈ π} |A_i ∩ B_j| / |A_i ∪ B_j| / max(n_a, n_b), over one-to-one matchings π, found exactly
    (scipy's linear_sum_assignment): a region without a partner counts 0. 1 for equal partitions only, and
    never quite 0. Memory n_a × n_b.
    """
    from scipy.optimize import linear_sum_assignment

    left, right, shared = _overlaps(a, b)
    areas_a, areas_b = _areas(left, shared), _areas(right, shared)
    iou = np.zeros((len(areas_a), len(areas_b)))
    iou[left, right] = shared / (areas_a[left] + areas_b[right] - shared)
    matched = linear_sum_assignment(iou, maximize=True)
    return float(iou[matched].sum() / max(iou.shape))


def _overlaps(
    a: NDArray[Any], b: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    if a.shape != b.shape:
        raise ValueError(f"two labellings of one image must have one shape, not {a.shape} and {b.shape}")
    found = overlaps(a, b)
    if found is None:
        raise ValueError("no pixel has a region in both labellings")
    return found


def _areas(regions: NDArray[np.int64], shared: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pixels of each region; the sums are whole and far below 2^53, so that float64 holds them."""
    return np.bincount(regions, weights=shared).astype(np.int64)


def _pairs(sizes: NDArray[np.int64]) -> int:
    """Pairs of pixels within sets of these sizes: at most 5·10^11 for 10^6 pixels, well within int64."""
    return int((sizes * (sizes - 1) // 2).sum())
