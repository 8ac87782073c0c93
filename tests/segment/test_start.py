"""The start of k-means: inner products, seeding and the first steps, on a sample of positions."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from sklearn.cluster import KMeans

from nasbench.segment.start import _lloyd, _plus_plus, inner_products, sampled_start
from nasbench.segment.virtual import VirtualFeatures
from tests.segment.test_virtual import built, pyramids


@given(pyramids())
def test_inner_products_are_those_of_the_built_matrix(case):
    stages, size = case
    matrix = built(stages, size)
    products = inner_products(VirtualFeatures.of(stages, size))
    torch.testing.assert_close(products, matrix @ matrix.transpose(1, 2))


def blobs(batch=2, n=60, k=4, seed=0):
    """Points (B, n, 3) in k tight groups far apart, and their inner products."""
    rng = np.random.default_rng(seed)
    centres = 50 * np.eye(k, 3) + np.arange(k)[:, None]
    points = torch.from_numpy(centres[np.arange(n) % k] + 0.1 * rng.normal(size=(batch, n, 3)))
    return points, points @ points.transpose(1, 2)


def distances(points):
    return torch.cdist(points, points).square()


def test_greedy_seeding_hits_every_group():
    points, _ = blobs()
    for seed in range(20):
        chosen = _plus_plus(distances(points), 4, [seed, seed + 100])
        assert all(sorted((row % 4).tolist()) == [0, 1, 2, 3] for row in chosen)


def test_more_seeds_than_distinct_points_do_no_harm():
    assert _plus_plus(torch.zeros(1, 5, 5), 9, [0]).shape == (1, 9)


def test_steps_on_inner_products_are_lloyds():
    points, gram = blobs(n=80, seed=3)
    noisy = points + 30 * torch.randn(
        points.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    gram = noisy @ noisy.transpose(1, 2)
    start = torch.nn.functional.one_hot(torch.tensor([[0, 1, 2], [5, 6, 7]]), 80).double()
    for steps in (1, 2, 7, 50):
        centroids = _lloyd(gram, start, steps) @ noisy
        for image in range(2):
            init = (start @ noisy)[image].numpy()
            twin = KMeans(3, init=init, n_init=1, max_iter=steps, tol=0).fit(noisy[image].numpy())
            np.testing.assert_allclose(centroids[image].numpy(), twin.cluster_centers_, atol=1e-8)


def test_an_image_starts_by_its_own_seed():
    gen = torch.Generator().manual_seed(1)
    stage = torch.randn(3, 5, 9, 9, generator=gen)
    whole = sampled_start(VirtualFeatures.of([stage], (40, 40)), 6, [1, 2, 3])
    for image in range(3):
        alone = sampled_start(VirtualFeatures.of([stage[image : image + 1]], (40, 40)), 6, [image + 1])
        torch.testing.assert_close(alone[0], whole[image])
