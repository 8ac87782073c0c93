"""Explanations that know nothing of the network: what a score is worth without any explaining."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasbench.errors import SaliencyError, UsageError
from nasbench.models import Classifier
from nasbench.rng import generator
from nasbench.saliency.base import Batch, Method

# Luma of RGB, ITU-R BT.601.
_LUMA = (0.299, 0.587, 0.114)


class _Blind(ABC):
    """Maps without a network, of one image after the other, so that the batch has no influence."""

    def unsupported(self, classifier: Classifier) -> str | None:
        """None: any network has a map, for none is run."""
        del classifier
        return None

    def __call__(self, classifier: Classifier, batch: Batch) -> Tensor:
        """Maps (B, H, W) float32 on the CPU; see `Saliency`."""
        del classifier
        return torch.stack([self._map(batch.image(i)).float() for i in range(len(batch.ids))])

    @abstractmethod
    def _map(self, image: Batch) -> Tensor:
        """The map (H, W) of a batch of one."""


@dataclass(frozen=True, kw_only=True)
class UniformRandom(_Blind):
    """Each pixel a draw of its own: every order of removal is as likely as any other.

    Attributes:
        seed: with the image's id, decides the draws.
    """

    seed: int = 0

    method: ClassVar[Method] = Method(
        name="random",
        title="uniform noise",
        source="control",
        formula="an independent uniform draw for each pixel",
        range="[0, 1]",
        passes="none",
        needs="none",
    )

    def _map(self, image: Batch) -> Tensor:
        return torch.from_numpy(_noise(self.seed, image, self.method.name))


@dataclass(frozen=True, kw_only=True)
class BlurredRandom(_Blind):
    """Noise as smooth as a coarse map: a blob or two anywhere, as likely at the edge as in the middle.

    Attributes:
        sigma: width of the Gaussian as a share of the view's shorter side, in (0, 1]; 0.1 looks like the
            7 × 7 maps of a CAM.
        seed: with the image's id, decides the noise.
    """

    sigma: float = 0.1
    seed: int = 0

    method: ClassVar[Method] = Method(
        name="random_blur",
        title="blurred noise",
        source="control",
        formula="independent uniform draws, convolved with a Gaussian on the torus",
        range="[0, 1]",
        passes="none",
        needs="none",
    )

    def __post_init__(self) -> None:
        _check_share(self.sigma)

    def _map(self, image: Batch) -> Tensor:
        from scipy.ndimage import gaussian_filter

        noise = _noise(self.seed, image, self.method.name)
        # On the torus the blurred field is the same everywhere; at a mirrored edge it varies more.
        blurred = gaussian_filter(noise, self.sigma * min(image.size), mode="wrap")
        return torch.from_numpy(blurred)


@dataclass(frozen=True, kw_only=True)
class CentreGaussian(_Blind):
    """A Gaussian in the middle of the view: what photographers do, and no network needs to be asked.

    Attributes:
        sigma: standard deviation as a share of each side, above 0 and at most 1; an ellipse where the view is
            no square.
    """

    sigma: float = 0.25

    method: ClassVar[Method] = Method(
        name="centre",
        title="centre Gaussian",
        source="control",
        formula="exp(−(u² + v²) / 2σ²), u and v the distances to the middle as shares of the sides",
        range="(0, 1]",
        passes="none",
        needs="none",
    )

    def __post_init__(self) -> None:
        _check_share(self.sigma)

    def _map(self, image: Batch) -> Tensor:
        v, u = ((torch.arange(n, dtype=torch.float64) + 0.5) / n - 0.5 for n in image.size)
        return torch.exp(-(u.square() + v.square()[:, None]) / (2 * self.sigma**2))


@dataclass(frozen=True, kw_only=True)
class EdgeDetector(_Blind):
    """The image's own edges: what an explanation shows that copies its input (Adebayo et al. 2018)."""

    method: ClassVar[Method] = Method(
        name="edges",
        title="Sobel edges",
        source="Sobel & Feldman, a 3 × 3 isotropic gradient operator, 1968; luma of ITU-R BT.601",
        formula="√(g_x² + g_y²) of the luma, per pixel; the outermost pixels are repeated beyond the edge",
        range=">= 0",
        passes="none",
        needs="none",
    )

    def _map(self, image: Batch) -> Tensor:
        red, green, blue = image.x[0].detach().cpu().double()
        luma = _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue
        return sobel(luma)


@dataclass(frozen=True, kw_only=True)
class Oracle(_Blind):
    """The truth itself, as the most that a score can reach on a view's grid."""

    method: ClassVar[Method] = Method(
        name="oracle",
        title="the object's mask or box",
        source="control",
        formula="1 on the object, 0 elsewhere",
        range="0 or 1",
        passes="none",
        needs="none",
    )

    def _map(self, image: Batch) -> Tensor:
        if image.truth is None or not bool(image.truth.any()):
            raise SaliencyError("the image has no mask or box")
        return image.truth[0].cpu()


class _Constant(_Blind):
    """The same value everywhere."""

    def _map(self, image: Batch) -> Tensor:
        return torch.ones(image.size)


@dataclass(frozen=True, kw_only=True)
class FullBox(_Constant):
    """The whole frame: a map that names no place has the frame as its box at every threshold."""

    method: ClassVar[Method] = Method(
        name="full_box",
        title="the whole frame",
        source="control",
        formula="1 everywhere",
        range="1",
        passes="none",
        needs="none",
    )


@dataclass(frozen=True, kw_only=True)
class ConstBox(_Constant):
    """One box for all images, the best one on the other folds: what knowing the data set's habits is worth.

    Which box that is only shows when all images have been seen. So the map is a constant that holds the
    place, `nasbench wsol` writes the ground truth alone into its rows, and the box is fitted where the
    thresholds of the others are, when the report is made.
    """

    method: ClassVar[Method] = Method(
        name="const_box",
        title="one box for all images",
        source="control",
        formula="1 everywhere; nasbench wsol puts the best constant box of the other folds in its place",
        range="1",
        passes="none",
        needs="none",
    )


def sobel(grey: Tensor) -> Tensor:
    """Magnitude of the gradient (H, W) of grey values (H, W), in their units per pixel.

    The 3 × 3 Sobel kernels over 8, so that a ramp has its slope; the outermost pixels are repeated beyond the
    edge.
    """
    padded = torch.nn.functional.pad(grey[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]

    def smoothed(a: Tensor) -> Tensor:
        return (a[:-2] + 2 * a[1:-1] + a[2:]) / 4

    across = smoothed(padded[:, 2:] - padded[:, :-2]) / 2
    down = smoothed((padded[2:] - padded[:-2]).T).T / 2
    return torch.hypot(across, down)


def _noise(seed: int, image: Batch, name: str) -> NDArray[np.float64]:
    """Independent uniform draws (H, W) in [0, 1)."""
    return generator(seed, image.ids[0], f"saliency.{name}").random(image.size)


def _check_share(sigma: float) -> None:
    if not 0 < sigma <= 1:
        raise UsageError(f"saliency.sigma={sigma} must be above 0 and at most 1: a share of the view's side")
