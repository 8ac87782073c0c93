"""What a Classifier promises, on every family: one forward, exact logits, nothing touched."""

from __future__ import annotations

import inspect
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from nasbench.errors import UsageError
from nasbench.importing import resolve
from nasbench.models import Classifier, Features, load_classifier
from tests.models.conftest import FAMILIES, Family, classifier_of, images

by_family = pytest.mark.parametrize("family", FAMILIES, ids=str)


def tiny(**options: Any) -> Classifier:
    defaults: dict[str, Any] = {"name": "test_resnet", "weights": "random", "input_size": 64}
    return load_classifier(**(defaults | options))


def tensors(features: Features) -> tuple[Tensor, ...]:
    return (features.logits, features.final, *features.stages)


@by_family
def test_shapes_are_the_families_own(family: Family) -> None:
    out = classifier_of(family).features(images(2, family.size))
    assert tuple(tuple(s.shape) for s in out.stages) == tuple((2, *s) for s in family.stages)
    assert out.final.shape == (2, *family.final)
    assert out.logits.shape == (2, classifier_of(family).num_classes) == (2, 1000)
    for t in tensors(out):
        assert t.dtype is torch.float32
        assert t.is_contiguous()
        assert not t.requires_grad


@by_family
def test_logits_are_those_of_timm_on_normalised_images(family: Family) -> None:
    classifier = classifier_of(family)
    x = images(2, family.size)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (classifier.mean, classifier.std))
    with torch.no_grad():
        expected = classifier.module((x - mean) / std)
    torch.testing.assert_close(classifier.logits(x), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(classifier(x), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(classifier.features(x).logits, expected, rtol=1e-5, atol=1e-5)


@by_family
def test_features_run_the_trunk_and_the_head_exactly_once(family: Family) -> None:
    classifier = classifier_of(family)
    runs: Counter[str] = Counter()

    def count(name: str) -> Any:
        return lambda *_: runs.update([name])

    layers = {n: m for n, m in classifier.module.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))}
    handles = [m.register_forward_hook(count(n)) for n, m in layers.items()]
    try:
        classifier.features(images(1, family.size))
    finally:
        for handle in handles:
            handle.remove()
    # Attention adds up relative positions, and weight-standardised layers multiply, outside of forward.
    assert set(runs.values()) == {1}
    first, last = next(iter(layers)), list(layers)[-1]
    assert runs[first] == runs[last] == 1


@by_family
def test_batch_of_three_equals_three_of_one(family: Family) -> None:
    classifier = classifier_of(family)
    x = images(3, family.size)
    together = tensors(classifier.features(x))
    for i in range(3):
        for whole, alone in zip(together, tensors(classifier.features(x[i : i + 1])), strict=True):
            torch.testing.assert_close(
                whole[i : i + 1], alone, rtol=1e-5, atol=1e-5 * float(whole.abs().max())
            )


@by_family
def test_nothing_is_left_behind(family: Family) -> None:
    classifier = classifier_of(family)
    x = images(1, family.size)
    kept, rng, state = x.clone(), torch.get_rng_state(), classifier.module.state_dict()
    before = {k: v.clone() for k, v in state.items()}
    classifier.features(x)
    classifier.logits(x)
    assert torch.equal(x, kept)
    assert torch.equal(torch.get_rng_state(), rng)
    assert torch.is_grad_enabled()
    assert all(torch.equal(before[k], v) for k, v in classifier.module.state_dict().items())
    for module in classifier.module.modules():
        assert not module.training
        assert not module._forward_hooks
    for p in classifier.module.parameters():
        assert not p.requires_grad
        assert p.grad is None


@by_family
def test_gradient_reaches_the_image(family: Family) -> None:
    classifier = classifier_of(family)
    x = images(1, family.size).requires_grad_()
    classifier(x)[0, 0].backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0


def test_normalisation_by_hand() -> None:
    class Mean(nn.Module):
        num_classes = 3

        def forward_intermediates(self, x: Tensor, **_: Any) -> tuple[Tensor, list[Tensor]]:
            return x, [x]

        def forward_head(self, x: Tensor) -> Tensor:
            return x.mean((2, 3))

        def forward(self, x: Tensor) -> Tensor:
            return self.forward_head(x)

    classifier = Classifier(
        Mean(),
        name="mean",
        input_size=(2, 2),
        mean=(0.5, 0.25, 0.0),
        std=(0.5, 0.25, 2.0),
        weights_source="none",
    )
    out = classifier.features(torch.ones(1, 3, 2, 2))
    assert out.logits.tolist() == [[1.0, 3.0, 0.5]]
    assert out.final[0, :, 0, 0].tolist() == [1.0, 3.0, 0.5]
    assert classifier.num_classes == 3
    assert classifier.stage_names == ("map0",)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (torch.zeros(1, 3, 64, 64, dtype=torch.uint8), "uint8"),
        (torch.zeros(3, 64, 64), r"\(3, 64, 64\)"),
        (torch.zeros(1, 1, 64, 64), r"\(1, 1, 64, 64\)"),
        (torch.zeros(1, 3, 64, 65), r"\(B, 3, 64, 64\)"),
        ([[0.0]], "list"),
    ],
)
def test_wrong_images_are_refused_in_one_line(x: Any, said: str) -> None:
    classifier = tiny()
    for call in (classifier.logits, classifier.features):
        with pytest.raises(ValueError, match=said) as caught:
            call(x)
        assert "\n" not in str(caught.value)


