"""The gradient averaged over superpixels: "Gradient weighted superpixels" and SWAG.

Public of the two papers (Hartley, Sidorov, Willis & Marshall, "Gradient weighted superpixels for
interpretability in CNNs", BMVC 2019 workshop, arXiv 1908.08997, and "SWAG: Superpixels weighted by average
gradients for explanations of CNNs", WACV 2021) is that superpixels are scored by the gradients of their
pixels, and that in SWAG they are made of the image, of the image with the gradients, or of the gradients
alone. There is no code. The rest is our reconstruction:

- the pixel score is the absolute gradient of the logit, summed over the colours; another sign rule takes the
  signed sum;
- superpixels are SLIC's, 50 asked for, on a picture smoothed by a pixel, or gradients would tear them;
- as a picture the gradient is its absolute sum over the colours, divided by the 99th percentile of the image
  and cut at 1: a few pixels are many times as large as the rest, and would leave the picture black;
- image and gradient together are four channels: Lab, and 100 times the gradient's picture, which so spans as
  much as lightness does; the gradient alone is a grey picture.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from nasbench.errors import SaliencyError, SegmentationError, UsageError
from nasbench.models import Classifier
from nasbench.saliency.base import Batch, Method
from nasbench.saliency.gradients import Gradient, reduced
from nasbench.saliency.options import check_choice, check_count, check_positive
from nasbench.saliency.regions import Sign, check_sign, signed, superpixelify
from nasbench.segment.base import Views, contiguous
from nasbench.segment.classical import Slic

Source = Literal["image", "image_and_gradients", "gradients"]

_PERCENTILE = 99.0
# What Lab calls white: the gradient's picture in units of lightness.
_WHITE = 100.0


@dataclass(frozen=True, kw_only=True)
class _MeanGradient(ABC):
    """What the two papers share; the options are those of `GradientSuperpixels`."""

    sign: Sign = "abs"
    n: int = 50
    compactness: float = 20.0
    min_size_factor: float = 0.2
    sigma: float = 1.0

    def __post_init__(self) -> None:
        check_sign(self.sign)
        check_count("n", self.n)
        check_positive("compactness", self.compactness)
        for key in ("min_size_factor", "sigma"):
            if not 0 <= getattr(self, key) < float("inf"):
                raise UsageError(f"saliency.{key}={getattr(self, key)} must be a number of at least 0")

    @property
    @abstractmethod
    def _made_of(self) -> Source:
        """What the superpixels are made of."""

    def unsupported(self, classifier: Classifier) -> str | None:
        """Why the gradient has no meaning for this network; None where it has."""
        return Gradient().unsupported(classifier)

    def __call__(self, classifier: Classifier, batch: Batch) -> Tensor:
        """Maps (B, H, W) float32 on the CPU, constant in each superpixel; see `Saliency`.

        Raises SaliencyError where a gradient is not finite or SLIC refuses the image.
        """
        gradients = Gradient().channels(classifier, batch)
        if not torch.isfinite(gradients).all():
            raise SaliencyError("the gradient holds NaN or infinite values")
        pictures = gradient_pictures(reduced(gradients, "abs_sum"))
        try:
            labels = self._labels(batch.ids, batch.x.detach().cpu(), pictures)
        except SegmentationError as error:
            raise SaliencyError(f"superpixels: {error}") from error
        scores = reduced(gradients, "abs_sum" if self.sign == "abs" else "sum")
        return superpixelify(signed(scores, self.sign), labels)

    def _method(self, name: str, title: str, source: str) -> Method:
        inner = {"abs": "Σ_c |g_c(p)|", "signed": "Σ_c g_c(p)", "positive": "max(0, Σ_c g_c(p))"}[self.sign]
        return Method(
            name=name,
            title=title,
            source=f"Hartley, Sidorov, Willis & Marshall, {source}; reconstructed",
            formula=f"mean of {inner} over the pixels p of the superpixel, g = ∂logit / ∂x",
            range="real" if self.sign == "signed" else ">= 0",
            passes="1 forward + 1 backward",
            needs="gradients",
        )

    def _labels(self, ids: tuple[str, ...], x: Tensor, pictures: Tensor) -> Tensor:
        """Superpixels (B, H, W) of images (B, 3, H, W) and of their gradients' pictures (B, H, W)."""
        if self._made_of == "image_and_gradients":
            both = zip(x.double(), pictures.double(), strict=True)
            return contiguous(torch.stack([self._of_both(image, picture) for image, picture in both]))
        slic = Slic(
            n=self.n,
            compactness=self.compactness,
            min_size_factor=self.min_size_factor,
            sigma=self.sigma,
        )
        seen = x if self._made_of == "image" else pictures[:, None].expand(-1, 3, -1, -1)
        return slic(Views(ids, seen), None)

    def _of_both(self, image: Tensor, picture: Tensor) -> Tensor:
        """Superpixels (H, W) of an image (3, H, W) and its gradient's picture (H, W), both float64."""
        from skimage.color import rgb2lab
        from skimage.segmentation import slic

        # `slic` stretches RGB to [0, 1] before it goes to Lab, and any four channels: the first is done here,
        # so that without a gradient this is SLIC of the image, the second undone by the compactness.
        rgb = image.permute(1, 2, 0).numpy()
        rgb = (rgb - rgb.min()) / (np.ptp(rgb) or 1.0)
        channels = np.concatenate([rgb2lab(rgb), _WHITE * picture.numpy()[..., None]], axis=2)
        try:
            labels = slic(
                channels,
                n_segments=self.n,
                compactness=self.compactness / (float(np.ptp(channels)) or 1.0),
                min_size_factor=self.min_size_factor,
                sigma=self.sigma,
                start_label=0,
                channel_axis=-1,
            )
        except ValueError as error:
            raise SegmentationError(f"slic: {error}") from error
        return torch.from_numpy(np.asarray(labels, dtype=np.int64))


