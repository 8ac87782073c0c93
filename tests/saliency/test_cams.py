"""CAMs against closed forms, slow twins, captum and pytorch-grad-cam."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import captum.attr
import numpy as np
import pytest
import torch
from pytorch_grad_cam import EigenCAM, GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM, XGradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from nasbench.errors import UsageError
from nasbench.models import Classifier
from nasbench.saliency.activations import EigenCam, MeanActivation
from nasbench.saliency.cams import Cam, GradCam, GradCamPlusPlus, HiResCam, XGradCam
from nasbench.saliency.layer import LayerMethod
from nasbench.saliency.layercam import FusedLayerCam, LayerCam, fused
from tests.models.conftest import classifier_of
from tests.saliency.conftest import FAMILIES, Linear, batch_of, linear, tiny

LINEAR = [f for f in FAMILIES if f.name in {"test_resnet", "test_efficientnet", "mobilenetv2_050"}]


def close(a: Tensor, b: Tensor, tolerance: float = 1e-4) -> None:
    torch.testing.assert_close(a.float(), b.float(), rtol=0, atol=tolerance * float(b.abs().max()))


def random_layer(kind: str) -> tuple[Tensor, Tensor]:
    """Activations and gradients (2, 5, 3, 4): both signs, or as after a ReLU, a dead channel among them."""
    gen = torch.Generator().manual_seed(4)
    acts, grads = torch.randn(2, 5, 3, 4, generator=gen), torch.randn(2, 5, 3, 4, generator=gen)
    if kind == "relu":
        acts, grads = acts.relu(), grads * (acts > 0)
        acts[:, 2] = grads[:, 2] = 0
    return acts, grads


# The slow twins: one image, channel by channel, as the papers write it.
def slow_gradcam(a: Any, g: Any) -> Any:
    return sum(g[c].mean() * a[c] for c in range(len(a)))


def slow_gradcam_plus_plus(a: Any, g: Any) -> Any:
    total = np.zeros_like(a[0])
    for c in range(len(a)):
        weight = 0.0
        for y, x in np.ndindex(*a[c].shape):
            bottom = 2 * g[c, y, x] ** 2 + a[c].sum() * g[c, y, x] ** 3
            alpha = g[c, y, x] ** 2 / bottom if bottom else 0.0
            weight += alpha * max(g[c, y, x], 0)
        total += weight * a[c]
    return total


def slow_xgradcam(a: Any, g: Any) -> Any:
    shares = [(a[c] / a[c].sum() * g[c]).sum() if a[c].sum() else 0.0 for c in range(len(a))]
    return sum(share * a[c] for c, share in enumerate(shares))


def slow_hirescam(a: Any, g: Any) -> Any:
    return sum(g[c] * a[c] for c in range(len(a)))


def slow_layercam(a: Any, g: Any) -> Any:
    return sum(np.maximum(g[c], 0) * a[c] for c in range(len(a)))


def slow_eigencam(a: Any, _: Any, *, centre: bool = False) -> Any:
    rows = a.reshape(len(a), -1).T
    mean = rows.mean(1)
    if centre:
        rows = rows - rows.mean(0)
    values, vectors = np.linalg.eigh(rows.T @ rows)
    found = rows @ vectors[:, values.argmax()]
    return (found if np.corrcoef(found, mean)[0, 1] > 0 else -found).reshape(a.shape[1:])


def slow_mean(a: Any, _: Any) -> Any:
    return sum(a) / len(a)


TWINS: list[tuple[LayerMethod, Callable[..., Any]]] = [
    (GradCam(), slow_gradcam),
    (GradCamPlusPlus(), slow_gradcam_plus_plus),
    (XGradCam(), slow_xgradcam),
    (HiResCam(), slow_hirescam),
    (LayerCam(), slow_layercam),
    (EigenCam(), slow_eigencam),
    (EigenCam(centre=True), lambda a, g: slow_eigencam(a, g, centre=True)),
    (MeanActivation(), slow_mean),
]


@pytest.mark.parametrize("kind", ["signed", "relu"])
@pytest.mark.parametrize(("method", "twin"), TWINS, ids=lambda v: str(getattr(v, "method", "")) and None)
def test_rules_equal_their_slow_twins(method: LayerMethod, twin: Any, kind: str) -> None:
    acts, grads = random_layer(kind)
    expected = [twin(a, g) for a, g in zip(acts.double().numpy(), grads.double().numpy(), strict=True)]
    close(method.rule(acts, grads), torch.from_numpy(np.stack(expected)), 1e-5)


@pytest.mark.parametrize("family", LINEAR, ids=str)
def test_cam_is_gradcam_times_the_number_of_positions(family: Any) -> None:
    classifier, batch = classifier_of(family), batch_of(3, family.size)
    cam = Cam()(classifier, batch)
    height, width = family.final[1:]
    assert cam.shape == (3, height, width)
    close(cam, GradCam()(classifier, batch) * height * width, 1e-5)
    # Its mean is the logit but for the bias.
    bias = classifier.module.get_classifier().bias.detach()  # type: ignore[operator]
    logits = classifier.logits(batch.x).detach().gather(1, batch.target[:, None])[:, 0]
    close(cam.mean((1, 2)) + bias[batch.target], logits, 1e-5)
    # On such a head the gradient is the same everywhere: these two are Grad-CAM.
    close(HiResCam()(classifier, batch), GradCam()(classifier, batch), 1e-5)


def test_of_a_linear_model_hirescam_is_exact() -> None:
    classifier, batch = linear(), batch_of(2, (6, 8), classes=4)
    normed = classifier._normalised(batch.x)
    expected = (classifier.module.get_parameter("weight").detach()[batch.target] * normed).sum(1)
    close(HiResCam()(classifier, batch), expected, 1e-6)
    logits = classifier.logits(batch.x).detach().gather(1, batch.target[:, None])[:, 0]
    bias = classifier.module.get_parameter("bias").detach()[batch.target]
    close(HiResCam()(classifier, batch).sum((1, 2)) + bias, logits, 1e-5)


class Headless(Linear):
    """A network that names no classifier."""

    get_classifier = None  # type: ignore[assignment]


def test_a_network_that_names_no_classifier_has_no_cam() -> None:
    classifier, batch = linear(kind=Headless), batch_of(2, (6, 8), classes=4)
    with pytest.raises(UsageError, match="saliency=cam: the head of linear is not one linear layer"):
        Cam()(classifier, batch)
    close(HiResCam()(classifier, batch), HiResCam()(linear(), batch), 1e-6)


def test_relu_clips_and_nothing_else_does() -> None:
    classifier, batch = tiny(), batch_of(3)
    raw = GradCam()(classifier, batch)
    assert raw.min() < 0
    assert torch.equal(GradCam(relu=True)(classifier, batch), raw.relu())
    assert torch.equal(Cam(relu=True)(classifier, batch), Cam()(classifier, batch).relu())


def test_auto_is_final_or_what_a_class_token_reads() -> None:
    batch = batch_of(2)
    resnet, vit = tiny(), tiny("test_vit")
    assert torch.equal(GradCam()(resnet, batch), GradCam(layer="final")(resnet, batch))
    assert torch.equal(GradCam()(vit, batch), GradCam(layer="blocks.4")(vit, batch))
    assert torch.equal(GradCam()(vit, batch), GradCam(layer=-2)(vit, batch))
    assert GradCam()(vit, batch).abs().max() > 0
    assert GradCam(layer="final")(vit, batch).abs().max() == 0


@pytest.mark.parametrize("layer", ["layer4", "layer3", "layer2.0.conv2"])
def test_captum_agrees_on_gradcam(layer: str) -> None:
    classifier, batch = tiny(), batch_of(2)
    module = classifier.module.get_submodule(layer)
    x = batch.x.clone().requires_grad_()
    theirs = captum.attr.LayerGradCam(classifier.logits, module)
    expected = theirs.attribute(x, target=batch.target, relu_attributions=False)
    close(GradCam(layer=layer)(classifier, batch), expected[:, 0].detach())


class Wrapped(nn.Module):
    """What pytorch-grad-cam takes for a model."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.inner = classifier.module
        self.logits = classifier.logits

    def forward(self, x: Tensor) -> Tensor:
        return self.logits(x)


