"""The mean of entries that come in clusters: of one image its classes, of several models the same images.

Entries are summed by model and image once, so that a resample is two small products, however many entries
there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Clustered:
    """Entries summed by model (M) and image (N); M = 1 where models are not drawn.

    Attributes:
        sums: (M, N) of the entries; 0 where there are none.
        sizes: (M, N) how many entries.
        mean: of all entries.
    """

    sums: Floats
    sizes: Floats
    mean: float

    @classmethod
    def of(cls, values: ArrayLike, images: Sequence[str], models: Sequence[str] | None = None) -> Clustered:
        """Sum values (n,) by image, and by model if named; whatever their order, to the last bit.

        Raises ValueError: other lengths, no entry, or a value that is not finite.
        """
        x = np.asarray(values, dtype=np.float64)
        if x.ndim != 1 or len(x) == 0:
            raise ValueError(f"values of shape {x.shape} are not a list of at least one")
        if len(images) != len(x) or (models is not None and len(models) != len(x)):
            found = len(images) if models is None else (len(images), len(models))
            raise ValueError(f"{len(x)} values, but {found} images or models")
        if not np.isfinite(x).all():
            raise ValueError(f"value {int(np.flatnonzero(~np.isfinite(x))[0])} is not finite")
        n, image = _places(images)
        m, model = _places(models) if models is not None else (1, np.zeros(len(x), dtype=np.int64))
        order = np.lexsort((x, image, model))
        x, place = x[order], (model * n + image)[order]
        sums: Floats = np.zeros((m, n))
        np.add.at(sums.ravel(), place, x)
        sizes = np.bincount(place, minlength=m * n).reshape(m, n).astype(np.float64)
        return cls(sums, sizes, float(sums.sum() / len(x)))

    @property
    def models(self) -> int:
        """How many models are drawn."""
        return len(self.sums)

    @property
    def images(self) -> int:
        """How many images are drawn."""
        return int(self.sums.shape[1])

    def resampled(self, models: NDArray[np.number], images: NDArray[np.number]) -> Floats:
        """(B,) means in resamples that draw each model `models` (B, M) and each image `images` (B, N) times.

        An entry counts as often as the product says. NaN where a resample has no entry, which takes models
        that share no image.
        """
        by_model, by_image = np.asarray(models, dtype=np.float64), np.asarray(images, dtype=np.float64)
        if self.models == 1:
            totals, counts = by_image @ self.sums[0], by_image @ self.sizes[0]
        else:
            totals = np.einsum("bn,bn->b", by_model @ self.sums, by_image)
            counts = np.einsum("bn,bn->b", by_model @ self.sizes, by_image)
        found: Floats = np.divide(totals, counts, out=np.full(len(totals), np.nan), where=counts > 0)
        return found

    def error(self) -> tuple[float, float]:
        """The mean's standard error and its degrees of freedom; needs two images.

        Per clustering the linearised variance of a ratio, G/(G − 1) Σ_g r_g² / n², r_g being the sum of the
        cluster's entries less the mean (CR1 of Cameron and Miller 2015). Those of models and images are
        added, and Satterthwaite's degrees of freedom taken. What model and image have in common is in both,
        so that the sum errs on the wide side; taking it off can leave a variance below either's.
        """
        parts = [_variance((self.sums - self.mean * self.sizes).sum(axis=0), self.sizes.sum())]
        if self.models > 1:
            parts.append(_variance((self.sums - self.mean * self.sizes).sum(axis=1), self.sizes.sum()))
        freedom = [self.images - 1, self.models - 1][: len(parts)]
        total = sum(parts)
        if total <= (1e-12 * self.mean) ** 2:  # what rounding leaves of entries that are all the same
            return 0.0, float(freedom[0])
        shares = sum((one / total) ** 2 / free for one, free in zip(parts, freedom, strict=True))
        return float(np.sqrt(total)), float(1 / shares)


def _variance(residuals: Floats, entries: float) -> float:
    G = len(residuals)
    return float(G / (G - 1) * np.sum(residuals**2) / entries**2)


def _places(names: Sequence[str]) -> tuple[int, Ints]:
    """How many different names, and the place of each entry's among them, sorted."""
    order = {name: i for i, name in enumerate(sorted(set(names)))}
    return len(order), np.array([order[name] for name in names], dtype=np.int64)
