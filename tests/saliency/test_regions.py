"""Means over regions against slow, obvious twins; the tree against its cuts; CAMs that are never made."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nasbench.errors import UsageError
from nasbench.saliency.regions import (
    cam_region_scores,
    paint,
    region_centroids,
    region_means,
    signed,
    superpixelify,
)
from nasbench.segment.base import Views
from nasbench.segment.controls import Random, grid_labels

SIZE = (18, 23)


def noise(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def voronoi(n, batch=2, size=SIZE, seed=0):
    ids = tuple(f"image-{i}" for i in range(batch))
    return Random(n=n, seed=seed)(Views(ids, torch.zeros(batch, 3, *size)), None)


def slow_means(image, labels):
    """Upsample with torch, then a mean for each label."""
    size = tuple(labels.shape)
    up = torch.nn.functional.interpolate(image[None, None].double(), size, mode="bilinear")[0, 0].numpy()
    names = labels.numpy().ravel()
    return np.bincount(names, weights=up.ravel()) / np.bincount(names)


@given(
    st.integers(1, 9),
    st.integers(1, 12),
    st.integers(5, 30),
    st.integers(5, 30),
    st.integers(1, 25),
    st.integers(0, 99),
)
def test_means_equal_the_slow_twin(h, w, height, width, n, seed):
    maps, labels = noise(2, h, w, seed=seed), voronoi(n, size=(height, width), seed=seed)
    for mean, image, regions in zip(region_means(maps, labels), maps, labels, strict=True):
        assert mean.dtype == torch.float64
        np.testing.assert_allclose(mean.numpy(), slow_means(image, regions), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("native", [(3, 4), (18, 23), (40, 50)])
def test_means_equal_sums_that_are_pulled_back(native):
    """Without upsampling: the mean of a map is the centroid of its one channel."""
    maps, labels = noise(2, *native), voronoi(7)
    pulled = region_centroids(maps[:, None], labels)
    for mean, centroid in zip(region_means(maps, labels), pulled, strict=True):
        torch.testing.assert_close(mean, centroid[:, 0], rtol=1e-9, atol=1e-12)


def test_images_of_a_batch_are_alone():
    maps, labels = noise(2, 5, 5), torch.cat([voronoi(4, 1), voronoi(9, 1)])
    together = region_means(maps, labels)
    assert [len(mean) for mean in together] == [4, 9]
    for i in range(2):
        assert torch.equal(region_means(maps[i : i + 1], labels[i : i + 1])[0], together[i])


def test_means_of_a_map_at_the_labels_size_are_plain_means():
    maps = torch.tensor([[[1.0, 3.0, -4.0], [5.0, 7.0, -8.0]]])
    labels = torch.tensor([[[0, 0, 1], [0, 0, 1]]])
    assert region_means(maps, labels)[0].tolist() == [4.0, -6.0]
    assert superpixelify(maps, labels).tolist() == [[[4.0, 4.0, -6.0], [4.0, 4.0, -6.0]]]


def test_large_and_small_regions_weigh_alike():
    maps = torch.ones(1, 10, 10)
    labels = torch.zeros(1, 10, 10, dtype=torch.int64)
    labels[0, 0, 0] = 1
    assert region_means(maps, labels)[0].tolist() == [1.0, 1.0]


def test_one_region_is_a_constant_map():
    maps = noise(1, 7, 7)
    flat = superpixelify(maps, torch.zeros(1, 14, 14, dtype=torch.int64))
    assert flat.unique().numel() == 1


def test_painting_twice_changes_nothing():
    labels = voronoi(11)
    once = superpixelify(noise(2, 6, 6), labels)
    assert once.dtype == torch.float32
    torch.testing.assert_close(superpixelify(once, labels), once)


def test_sign_rules():
    maps = torch.tensor([[[-2.0, 0.0, 3.0]]])
    assert signed(maps, "signed").tolist() == [[[-2.0, 0.0, 3.0]]]
    assert signed(maps, "abs").tolist() == [[[2.0, 0.0, 3.0]]]
    assert signed(maps, "positive").tolist() == [[[0.0, 0.0, 3.0]]]
    with pytest.raises(UsageError, match="saliency.sign=relu: choose one of signed, abs, positive"):
        signed(maps, "relu")  # type: ignore[arg-type]


@pytest.mark.parametrize("native", [(7, 7), (3, 9)])
def test_cam_scores_come_free_of_the_cam(native):
    final, weights, labels = noise(2, 64, *native).relu(), noise(64, seed=1), voronoi(10)
    cams = torch.einsum("c,bchw->bhw", weights, final)
    for mean, centroids in zip(region_means(cams, labels), region_centroids(final, labels), strict=True):
        scores = cam_region_scores(weights, centroids)
        assert scores.shape == (10,)
        torch.testing.assert_close(scores, mean, rtol=1e-5, atol=1e-5 * float(mean.abs().max()))


LABELS = grid_labels((6, 6), 4)[None]
MISFITS = {
    "batch": torch.cat([LABELS, LABELS]),
    "gap": torch.where(LABELS == 1, 7, LABELS),
    "negative": LABELS - 1,
    "huge": torch.where(LABELS == 3, 2**40, LABELS),
    "float": LABELS.float(),
    "flat": LABELS[0],
    "empty": LABELS[:, :0],
}


@pytest.mark.parametrize("name", MISFITS)
@pytest.mark.parametrize(
    "use",
    [
        lambda labels: region_means(torch.ones(1, 3, 3), labels),
        lambda labels: paint([torch.ones(4)], labels),
        lambda labels: region_centroids(torch.ones(1, 2, 3, 3), labels),
    ],
)
def test_labels_that_do_not_fit_are_refused(name, use):
    with pytest.raises(ValueError, match="labels"):
        use(MISFITS[name])


def test_other_misfits_are_refused():
    with pytest.raises(ValueError, match="3 values for 4 regions"):
        paint([torch.ones(3)], LABELS)
    with pytest.raises(ValueError, match="expected floating point"):
        region_means(torch.ones(1, 3, 3, dtype=torch.int64), LABELS)
    with pytest.raises(ValueError, match="NaN"):
        region_means(torch.full((1, 3, 3), float("nan")), LABELS)
    with pytest.raises(ValueError, match="class weights"):
        cam_region_scores(torch.ones(3), torch.ones(5, 4))
