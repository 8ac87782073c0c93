"""Superpixels from the image alone, by scikit-image."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasbench.errors import SegmentationError, UsageError
from nasbench.models.features import Features
from nasbench.rng import derive_seed
from nasbench.segment.base import Views, contiguous
from nasbench.segment.controls import grid_labels
from nasbench.segment.matching import Knob


@dataclass(frozen=True, kw_only=True)
class Slic:
    """SLIC (Achanta et al. 2012), `skimage.segmentation.slic`, on the view.

    Attributes:
        n: regions asked for; SLIC returns fewer as often as not, and the count is recorded.
        compactness: weight of the position against colour.
        min_size_factor: pieces below this share of the mean size asked for join a neighbour.
        sigma: width in pixels of the Gaussian that smooths the view first.
        kwargs: anything else `skimage.segmentation.slic` takes.
    """

    n: int = 10
    compactness: float = 20.0
    min_size_factor: float = 0.2
    sigma: float = 0.0
    kwargs: dict[str, Any] = field(default_factory=dict)

    uses_features: ClassVar[bool] = False

    def __post_init__(self) -> None:
        from skimage.segmentation import slic

        _check(least={"n": (self.n, 1)}, above={"compactness": (self.compactness, 0)})
        own = {"n_segments", "compactness", "min_size_factor", "sigma", "start_label"}
        _check_kwargs(self.kwargs, slic, own)

    def __call__(self, views: Views, features: Features | None) -> Tensor:
        """Labels (B, H, W) int64 on the views' grid; see `Segmenter`."""
        from skimage.segmentation import slic

        del features
        return _each_image(
            views,
            "slic",
            lambda image, _: slic(
                image,
                n_segments=self.n,
                compactness=self.compactness,
                min_size_factor=self.min_size_factor,
                sigma=self.sigma,
                start_label=0,
                channel_axis=-1,
                **self.kwargs,
            ),
        )

    def count_knob(self, wanted: int, size: tuple[int, int]) -> Knob:
        """See `nasbench.segment.matching.Countable`."""
        # SLIC starts from a regular grid, so that turning n jumps over most counts (16 to 25 on a square):
        # the smallest grid of at least as many seeds is taken, and the least size of a piece is turned.
        n = next(n for n in count(max(1, wanted // 2)) if _seeds(size, n) >= min(wanted, size[0] * size[1]))
        return Knob(
            at=lambda factor: replace(self, n=n, min_size_factor=factor),
            start=self.min_size_factor or 0.2,
            low=1e-3,
            high=1.2,
            slope=-0.3,
            whole=False,
        )


@dataclass(frozen=True, kw_only=True)
class Felzenszwalb:
    """Graph-based segmentation (Felzenszwalb & Huttenlocher 2004), `skimage.segmentation.felzenszwalb`.

    Attributes:
        scale: how different two regions must be to stay apart; larger means fewer regions.
        sigma: width in pixels of the Gaussian that smooths the view first.
        min_size: regions below this share of the image join a neighbour, in [0, 1).
    """

    scale: float = 100.0
    sigma: float = 0.8
    min_size: float = 0.002

    uses_features: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check(least={"sigma": (self.sigma, 0)}, above={"scale": (self.scale, 0)})
        if not 0 <= self.min_size < 1:
            raise UsageError(f"segmenter.min_size={self.min_size} must be in [0, 1): a share of the image")

    def __call__(self, views: Views, features: Features | None) -> Tensor:
        """Labels (B, H, W) int64 on the views' grid; see `Segmenter`."""
        from skimage.segmentation import felzenszwalb

        del features
        least = round(self.min_size * views.size[0] * views.size[1])
        return _each_image(
            views,
            "felzenszwalb",
            lambda image, _: felzenszwalb(
                image, scale=self.scale, sigma=self.sigma, min_size=least, channel_axis=-1
            ),
        )

    def count_knob(self, wanted: int, size: tuple[int, int]) -> Knob:
        """See `nasbench.segment.matching.Countable`."""
        del wanted, size
        # On photographs scales of 10 to 10,000 span what `min_size` allows down to single regions.
        return Knob(
            at=lambda scale: replace(self, scale=scale),
            start=500.0,
            low=1e-3,
            high=1e6,
            slope=-0.8,
            whole=False,
        )


@dataclass(frozen=True, kw_only=True)
class Watershed:
    """Compact watershed (Neubert & Protzel 2014) on the gradient, `skimage.segmentation.watershed`.

    The gradient is the Sobel magnitude of the view's grey values, in [0, 1]; the markers are the centres of
    the rectangles of `Grid`.

    Attributes:
        n: markers and so regions: met exactly wherever `Grid` meets it.
        compactness: what a pixel of distance to the marker weighs, in units of the gradient.
        sigma: width in pixels of the Gaussian that smooths the grey values first.
    """

    n: int = 10
    compactness: float = 0.001
    sigma: float = 1.0

    uses_features: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check(
            least={"n": (self.n, 1), "compactness": (self.compactness, 0), "sigma": (self.sigma, 0)}, above={}
        )

    def __call__(self, views: Views, features: Features | None) -> Tensor:
        """Labels (B, H, W) int64 on the views' grid; see `Segmenter`."""
        from skimage.color import rgb2gray
        from skimage.filters import gaussian, sobel
        from skimage.segmentation import watershed

        del features
        markers = _centres(views.size, self.n)
        return _each_image(
            views,
            "watershed",
            lambda image, _: watershed(
                sobel(gaussian(rgb2gray(image), self.sigma)), markers, compactness=self.compactness
            ),
        )

    def count_knob(self, wanted: int, size: tuple[int, int]) -> Knob:
        """See `nasbench.segment.matching.Countable`."""
        pixels = size[0] * size[1]
        return Knob(at=lambda n: replace(self, n=int(n)), start=wanted, low=1, high=pixels)


@dataclass(frozen=True, kw_only=True)
class Quickshift:
    """Mode seeking in colour and place (Vedaldi & Soatto 2008), `skimage.segmentation.quickshift`.

    Attributes:
        kernel_size: pixels, width of the Gaussian of the density; the time grows with its square.
        max_dist: distance at which two pixels no longer link; larger means fewer regions.
        ratio: weight of colour against place, in [0, 1].
        seed: with the sample's id, decides the noise that breaks ties.
        kwargs: anything else `skimage.segmentation.quickshift` takes.
    """

    kernel_size: float = 8.0
    max_dist: float = 32.0
    ratio: float = 1.0
    seed: int = 0
    kwargs: dict[str, Any] = field(default_factory=dict)

    uses_features: ClassVar[bool] = False

    def __post_init__(self) -> None:
        from skimage.segmentation import quickshift

        _check(
            least={"kernel_size": (self.kernel_size, 1), "ratio": (self.ratio, 0)},
            above={"max_dist": (self.max_dist, 0)},
        )
        if self.ratio > 1:
            raise UsageError(f"segmenter.ratio={self.ratio} must be in [0, 1]")
        own = {"kernel_size", "max_dist", "ratio", "rng", "return_tree"}
        _check_kwargs(self.kwargs, quickshift, own)

    def __call__(self, views: Views, features: Features | None) -> Tensor:
        """Labels (B, H, W) int64 on the views' grid; see `Segmenter`."""
        from skimage.segmentation import quickshift

        del features
        return _each_image(
            views,
            "quickshift",
            lambda image, name: quickshift(
                image,
                kernel_size=self.kernel_size,
                max_dist=self.max_dist,
                ratio=self.ratio,
                rng=derive_seed(self.seed, name, "quickshift") % 2**31,  # it takes a C int
                channel_axis=-1,
                **self.kwargs,
            ),
        )

    def count_knob(self, wanted: int, size: tuple[int, int]) -> Knob:
        """See `nasbench.segment.matching.Countable`."""
        # A pixel links within three kernel widths, so that max_dist alone reaches no small count.
        start = max(1.0, 0.15 * (size[0] * size[1] / wanted) ** 0.5)
        ratio = self.max_dist / self.kernel_size
        return Knob(
            at=lambda kernel: replace(self, kernel_size=kernel, max_dist=ratio * kernel),
            start=start,
            low=1.0,
            high=4 * start,
            slope=-3.0,
            whole=False,
        )


def _each_image(views: Views, name: str, cut: Callable[[NDArray[np.float32], str], Any]) -> Tensor:
    """Labels (B, H, W), contiguous, of a function of an image (H, W, 3) in [0, 1] and its id.

    Raises SegmentationError where the function refuses an image.
    """
    images = views.pixels.permute(0, 2, 3, 1).float().cpu().numpy()
    maps = []
    for image, sample in zip(images, views.ids, strict=True):
        try:
            labels = cut(np.ascontiguousarray(image), sample)
        except (TypeError, ValueError) as error:
            raise SegmentationError(f"{name}: {error}") from error
        maps.append(torch.from_numpy(np.asarray(labels, dtype=np.int64)))
    return contiguous(torch.stack(maps))


def _seeds(size: tuple[int, int], n: int) -> int:
    """How many clusters SLIC starts from when asked for n."""
    from skimage.util import regular_grid

    sides = regular_grid((1, *size), n)
    return math.prod(
        len(range(*side.indices(length))) for side, length in zip(sides, (1, *size), strict=True)
    )


def _centres(size: tuple[int, int], n: int) -> NDArray[np.int32]:
    """(H, W): 1, 2, ... at the centres of `Grid`'s rectangles, 0 elsewhere."""
    from scipy.ndimage import find_objects

    markers = np.zeros(size, dtype=np.int32)
    boxes = find_objects(grid_labels(size, n).numpy().astype(np.int32) + 1)
    for label, box in enumerate((box for box in boxes if box is not None), start=1):
        markers[tuple((side.start + side.stop - 1) // 2 for side in box)] = label
    return markers


def _check(*, least: dict[str, tuple[float, float]], above: dict[str, tuple[float, float]]) -> None:
    for bounds, words, strict in ((least, "at least", False), (above, "above", True)):
        for key, (value, bound) in bounds.items():
            if value < bound or (strict and value == bound):
                raise UsageError(f"segmenter.{key}={value} must be {words} {bound}")


def _check_kwargs(kwargs: dict[str, Any], function: Callable[..., Any], own: set[str]) -> None:
    """Refuse keywords the function lacks, and those that are keys of ours."""
    known = set(inspect.signature(function).parameters) - own - {"image", "channel_axis"}
    for key in kwargs:
        if key not in known:
            name = function.__name__
            raise UsageError(f"segmenter.kwargs.{key}: {name} takes {', '.join(sorted(known))}")
