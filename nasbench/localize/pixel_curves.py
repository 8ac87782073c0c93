"""Pixel scores of many images over all thresholds, from one histogram an image.

A histogram (2, T + 1) holds, for T thresholds, how many pixels of the object, and then of the background,
have each score (see `nasbench.localize.pixel_scores.ScoreHistogram`). All that depends on a threshold can be
had from them: PxAP pools them, IoU and F1 are taken image by image at a threshold fitted on other images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasbench.localize.thresholds import Ints

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PixelCurves:
    """Of n images, what is kept at each threshold: {map >= threshold} for the T of the histograms, and for 1.

    Attributes:
        hits, kept: (n, T + 1) pixels kept of the object, and in all.
        inside: (n,) pixels of the object, at least one each.
    """

    hits: Floats
    kept: Floats
    inside: Floats

    @classmethod
    def of(cls, histograms: ArrayLike) -> PixelCurves:
        """From histograms (n, 2, T + 1). Raises ValueError for another shape or an image without object."""
        given = np.asarray(histograms, dtype=np.float64)
        if given.ndim != 3 or given.shape[1] != 2 or given.shape[2] < 2:  # noqa: PLR2004
            raise ValueError(f"histograms are (n, 2, T + 1), not {given.shape}")
        above = np.cumsum(given[..., ::-1], axis=-1)[..., ::-1]
        hits, inside = above[:, 0], above[:, 0, 0]
        if (inside == 0).any():
            raise ValueError(f"image {int(np.argmin(inside))} has no pixel of an object")
        return cls(hits, hits + above[:, 1], inside)

    @property
    def iou(self) -> Floats:
        """(n, T + 1) intersection over union."""
        return self.hits / (self.kept + self.inside[:, None] - self.hits)

    @property
    def f1(self) -> Floats:
        """(n, T + 1) harmonic mean of precision and recall."""
        return 2 * self.hits / (self.kept + self.inside[:, None])

    def cross_fitted(self, fold: Ints, counts: Ints) -> Floats:
        """(B, 2) mean IoU and F1, each fold at the threshold of highest mean IoU on the others.

        `fold` (n,) and `counts` (B, n) as of `nasbench.localize.thresholds`: each row is fitted anew. Of
        equal thresholds the lowest is taken; a fold whose others are empty is judged at the first.
        """
        iou, f1 = self.iou, self.f1
        total = np.zeros((len(counts), 2))
        for f in np.unique(fold):
            own = fold == f
            at = np.argmax((counts * ~own) @ iou, axis=1)
            drawn = counts[:, own]
            for column, values in enumerate((iou[own], f1[own])):
                total[:, column] += np.einsum("bn,nb->b", drawn, values[:, at])
        means: Floats = total / counts.sum(axis=1, keepdims=True)
        return means

    def px_ap(self, counts: Ints) -> Floats:
        """(B,) PxAP of the images drawn as often as `counts` (B, n) says; `px_ap` of pooled histograms."""
        hits, kept = counts @ self.hits, counts @ self.kept
        precision = np.divide(hits, kept, out=np.zeros_like(hits), where=kept > 0)
        recall = hits / (counts @ self.inside)[:, None]
        # From the highest threshold down: what each adds to the recall.
        gained = recall - np.append(recall[:, 1:], np.zeros((len(recall), 1)), axis=1)
        found: Floats = (precision * gained).sum(axis=1)
        return found
