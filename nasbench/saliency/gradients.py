"""Gradients with respect to the image: plain, times the image, averaged over noise, along a path.

All are taken in the space of images, [0, 1]: the network's own normalisation is part of what is derived.
Channels come last: a method averages what it averages channel by channel, and only then reduces the three
channels to one value, by a rule of `reduced`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from nasbench.models import Classifier
from nasbench.rng import generator
from nasbench.saliency.base import Batch, Method
from nasbench.saliency.options import check_choice, check_count, check_positive
from nasbench.saliency.passes import Point, Score, check_score, gradients_at, in_chunks, input_gradients

Reduce = Literal["sum", "abs_sum", "abs_max", "norm"]
Rule = Literal["midpoint", "trapezoid", "gauss_legendre"]
Baseline = Literal["zero", "mean", "black_white", "blur", "uniform"]


@dataclass(frozen=True, kw_only=True)
class _ByChannel(ABC):
    """A value per channel and pixel, reduced over channels.

    Attributes:
        reduce: how channels become one value: see `reduced`.
        score: what is derived: the target's `logit`, or its `probability`, which also falls as others rise.
    """

    reduce: Reduce = "abs_max"
    score: Score = "logit"

    method: ClassVar[Method]

    def __post_init__(self) -> None:
        check_choice("reduce", self.reduce, get_args(Reduce))
        check_score(self.score)

    def unsupported(self, classifier: Classifier) -> str | None:
        """None: every network has a gradient with respect to its image."""
        del classifier
        return None

    def __call__(self, classifier: Classifier, batch: Batch) -> Tensor:
        """Maps (B, H, W) float32 on the CPU; see `Saliency`."""
        return reduced(self.channels(classifier, batch), self.reduce)

    @abstractmethod
    def channels(self, classifier: Classifier, batch: Batch) -> Tensor:
        """Values (B, 3, H, W) on the CPU, before channels are reduced."""


def reduced(values: Tensor, rule: Reduce) -> Tensor:
    """(B, H, W) float32 of (B, 3, H, W): signed sum, sum of sizes, largest size, or Euclidean norm."""
    if rule == "sum":
        return values.sum(dim=1).float()
    if rule == "abs_sum":
        return values.abs().sum(dim=1).float()
    if rule == "abs_max":
        return values.abs().amax(dim=1).float()
    norm: Tensor = torch.linalg.vector_norm(values, dim=1)
    return norm.float()


@dataclass(frozen=True, kw_only=True)
class Gradient(_ByChannel):
    """How much the score changes with each pixel."""

    method: ClassVar[Method] = Method(
        name="gradient",
        title="Gradient",
        source="Simonyan, Vedaldi & Zisserman, Deep inside convolutional networks: visualising image "
        "classification models and saliency maps, ICLR workshop 2014, arXiv:1312.6034",
        formula="max_c |∂S/∂x_c|",
        range=">= 0",
        passes="1 forward + 1 backward",
        needs="gradients",
    )

    def channels(self, classifier: Classifier, batch: Batch) -> Tensor:
        """See `_ByChannel`."""

        def run(x: Tensor, target: Tensor) -> Tensor:
            return input_gradients(classifier, x, target, self.score).cpu()

        return in_chunks(run, batch.x, batch.target, max_batch=batch.max_batch)


@dataclass(frozen=True, kw_only=True)
class InputXGradient(Gradient):
    """The first-order share of each pixel in the score, from black: exact where the score is linear."""

    reduce: Reduce = "sum"

    method: ClassVar[Method] = Method(
        name="input_x_gradient",
        title="Input × Gradient",
        source="Shrikumar, Greenside, Shcherbina & Kundaje, Not just a black box: learning important "
        "features through propagating activation differences, 2016, arXiv:1605.01713",
        formula="Σ_c x_c ∂S/∂x_c, x in [0, 1]",
        range="real",
        passes="1 forward + 1 backward",
        needs="gradients",
    )

    def channels(self, classifier: Classifier, batch: Batch) -> Tensor:
        """See `_ByChannel`."""
        return super().channels(classifier, batch) * batch.x.detach().cpu().float()


@dataclass(frozen=True, kw_only=True)
class SmoothGrad(_ByChannel):
    """The mean gradient over noisy copies of the image, which are not clipped to [0, 1].

    Attributes:
        n: noisy copies.
        sigma: standard deviation of the noise, as a share of the image's own range (largest minus smallest
            value of all its channels).
        seed: with the image's id and the copy's number, decides the noise; the same for all three methods.
    """

    n: int = 25
    sigma: float = 0.15
    seed: int = 0

    method: ClassVar[Method] = Method(
        name="smoothgrad",
        title="SmoothGrad",
        source="Smilkov, Thorat, Kim, Viégas & Wattenberg, SmoothGrad: removing noise by adding noise, 2017, "
        "arXiv:1706.03825",
        formula="max_c |mean_i g_c(x + ε_i)|, g = ∂S/∂x, ε_i iid normal",
        range=">= 0",
        passes="n of each",
        needs="gradients",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("n", self.n)
        check_positive("sigma", self.sigma)

    def channels(self, classifier: Classifier, batch: Batch) -> Tensor:
        """See `_ByChannel`."""
        mean = torch.zeros(batch.x.shape, dtype=torch.float64)
        spread = torch.zeros_like(mean)
        seen = [0] * len(batch.ids)
        points = gradients_at(classifier, self._points(batch), max_batch=batch.max_batch, score=self.score)
        for point, grad in points:
            # Welford's update: a variance as a difference of two large sums could come out negative.
            i = point.image
            seen[i] += 1
            away = grad - mean[i]
            mean[i] += away / seen[i]
            spread[i] += away * (grad - mean[i])
        return self._statistic(mean, spread / self.n)

    def _statistic(self, mean: Tensor, variance: Tensor) -> Tensor:
        """What is kept of the gradients' mean and variance over the copies, each (B, 3, H, W)."""
        del variance
        return mean

    def _points(self, batch: Batch) -> Iterator[Point]:
        for i, (name, x) in enumerate(zip(batch.ids, batch.x.detach().cpu().float(), strict=True)):
            deviation = self.sigma * float(x.max() - x.min())
            for draw in range(self.n):
                rng = generator(self.seed, name, "saliency.smoothgrad", str(draw))
                noise = torch.from_numpy(rng.standard_normal(tuple(x.shape), dtype=np.float32))
                yield Point(i, batch.target[i], x + deviation * noise)


