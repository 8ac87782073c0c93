"""One contract over every method and one network per family: what `nasbench.saliency.base` promises.

A new method joins by being appended to TABLE, with options that make it cheap, and where it has no meaning
for a network, with the reason in UNSUPPORTED.
"""

from __future__ import annotations

import inspect
import pkgutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor

from nasbench.models import Classifier, load_classifier
from nasbench.saliency.activations import EigenCam, MeanActivation
from nasbench.saliency.base import Saliency
from nasbench.saliency.cams import Cam, GradCam, GradCamPlusPlus, HiResCam, XGradCam
from nasbench.saliency.controls import (
    BlurredRandom,
    CentreGaussian,
    ConstBox,
    EdgeDetector,
    FullBox,
    Oracle,
    UniformRandom,
)
from nasbench.saliency.gradients import (
    Gradient,
    InputXGradient,
    IntegratedGradients,
    SmoothGrad,
    SmoothGradSquared,
    VarGrad,
)
from nasbench.saliency.layercam import FusedLayerCam, LayerCam
from nasbench.saliency.superpixel_gradients import GradientSuperpixels
from tests.models.conftest import Family
from tests.saliency.conftest import FAMILIES, batch_of, picked
from tests.support.leaks import state_of

TABLE: tuple[Saliency, ...] = (
    Gradient(),
    InputXGradient(),
    SmoothGrad(n=2),
    SmoothGradSquared(n=2),
    VarGrad(n=2),
    IntegratedGradients(steps=2),
    Cam(),
    GradCam(),
    GradCamPlusPlus(),
    XGradCam(),
    HiResCam(),
    LayerCam(),
    FusedLayerCam(),
    EigenCam(),
    MeanActivation(),
    UniformRandom(),
    BlurredRandom(),
    CentreGaussian(),
    EdgeDetector(),
    Oracle(),
    FullBox(),
    ConstBox(),
    GradientSuperpixels(n=10),
)

# (method, family) -> the reason it gives; every other pair is supported.
UNSUPPORTED = {
    ("cam", "test_convnext"): "not one linear layer",
    ("cam", "test_mambaout"): "not one linear layer",
    ("cam", "test_vit"): "by a class token",
}

# Where a ReLU's input is within rounding of 0, a batch's size may switch it and the gradient jumps. These
# networks are gone through in double precision, where the same code meets no such input.
KINKED = {"test_resnet", "mobilenetv2_050"}

PAIRS = [(family, method) for family in FAMILIES for method in TABLE]
SUPPORTED = [(f, m) for f, m in PAIRS if (m.method.name, f.name) not in UNSUPPORTED]


def named(value: Any) -> str:
    return str(value) if isinstance(value, Family) else str(value.method.name)


by_pair = pytest.mark.parametrize(("family", "method"), SUPPORTED, ids=named)


@cache
def classifier_of(family: Family) -> Classifier:
    classifier = load_classifier(
        name=family.name, weights="random", input_size=family.size, kwargs=family.kwargs
    )
    if family.name.startswith("swin"):
        # As trained: with weights of 1 the last layer norm leaves a mean activation of 0, but for rounding.
        norm = classifier.module.get_submodule("norm")
        with torch.no_grad():
            norm.get_parameter("weight").uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(0))
    if family.name in KINKED:
        classifier.module.double()
        classifier._dtype = torch.float64
    return classifier


def assert_close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=1e-5 * float(b.abs().max()))


@pytest.mark.parametrize(("family", "method"), PAIRS, ids=named)
def test_what_is_unsupported_says_why(family: Family, method: Saliency) -> None:
    reason = method.unsupported(classifier_of(family))
    expected = UNSUPPORTED.get((method.method.name, family.name))
    if expected is None:
        assert reason is None
    else:
        assert reason is not None
        assert expected in reason
        assert family.name in reason
        assert "\n" not in reason


