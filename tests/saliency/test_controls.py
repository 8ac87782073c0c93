"""Explanations that know nothing: closed forms, seeds by image, no influence of the batch."""

from __future__ import annotations

import math
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from nasbench.errors import SaliencyError, UsageError
from nasbench.saliency.base import Batch
from nasbench.saliency.controls import (
    BlurredRandom,
    CentreGaussian,
    EdgeDetector,
    Oracle,
    UniformRandom,
    sobel,
)
from nasbench.saliency.precomputed import Precomputed
from nasbench.saliency.superpixel_gradients import GradientSuperpixels, Swag

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "saliency"
SIZE = (20, 31)
NO_NETWORK: Any = None
CONTROLS = {
    "random": UniformRandom,
    "random_blur": BlurredRandom,
    "centre": CentreGaussian,
    "edges": EdgeDetector,
    "oracle": Oracle,
}
RANDOM = {"random": UniformRandom, "random_blur": BlurredRandom}


def batch(n=3, size=SIZE):
    gen = torch.Generator().manual_seed(3)
    return Batch(
        ids=tuple(f"image-{i}" for i in range(n)),
        x=torch.rand(n, 3, *size, generator=gen),
        target=torch.zeros(n, dtype=torch.int64),
        truth=torch.rand(n, *size, generator=gen) < 0.3,
    )


@pytest.mark.parametrize("name", CONTROLS)
def test_contract(name):
    saliency = CONTROLS[name]()
    given = batch()
    x, state = given.x.clone(), torch.random.get_rng_state()
    maps = saliency(NO_NETWORK, given)
    assert maps.shape == (3, *SIZE)
    assert maps.dtype == torch.float32
    assert saliency.method.name == name
    assert saliency.method.needs == "none"
    assert saliency.unsupported(NO_NETWORK) is None
    assert torch.equal(maps, saliency(NO_NETWORK, given)), "not deterministic"
    assert torch.equal(given.x, x), "input was written to"
    assert torch.equal(torch.random.get_rng_state(), state), "global random state was touched"
    for i in range(3):
        assert torch.equal(saliency(NO_NETWORK, given.image(i))[0], maps[i]), "depends on the batch"


@pytest.mark.parametrize("name", RANDOM)
def test_noise_depends_on_seed_and_id_alone(name):
    given = batch()
    maps = RANDOM[name]()(NO_NETWORK, given)
    assert not torch.equal(maps[0], maps[1])
    assert not torch.equal(maps, RANDOM[name](seed=1)(NO_NETWORK, given))
    other = Batch(given.ids, 1 - given.x, given.target + 1, max_batch=1)
    assert torch.equal(RANDOM[name]()(NO_NETWORK, other), maps)


def test_uniform_noise_is_uniform():
    values = UniformRandom()(NO_NETWORK, batch(1, (200, 200))).flatten().double()
    assert values.min() >= 0
    assert values.max() <= 1
    assert float(values.mean()) == pytest.approx(1 / 2, abs=0.01)
    assert float(values.var()) == pytest.approx(1 / 12, abs=0.002)


def test_blurred_noise_varies_as_much_at_the_edge_as_in_the_middle():
    many = Batch(tuple(map(str, range(400))), torch.zeros(400, 3, 24, 24), torch.zeros(400).long())
    maps = BlurredRandom(sigma=0.1)(NO_NETWORK, many).double()
    spread = maps.std(dim=0)
    assert float(spread[0].mean()) == pytest.approx(float(spread[12].mean()), rel=0.1)
    # White noise of variance 1/12 under a wide Gaussian: its variance times 1 / (4 π σ²).
    assert float(spread.mean()) == pytest.approx(math.sqrt(1 / 12 / (4 * math.pi * 2.4**2)), rel=0.1)
    assert float(maps.mean()) == pytest.approx(0.5, abs=0.02)