@dataclass(frozen=True, kw_only=True)
class SmoothGradSquared(SmoothGrad):
    """The mean squared gradient over noisy copies; see `SmoothGrad`."""

    reduce: Reduce = "sum"

    method: ClassVar[Method] = Method(
        name="smoothgrad_squared",
        title="SmoothGrad-Squared",
        source="Hooker, Erhan, Kindermans & Kim, A benchmark for interpretability methods in deep neural "
        "networks, NeurIPS 2019, arXiv:1806.10758",
        formula="Σ_c mean_i g_c(x + ε_i)², g = ∂S/∂x, ε_i iid normal",
        range=">= 0",
        passes="n of each",
        needs="gradients",
    )

    def _statistic(self, mean: Tensor, variance: Tensor) -> Tensor:
        return mean.square() + variance


@dataclass(frozen=True, kw_only=True)
class VarGrad(SmoothGrad):
    """The variance of the gradient over noisy copies, divided by n, not n − 1; see `SmoothGrad`."""

    reduce: Reduce = "sum"

    method: ClassVar[Method] = Method(
        name="vargrad",
        title="VarGrad",
        source="Adebayo, Gilmer, Goodfellow & Kim, Local explanation methods for deep neural networks lack "
        "sensitivity to parameter values, ICLR workshop 2018, arXiv:1810.03307",
        formula="Σ_c var_i g_c(x + ε_i), g = ∂S/∂x, ε_i iid normal",
        range=">= 0",
        passes="n of each",
        needs="gradients",
    )

    def _statistic(self, mean: Tensor, variance: Tensor) -> Tensor:
        del mean
        return variance