def test_bfloat16_and_channels_last_are_close_and_come_back_as_float32() -> None:
    x = images(2, (64, 64))
    exact = tiny().features(x)
    rounded = tiny().to("cpu", dtype=torch.bfloat16, channels_last=True).features(x)
    for a, b in zip(tensors(exact), tensors(rounded), strict=True):
        assert b.dtype is torch.float32
        assert b.is_contiguous()
        assert not torch.equal(a, b)
        torch.testing.assert_close(a, b, rtol=0, atol=0.05 * float(a.abs().max()))


def test_channels_last_alone_changes_the_last_bits_only() -> None:
    x = images(2, (64, 64))
    for a, b in zip(
        tensors(tiny().features(x)), tensors(tiny().to(channels_last=True).features(x)), strict=True
    ):
        assert b.is_contiguous()
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_dtypes_that_cannot_be_had() -> None:
    with pytest.raises(ValueError, match="float16"):
        tiny().to(dtype=torch.float16)
    with pytest.raises(ValueError, match="load it again"):
        tiny().to(dtype=torch.bfloat16).to(dtype=torch.float32)


def test_moving_keeps_the_digest_and_shows_in_the_description() -> None:
    classifier = tiny(seed=3)
    digest = classifier.weights_digest
    before = classifier.describe()
    after = classifier.to(dtype=torch.bfloat16, channels_last=True).describe()
    assert classifier.weights_digest == digest
    assert (before["dtype"], before["channels_last"]) == ("float32", False)
    assert (after["dtype"], after["channels_last"]) == ("bfloat16", True)


def test_description_is_json_and_complete() -> None:
    said = tiny(seed=3, kwargs={"zero_init_last": False}).describe()
    assert json.loads(json.dumps(said)) == said
    assert said["weights"] == "random(seed=3)"
    assert said["input_size"] == [64, 64]
    assert said["stage_names"] == ["layer1", "layer2", "layer3", "layer4"]
    assert said["stage_indices"] == [1, 2, 3, 4]
    assert said["kwargs"] == {"zero_init_last": False}
    assert len(said["weights_digest"]) == 32


def test_in_place_activations_are_made_out_of_place() -> None:
    assert any(getattr(m, "inplace", False) for m in timm.create_model("test_resnet").modules())
    assert not any(getattr(m, "inplace", False) for m in tiny().module.modules())


def test_a_network_without_intermediates_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="plain has no `forward_intermediates`"):
        Classifier(
            nn.Conv2d(3, 2, 1),
            name="plain",
            input_size=(8, 8),
            mean=(0, 0, 0),
            std=(1, 1, 1),
            weights_source="none",
        )


@pytest.mark.parametrize("name", ["pit_ti_224", "crossvit_tiny_240"])
def test_a_head_that_reads_no_grid_is_refused_by_name(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} is not supported: its head does not read one grid"):
        load_classifier(name=name, weights="random")


def test_an_input_too_small_is_refused() -> None:
    with pytest.raises(UsageError, match="inception_v3 does not accept images of 32×32"):
        load_classifier(name="inception_v3", weights="random", input_size=32)


CONFIGS = Path(__file__).parents[2] / "configs" / "model"


@pytest.mark.parametrize("preset", sorted(p.stem for p in CONFIGS.glob("*.yaml")))
def test_presets_have_the_loaders_keys(preset: str) -> None:
    config: Any = OmegaConf.load(CONFIGS / f"{preset}.yaml")
    loader: Any = resolve(config["_target_"])
    # The label map is read by the run: it says which class is explained, nothing of the network.
    assert set(config) == {"_target_", "label_map", *inspect.signature(loader).parameters}


@pytest.mark.parametrize(("preset", "padding"), [("resnet18", (3, 3)), ("mobilenetv2_100", None)])
def test_presets_build(preset: str, padding: tuple[int, int] | None) -> None:
    config = OmegaConf.load(CONFIGS / f"{preset}.yaml")
    config.weights = "random"
    # As configuration containers, which timm's constructors would not all take.
    options: dict[str, Any] = dict(config)
    classifier = load_classifier(**{k: v for k, v in options.items() if k not in ("_target_", "label_map")})
    assert classifier.input_size == (224, 224)
    stem = next(m for m in classifier.module.modules() if isinstance(m, nn.Conv2d))
    # `pad_type: same` is a convolution that pads by itself.
    assert (stem.padding == padding) if padding else type(stem).__name__ == "Conv2dSame"
