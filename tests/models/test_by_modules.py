"""Networks that timm has not: cut by the names of their modules, they are what timm's are."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from nasbench.errors import UsageError, WeightsError
from nasbench.models import load_by_modules, load_classifier
from nasbench.models.split import with_stages

LAYERS = ["layer1", "layer2", "layer3", "layer4"]
HERE = __name__


def images(count: int = 2, size: int = 64) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """Two blocks and a head; `how` says what is odd about it."""

    def __init__(self, num_classes: int = 5, how: str = "") -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.second = nn.Conv2d(4, 8, 3, stride=2, padding=1)
        self.fc = nn.Linear(8, num_classes)
        self.scale = nn.Parameter(torch.full((8,), 2.0))
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "branches" and x.sum() > 0:
            x = -x
        shallow = self.first(x)
        deep = self.second(self.second.weight.new_zeros(0).sum() + shallow)
        if self.how == "twice":
            deep = deep + self.second(shallow)
        out = nn.functional.relu(deep, inplace=True)
        out *= 3
        pooled = out.mean((2, 3)) * self.scale
        if self.how == "skips":
            pooled = pooled + shallow.mean((1, 2, 3))[:, None]
        logits: Tensor = self.fc(pooled)
        return {"logits": logits} if self.how == "dictionary" else logits  # type: ignore[return-value]


def fails() -> nn.Module:
    raise ZeroDivisionError("no net")


def test_torchvisions_resnet_is_timms(tmp_path):
    """Both have the same names and shapes, so that one checkpoint fits both."""
    file = str(tmp_path / "resnet18.safetensors")
    save_file(timm.create_model("resnet18", num_classes=7, zero_init_last=False).state_dict(), file)
    options: dict[str, Any] = {"weights": file, "input_size": 64}
    moments: dict[str, Any] = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}
    theirs = load_classifier(name="resnet18", **options, **moments)
    ours = load_by_modules(
        builder="torchvision.models.resnet18", stages=LAYERS, num_classes=7, **options, **moments
    )
    assert ours.weights_digest == theirs.weights_digest
    assert ours.stage_names == tuple(LAYERS)
    a, b = ours.features(images()), theirs.features(images())
    torch.testing.assert_close(a.logits, b.logits)
    for mine, other in zip((*a.stages, a.final), (*b.stages, b.final), strict=True):
        torch.testing.assert_close(mine, other)
    for layer in ("final", -2, "layer3.1.conv2"):
        with ours.forward_graph(images(), [layer]) as one, theirs.forward_graph(images(), [layer]) as two:
            mine, other = (g.gradients(g.logits[:, 3].sum())[layer] for g in (one, two))
        torch.testing.assert_close(mine, other)
    weights = ours.head_weights()
    assert weights is not None
    assert torch.equal(weights, ours.module.get_parameter("fc.weight"))


@pytest.mark.parametrize(
    ("name", "stages", "linear"),
    [
        ("mobilenet_v2", ["features.3", "features.6", "features.18"], True),
        ("densenet121", ["features.denseblock1", "features.denseblock2", "features.norm5"], False),
        ("vgg11_bn", ["features.10", "features.28"], False),
        ("convnext_tiny", ["features.1", "features.3", "features.5", "features.7"], False),
        ("alexnet", ["features.5", "features.12"], False),
        ("resnet18", ["relu", "layer4"], None),
    ],
)
def test_features_are_those_of_the_networks_own_pass(name, stages, linear):
    size = 224 if name in ("alexnet", "vgg11_bn") else 64
    if name == "resnet18":  # its ReLU is run several times in the blocks, once by itself: in the trunk
        stages = ["bn1", "layer4"]
    made = load_by_modules(
        builder=f"torchvision.models.{name}", stages=stages, weights="random", input_size=size, num_classes=4
    )
    x = images(size=size)
    seen: dict[str, Tensor] = {}
    for stage in stages:
        made.module.get_submodule(stage).register_forward_hook(
            lambda _m, _i, out, stage=stage: seen.__setitem__(stage, out.detach().clone())
        )
    logits = made.logits(x).detach()
    wanted = dict(seen)
    found = made.features(x)
    assert torch.equal(found.logits, logits)
    for stage, map_ in zip(stages, found.stages, strict=True):
        assert torch.equal(map_, wanted[stage]), "in-place layers behind a stage must not rewrite it"
    if linear is not None:
        assert (made.head_weights() is not None) == linear
    with made.forward_graph(x, [-1]) as graph:
        assert graph.gradients(graph.logits[:, 0].sum())[-1].abs().sum() > 0


def test_a_network_of_ones_own():
    made = load_by_modules(
        builder=f"{HERE}.Net", stages=["first", "second"], weights="random", input_size=16, num_classes=3
    )
    found = made.features(images(size=16))
    assert torch.equal(found.logits, made.logits(images(size=16)).detach())
    assert found.final.min() < 0, "the ReLU behind the stage is the head's"
    assert made.describe()["kwargs"] == {"builder": f"{HERE}.Net", "head": None, "num_classes": 3}
    again = load_by_modules(
        builder=f"{HERE}.Net", stages=["first", "second"], weights="random", input_size=16, num_classes=3
    )
    other = load_by_modules(
        builder=f"{HERE}.Net", stages=["first", "second"], weights="random", seed=1, num_classes=3
    )
    assert made.weights_digest == again.weights_digest != other.weights_digest


def test_a_copy_runs_its_own_parameters():
    net = with_stages(Net().eval(), ["first", "second"])
    twin = copy.deepcopy(net)
    with torch.no_grad():
        twin.get_parameter("fc.weight").zero_()
        twin.get_parameter("fc.bias").fill_(7)
    final, _ = twin.forward_intermediates(images(size=16))  # type: ignore[operator]
    assert (twin.forward_head(final) == 7).all()  # type: ignore[operator]
    mine, _ = net.forward_intermediates(images(size=16))  # type: ignore[operator]
    assert not (net.forward_head(mine) == 7).any()  # type: ignore[operator]


def test_the_global_random_state_stays():
    before = torch.get_rng_state()
    load_by_modules(builder=f"{HERE}.Net", stages=["second"], weights="random", input_size=16)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"stages": ["first", "secnd"]}, r"model.stages: there is no module 'secnd'; near: second"),
        ({"stages": ["second", "first"]}, "model.stages: first is run before second; name the shallow first"),
        ({"stages": ["first", "first"]}, "a module comes twice"),
        ({"stages": "second"}, "give the names of modules"),
        ({"stages": []}, "give the names of modules"),
        ({"stages": [0, 1]}, "give the names of modules"),
        ({"head": "fcc"}, "model.head: there is no module 'fcc'; near: fc"),
        ({"weights": None}, "model.weights: give a .safetensors or .pth file, or `random`"),
        ({"weights": "hub"}, "model.weights: give"),
        ({"builder": "nowhere.net"}, "model.builder=nowhere.net cannot be imported"),
        ({"builder": f"{HERE}.LAYERS"}, "refuses"),
        ({"builder": f"{HERE}.fails"}, "refuses {}: no net"),
        ({"builder": "torch.zeros", "kwargs": {"size": [1]}}, "built Tensor, no torch.nn.Module"),
        ({"kwargs": {"depth": 3}}, r"refuses \{'depth': 3\}"),
        ({"kwargs": {"how": "twice"}}, "model.stages: second is run 2 times"),
        ({"kwargs": {"how": "skips"}}, "the logits read more than the output of second"),
        ({"kwargs": {"how": "branches"}}, "Net cannot be cut into stages: symbolically traced variables"),
        ({"kwargs": {"how": "dictionary"}}, "puts out something else than one tensor of logits"),
        ({"input_size": 0}, "model.input_size=0"),
        ({"std": [0, 1, 1]}, "model.std"),
    ],
)
def test_what_does_not_work_is_said_in_a_line(options, said):
    given: dict[str, Any] = {
        "builder": f"{HERE}.Net",
        "stages": ["first", "second"],
        "weights": "random",
        "input_size": 16,
    }
    with pytest.raises(UsageError, match=said) as error:
        load_by_modules(**{**given, **options})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "stages"),
    [("vit_b_16", ["encoder.layers.encoder_layer_11"]), ("swin_t", ["features.1", "features.7"])],
)
def test_tokens_and_channels_in_the_last_place_are_no_maps(name, stages):
    with pytest.raises(UsageError, match=r"puts out \(1, .*, no map \(B, C, h, w\) of the image"):
        load_by_modules(builder=f"torchvision.models.{name}", stages=stages, weights="random")


def test_a_checkpoint_that_does_not_fit(tmp_path):
    file = str(tmp_path / "net.safetensors")
    save_file({"fc.weight": torch.zeros(5, 8)}, file)
    with pytest.raises(WeightsError, match=r"net.safetensors"):
        load_by_modules(builder=f"{HERE}.Net", stages=["second"], weights=file, input_size=16)


def test_the_function_is_taken_where_a_module_has_its_name():
    from nasbench.importing import resolve

    assert resolve("torchvision.models.alexnet") is torchvision.models.alexnet
    assert resolve("torchvision.models") is torchvision.models
