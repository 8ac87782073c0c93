"""Imputers: one contract for all of them, then each one's own arithmetic."""

from __future__ import annotations

import random
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from scipy.ndimage import convolve, gaussian_filter, label

from nasbench.errors import UsageError
from nasbench.faithfulness.imputers import (
    IMPUTERS,
    Blur,
    DatasetMean,
    ImageMean,
    NeighbourMean,
    Noise,
    Road,
    Shuffle,
    Telea,
    Uniform,
    Zero,
)

SIZE = (24, 31)
RANDOM = {"uniform": Uniform, "noise": Noise, "shuffle": Shuffle, "road": Road}
NEEDS_MASK = {"neighbour_mean", "road", "telea"}


def make_image(seed=0, size=SIZE):
    return torch.from_numpy(np.random.default_rng(seed).random((3, *size), dtype=np.float32))


def make_masks(size=SIZE, seed=1):
    """Dots at three shares, a block, nothing and all."""
    dots = torch.from_numpy(np.random.default_rng(seed).random(size))
    block = torch.zeros(size, dtype=torch.bool)
    block[3:12, 5:20] = True
    empty = torch.zeros(size, dtype=torch.bool)
    return torch.stack([dots < 0.1, dots < 0.5, dots < 0.9, block, empty, ~empty])


def make_labels(size=SIZE):
    """Blocks of 8 × 8 pixels, numbered at random."""
    rows, columns = np.mgrid[: size[0], : size[1]] // 8
    blocks = rows * 4 + columns
    return torch.from_numpy(np.random.default_rng(2).permutation(100)[blocks])


def random_states():
    return torch.random.get_rng_state(), str(np.random.get_state()), random.getstate()


def colour(image):
    return image.double().mean((1, 2)).float()[:, None, None].expand_as(image)


@pytest.mark.parametrize("labels", [None, make_labels()], ids=["pixels", "regions"])
@pytest.mark.parametrize("name", IMPUTERS)
def test_contract(name, labels):
    imputer = IMPUTERS[name]()
    assert imputer.name == name
    image, masks = make_image(), make_masks()
    given = image.clone(), masks.clone()
    before = random_states()
    filled = imputer(image, masks, "a", labels)
    fill = imputer.fill_for(image, "a")
    after = random_states()
    assert filled.shape == (6, 3, *SIZE)
    assert filled.dtype == torch.float32
    assert bool(filled.isfinite().all())
    kept = ~masks[:, None].expand_as(filled)
    assert torch.equal(filled[kept], image.expand_as(filled)[kept]), "a kept pixel has changed"
    assert torch.equal(filled[4], image), "nothing was removed"
    assert not torch.equal(filled[1], image), "removed pixels are still there"
    assert torch.equal(image, given[0]), "input was written to"
    assert torch.equal(masks, given[1]), "masks were written to"
    assert labels is None or torch.equal(labels, make_labels()), "labels were written to"
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]
    assert (fill is None) == (name in NEEDS_MASK)
    if fill is not None:
        assert fill.shape == image.shape
        assert fill.dtype == torch.float32
        assert torch.equal(filled, torch.where(masks[:, None], fill, image))


@pytest.mark.parametrize("labels", [None, make_labels()], ids=["pixels", "regions"])
@pytest.mark.parametrize("name", IMPUTERS)
def test_nothing_but_the_mask_decides(name, labels):
    image, masks = make_image(), make_masks()
    first = IMPUTERS[name]()
    filled = first(image, masks, "a", labels)
    assert torch.equal(first(image, masks, "a", labels), filled), "the second call differs"
    assert torch.equal(IMPUTERS[name]()(image, masks.flip(0), "a", labels), filled.flip(0))
    first(make_image(5), masks, "b")
    for i in range(len(masks)):
        assert torch.equal(first(image, masks[i : i + 1], "a", labels)[0], filled[i]), "batch mates matter"
    assert first(image, masks[:0], "a", labels).shape == (0, 3, *SIZE)


@pytest.mark.parametrize("name", IMPUTERS)
def test_what_is_not_contiguous_is_as_good(name):
    image, masks = make_image(), make_masks()
    turned = image.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    turned_masks = masks.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    assert torch.equal(IMPUTERS[name]()(turned, turned_masks, "a"), IMPUTERS[name]()(image, masks, "a"))


@pytest.mark.parametrize("name", RANDOM)
def test_noise_depends_on_seed_and_id(name):
    image, masks = make_image(), make_masks()
    filled = RANDOM[name]()(image, masks, "a")
    assert torch.equal(RANDOM[name](seed=0)(image, masks, "a"), filled)
    assert not torch.equal(RANDOM[name]()(image, masks, "b"), filled)
    assert not torch.equal(RANDOM[name](seed=1)(image, masks, "a"), filled)


