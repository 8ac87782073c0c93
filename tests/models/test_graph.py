"""Gradients reach every stage of every family, stages mean the same thing as in features, nothing leaks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nasbench.errors import UsageError
from nasbench.models import Classifier, load_classifier
from nasbench.models.graph import forward_graph
from tests.models.conftest import FAMILIES, Family, classifier_of, images
from tests.support.leaks import state_of

# Narrow networks, so that every family can be gone through: layouts do not depend on width.
SMALL_SWIN = {"embed_dim": 24, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 4, 8), "window_size": 4}
GRAPHED = (
    *(replace(f, kwargs=SMALL_SWIN) if f.name.startswith("swin") else f for f in FAMILIES),
    Family("test_mambaout", (64, 96), (), (64, 2, 3)),
)
by_family = pytest.mark.parametrize("family", GRAPHED, ids=str)

CLASS_TOKEN = {"test_vit", "deit_tiny_patch16_224", "deit_tiny_distilled_patch16_224"}
LINEAR = {
    *("test_resnet", "test_efficientnet", "test_byobnet", "test_nfnet", "test_maxvit", "resnet18"),
    *("densenet121", "mobilenetv2_050", "inception_v3", "swin_tiny_patch4_window7_224"),
}


def tiny(name: str = "test_resnet", **options: Any) -> Classifier:
    return load_classifier(name=name, weights="random", input_size=64, **options)


@by_family
def test_stages_are_those_of_features(family: Family) -> None:
    classifier = classifier_of(family)
    x = images(2, family.size)
    features = classifier.features(x)
    with classifier.forward_graph(x, ["final", *range(len(features.stages))]) as graph:
        torch.testing.assert_close(graph.logits, features.logits, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(graph.grid("final"), features.final, rtol=1e-5, atol=1e-5)
        for i, stage in enumerate(features.stages):
            grid = graph.grid(i)
            assert grid.dtype is torch.float32
            assert grid.is_contiguous()
            assert not grid.requires_grad
            torch.testing.assert_close(grid, stage, rtol=1e-5, atol=1e-5)


@by_family
def test_a_gradient_reaches_every_stage_below_the_class_token(family: Family) -> None:
    classifier = classifier_of(family)
    stages = range(len(classifier.stage_names))
    with classifier.forward_graph(images(2, family.size), [*stages, "final"]) as graph:
        grads = graph.gradients(graph.logits[:, 7].sum())
        for layer, grad in grads.items():
            assert grad.shape == graph.grid(layer).shape
            assert torch.isfinite(grad).all()
            unread = family.name in CLASS_TOKEN and layer in {"final", stages[-1]}
            assert bool((grad != 0).any()) is not unread, layer
            # The class token itself is read, whatever the grid.
            assert graph.raw[layer].requires_grad


@by_family
def test_what_the_head_reads(family: Family) -> None:
    classifier = classifier_of(family)
    assert classifier.reads_class_token is (family.name in CLASS_TOKEN)
    assert (classifier.head_weights() is not None) is (family.name in LINEAR)
    if family.name in CLASS_TOKEN:
        depth = len(classifier.map_names)
        assert classifier.deepest_layer == f"blocks.{depth - 2}"
    else:
        assert classifier.deepest_layer == "final"


@pytest.mark.parametrize("family", [f for f in GRAPHED if f.name in LINEAR], ids=str)
def test_head_weights_make_the_logits(family: Family) -> None:
    classifier = classifier_of(family)
    weights = classifier.head_weights()
    assert weights is not None
    out = classifier.features(images(3, family.size, seed=9))
    bias = classifier.module.get_classifier().bias  # type: ignore[operator]
    expected = out.final.mean((2, 3)) @ weights.T + bias
    torch.testing.assert_close(expected, out.logits, rtol=1e-3, atol=1e-3 * float(out.logits.abs().max()))


@by_family
def test_nothing_leaks_also_after_an_exception(family: Family) -> None:
    classifier = classifier_of(family)
    x = images(1, family.size)
    kept, before = x.clone(), state_of(classifier)
    layers = ["final", *range(len(classifier.stage_names))]
    with classifier.forward_graph(x, layers) as graph:
        # The hooks are gone before the body: it may run the network as it likes.
        assert state_of(classifier) == {**before, "grad mode": True}
        graph.gradients(graph.logits.sum())
    assert state_of(classifier) == before
    with pytest.raises(KeyError), classifier.forward_graph(x, layers):
        raise KeyError
    assert state_of(classifier) == before
    assert torch.equal(x, kept)
    assert not x.requires_grad
    assert x.grad is None


@pytest.mark.parametrize("where", ["blocks.5", "head"])
def test_nothing_leaks_when_the_network_itself_fails(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = tiny("test_vit")
    before = state_of(classifier)

    def fail(*_: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(classifier.module.get_submodule(where), "forward", fail)
    with (
        pytest.raises(RuntimeError, match="broken"),
        classifier.forward_graph(images(1, (64, 64)), ["final", 0, -1]),
    ):
        pass
    assert state_of(classifier) == before


def test_the_gradient_is_the_finite_difference() -> None:
    classifier = tiny()
    x = images(1, (64, 64))
    with classifier.forward_graph(x, [-1]) as graph:
        grad = graph.gradients(graph.logits[0, 5])[-1]
        stage = graph.grid(-1).double()
    # The rest of the network from layer4 on, by hand and in double precision.
    head = classifier.module.forward_head
    step = torch.randn(stage.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 1e-3
    classifier.module.double()
    ahead, behind = (head(stage + s)[0, 5] for s in (step, -step))  # type: ignore[operator]
    assert float((ahead - behind) / 2) == pytest.approx(float((grad.double() * step).sum()), rel=1e-4)


def test_each_image_has_its_own_gradient() -> None:
    classifier = tiny("test_vit")
    x = images(3, (64, 64))
    with classifier.forward_graph(x, [1]) as graph:
        together = graph.gradients(graph.logits[:, 5].sum())[1]
    for i in range(3):
        with classifier.forward_graph(x[i : i + 1], [1]) as graph:
            alone = graph.gradients(graph.logits[0, 5])[1]
        torch.testing.assert_close(
            together[i : i + 1], alone, rtol=1e-5, atol=1e-5 * float(alone.abs().max())
        )


@pytest.mark.parametrize("outside", [True, False])
def test_grad_mode_is_on_inside_and_as_it_was_outside(outside: bool) -> None:  # noqa: FBT001
    classifier = tiny()
    with torch.set_grad_enabled(outside):
        with classifier.forward_graph(images(1, (64, 64)), ["final"]) as graph:
            assert torch.is_grad_enabled()
            assert graph.gradients(graph.logits[0, 0])["final"].abs().sum() > 0
        assert torch.is_grad_enabled() is outside


def test_an_image_that_requires_a_gradient_gets_none() -> None:
    x = images(1, (64, 64)).requires_grad_()
    with tiny().forward_graph(x, ["final"]) as graph:
        graph.gradients(graph.logits[0, 0])
    assert x.requires_grad
    assert x.grad is None


def test_layers_by_name_are_the_stages_of_that_name() -> None:
    classifier = tiny(kwargs={"zero_init_last": False})
    with classifier.forward_graph(images(1, (64, 64)), ["layer4", -1, 3, "layer4.0.conv1"]) as graph:
        grads = graph.gradients(graph.logits[0, 0])
        assert torch.equal(graph.grid("layer4"), graph.grid(-1))
        assert torch.equal(graph.grid(3), graph.grid(-1))
        assert torch.equal(grads["layer4"], grads[-1])
        assert grads["layer4.0.conv1"].abs().sum() > 0


def test_a_later_write_into_an_output_does_not_reach_what_is_kept() -> None:
    class Writer(nn.Module):
        """Its second layer adds to its input in place, as residual blocks do."""

        num_classes = 3

        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, 3, 1, bias=False)

        def forward_intermediates(self, x: Tensor, **_: Any) -> tuple[Tensor, list[Tensor]]:
            out = self.first(x)
            out += 1
            return out, [out]

        def forward_head(self, x: Tensor) -> Tensor:
            return x.square().mean((2, 3))

        def forward(self, x: Tensor) -> Tensor:
            return self.forward_head(self.forward_intermediates(x)[0])

    classifier = Classifier(
        Writer(), name="writer", input_size=(4, 4), mean=(0, 0, 0), std=(1, 1, 1), weights_source="none"
    )
    x = torch.zeros(1, 3, 4, 4)
    with classifier.forward_graph(x, ["first"]) as graph:
        assert graph.grid("first").abs().sum() == 0
        assert torch.equal(graph.gradients(graph.logits[0, 0])["first"][0, 0], torch.full((4, 4), 2.0 / 16))
    # timm names no module for this map: by number it cannot be had.
    with pytest.raises(UsageError, match="gradients cannot reach stage 0"), classifier.forward_graph(x, [0]):
        pass


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ("lyer4", r"has no layer 'lyer4'.*layer4"),
        ("", "has no layer ''"),
        (4, "layer 4 is not a position from -4 to 3"),
        (-5, "layer -5 is not a position"),
        (True, "has no layer True"),
        (1.5, "has no layer 1.5"),
        ("fc", "puts out no grid of activations but .1, 1000."),
    ],
)
def test_wrong_layers_are_refused_in_one_line(layer: Any, said: str) -> None:
    classifier = tiny()
    with (
        pytest.raises(UsageError, match=said) as caught,
        classifier.forward_graph(images(1, (64, 64)), [layer]) as graph,
    ):
        graph.grid(layer)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "layer", "said"),
    [
        ("selecsls42", 0, "gradients cannot reach layer 0: it puts out a list"),
        ("twins_svt_small", -1, "gradients cannot reach stage -1: block.3 is not a module"),
        ("hiera_tiny_224", 0, "gradients cannot reach stage 0: blocks.0 does not put the stage's map out"),
        ("test_vit", "blocks", "gradients cannot reach layer 'blocks': it is not run itself"),
        ("test_vit", "blocks.0.attn.qkv", None),
        ("test_maxvit", "stages.2.blocks.0.attn_block.attn", "puts out no grid"),
    ],
)
def test_families_whose_stages_gradients_cannot_reach(name: str, layer: Any, said: str | None) -> None:
    size = 224 if name in {"hiera_tiny_224", "twins_svt_small"} else 64
    classifier = load_classifier(name=name, weights="random", input_size=size)
    x = images(1, (size, size))
    if said is None:
        with classifier.forward_graph(x, [layer]) as graph:
            assert graph.grid(layer).shape == (1, 192, 4, 4)
        return
    with pytest.raises(UsageError, match=said), classifier.forward_graph(x, [layer]) as graph:
        graph.grid(layer)


def test_a_layer_off_the_path_is_named() -> None:
    classifier = tiny()
    with (
        classifier.forward_graph(images(1, (64, 64)), ["final", -1]) as graph,
        pytest.raises(UsageError, match="gradients cannot reach layer 'final'"),
    ):
        graph.gradients(torch.zeros(()))


def test_bfloat16_and_channels_last_yield_float32_grids() -> None:
    x = images(2, (64, 64))
    with tiny().forward_graph(x, [-1]) as graph:
        exact = graph.gradients(graph.logits[:, 3].sum())[-1]
    rounded = tiny().to(dtype=torch.bfloat16, channels_last=True)
    assert rounded.head_weights() is not None
    with rounded.forward_graph(x, [-1]) as graph:
        assert graph.logits.dtype is torch.float32
        grad = graph.gradients(graph.logits[:, 3].sum())[-1]
    assert grad.dtype is torch.float32
    assert grad.is_contiguous()
    torch.testing.assert_close(grad, exact, rtol=0, atol=0.05 * float(exact.abs().max()))


def test_wrong_images_are_refused() -> None:
    with pytest.raises(ValueError, match="float"), forward_graph(tiny(), [[0.0]], ["final"]):  # type: ignore[arg-type]
        pass
