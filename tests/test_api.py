"""The Python door."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import timm
import torch

import nasbench
from nasbench.errors import SaliencyError, UsageError
from nasbench.models import Classifier, load_classifier
from nasbench.saliency.base import Batch
from nasbench.saliency.regions import superpixelify
from nasbench.saliency.registry import METHODS, make_method
from tests.support.leaks import state_of


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return load_classifier(
        name="test_resnet", weights="random", input_size=64, kwargs={"zero_init_last": False}
    )


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    return torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def test_labels_of_a_batch(classifier, x):
    labels = nasbench.nas(classifier, x, k=4)
    assert labels.shape == (3, 64, 64)
    assert labels.max() == 3
    assert torch.equal(labels, nasbench.nas(classifier, x, k=4))


def test_regions_of_bare_pixels_cost_no_forward(classifier, x, monkeypatch):
    monkeypatch.setattr(Classifier, "features", None)
    assert nasbench.nas(classifier, x, k=3, source="pixels", average=(), scope="image").max() == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "mirror"}, "nas(source='mirror'): choose self or pixels"),
        ({"source": "model:resnet18"}, "choose self or pixels"),
        ({"forward_size": 128}, "nas(forward_size=128) needs more than one pass"),
        ({"average": ["flip"]}, "nas(average=['flip']) needs more than one pass"),
        ({"scope": "class", "centroids": "c"}, "nas(scope='class') needs more than one pass"),
        ({"k": 0}, "segmenter.k=0 must be at least 1"),
        ({"k": "5"}, "nas: k='5' is not of type int"),
        ({"stages": 2}, "nas: stages=2 is not of type Sequence[int]"),
        ({"stage": [2]}, "nas: unknown option stage; choose of average, centroids"),
    ],
)
def test_what_regions_in_memory_cannot_serve_is_refused(classifier, x, options, message):
    with pytest.raises(UsageError) as caught:
        nasbench.nas(classifier, x, **options)
    assert message in str(caught.value)


def test_a_timm_network_is_left_as_it_was():
    module = timm.create_model("test_resnet").train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    x = torch.rand(1, 3, 96, 64)
    labels = nasbench.nas(module, x, k=3, stages=[-1])
    assert labels.shape == (1, 96, 64)
    assert module.training
    assert all(p.requires_grad for p in module.parameters())
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


@pytest.mark.parametrize("method", [name for name in METHODS if name != "precomputed"])
def test_every_method_by_its_name(classifier, x, method):
    before, kept = state_of(classifier), x.clone()
    truth = torch.zeros(3, 64, 64, dtype=torch.bool)
    truth[:, 10:30, 20:50] = True
    options: dict[str, Any] = {"n": 2} if method.startswith(("smoothgrad", "vargrad")) else {}
    options |= {"steps": 2} if method == "ig" else {}
    classifier.reads_grid()
    maps = nasbench.explain(classifier, x, [0, 999, 5], method, truth=truth, **options)
    assert maps.dtype is torch.float32
    assert len(maps) == 3
    batch = Batch(("0", "1", "2"), x, torch.tensor([0, 999, 5]), truth)
    assert torch.equal(maps, make_method(method, **options)(classifier, batch))
    assert torch.equal(x, kept)
    assert {**state_of(classifier), "hooks": 0} == {**before, "hooks": 0}
    assert sum(state_of(classifier)["hooks"]) == 0


def test_one_target_for_all_one_each_or_what_is_predicted(classifier, x):
    predicted = classifier.logits(x).argmax(dim=1)
    for given in (None, predicted, predicted.tolist(), predicted.to(torch.int32), predicted.numpy()):
        maps = nasbench.explain(classifier, x, given, "gradcam", max_batch=2)
        torch.testing.assert_close(maps, nasbench.explain(classifier, x, predicted, "gradcam"))
    seventh = nasbench.explain(classifier, x, 7)
    assert torch.equal(seventh, nasbench.explain(classifier, x, torch.tensor(7), method="layercam"))
    assert not torch.equal(seventh, nasbench.explain(classifier, x, 8))


def test_regions_take_the_mean_of_the_map_in_them(classifier, x):
    regions = nasbench.nas(classifier, x, k=4)
    raw = nasbench.explain(classifier, x, 3, "gradcam")
    maps = nasbench.explain(classifier, x, 3, "gradcam", regions=regions)
    assert maps.shape == (3, 64, 64)
    assert torch.equal(maps, superpixelify(raw, regions))


def test_maps_that_are_stored_are_read_by_place(classifier, x, tmp_path):
    stored = np.arange(3 * 64 * 64, dtype=np.float32).reshape(3, 64, 64)
    for i, one in enumerate(stored):
        np.save(tmp_path / f"{i}.npy", one)
    maps = nasbench.explain(classifier, x, 0, "precomputed", path=str(tmp_path))
    assert np.array_equal(maps.numpy(), stored)


class NoParameters(torch.nn.Module):
    """What a Classifier asks of a network, without a parameter."""

    num_features = 3

    def forward_intermediates(self, x, **_):
        return x, [x]

    def forward_head(self, x):
        return x.mean((2, 3))

    def forward(self, x):
        return self.forward_head(x)


def test_a_network_without_parameters(x):
    assert nasbench.nas(NoParameters(), x, k=2, stages=[-1]).max() == 1
    assert len(nasbench.lerf(NoParameters(), x, torch.rand(3, 4, 4), steps=2)) == 3
    with pytest.raises(UsageError, match="Identity has no `forward_intermediates`"):
        nasbench.nas(torch.nn.Identity(), x)


def test_maps_of_a_timm_network_which_is_left_as_it_was(x):
    module = timm.create_model("test_resnet").train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    maps = nasbench.explain(module, x[:1, :, :, :32], target=3, method="gradient")
    assert maps.shape == (1, 64, 32)
    assert module.training
    assert all(p.requires_grad for p in module.parameters())
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


@pytest.mark.parametrize(
    ("target", "method", "options", "message"),
    [
        (0, "gradcm", {}, "there is no saliency method 'gradcm'; did you mean gradcam"),
        (0, "zzz", {}, "there is no saliency method 'zzz'; choose one of gradient, input_x_gradient"),
        (0, "gradcam", {"stage": 3}, "gradcam has no option 'stage'; it has layer, relu"),
        (0, "edges", {"sigma": 3}, "edges has no option 'sigma'; it has none"),
        (0, "precomputed", {}, "precomputed needs its option 'path'"),
        (0, "ig", {"steps": 0}, "saliency.steps=0 must be a whole number"),
        (0, "gradcam", {"layer": 9}, "gradcam: test_resnet: layer 9 is not a position"),
        (0, "swag", {"sigma": "a"}, "swag: sigma='a' is not of type float"),
        (0, ["gradcam"], {}, "method=['gradcam']: give a name"),
        (0, "gradcam", {"max_batch": 0}, "max_batch=0 must be at least 1"),
        (0, "gradcam", {"max_batch": 2.5}, "max_batch=2.5 must be a whole number"),
        (0, "gradcam", {"max_batch": True}, "max_batch=True must be a whole number"),
        (1000, "gradcam", {}, "target 1000 of image 0 is beyond the model's 1000 classes (0 to 999)"),
        ([5, -1, 5], "random", {}, "target -1 of image 1 is beyond the model's 1000 classes"),
    ],
)
def test_what_cannot_be_explained_is_one_line(classifier, x, target, method, options, message):
    with pytest.raises(UsageError) as caught:
        nasbench.explain(classifier, x, target, method, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_method_without_meaning_says_so_by_name(x):
    vit = load_classifier(name="test_vit", weights="random", input_size=64)
    with pytest.raises(UsageError, match="cam: test_vit classifies by a class token"):
        nasbench.explain(vit, x, 0, "cam")
    assert nasbench.explain(vit, x, 0, "gradcam").shape == (3, 4, 4)


def test_an_image_that_cannot_be_explained(classifier, x):
    with pytest.raises(SaliencyError, match="no mask or box"):
        nasbench.explain(classifier, x, 0, "oracle")
    broken = copy.deepcopy(classifier)
    broken.module.fc.weight.fill_(float("nan"))
    with pytest.raises(SaliencyError, match="input_x_gradient: the map of image 0 holds NaN"):
        nasbench.explain(broken, x, 0, "input_x_gradient")


def lerf_alone(model, x):
    return nasbench.lerf(model, x, torch.rand(3, 8, 8), steps=2)


DOORS = pytest.mark.parametrize("function", [nasbench.nas, nasbench.explain, lerf_alone])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[0], "x is torch.float32"),
        (lambda x: (255 * x).byte(), "x is torch.uint8"),
        (lambda x: x.numpy(), "x is ndarray; expected a floating-point tensor"),
        (lambda x: x[:0], "x holds no image"),
        (lambda x: 255 * x.round(), r"x lies in \[0, 255\]; expected RGB in \[0, 1\]"),
        (lambda x: 4 * x.round() - 2, r"x lies in \[-2, 2\]"),
        (lambda x: x.round() + 0.002, r"x lies in \[0.002, 1.002\]"),
        (lambda x: torch.stack([x[0], x[1] * float("nan")]), "NaN or infinite values, first in image 1"),
        (lambda x: x / 0, "x holds NaN or infinite values, first in image 0"),
        (lambda x: x.double() * 1e300, "x holds NaN or infinite values, first in image 0"),
        (lambda x: x[..., :32], "x is of 64×32 pixels; test_resnet reads 64×64"),
    ],
)
@DOORS
def test_what_is_no_batch(classifier, x, change, message, function):
    with pytest.raises(ValueError, match=message):
        function(classifier, change(x))


@DOORS
def test_rounding_may_leave_the_range_of_images(classifier, x, function):
    for given in (x * 1.0005, x - 0.0005, x.half(), x.bfloat16(), x.double()):
        assert len(function(classifier, given)) == 3


@DOORS
def test_a_classifier_in_training_mode_is_refused_and_left_alone(classifier, x, function):
    trained = copy.deepcopy(classifier)
    trained.module.layer1.train()  # a part is enough
    before = {name: value.clone() for name, value in trained.module.state_dict().items()}
    with pytest.raises(UsageError, match="test_resnet is in training mode") as said:
        function(trained, x)
    assert "\n" not in str(said.value)
    assert all(torch.equal(before[name], value) for name, value in trained.module.state_dict().items())


@DOORS
def test_what_is_no_model(x, function):
    with pytest.raises(UsageError, match="model is str; expected a Classifier or a timm network"):
        function("resnet50", x)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ([1, 2], r"targets have shape \(2,\)"),
        (1.5, "whole numbers"),
        (torch.zeros(3, 1).long(), "shape"),
        ("3", "targets are '3'; expected classes"),
        (["cat", "dog", "cat"], "targets are .*; expected classes"),
        ([[1], [2, 3]], "whole numbers"),
        (10**30, "whole numbers"),
    ],
)
def test_what_are_no_targets(classifier, x, target, message):
    with pytest.raises(ValueError, match=message):
        nasbench.explain(classifier, x, target, "random")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"regions": np.zeros((3, 64, 64), dtype=np.int64)}, "regions are ndarray; expected an int64 tensor"),
        ({"regions": torch.zeros(2, 64, 64).long()}, "regions are torch.int64 .*; expected .* of 3 images"),
        ({"truth": np.ones((3, 64, 64), dtype=bool)}, "truth is ndarray; expected a bool tensor"),
        ({"truth": torch.ones(3, 8, 8) > 0}, r"truth is torch.bool \(3, 8, 8\)"),
    ],
)
def test_what_are_no_regions_and_no_truth(classifier, x, options, message, monkeypatch):
    monkeypatch.setattr("nasbench.api._maps", None)  # before anything is paid for
    with pytest.raises(ValueError, match=message):
        nasbench.explain(classifier, x, 0, "oracle", **options)


def test_unknown_names_are_an_attribute_error():
    with pytest.raises(AttributeError, match="nass"):
        nasbench.nass  # noqa: B018 - the access is the test