@pytest.mark.parametrize("name", sorted(set(IMPUTERS) - set(RANDOM)))
def test_the_others_ignore_the_id(name):
    image, masks = make_image(), make_masks()
    assert torch.equal(IMPUTERS[name]()(image, masks, "a"), IMPUTERS[name]()(image, masks, "b"))


@pytest.mark.parametrize("name", ["telea", "road", "neighbour_mean"])
def test_what_fills_from_the_rim_does_not_look_under_the_mask(name):
    image, masks = make_image(), make_masks()[:4]
    masks[2] = torch.from_numpy(np.random.default_rng(8).random(SIZE)) < 0.6
    for mask in masks:
        hidden = torch.where(mask, 1 - image, image)
        one, other = (IMPUTERS[name]()(x, mask[None], "a")[0][:, mask] for x in (image, hidden))
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", IMPUTERS)
def test_all_removed(name):
    image, full = make_image(), torch.ones(1, *SIZE, dtype=torch.bool)
    imputer: Any = Road(sd=0) if name == "road" else IMPUTERS[name]()
    filled = imputer(image, full, "a", make_labels())[0]
    if name in NEEDS_MASK or name == "image_mean":
        assert torch.allclose(filled, colour(image), atol=1e-7, rtol=0)
    else:
        assert torch.equal(filled, imputer.fill_for(image, "a"))


@pytest.mark.parametrize("name", IMPUTERS)
def test_conventions_are_words(name):
    said = IMPUTERS[name]().conventions()
    assert said["imputer"] == name
    assert said["imputer.all_removed"]
    assert {type(word) for word in (*said, *said.values())} == {str}


def test_conventions_tell_all_options():
    assert Road(sd=0.02, seed=3).conventions() == {
        "imputer": "road",
        "imputer.sd": "0.02",
        "imputer.seed": "3",
        "imputer.all_removed": "image mean plus the noise",
    }
    assert DatasetMean().conventions()["imputer.mean"] == "0.485, 0.456, 0.406"
    assert Blur(sigma=5, kernel_size=11).conventions()["imputer.kernel_size"] == "11"


@pytest.mark.parametrize("imputer", IMPUTERS.values(), ids=IMPUTERS)
def test_hydra_can_make_one(imputer):
    target = f"nasbench.faithfulness.imputers.{imputer.__name__}"
    assert instantiate({"_target_": target}) == imputer()


def test_hydra_gives_lists():
    made = instantiate({"_target_": "nasbench.faithfulness.imputers.DatasetMean", "mean": [0.5, 0.25, 1]})
    assert made == DatasetMean(mean=(0.5, 0.25, 1))
    assert hash(made) == hash(DatasetMean(mean=(0.5, 0.25, 1)))


@pytest.mark.parametrize(
    ("imputer", "options", "message"),
    [
        (DatasetMean, {"mean": (0.5, 0.5)}, "imputer.mean=.*three numbers"),
        (DatasetMean, {"mean": (0.5, 0.5, 124)}, "imputer.mean=.*three numbers"),
        (DatasetMean, {"mean": 0.5}, "imputer.mean=0.5"),
        (DatasetMean, {"mean": "red"}, "imputer.mean=red"),
        (DatasetMean, {"mean": (0.5, 0.5, float("nan"))}, "imputer.mean="),
        (Blur, {"sigma": 0}, "imputer.sigma=0 must be a number above 0"),
        (Blur, {"sigma": float("inf")}, "imputer.sigma=inf"),
        (Blur, {"kernel_size": 10}, "imputer.kernel_size=10 must be an odd"),
        (Blur, {"kernel_size": -3}, "imputer.kernel_size=-3"),
        (Blur, {"kernel_size": 11.0}, "imputer.kernel_size=11.0"),
        (Noise, {"sd": 0}, "imputer.sd=0 must be a number above 0"),
        (Noise, {"sd": True}, "imputer.sd=True"),
        (Noise, {"seed": 1.5}, "imputer.seed=1.5 must be a whole number"),
        (Uniform, {"seed": -1}, "imputer.seed=-1"),
        (Shuffle, {"seed": "0"}, "imputer.seed=0"),
        (Road, {"sd": -0.01}, "imputer.sd=-0.01 must be a number, 0 or above"),
        (Road, {"sd": float("nan")}, "imputer.sd=nan"),
        (Road, {"seed": None}, "imputer.seed=None"),
        (Telea, {"radius": 0}, "imputer.radius=0 must be a number above 0"),
    ],
)
def test_bad_options_are_refused(imputer, options, message):
    with pytest.raises(UsageError, match=message):
        imputer(**options)