def theirs(kind: Any, classifier: Classifier, layer: str, batch: Any) -> Tensor:
    """pytorch-grad-cam's map before its ReLU, min-max and upsampling."""

    def tokens(out: Tensor) -> Tensor:
        return out[:, 1:].transpose(1, 2).reshape(len(out), -1, 4, 4)

    model = Wrapped(classifier)
    module = model.inner.get_submodule(layer)
    cam = kind(model=model, target_layers=[module], reshape_transform=tokens if "blocks" in layer else None)
    cam.compute_input_gradient = True  # or nothing requires a gradient: our parameters are frozen
    targets = [ClassifierOutputTarget(int(t)) for t in batch.target]
    with cam:
        cam(batch.x, targets)
        seen = cam.activations_and_grads
        acts = seen.activations[0].numpy()
        grads = seen.gradients[0].numpy() if seen.gradients else None
        return torch.from_numpy(np.asarray(cam.get_cam_image(batch.x, module, targets, acts, grads, False)))


@pytest.mark.parametrize(("name", "layer"), [("test_resnet", "layer3"), ("test_vit", "blocks.3")])
@pytest.mark.parametrize(
    ("method", "kind"),
    [
        (GradCam, GradCAM),
        (GradCamPlusPlus, GradCAMPlusPlus),
        (XGradCam, XGradCAM),
        (HiResCam, HiResCAM),
        (LayerCam, LayerCAM),
    ],
)
def test_pytorch_grad_cam_agrees(method: Any, kind: Any, name: str, layer: str) -> None:
    classifier, batch = tiny(name), batch_of(2)
    # It adds 1e-6 to Grad-CAM++'s denominator, which is of the order of the squared gradient: an untrained
    # network's are so small that the 1e-6 would rule. With a steeper head it does not show.
    with torch.no_grad():
        classifier.module.get_classifier().weight.mul_(1e4)  # type: ignore[operator]
    # XGrad-CAM's denominator has 1e-7 added, likewise without effect. On a transformer's signed activations
    # Grad-CAM++'s denominator comes close to 0, and single precision, which is theirs, shows.
    tolerance = 1e-3 if method is GradCamPlusPlus and name == "test_vit" else 1e-4
    close(method(layer=layer)(classifier, batch), theirs(kind, classifier, layer, batch), tolerance)


