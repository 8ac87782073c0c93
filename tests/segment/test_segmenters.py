"""One contract over every registered segmenter, and what each promises beyond it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nasbench.config.compose import compose_run
from nasbench.config.locate import choices
from nasbench.errors import UsageError
from nasbench.models import Features
from nasbench.run.build import build
from nasbench.segment.base import Views
from nasbench.segment.classical import Slic
from nasbench.segment.components import connected_regions
from nasbench.segment.controls import Grid, grid_labels

SIZE = (33, 40)
REGISTERED = [name for name in choices("segmenter") if name not in ("custom", "none")]


def made(name):
    return build("segmenter", compose_run("segment", [f"segmenter={name}"]).cells[0]["config"]["segmenter"])


def batch(n=3, value=None):
    gen = torch.Generator().manual_seed(7)
    pixels = torch.rand(n, 3, *SIZE, generator=gen) if value is None else torch.full((n, 3, *SIZE), value)
    stages = tuple(torch.randn(n, c, s, s, generator=gen) for c, s in ((4, 12), (5, 6), (6, 3)))
    return Views(tuple(f"image-{i}" for i in range(n)), pixels), Features(
        torch.zeros(n, 2), stages, stages[-1]
    )


def pick(views, features, rows):
    return (
        Views(tuple(views.ids[i] for i in rows), views.pixels[rows]),
        Features(features.logits[rows], tuple(s[rows] for s in features.stages), features.final[rows]),
    )


@pytest.mark.parametrize("name", REGISTERED)
def test_contract(name):
    segmenter = made(name)
    views, features = batch()
    pixels = views.pixels.clone()
    given_features = features if segmenter.uses_features else None
    labels = segmenter(views, given_features)
    assert labels.shape == (3, *SIZE)
    assert labels.dtype == torch.int64
    for image in labels:
        assert image.unique().tolist() == list(range(int(image.max()) + 1))
    assert torch.equal(labels, segmenter(views, given_features)), "not deterministic"
    assert torch.equal(views.pixels, pixels), "input was written to"
    rows = [2, 0]
    some, part = pick(views, features, rows)
    assert torch.equal(segmenter(some, part if segmenter.uses_features else None), labels[rows])


@pytest.mark.parametrize("name", REGISTERED)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_black_and_white_images_have_an_answer(name, value):
    segmenter = made(name)
    views, features = batch(1, value)
    labels = segmenter(views, features if segmenter.uses_features else None)
    assert labels.shape == (1, *SIZE)


@given(st.integers(1, 40), st.integers(4, 50), st.integers(4, 50))
def test_grid_has_as_many_rectangles_as_asked(n, height, width):
    labels = grid_labels((height, width), n)
    found = labels.unique()
    if n <= min(height, width):
        assert found.tolist() == list(range(n))
    for label in found:
        ys, xs = torch.nonzero(labels == label, as_tuple=True)
        area = (ys.max() - ys.min() + 1) * (xs.max() - xs.min() + 1)
        assert int(area) == len(ys), "not a rectangle"


def test_grid_areas_are_nearly_equal():
    for n in (2, 3, 5, 7, 10, 13, 20):
        areas = torch.bincount(grid_labels((224, 224), n).flatten())
        assert areas.max() <= 1.08 * areas.min()


def test_slic_passes_its_options_on():
    views, _ = batch(1)
    few, many = (Slic(n=n, compactness=30.0)(views, None).max() for n in (4, 60))
    assert few < many
    smooth = Slic(n=20, kwargs={"slic_zero": True})(views, None)
    assert smooth.shape == (1, *SIZE)


def test_slic_refuses_unknown_options():
    with pytest.raises(UsageError, match="segmenter.kwargs.alpha: slic takes"):
        Slic(kwargs={"alpha": 3})


@pytest.mark.parametrize("make", [Grid, Slic])
def test_no_regions_is_misuse(make):
    with pytest.raises(UsageError, match="segmenter.n=0"):
        make(n=0)


def test_components_split_what_is_not_connected():
    labels = torch.tensor([[[0, 1, 0], [1, 1, 0], [0, 1, 0]]])
    assert connected_regions(labels).tolist() == [[[0, 1, 2], [1, 1, 2], [3, 1, 2]]]


def test_small_components_join_the_neighbour_of_the_longest_border():
    image = torch.zeros(1, 6, 6, dtype=torch.int64)
    image[0, :, 3:] = 1
    image[0, 2, 2] = 2  # three sides to 0, one to 1
    merged = connected_regions(image, min_size=0.1)
    expected = torch.zeros(6, 6, dtype=torch.int64)
    expected[:, 3:] = 1
    assert torch.equal(merged[0], expected)


@given(st.integers(0, 200), st.floats(0, 0.5))
def test_components_are_connected_and_large_enough(seed, least):
    from skimage.measure import label

    rng = np.random.default_rng(seed)
    image = torch.from_numpy(rng.integers(0, 3, (1, 9, 11)))
    merged = connected_regions(image, min_size=least)[0].numpy()
    count = int(merged.max()) + 1
    assert label(merged, background=-1, connectivity=1).max() == count
    assert count == 1 or np.bincount(merged.ravel()).min() >= least * merged.size