@pytest.mark.parametrize("name", IMPUTERS)
def test_bad_calls_are_refused(name):
    imputer, image, masks = IMPUTERS[name](), make_image(), make_masks()
    with pytest.raises(ValueError, match=r"image must be \(3, H, W\) float32, not \(3, 24, 31\) float64"):
        imputer(image.double(), masks, "a")
    with pytest.raises(ValueError, match=r"not \(1, 3, 24, 31\) float32"):
        imputer(image[None], masks, "a")
    with pytest.raises(ValueError, match=r"removed must be \(M, 24, 31\) bool, not \(24, 31\) bool"):
        imputer(image, masks[0], "a")
    with pytest.raises(ValueError, match=r"not \(6, 24, 31\) float32"):
        imputer(image, masks.float(), "a")
    with pytest.raises(ValueError, match=r"not \(6, 24, 30\) bool"):
        imputer(image, masks[:, :, 1:], "a")
    with pytest.raises(ValueError, match=r"labels must be \(24, 31\) int64, not \(24, 30\) int64"):
        imputer(image, masks, "a", make_labels()[:, 1:])


def test_colours():
    image = make_image()
    assert torch.equal(Zero().fill_for(image, "a"), torch.zeros(3, *SIZE))
    assert torch.equal(DatasetMean().fill_for(image, "a")[:, 5, 7], torch.tensor([0.485, 0.456, 0.406]))
    assert torch.equal(
        DatasetMean(mean=[0.1, 0.2, 0.3]).fill_for(image, "a")[:, 0, 0], torch.tensor([0.1, 0.2, 0.3])
    )
    assert torch.allclose(ImageMean().fill_for(image, "a"), colour(image), atol=1e-7, rtol=0)


def test_uniform_is_uniform_and_knows_no_image():
    fill = Uniform().fill_for(make_image(size=(200, 200)), "a")
    assert torch.equal(fill, Uniform().fill_for(make_image(3, (200, 200)), "a"))
    counts = np.histogram(fill.numpy(), 10, (0, 1))[0] / fill.numel()
    assert abs(counts - 0.1).max() < 0.005
    assert float(torch.corrcoef(fill.flatten(1)).triu(1).abs().max()) < 0.02, "channels share their draws"


