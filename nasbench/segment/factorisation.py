"""Deep feature factorisation: the rival that, too, reads regions off a network's activations."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasbench.errors import SegmentationError, UsageError
from nasbench.models.features import Features
from nasbench.segment.base import Views, contiguous
from nasbench.segment.matching import Knob


@dataclass(frozen=True, kw_only=True)
class FeatureFactorisation:
    """Non-negative factors of one stage of one image (Collins, Achanta & Süsstrunk, ECCV 2018).

    The stage's activations as a matrix (positions × channels) ≈ W H with W, H ≥ 0. A pixel belongs to the
    factor that contributes most there: the arg-max of the bilinearly upsampled columns of W, each times the
    norm of its row of H, for W and H are determined only up to that scale. Negative activations, which
    networks without a ReLU at the stage's end have (transformers above all), count as 0: for those this is
    an adaptation and not the published method.

    Attributes:
        n: factors, at most one a position or channel of the stage; fewer regions appear where a factor
            leads nowhere.
        stage: index into the model's stages, negative from the deepest.
        max_iter: sweeps of coordinate descent at most.
    """

    n: int = 10
    stage: int = -1
    max_iter: int = 200

    uses_features: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for key, value in (("n", self.n), ("max_iter", self.max_iter)):
            if value < 1:
                raise UsageError(f"segmenter.{key}={value} must be at least 1")

    def check_stages(self, n: int) -> None:
        """Whether a model of n stages has the one asked for. Raises UsageError."""
        if not -n <= self.stage < n:
            raise UsageError(f"segmenter.stage={self.stage}; the model has {n} stages: {-n} to {n - 1}")

    def __call__(self, views: Views, features: Features | None) -> Tensor:
        """Labels (B, H, W) int64 on the views' grid; see `Segmenter`."""
        if features is None:
            raise SegmentationError("dff needs the model's activations")
        self.check_stages(len(features.stages))
        maps = [factor_labels(a, views.size, self.n, self.max_iter) for a in features.stages[self.stage]]
        return contiguous(torch.stack(maps))

    def count_knob(self, wanted: int, size: tuple[int, int]) -> Knob:
        """See `nasbench.segment.matching.Countable`."""
        del size
        # Beyond a few times as many factors as regions wanted, more factors only split ever less.
        return Knob(at=lambda n: replace(self, n=int(n)), start=wanted, low=1, high=4 * wanted)


def factor_labels(activations: Tensor, size: tuple[int, int], n: int, max_iter: int) -> Tensor:
    """The leading factor at each pixel: (C, h, w) -> (H, W) int64; the lower index wins a tie.

    Raises SegmentationError for NaN or infinite activations.
    """
    if not bool(torch.isfinite(activations).all()):
        raise SegmentationError("dff: the stage holds NaN or infinite activations")
    channels, h, w = activations.shape
    matrix = activations.detach().double().cpu().clamp(min=0).reshape(channels, h * w).T.contiguous()
    if n == 1 or not bool((matrix > 0).any()):
        return torch.zeros(size, dtype=torch.int64)
    weights = _contributions(matrix.numpy(), min(n, h * w, channels), max_iter)
    maps = torch.from_numpy(weights.T.reshape(1, -1, h, w).astype(np.float32))
    upsampled = torch.nn.functional.interpolate(maps, size, mode="bilinear", align_corners=False)
    return upsampled[0].argmax(dim=0)


def _contributions(matrix: NDArray[np.float64], n: int, max_iter: int) -> NDArray[np.float64]:
    """(positions, n): W, its columns scaled by the norms of H's rows; the same on every call."""
    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    # Non-negative double SVD (Boutsidis & Gallopoulos 2008), zeros filled with the mean: no random start.
    # The truncated SVD behind it draws test vectors, from a fixed seed.
    model = NMF(n, init="nndsvda", solver="cd", max_iter=max_iter, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # max_iter is a choice of the configuration
        factors = model.fit_transform(matrix / matrix.max())
    scaled: NDArray[np.float64] = factors * np.linalg.norm(model.components_, axis=1)
    return scaled