def test_centre_gaussian_has_its_formula():
    height, width = SIZE
    maps = CentreGaussian(sigma=0.3)(NO_NETWORK, batch())
    for y, x in ((0, 0), (19, 30), (10, 15), (3, 22)):
        v, u = (y + 0.5) / height - 0.5, (x + 0.5) / width - 0.5
        assert float(maps[0, y, x]) == pytest.approx(math.exp(-(u * u + v * v) / 0.18), rel=1e-6)
    assert torch.equal(maps, maps.flip(1, 2))
    assert torch.equal(maps[0], maps[2])


def test_edges_of_a_ramp_are_its_slope():
    ys, xs = torch.meshgrid(torch.arange(8.0), torch.arange(9.0), indexing="ij")
    grey = 0.03 * xs + 0.04 * ys
    image = Batch(("a",), grey.expand(1, 3, 8, 9), torch.tensor([0]))
    edges = EdgeDetector()(NO_NETWORK, image)
    torch.testing.assert_close(edges[0, 1:-1, 1:-1], torch.full((6, 7), 0.05))
    # Beyond the edge the outermost pixels are repeated: half of the slope is left across it.
    torch.testing.assert_close(edges[0, 1:-1, 0], torch.full((6,), math.hypot(0.015, 0.04)))


def test_edges_weigh_colours_as_luma_does():
    for channel, weight in enumerate((0.299, 0.587, 0.114)):
        x = torch.zeros(1, 3, 5, 6)
        x[0, channel, :, 3:] = 1
        assert float(EdgeDetector()(NO_NETWORK, Batch(("a",), x, torch.tensor([0]))).max()) == pytest.approx(
            weight / 2
        )


def test_a_flat_image_has_no_edges():
    flat = Batch(("a",), torch.full((1, 3, 7, 5), 0.37), torch.tensor([0]))
    assert (EdgeDetector()(NO_NETWORK, flat) == 0).all()


def test_sobel_is_the_textbook_kernel():
    from scipy.ndimage import sobel as textbook

    grey = np.random.default_rng(0).random((13, 9))
    expected = np.hypot(textbook(grey, 0, mode="nearest"), textbook(grey, 1, mode="nearest")) / 8
    np.testing.assert_allclose(sobel(torch.from_numpy(grey)).numpy(), expected, atol=1e-12)


def test_the_oracle_is_the_truth():
    given = batch()
    assert torch.equal(Oracle()(NO_NETWORK, given), given.truth.float())


@pytest.mark.parametrize("truth", [None, torch.zeros(1, *SIZE, dtype=torch.bool)])
def test_no_truth_no_oracle(truth):
    given = batch(1)
    with pytest.raises(SaliencyError, match="the image has no mask or box"):
        Oracle()(NO_NETWORK, Batch(given.ids, given.x, given.target, truth))


@pytest.mark.parametrize("make", [BlurredRandom, CentreGaussian])
@pytest.mark.parametrize("sigma", [0, -1, 1.5, float("nan")])
def test_widths_are_shares(make, sigma):
    with pytest.raises(UsageError, match=f"saliency.sigma={sigma}"):
        make(sigma=sigma)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        *CONTROLS.items(),
        ("precomputed", Precomputed),
        ("gradient_superpixels", GradientSuperpixels),
        ("swag", Swag),
        ("swag_image", Swag),
        ("swag_gradients", Swag),
    ],
)
def test_yaml_and_constructor_say_the_same(name, make):
    config = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    assert config.pop("_target_") == f"{make.__module__}.{make.__name__}"
    defaults = {f.name: "???" if f.default is MISSING else f.default for f in fields(make)}
    assert config.keys() == defaults.keys()
    if "seed" in config:
        assert config.pop("seed") == "${seed}"
        assert defaults.pop("seed") == 0
    preset = {"swag_image": "image", "swag_gradients": "gradients"}.get(name)
    if preset:
        defaults["source"] = preset
        assert make(source=preset).method.name == name
    assert config == defaults