@pytest.mark.parametrize(("name", "layer"), [("test_resnet", "layer3"), ("test_vit", "blocks.3")])
def test_pytorch_grad_cam_agrees_on_eigencam_up_to_sign(name: str, layer: str) -> None:
    classifier, batch = tiny(name), batch_of(2)
    # It always centres, and leaves the sign to the decomposition.
    expected = theirs(EigenCAM, classifier, layer, batch)
    for ours, other in zip(EigenCam(layer=layer, centre=True)(classifier, batch), expected, strict=True):
        close(ours, other * torch.sign((ours * other).sum()))


def test_eigencam_goes_with_the_mean_activation() -> None:
    for name in ("test_resnet", "test_vit"):
        classifier, batch = tiny(name), batch_of(4)
        mean = MeanActivation(layer=0)(classifier, batch)
        for centre in (False, True):
            maps = EigenCam(layer=0, centre=centre)(classifier, batch)
            for a, b in zip(maps, mean, strict=True):
                assert torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1] > 0


def test_eigencam_has_a_sign_where_the_mean_activation_is_the_same_everywhere() -> None:
    acts = torch.randn(3, 6, 4, 4, generator=torch.Generator().manual_seed(0))
    acts -= acts.mean(1, keepdim=True)
    no_grads = torch.zeros_like(acts)
    maps = EigenCam().rule(acts, no_grads)
    assert torch.equal(maps.flatten(1).amax(1), maps.abs().flatten(1).amax(1))
    # Rounding does not turn it around.
    noise = torch.randn(acts.shape, generator=torch.Generator().manual_seed(1))
    close(EigenCam().rule(acts + 1e-7 * noise, no_grads), maps, 1e-5)