@by_pair
def test_maps_are_raw_and_each_image_has_its_own(family: Family, method: Saliency) -> None:
    classifier = classifier_of(family)
    batch = batch_of(8, family.size)
    maps = method(classifier, batch)
    assert maps.dtype is torch.float32
    assert maps.device.type == "cpu"
    assert not maps.requires_grad
    assert maps.ndim == 3
    assert len(maps) == 8
    assert all(1 <= side <= most for side, most in zip(maps.shape[1:], family.size, strict=True))
    assert torch.isfinite(maps).all()
    assert maps.abs().max() > 0
    assert torch.equal(method(classifier, batch), maps), "not deterministic"
    rows = [6, 1, 4]
    assert_close(method(classifier, picked(batch, rows)), maps[rows])
    alone = torch.cat([method(classifier, batch.image(i)) for i in range(8)])
    for one, other in zip(alone, maps, strict=True):
        assert_close(one, other)


@by_pair
def test_nothing_is_left_behind(family: Family, method: Saliency) -> None:
    classifier = classifier_of(family)
    batch = batch_of(2, family.size)
    kept, before = [t.clone() for t in (batch.x, batch.target)], state_of(classifier)
    for outside in (True, False):
        with torch.set_grad_enabled(outside):
            method(classifier, batch)
            assert state_of(classifier) == {**before, "grad mode": outside}
    assert torch.equal(batch.x, kept[0])
    assert torch.equal(batch.target, kept[1])
    assert not batch.x.requires_grad
    assert batch.x.grad is None


@by_pair
@pytest.mark.parametrize("call", [1, 2])
def test_nothing_is_left_behind_after_an_exception(
    family: Family, method: Saliency, call: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = classifier_of(family)
    batch = batch_of(4, family.size, max_batch=2)
    method.unsupported(classifier)  # whatever is found out once is found out before
    before, calls = state_of(classifier), [0]
    deepest = classifier.module.get_submodule(classifier.stage_names[-1])
    forward = deepest.forward

    def fail(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        if calls[0] == call:
            raise RuntimeError("broken in the middle")
        return forward(*args, **kwargs)

    monkeypatch.setattr(deepest, "forward", fail)
    if method.method.needs == "none":
        method(classifier, batch)
        assert calls[0] == 0
    else:
        with pytest.raises(RuntimeError, match="broken in the middle"):
            method(classifier, batch)
        assert calls[0] == call
    assert state_of(classifier) == before


@pytest.mark.parametrize("method", TABLE, ids=named)
def test_what_is_to_be_known_is_said(method: Saliency) -> None:
    about = method.method
    for said in (about.title, about.source, about.formula, about.range, about.passes):
        assert said
        assert "\n" not in said
    assert about.needs in {"gradients", "activations", "both", "none"}


CONFIGS = Path(__file__).parents[2] / "configs" / "saliency"
OURS = [
    *("gradient", "input_x_gradient", "smoothgrad", "smoothgrad_squared", "vargrad", "ig", "cam", "gradcam"),
    *("gradcam++", "xgradcam", "hirescam", "layercam", "layercam_fused", "eigencam", "mean_activation"),
]


@pytest.mark.parametrize("name", OURS)
def test_configurations_are_the_constructors_defaults(name: str) -> None:
    config: Any = OmegaConf.to_container(
        OmegaConf.merge(OmegaConf.load(CONFIGS / f"{name}.yaml"), {"seed": 0} if seeded(name) else {})
    )
    target = pkgutil.resolve_name(config.pop("_target_"))
    parameters = inspect.signature(target).parameters
    assert set(config) == set(parameters)
    assert all(p.kind is inspect.Parameter.KEYWORD_ONLY for p in parameters.values())
    for key, parameter in parameters.items():
        default = parameter.default
        assert config[key] == (list(default) if isinstance(default, tuple) else default), key
    assert target(**config).method.name == name


def seeded(name: str) -> bool:
    return "seed: ${seed}" in (CONFIGS / f"{name}.yaml").read_text()


def test_names_are_unique_and_in_the_table() -> None:
    names = [method.method.name for method in TABLE]
    assert len(set(names)) == len(names)
    assert set(OURS) <= set(names)