@dataclass(frozen=True, kw_only=True)
class GradientSuperpixels(_MeanGradient):
    """Mean gradient of the superpixels of the image (Hartley et al. 2019).

    Attributes:
        sign: `abs` sums absolute gradients over the colours; `signed` and `positive` sum gradients, of which
            `positive` takes what is below 0 for 0, before any mean.
        n: superpixels asked for; SLIC returns fewer as often as not.
        compactness, min_size_factor, sigma: see `nasbench.segment.classical.Slic`.
    """

    @property
    def method(self) -> Method:
        """What is to be known of the method."""
        source = "BMVC workshop on interpretable and explainable machine vision 2019, arXiv 1908.08997"
        return self._method("gradient_superpixels", "gradient weighted superpixels", source)

    @property
    def _made_of(self) -> Source:
        return "image"


@dataclass(frozen=True, kw_only=True)
class Swag(_MeanGradient):
    """SWAG (Hartley et al. 2021), whose superpixels may be made of the gradients, too.

    Attributes:
        source: `image`, which as far as is public makes it `GradientSuperpixels`; `image_and_gradients`; or
            `gradients`.

    The others are those of `GradientSuperpixels`.
    """

    source: Source = "image_and_gradients"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("source", self.source, get_args(Source))

    @property
    def method(self) -> Method:
        """What is to be known of the method."""
        suffix = {"image_and_gradients": "", "image": "_image", "gradients": "_gradients"}[self.source]
        made_of = self.source.replace("_", " ")
        return self._method(f"swag{suffix}", f"SWAG, superpixels of the {made_of}", "WACV 2021, 423-432")

    @property
    def _made_of(self) -> Source:
        return self.source


def gradient_pictures(values: Tensor) -> Tensor:
    """Values (B, H, W), not negative, as grey in [0, 1]: over their 99th percentile in each image, cut at 1.

    Where that is 0, over the largest; a map of zeros stays black.
    """
    pictures = []
    for image in values.double():
        white = float(np.percentile(image.numpy(), _PERCENTILE)) or float(image.max()) or 1.0
        pictures.append((image / white).clamp(max=1).float())
    return torch.stack(pictures)
