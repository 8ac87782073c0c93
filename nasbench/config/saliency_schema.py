"""Typed schemas of the saliency group; see `nasbench.config.schema`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Target:
    """What every choice of a group that names an implementation has."""

    _target_: str = "???"


@dataclass
class Gradient(Target):
    """`nasbench.saliency.gradients.Gradient`."""

    reduce: str = "abs_max"
    score: str = "logit"


@dataclass
class InputXGradient(Gradient):
    """`nasbench.saliency.gradients.InputXGradient`."""

    reduce: str = "sum"


@dataclass
class SmoothGrad(Gradient):
    """`nasbench.saliency.gradients.SmoothGrad`."""

    n: int = 25
    sigma: float = 0.15
    seed: int = 0


@dataclass
class SummedSmoothGrad(SmoothGrad):
    """`SmoothGradSquared` and `VarGrad` beside it."""

    reduce: str = "sum"


@dataclass
class IntegratedGradients(InputXGradient):
    """`nasbench.saliency.gradients.IntegratedGradients`."""

    steps: int = 32
    baseline: str = "zero"
    rule: str = "midpoint"
    n_baselines: int = 4
    blur: float = 0.1
    seed: int = 0


@dataclass
class Cam(Target):
    """`nasbench.saliency.cams.Cam`."""

    relu: bool = False


@dataclass
class LayerMethod(Cam):
    """What reads one layer."""

    layer: Any = "auto"


@dataclass
class EigenCam(LayerMethod):
    """`nasbench.saliency.activations.EigenCam`."""

    centre: bool = False


@dataclass
class FusedLayerCam(Target):
    """`nasbench.saliency.layercam.FusedLayerCam`."""

    stages: list[int] = field(default_factory=lambda: [-3, -2, -1])
    gamma: float = 2.0


@dataclass
class GradientSuperpixels(Target):
    """`nasbench.saliency.superpixel_gradients.GradientSuperpixels`."""

    sign: str = "abs"
    n: int = 50
    compactness: float = 20.0
    min_size_factor: float = 0.2
    sigma: float = 1.0


@dataclass
class Swag(GradientSuperpixels):
    """`nasbench.saliency.superpixel_gradients.Swag`."""

    source: str = "image_and_gradients"


@dataclass
class Seeded(Target):
    """`nasbench.saliency.controls.UniformRandom`."""

    seed: int = 0


@dataclass
class BlurredRandom(Seeded):
    """`nasbench.saliency.controls.BlurredRandom`."""

    sigma: float = 0.1


@dataclass
class CentreGaussian(Target):
    """`nasbench.saliency.controls.CentreGaussian`."""

    sigma: float = 0.25


@dataclass
class Precomputed(Target):
    """`nasbench.saliency.precomputed.Precomputed`."""

    path: str = "???"
    space: str = "squash"


@dataclass
class MapStatistics(Target):
    """`nasbench.saliency.statistics.MapStatistics`."""

    names: list[str] = field(default_factory=list)


SALIENCY_SCHEMAS: dict[str, type[Target]] = {
    "nasbench.saliency.gradients.Gradient": Gradient,
    "nasbench.saliency.gradients.InputXGradient": InputXGradient,
    "nasbench.saliency.gradients.SmoothGrad": SmoothGrad,
    "nasbench.saliency.gradients.SmoothGradSquared": SummedSmoothGrad,
    "nasbench.saliency.gradients.VarGrad": SummedSmoothGrad,
    "nasbench.saliency.gradients.IntegratedGradients": IntegratedGradients,
    "nasbench.saliency.cams.Cam": Cam,
    "nasbench.saliency.cams.GradCam": LayerMethod,
    "nasbench.saliency.cams.GradCamPlusPlus": LayerMethod,
    "nasbench.saliency.cams.XGradCam": LayerMethod,
    "nasbench.saliency.cams.HiResCam": LayerMethod,
    "nasbench.saliency.layercam.LayerCam": LayerMethod,
    "nasbench.saliency.layercam.FusedLayerCam": FusedLayerCam,
    "nasbench.saliency.activations.EigenCam": EigenCam,
    "nasbench.saliency.activations.MeanActivation": LayerMethod,
    "nasbench.saliency.superpixel_gradients.GradientSuperpixels": GradientSuperpixels,
    "nasbench.saliency.superpixel_gradients.Swag": Swag,
    "nasbench.saliency.controls.UniformRandom": Seeded,
    "nasbench.saliency.controls.BlurredRandom": BlurredRandom,
    "nasbench.saliency.controls.CentreGaussian": CentreGaussian,
    "nasbench.saliency.controls.EdgeDetector": Target,
    "nasbench.saliency.controls.Oracle": Target,
    "nasbench.saliency.precomputed.Precomputed": Precomputed,
    "nasbench.saliency.statistics.MapStatistics": MapStatistics,
}