def test_fusing_by_hand() -> None:
    shallow = torch.tensor([[[0.0, 1.0], [2.0, 4.0]]])
    deep = torch.tensor([[[8.0]]])
    expected = torch.tensor([[[1.0, 1.0], [1.0, 1.0]]])
    torch.testing.assert_close(fused([shallow, deep], 2.0), expected)
    expected = torch.tanh(2 * shallow / 4)
    torch.testing.assert_close(fused([shallow, torch.zeros(1, 1, 1)], 2.0), expected)
    torch.testing.assert_close(fused([shallow], 2.0), shallow / 4)


def test_fused_layercam_equals_its_slow_twin() -> None:
    classifier, batch = tiny(), batch_of(2)
    single = [LayerCam(layer=i, relu=True)(classifier, batch) for i in range(4)]
    expected = torch.zeros_like(single[0])
    for l, maps in enumerate(single):
        part = maps / maps.amax((1, 2), keepdim=True)
        part = part if l == 3 else torch.tanh(2 * part)
        up = nn.functional.interpolate(part[:, None], expected.shape[1:], mode="bilinear")[:, 0]
        expected = torch.maximum(expected, up)
    # In any order: the deepest is the deepest.
    close(FusedLayerCam(stages=[-1, 0, 1, -2])(classifier, batch), expected, 1e-5)


def test_fused_layercam_is_complete_below_a_class_token() -> None:
    classifier, batch = tiny("test_vit"), batch_of(2)
    maps = FusedLayerCam(stages=[-2, -1])(classifier, batch)
    assert torch.isfinite(maps).all()
    assert maps.max() > 0


@pytest.mark.parametrize(
    ("name", "method", "reason"),
    [
        ("test_vit", Cam(), "test_vit classifies by a class token"),
        ("test_convnext", Cam(), "the head of test_convnext is not one linear layer"),
        ("test_vit", GradCam(layer="final"), "do not depend on the grid of layer final"),
        ("test_vit", LayerCam(layer=-1), "do not depend on the grid of layer -1"),
        ("test_vit", FusedLayerCam(stages=[-1]), "depend on none of these stages"),
        ("test_resnet", GradCam(layer="lyer4"), "has no layer 'lyer4'"),
        ("test_resnet", EigenCam(layer=7), "layer 7 is not a position"),
        ("test_resnet", FusedLayerCam(stages=[0, 9]), "layer 9 is not a position"),
        ("test_resnet", GradCam(layer="fc"), "puts out no grid"),
        ("test_vit", EigenCam(layer="final"), None),
        ("test_vit", MeanActivation(layer=-1), None),
        ("test_convnext", GradCam(), None),
    ],
)
def test_what_has_no_meaning_is_said_by_reason(name: str, method: Any, reason: str | None) -> None:
    said = method.unsupported(tiny(name))
    if reason is None:
        assert said is None
    else:
        assert reason in said
        assert "\n" not in said


@pytest.mark.parametrize(
    ("name", "method", "said"),
    [
        ("test_convnext", Cam(), "saliency=cam: the head of test_convnext"),
        ("test_resnet", GradCam(layer="lyer4"), "saliency.layer=lyer4: test_resnet has no layer 'lyer4'"),
        ("test_resnet", FusedLayerCam(stages=[9]), r"saliency.stages=\[9\]: test_resnet: layer 9"),
    ],
)
def test_what_has_no_meaning_is_refused(name: str, method: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        method(tiny(name), batch_of(1))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: GradCam(layer=1.5), "saliency.layer=1.5: choose auto, final"),  # type: ignore[arg-type]
        (lambda: GradCam(layer=None), "saliency.layer=None"),  # type: ignore[arg-type]
        (lambda: FusedLayerCam(stages=[]), r"saliency.stages=\[\]: give a list"),
        (lambda: FusedLayerCam(stages="all"), "saliency.stages=all: give a list"),  # type: ignore[arg-type]
        (lambda: FusedLayerCam(stages=[1.5]), "saliency.stages=.1.5.: give a list"),  # type: ignore[list-item]
        (lambda: FusedLayerCam(gamma=0), "saliency.gamma=0 must be a number above 0"),
    ],
)
def test_wrong_options_are_refused_in_one_line(make: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        make()
    assert "\n" not in str(caught.value)
