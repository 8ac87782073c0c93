"""Gradients averaged over superpixels: against a slow twin, with each source, and what fails."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nasbench.errors import SaliencyError, UsageError
from nasbench.models import load_classifier
from nasbench.saliency.base import Batch
from nasbench.saliency.gradients import Gradient
from nasbench.saliency.superpixel_gradients import GradientSuperpixels, Source, Swag, gradient_pictures
from nasbench.segment.base import Views
from nasbench.segment.classical import Slic

SIZE = (64, 64)
METHODS: dict[str, GradientSuperpixels | Swag] = {
    "gradient_superpixels": GradientSuperpixels(n=12),
    "swag": Swag(n=12),
    "swag_gradients": Swag(n=12, source="gradients"),
    "swag_image": Swag(n=12, source="image"),
}


@pytest.fixture(scope="module")
def classifier():
    return load_classifier(name="test_resnet", weights="random", input_size=SIZE)


@pytest.fixture(scope="module")
def batch():
    """Blocks of colour under noise: superpixels have something to follow."""
    gen = torch.Generator().manual_seed(5)
    x = torch.rand(3, 3, 4, 4, generator=gen).repeat_interleave(16, 2).repeat_interleave(16, 3)
    x = (0.8 * x + 0.2 * torch.rand(3, 3, *SIZE, generator=gen)).clamp(0, 1)
    return Batch(("a", "b", "c"), x, torch.tensor([0, 5, 9]))


def input_gradient(classifier, batch):
    """The slow twin: one image at a time, plain autograd."""
    grads = []
    for i in range(len(batch.ids)):
        x = batch.x[i : i + 1].clone().requires_grad_()
        classifier.logits(x)[0, batch.target[i]].backward()
        grads.append(x.grad[0])
    return torch.stack(grads)


@pytest.mark.parametrize("name", METHODS)
def test_contract(name, classifier, batch):
    method = METHODS[name]
    x, state = batch.x.clone(), torch.random.get_rng_state()
    maps = method(classifier, batch)
    assert maps.shape == (3, *SIZE)
    assert maps.dtype == torch.float32
    assert maps.device.type == "cpu"
    assert not maps.requires_grad
    assert method.method.name == name
    assert method.unsupported(classifier) is None
    assert torch.equal(maps, method(classifier, batch)), "not deterministic"
    assert torch.equal(batch.x, x), "input was written to"
    assert not batch.x.requires_grad
    assert batch.x.grad is None
    assert all(p.grad is None and not p.requires_grad for p in classifier.module.parameters())
    assert torch.equal(torch.random.get_rng_state(), state)
    regions = [len(image.unique()) for image in maps]
    assert all(4 <= n <= 30 for n in regions), regions


@pytest.mark.parametrize("name", METHODS)
def test_a_batch_has_no_influence(name, classifier, batch):
    maps = METHODS[name](classifier, batch)
    alone = METHODS[name](classifier, batch.image(1))[0]
    agree = torch.isclose(alone, maps[1], rtol=1e-4, atol=1e-7)
    assert float(agree.float().mean()) > 0.98  # a pixel of rounding may go to the next superpixel


@pytest.mark.parametrize(
    ("sign", "pixel"),
    [
        ("abs", lambda g: g.abs().sum(dim=1)),
        ("signed", lambda g: g.sum(dim=1)),
        ("positive", lambda g: g.sum(dim=1).clamp(min=0)),
    ],
)
def test_means_equal_the_slow_twin(classifier, batch, sign, pixel):
    maps = GradientSuperpixels(n=12, sign=sign)(classifier, batch)
    scores = pixel(input_gradient(classifier, batch)).double().numpy()
    labels = Slic(n=12, sigma=1.0)(Views(batch.ids, batch.x), None).numpy()
    for found, score, regions in zip(maps.numpy(), scores, labels, strict=True):
        for region in range(regions.max() + 1):
            expected = score[regions == region].mean()
            np.testing.assert_allclose(found[regions == region], expected, rtol=1e-4, atol=1e-6)


def test_the_second_paper_on_images_is_the_first(classifier, batch):
    first = METHODS["gradient_superpixels"](classifier, batch)
    assert torch.equal(METHODS["swag_image"](classifier, batch), first)
    assert not torch.equal(METHODS["swag"](classifier, batch), first)


def test_without_a_gradient_image_and_gradient_are_the_image(batch):
    """Lab, compactness and SLIC's own stretching add up to what SLIC does with the image."""
    black = torch.zeros(3, *SIZE)
    both = Swag(n=16)._labels(batch.ids, batch.x, black)
    image = Slic(n=16, sigma=1.0)(Views(batch.ids, batch.x), None)
    assert float((both == image).float().mean()) > 0.99  # here in float64, there in float32