@pytest.mark.parametrize("sigma", [0.7, 2.0, 10.0])
def test_blur_is_scipys(sigma):
    # On the sides of 24 and 31 pixels, σ = 10 reaches beyond the image and back again.
    image = make_image()
    reach = -(-4 * sigma // 1)
    expected = gaussian_filter(
        image.double().numpy(), (0, sigma, sigma), mode="mirror", radius=(0, int(reach), int(reach))
    )
    assert np.abs(Blur(sigma=sigma).fill_for(image, "a").numpy() - expected).max() < 1e-6


def test_blur_of_a_given_kernel_is_its_convolution():
    image = make_image()
    line = np.exp(-(np.arange(-5, 6) ** 2) / 50)
    kernel = np.outer(line, line) / line.sum() ** 2
    expected = np.stack([convolve(c, kernel, mode="mirror") for c in image.double().numpy()])
    assert np.abs(Blur(sigma=5, kernel_size=11).fill_for(image, "a").numpy() - expected).max() < 1e-6


def test_blur_of_one_pixel_is_the_image():
    image = make_image()
    assert torch.allclose(Blur(kernel_size=1).fill_for(image, "a"), image)
    assert torch.allclose(Blur().fill_for(image[:, :1, :1], "a"), image[:, :1, :1])


def test_noise_is_gaussian_around_the_image_and_clipped():
    image = torch.full((3, 150, 150), 0.5)
    image[0] = 0.0
    noise = Noise(sd=0.1).fill_for(image, "a") - image
    assert float(noise[0].min()) == 0.0, "below black"
    assert 0.49 < float((noise[0] == 0).double().mean()) < 0.51
    assert abs(float(noise[1:].std()) - 0.1) < 0.002
    assert abs(float(noise[1:].mean())) < 0.002
    assert float(torch.corrcoef(noise[1:].flatten(1))[0, 1].abs()) < 0.02, "channels share their noise"
    assert float(Noise(sd=5).fill_for(image, "a").max()) == 1.0


def test_shuffle_moves_whole_pixels():
    image = make_image()
    shuffled = Shuffle().fill_for(image, "a")
    before, after = (sorted(map(tuple, x.flatten(1).T.tolist())) for x in (image, shuffled))
    assert before == after
    assert float((shuffled == image).all(0).double().mean()) < 0.02


def slow_neighbour_mean(image, removed, labels):
    """Region by region and pixel by pixel."""
    height, width = removed.shape
    filled = image.clone()
    for region in labels[removed].unique().tolist():
        touching = set()
        for y, x in (labels == region).nonzero().tolist():
            for v, u in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                if 0 <= v < height and 0 <= u < width:
                    touching.add(int(labels[v, u]))
        touching.discard(region)
        around = [
            image[:, y, x].double() for y, x in (~removed).nonzero().tolist() if int(labels[y, x]) in touching
        ]
        mean = torch.stack(around).mean(0) if around else image.double().mean((1, 2))
        filled[:, removed & (labels == region)] = mean.float()[:, None]
    return filled


def test_neighbour_mean_of_regions():
    image, labels, masks = make_image(), make_labels(), make_masks()
    # Whole regions, as a curve over regions removes them; in the second case one has no neighbour left.
    some = labels[0, 0], labels[0, 8], labels[8, 0], labels[20, 20]
    masks[1] = torch.isin(labels, torch.stack(some[:2]))
    masks[2] = torch.isin(labels, torch.stack(some))
    filled = NeighbourMean()(image, masks, "a", labels)
    for mask, result in zip(masks, filled, strict=True):
        assert torch.allclose(result, slow_neighbour_mean(image, mask, labels), atol=1e-6, rtol=0)
    assert torch.allclose(filled[2][:, 0, 0], image.mean((1, 2)), atol=1e-6)
    assert not torch.allclose(filled[1][:, 0, 0], image.mean((1, 2)), atol=1e-3)


def test_neighbour_mean_without_regions():
    image, masks = make_image(), make_masks()
    filled = NeighbourMean()(image, masks, "a")
    for mask, result in zip(masks, filled, strict=True):
        components = torch.from_numpy(label(mask.numpy())[0]).long()
        alone = 1000 + torch.arange(mask.numel()).view(mask.shape)
        labels = torch.where(mask, components, alone)
        assert torch.allclose(result, slow_neighbour_mean(image, mask, labels), atol=1e-6, rtol=0)


def test_neighbour_mean_of_two_flat_halves_swaps_them():
    image = torch.full((3, 6, 8), 0.2)
    image[:, :, 4:] = 0.8
    labels = (torch.arange(8) >= 4).long().repeat(6, 1)
    filled = NeighbourMean()(image, torch.stack([labels == 0, labels == 1]), "a", labels)
    assert torch.allclose(filled, torch.tensor([0.8, 0.2])[:, None, None, None].expand_as(filled))


def test_telea_is_opencvs():
    image, masks = make_image(), make_masks()[:4]
    pixels = np.rint(image.numpy().transpose(1, 2, 0) * 255).astype(np.uint8)
    framed = cv2.copyMakeBorder(pixels, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=(200, 100, 50))
    filled = Telea(radius=5)(image, masks, "a")
    for mask, result in zip(masks, filled, strict=True):
        holes = cv2.copyMakeBorder(mask.numpy().astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
        expected = cv2.inpaint(framed, holes, 5, cv2.INPAINT_TELEA)[1:-1, 1:-1]
        assert np.array_equal(np.rint(result.numpy().transpose(1, 2, 0) * 255), expected)
    assert not torch.equal(filled, Telea(radius=1)(image, masks, "a"))


def test_telea_continues_a_flat_image():
    image = torch.tensor([0.2, 0.4, 0.6])[:, None, None].repeat(1, *SIZE)
    filled = Telea()(image, make_masks()[3:4], "a")[0]
    # OpenCV's grain: a gradient that is 0 but for rounding is divided by its length.
    assert torch.allclose(filled, image, atol=3.5 / 255, rtol=0)


def test_telea_fills_the_very_edge():
    image = torch.tensor([1.0, 0.0, 0.5])[:, None, None].repeat(1, *SIZE)
    mask = torch.zeros(SIZE, dtype=torch.bool)
    mask[0, 0] = mask[-1, -1] = mask[0, 10] = mask[1, 1] = mask[12, 0] = True
    mask[:, 25:] = True
    assert torch.allclose(Telea()(image, mask[None], "a")[0], image, atol=3.5 / 255, rtol=0)


def test_the_registry_has_each_under_its_name():
    assert list(IMPUTERS) == [
        "zero",
        "dataset_mean",
        "image_mean",
        "uniform",
        "blur",
        "noise",
        "shuffle",
        "neighbour_mean",
        "road",
        "telea",
    ]
