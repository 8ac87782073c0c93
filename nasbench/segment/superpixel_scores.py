"""The scores of the superpixel literature, one segmentation against one person's, and one of our own.

Every function takes `labels` (H, W) of any integer type, the regions, negative outside the view, and, where
it needs one, `truth` (H, W) of any integer type, negative where nobody said what is there. Only pixels that
have both count: the others are left out of every sum, and an edge between a pixel that counts and one that
does not is no boundary. Names of regions mean nothing, regions need not be connected.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def undersegmentation_error(labels: NDArray[Any], truth: NDArray[Any]) -> float | None:
    """Share of pixels by which regions leak over the truth's borders, in the min form; lower is better.

    UE = 1/N Σ_S Σ_{P: P∩S≠∅} min(|P∩S|, |P∖S|), with S the truth's segments and P the regions (Neubert &
    Protzel, "Superpixel benchmark and comparison", Forum Bildverarbeitung 2012). Leaking is charged on both
    sides of the border; the range is 0..1. None where no pixel counts.
    """
    found = overlaps(labels, truth)
    if found is None:
        return None
    regions, _, shared = found
    area = np.bincount(regions, weights=shared)
    return float(np.minimum(shared, area[regions] - shared).sum() / shared.sum())


def achievable_segmentation_accuracy(labels: NDArray[Any], truth: NDArray[Any]) -> float | None:
    """Share of pixels that are right if each region takes the segment it shares most pixels with.

    ASA = 1/N Σ_P max_S |P∩S| (Liu, Tuzel, Ramalingam & Chellappa, "Entropy rate superpixel segmentation",
    CVPR 2011), in 0..1, higher is better. None where no pixel counts.
    """
    found = overlaps(labels, truth)
    if found is None:
        return None
    regions, _, shared = found
    most = np.zeros(regions.max() + 1)
    np.maximum.at(most, regions, shared)
    return float(most.sum() / shared.sum())


def boundary_recall(labels: NDArray[Any], truth: NDArray[Any], *, tolerance: float = 0.0025) -> float | None:
    """Share of the truth's boundary pixels with a boundary pixel of the regions near them.

    Boundaries are those of `boundary_pixels`; near is a square window of `reach` pixels to each side, as in
    Stutz, Hermans & Leibe, "Superpixels: an evaluation of the state-of-the-art", CVIU 2018. In 0..1, higher
    is better; a refined segmentation never has less. None where the truth has no boundary.
    """
    ours, theirs = _both_boundaries(labels, truth)
    if not theirs.any():
        return None
    return float(_widened(ours, reach(labels.shape, tolerance))[theirs].mean())


def boundary_precision(
    labels: NDArray[Any], truth: NDArray[Any], *, tolerance: float = 0.0025
) -> float | None:
    """Share of the regions' boundary pixels with a boundary pixel of the truth near them.

    The mirror of `boundary_recall`; the code of Stutz et al. counts the hits on the truth's side instead.
    None where either has no boundary: an annotator who drew none counts neither here nor there.
    """
    ours, theirs = _both_boundaries(labels, truth)
    if not theirs.any() or not ours.any():
        return None
    return float(_widened(theirs, reach(labels.shape, tolerance))[ours].mean())


def compactness(labels: NDArray[Any]) -> float | None:
    """How round the regions are: their isoperimetric quotients, averaged by area; higher is rounder.

    CO = 1/N Σ_P |P| · 4π|P| / L_P² (Schick, Fischer & Stiefelhagen, "Measuring and evaluating the
    compactness of superpixels", ICPR 2012). L_P is the number of pixel sides between P and anything else, the
    image's edge included; by it a square is the most compact shape, with π/4, and nothing reaches 1. Pieces
    and holes of a region add to its one perimeter. None where no pixel has a label.
    """
    kept = labels >= 0
    if not kept.any():
        return None
    names = np.full((labels.shape[0] + 2, labels.shape[1] + 2), -1)
    names[1:-1, 1:-1][kept] = _contiguous(labels[kept])
    area = np.bincount(names[names >= 0]).astype(np.float64)
    perimeter = np.zeros(len(area))
    for near, far in ((names[:, :-1], names[:, 1:]), (names[:-1], names[1:])):
        differ = near != far
        for side in (near[differ], far[differ]):
            perimeter += np.bincount(side[side >= 0], minlength=len(area))
    return float((area * 4 * math.pi * area / np.square(perimeter)).sum() / area.sum())


def boundary_contrast(image: NDArray[np.uint8], labels: NDArray[Any]) -> float | None:
    """How strong the edges are that the boundaries lie on, against those of the whole image.

    BC = (1/|B| Σ_{p∈B} g_p) / (1/N Σ_p g_p), with B the pixels of `boundary_pixels`, N the number of pixels
    with a label and g the length of the Sobel gradient of the luma (0.299 R + 0.587 G + 0.114 B, Rec. 601, in
    0..1). 1 is what boundaries laid uniformly at random get in expectation; above 1 they follow strong edges,
    below 1 they avoid them. A grid may get a little more, for it has no boundary at the image's edge and
    things tend to be in the middle. At least 0; what can be reached depends on the image, so compare on the
    same images.

    A measure of our own, not of the superpixel literature. It is there for a claim of the paper on NAS, that
    shallower stages follow strong edges: boundaries that people drew are those of objects, and an edge that
    nobody drew, of a shadow or a texture, counts for nothing against them.

    `image` is (H, W, 3) RGB; the gradient is taken over all of it, its outermost pixels repeated outwards.
    None where there is no boundary, or where the pixels with a label are flat.
    """
    kept, boundary = labels >= 0, boundary_pixels(labels)
    if not boundary.any():
        return None
    gradient = edge_strength(image)
    mean = float(gradient[kept].mean())
    return None if mean == 0 else float(gradient[boundary].mean()) / mean


def edge_strength(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(H, W): length of the Sobel gradient of the luma (Rec. 601) of (H, W, 3) RGB, in no particular unit."""
    from scipy.ndimage import sobel

    # Whole numbers up to 255000 for 0..1: scales cancel later, and what is flat has a gradient of exactly 0.
    red, green, blue = np.moveaxis(image.astype(np.float64), -1, 0)
    luma = 299 * red + 587 * green + 114 * blue
    found: NDArray[np.float64] = np.hypot(
        sobel(luma, axis=0, mode="nearest"), sobel(luma, axis=1, mode="nearest")
    )
    return found


def boundary_pixels(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """(H, W) bool: pixels with one of their four neighbours in another region.

    Both sides of an edge are boundary, so it is two pixels wide. Pixels with a negative label are no boundary
    and make none; neither does the image's edge.
    """
    out = np.zeros(labels.shape, dtype=np.bool_)
    for near, far in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        a, b = labels[near], labels[far]
        edge = (a != b) & (a >= 0) & (b >= 0)
        out[near] |= edge
        out[far] |= edge
    return out


def reach(shape: tuple[int, ...], tolerance: float) -> int:
    """Pixels that a boundary may be off: `tolerance` times the diagonal of (H, W), halves rounded up."""
    return math.floor(tolerance * math.hypot(shape[0], shape[1]) + 0.5)


def overlaps(
    labels: NDArray[Any], truth: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]] | None:
    """Region, segment and number of shared pixels of each pair of a region and a segment that meet.

    Both are numbered from 0 in the order of their names, without gaps, those without a pixel that counts left
    out. None where no pixel counts.
    """
    kept = (labels >= 0) & (truth >= 0)
    if not kept.any():
        return None
    regions, segments = _contiguous(labels[kept]), _contiguous(truth[kept])
    n_regions = int(regions.max()) + 1
    pairs = segments * n_regions + regions
    if (int(segments.max()) + 1) * n_regions <= 4 * len(pairs):
        counts = np.bincount(pairs)
        found = np.flatnonzero(counts)
        return found % n_regions, found // n_regions, counts[found]
    found, shared = np.unique(pairs, return_counts=True)
    return found % n_regions, found // n_regions, shared.astype(np.int64)


def _both_boundaries(
    labels: NDArray[Any], truth: NDArray[Any]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    left_out = (labels < 0) | (truth < 0)
    if left_out.any():
        labels, truth = np.where(left_out, -1, labels), np.where(left_out, -1, truth)
    return boundary_pixels(labels), boundary_pixels(truth)


def _widened(mask: NDArray[np.bool_], r: int) -> NDArray[np.bool_]:
    """Pixels with a True pixel at most r rows and r columns away, by running sums along each axis."""
    for _ in range(2):
        n = mask.shape[0]
        before = np.concatenate([np.zeros((1, mask.shape[1]), np.int64), np.cumsum(mask, axis=0)])
        rows = np.arange(n)
        mask = (before[np.minimum(rows + r + 1, n)] > before[np.maximum(rows - r, 0)]).T
    return mask


def _contiguous(names: NDArray[Any]) -> NDArray[np.int64]:
    """Names >= 0, flat, as 0..n-1 in their order; without sorting where they are small numbers."""
    if int(names.max()) < 4 * len(names):
        present = np.bincount(names) > 0
        index: NDArray[np.int64] = (np.cumsum(present) - 1)[names]
        return index
    return np.unique(names, return_inverse=True)[1].astype(np.int64).reshape(-1)