def test_superpixels_follow_the_gradient_where_it_is_asked():
    """An image without edges, a gradient with one."""
    x, picture = torch.full((1, 3, *SIZE), 0.5), torch.zeros(1, *SIZE)
    picture[:, :, 21:] = 1
    expected: dict[Source, bool] = {"image": False, "image_and_gradients": True, "gradients": True}
    for source, follows in expected.items():
        labels = Swag(n=16, sigma=0.0, source=source)._labels(("a",), x, picture)[0]
        left, right = set(labels[:, :21].unique().tolist()), set(labels[:, 21:].unique().tolist())
        assert left.isdisjoint(right) == follows


def test_pictures_are_grey_values():
    values = torch.arange(1000.0).reshape(1, 20, 50)
    values[0, 0, 0] = 1e6
    picture = gradient_pictures(values)
    assert float(picture.max()) == 1
    assert float(picture[0, 10, 0]) == pytest.approx(500 / np.percentile(values.numpy(), 99), rel=1e-6)
    torch.testing.assert_close(gradient_pictures(values * 1e-9), picture)
    assert (gradient_pictures(torch.zeros(1, 4, 4)) == 0).all()
    lonely = torch.zeros(1, 30, 30)
    lonely[0, 3, 3] = 5
    assert float(gradient_pictures(lonely).max()) == 1


@pytest.mark.parametrize("name", METHODS)
def test_gradients_that_are_not_finite_fail(name, classifier, batch, monkeypatch):
    monkeypatch.setattr(Gradient, "channels", lambda *_: torch.full((3, 3, *SIZE), float("nan")))
    with pytest.raises(SaliencyError, match="the gradient holds NaN"):
        METHODS[name](classifier, batch)


@pytest.mark.parametrize("name", METHODS)
def test_images_that_slic_refuses_fail(name, classifier, batch, monkeypatch):
    def refuses(*_, **__):
        raise ValueError("no superpixels today")

    monkeypatch.setattr("skimage.segmentation.slic", refuses)
    with pytest.raises(SaliencyError, match="superpixels: slic: no superpixels today"):
        METHODS[name](classifier, batch)


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("name", METHODS)
def test_black_and_white_images_have_an_answer(name, value, classifier):
    flat = Batch(("a",), torch.full((1, 3, *SIZE), value), torch.tensor([0]))
    assert METHODS[name](classifier, flat).shape == (1, *SIZE)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n": 0}, "saliency.n=0"),
        ({"sign": "relu"}, "saliency.sign=relu: choose one of signed, abs, positive"),
        ({"compactness": 0}, "saliency.compactness=0"),
        ({"sigma": -1}, "saliency.sigma=-1"),
        ({"min_size_factor": float("nan")}, "saliency.min_size_factor=nan"),
        ({"source": "video"}, "saliency.source=video: choose one of image, image_and_gradients, gradients"),
    ],
)
def test_wrong_options_are_named(options, said):
    with pytest.raises(UsageError, match=said):
        Swag(**options)
