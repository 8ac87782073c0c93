"""Rivals and controls: what each promises beyond the contract."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nasbench.errors import SegmentationError, UsageError
from nasbench.models import Features
from nasbench.segment.base import Views
from nasbench.segment.classical import Felzenszwalb, Quickshift, Watershed
from nasbench.segment.controls import Random, voronoi_labels
from nasbench.segment.factorisation import FeatureFactorisation, factor_labels


def one(pixels):
    return Views(tuple(f"image-{i}" for i in range(len(pixels))), pixels)


def two_halves(size=(32, 40)):
    pixels = torch.zeros(1, 3, *size)
    pixels[..., size[1] // 2 :] = 0.8
    return pixels


@given(st.integers(0, 99), st.integers(1, 12), st.integers(1, 14), st.integers(1, 14))
def test_a_voronoi_cell_holds_the_pixels_nearest_to_its_point(seed, n, height, width):
    gen = torch.Generator().manual_seed(seed)
    points = torch.randperm(height * width, generator=gen)[:n]
    labels = voronoi_labels((height, width), points)
    for y in range(height):
        for x in range(width):
            squares = [(y - p // width) ** 2 + (x - p % width) ** 2 for p in points.tolist()]
            assert labels[y, x] == squares.index(min(squares))
    assert len(labels.unique()) == len(points)


def test_random_cells_depend_on_seed_and_id_alone():
    a, b = torch.zeros(2, 3, 16, 16), torch.ones(2, 3, 16, 16)
    labels = Random(n=9)(one(a), None)
    assert torch.equal(labels, Random(n=9)(one(b), None))
    assert not torch.equal(labels[0], labels[1])
    assert not torch.equal(labels, Random(n=9, seed=1)(one(a), None))


def test_more_random_cells_than_pixels_are_the_pixels():
    assert len(Random(n=99)(one(torch.zeros(1, 3, 4, 5)), None).unique()) == 20


def test_felzenszwalb_finds_two_flat_halves():
    labels = Felzenszwalb(sigma=0.0)(one(two_halves()), None)[0]
    assert labels.unique().tolist() == [0, 1]
    assert torch.equal(labels == labels[0, 0], two_halves()[0, 0] == 0)


def test_felzenszwalbs_least_size_is_a_share_of_the_image():
    pixels = torch.rand(1, 3, 40, 50, generator=torch.Generator().manual_seed(0))
    labels = Felzenszwalb(scale=0.01, min_size=0.05)(one(pixels), None)
    assert len(labels.unique()) > 1
    assert torch.bincount(labels.flatten()).min() >= 0.05 * 40 * 50


@given(st.integers(1, 30))
def test_watershed_has_a_region_for_each_marker(n):
    pixels = torch.rand(1, 3, 31, 37, generator=torch.Generator().manual_seed(n))
    assert len(Watershed(n=n)(one(pixels), None).unique()) == n


def test_watershed_follows_the_edge_where_distance_weighs_nothing():
    labels = Watershed(n=2, compactness=0.0, sigma=0.0)(one(two_halves((30, 60))), None)[0]
    assert torch.equal(labels[:, :29], labels[:1, :1].expand(30, 29))
    assert torch.equal(labels[:, 31:], labels[:1, -1:].expand(30, 29))


def test_quickshift_separates_two_colours():
    labels = Quickshift(kernel_size=3.0, max_dist=12.0)(one(two_halves()), None)[0]
    left, right = labels[:, :20].unique().tolist(), labels[:, 20:].unique().tolist()
    assert not set(left) & set(right)


def planted(order=(0, 1, 2)):
    """(C, h, w): three blocks of positions, each with channels of its own."""
    parts = torch.zeros(3, 6, 6)
    parts[0, :, :2], parts[1, :3, 2:], parts[2, 3:, 2:] = 1, 1, 1
    directions = torch.zeros(3, 12)
    for i, channels in enumerate(((0, 1, 2), (3, 4, 5, 6, 7), (8, 9, 10, 11))):
        directions[i, list(channels)] = torch.rand(len(channels), generator=torch.Generator().manual_seed(i))
    return torch.einsum("nc,nyx->cyx", directions + 0.1, parts[list(order)]), parts


def test_factorisation_recovers_planted_parts():
    activations, parts = planted()
    labels = factor_labels(activations, (6, 6), 3, 200)
    pairs = set(zip(labels.flatten().tolist(), parts.argmax(dim=0).flatten().tolist(), strict=True))
    assert len(pairs) == 3


def test_the_scale_of_an_image_and_negative_activations_change_nothing():
    activations, _ = planted()
    labels = factor_labels(activations, (24, 24), 3, 200)
    assert torch.equal(labels, factor_labels(4 * activations, (24, 24), 3, 200))
    negative = torch.where(activations == 0, -5.0, activations)
    assert torch.equal(labels, factor_labels(negative, (24, 24), 3, 200))


@pytest.mark.parametrize("value", [0.0, -1.0, 2.5])
def test_constant_activations_have_one_region(value):
    labels = factor_labels(torch.full((5, 4, 4), value), (16, 16), 3, 50)
    assert len(labels.unique()) == 1


def test_factors_are_no_more_than_positions():
    stage = torch.rand(1, 20, 2, 2, generator=torch.Generator().manual_seed(3))
    features = Features(torch.zeros(1, 2), (stage,), stage)
    labels = FeatureFactorisation(n=9)(one(torch.zeros(1, 3, 8, 8)), features)
    assert 2 <= len(labels.unique()) <= 4


def test_factorisation_refuses_what_is_not_finite():
    with pytest.raises(SegmentationError, match="dff: the stage holds NaN"):
        factor_labels(torch.full((5, 4, 4), torch.nan), (8, 8), 2, 10)
    with pytest.raises(UsageError, match="segmenter.stage=4; the model has 4 stages"):
        FeatureFactorisation(stage=4).check_stages(4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Felzenszwalb(scale=0.0), "segmenter.scale=0.0 must be above 0"),
        (lambda: Felzenszwalb(min_size=1.0), "segmenter.min_size=1.0"),
        (lambda: Watershed(n=0), "segmenter.n=0"),
        (lambda: Watershed(compactness=-1.0), "segmenter.compactness=-1.0 must be at least 0"),
        (lambda: Quickshift(kernel_size=0.5), "segmenter.kernel_size=0.5 must be at least 1"),
        (lambda: Quickshift(ratio=2.0), "segmenter.ratio=2.0"),
        (lambda: Quickshift(kwargs={"rng": 3}), "segmenter.kwargs.rng: quickshift takes"),
        (lambda: Random(n=0), "segmenter.n=0"),
        (lambda: FeatureFactorisation(n=0), "segmenter.n=0"),
    ],
)
def test_values_out_of_range_are_named(make, message):
    with pytest.raises(UsageError) as caught:
        make()
    assert message in str(caught.value)