@dataclass(frozen=True, kw_only=True)
class IntegratedGradients(_ByChannel):
    """The gradient averaged on the straight way from a baseline, times the way.

    Summed over channels and pixels it is score(x) − score(baseline), up to the error of the quadrature
    (completeness); over several baselines, the mean of that.

    Attributes:
        steps: gradients along one way.
        baseline: `zero` is black; `mean` the network's own mean colour, zero after its normalisation;
            `black_white` the mean of the maps from black and from white, so that neither dark nor bright
            pixels are left out; `blur` the blurred image; `uniform` the mean over images of uniform noise.
        rule: of the quadrature. `midpoint` of equal intervals; `trapezoid` with both ends among the steps;
            `gauss_legendre`, exact for polynomials, not better for the steps in a ReLU network's gradient.
        n_baselines: images of noise, for `uniform`.
        blur: standard deviation of the Gaussian, as a share of the shorter side, for `blur`.
        seed: with the image's id and the baseline's number, decides the noise.
    """

    steps: int = 32
    baseline: Baseline = "zero"
    rule: Rule = "midpoint"
    n_baselines: int = 4
    blur: float = 0.1
    reduce: Reduce = "sum"
    seed: int = 0

    method: ClassVar[Method] = Method(
        name="ig",
        title="Integrated Gradients",
        source="Sundararajan, Taly & Yan, Axiomatic attribution for deep networks, ICML 2017, "
        "arXiv:1703.01365; black and white: Kapishnikov et al., XRAI, ICCV 2019, arXiv:1906.02825; blur and "
        "uniform: Sturmfels, Lundberg & Lee, Visualizing the impact of feature attribution baselines, "
        "Distill 2020",
        formula="Σ_c (x_c − b_c) ∫₀¹ ∂S/∂x_c (b + α(x − b)) dα",
        range="real",
        passes="steps of each, times the number of baselines",
        needs="gradients",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("baseline", self.baseline, get_args(Baseline))
        check_choice("rule", self.rule, get_args(Rule))
        check_count("steps", self.steps, 2 if self.rule == "trapezoid" else 1)
        check_count("n_baselines", self.n_baselines)
        check_positive("blur", self.blur)

    def channels(self, classifier: Classifier, batch: Batch) -> Tensor:
        """See `_ByChannel`."""
        total = torch.zeros(batch.x.shape, dtype=torch.float64)
        points = self._points(classifier, batch)
        for point, grad in gradients_at(classifier, points, max_batch=batch.max_batch, score=self.score):
            total[point.image] += point.weight * grad
        return total

    def _points(self, classifier: Classifier, batch: Batch) -> Iterator[Point]:
        nodes = quadrature(self.rule, self.steps)
        for i, x in enumerate(batch.x.detach().cpu().float()):
            baselines = self._baselines(classifier, batch.ids[i], x)
            for baseline in baselines:
                way = x - baseline
                share = way.double() / len(baselines)
                for at, weight in nodes:
                    yield Point(i, batch.target[i], baseline + at * way, weight * share)

    def _baselines(self, classifier: Classifier, name: str, x: Tensor) -> list[Tensor]:
        """Baselines of one image x (3, H, W), of its shape."""
        if self.baseline == "zero":
            return [torch.zeros_like(x)]
        if self.baseline == "mean":
            return [torch.tensor(classifier.mean)[:, None, None].expand_as(x)]
        if self.baseline == "black_white":
            return [torch.zeros_like(x), torch.ones_like(x)]
        if self.baseline == "blur":
            from scipy.ndimage import gaussian_filter

            sigma = self.blur * min(x.shape[1:])
            return [torch.from_numpy(gaussian_filter(x.numpy(), (0, sigma, sigma), mode="reflect"))]
        drawn = (generator(self.seed, name, "saliency.ig", str(k)) for k in range(self.n_baselines))
        return [torch.from_numpy(rng.random(tuple(x.shape), dtype=np.float32)) for rng in drawn]


def quadrature(rule: Rule, steps: int) -> list[tuple[float, float]]:
    """Nodes in [0, 1] and weights that sum to 1 of a quadrature; `trapezoid` needs two steps."""
    if rule == "gauss_legendre":
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        return list(zip(((1 + nodes) / 2).tolist(), (weights / 2).tolist(), strict=True))
    if rule == "midpoint":
        return [((k + 0.5) / steps, 1 / steps) for k in range(steps)]
    last = steps - 1
    return [(k / last, (0.5 if k in {0, last} else 1.0) / last) for k in range(steps)]
