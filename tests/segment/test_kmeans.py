"""Factored k-means against scikit-learn and against a slow, obvious twin."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from nasbench.models import load_classifier
from nasbench.segment.activations import scale_stages
from nasbench.segment.kmeans import factored_kmeans
from tests.support.realdata import realdata


def pyramid(seed=0, batch=2, dtype=torch.float64):
    gen = torch.Generator().manual_seed(seed)
    shapes = [(6, 3, 4), (4, 5, 5), (3, 9, 7)]
    return [torch.randn(batch, *shape, generator=gen, dtype=dtype) for shape in shapes]


def built(stages, size):
    maps = [F.interpolate(s, size, mode="bilinear", align_corners=False) for s in stages]
    return torch.cat(maps, dim=1).flatten(2).transpose(1, 2)


def twin(points, centroids, max_iter):
    """Lloyd's algorithm on one built matrix (n, d), written for the eye; no empty clusters."""
    points, centroids = points.numpy(), centroids.numpy().copy()

    def nearest():
        return ((points[:, None] - centroids[None]) ** 2).sum(axis=2).argmin(axis=1)

    last = None
    for _ in range(max_iter):
        labels = nearest()
        if last is not None and (labels == last).all():
            break
        last = labels
        centroids = np.stack([points[labels == j].mean(axis=0) for j in range(len(centroids))])
    labels = nearest()
    return labels, centroids, ((points - centroids[labels]) ** 2).sum()


@pytest.mark.parametrize("max_iter", [0, 1, 3, 50])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_equals_the_obvious_twin(k, max_iter):
    stages, size = pyramid(), (12, 11)
    matrix = built(stages, size)
    init = matrix[:, torch.linspace(0, 131, k).long()]
    result = factored_kmeans(stages, size, k, init=init, max_iter=max_iter)
    for image in range(2):
        labels, centroids, inertia = twin(matrix[image], init[image], max_iter)
        np.testing.assert_array_equal(result.labels[image].flatten().numpy(), labels)
        np.testing.assert_allclose(result.centroids[image].numpy(), centroids, atol=1e-10)
        assert result.inertia[image].item() == pytest.approx(inertia, rel=1e-10)


@pytest.mark.parametrize("max_iter", [1, 4, 20])
def test_equals_scikit_learn_with_the_same_start(max_iter):
    stages, size, k = pyramid(3), (16, 20), 6
    matrix = built(stages, size)
    init = matrix[:, :: 320 // k][:, :k]
    result = factored_kmeans(stages, size, k, init=init, max_iter=max_iter)
    for image in range(2):
        twin_ = KMeans(k, init=init[image].numpy(), n_init=1, max_iter=max_iter, tol=0).fit(
            matrix[image].numpy()
        )
        np.testing.assert_array_equal(result.labels[image].flatten().numpy(), twin_.labels_)
        assert result.inertia[image].item() == pytest.approx(twin_.inertia_, rel=1e-9)
        assert result.n_iter[image].item() == twin_.n_iter_


def test_empty_clusters_take_the_farthest_points_as_in_scikit_learn():
    stages, size, k = pyramid(5), (9, 9), 4
    matrix = built(stages, size)
    # Two centroids far from everything stay empty after the first assignment.
    init = matrix[:, [0, 40, 1, 2]].clone()
    init[:, 2:] = 100.0
    result = factored_kmeans(stages, size, k, init=init, max_iter=20)
    for image in range(2):
        twin_ = KMeans(k, init=init[image].numpy(), n_init=1, max_iter=20, tol=0).fit(matrix[image].numpy())
        np.testing.assert_array_equal(result.labels[image].flatten().numpy(), twin_.labels_)
        assert len(np.unique(twin_.labels_)) == k


@given(st.integers(0, 50), st.integers(1, 6))
def test_an_image_does_not_depend_on_its_batch(seed, k):
    stages, size = pyramid(seed, batch=3, dtype=torch.float32), (10, 9)
    seeds = [seed, seed + 7, seed + 9]
    whole = factored_kmeans(stages, size, k, seed=seeds)
    order = [2, 0, 1]
    mixed = factored_kmeans([s[order] for s in stages], size, k, seed=[seeds[i] for i in order])
    np.testing.assert_array_equal(mixed.labels, whole.labels[order])
    for image in range(3):
        alone = factored_kmeans([s[image : image + 1] for s in stages], size, k, seed=seeds[image])
        np.testing.assert_array_equal(alone.labels[0], whole.labels[image])
        assert alone.n_iter[0] == whole.n_iter[image]


def test_inertia_never_rises_with_more_steps():
    stages, size = pyramid(8), (14, 14)
    start = factored_kmeans(stages, size, 5, max_iter=0).centroids
    inertia = [factored_kmeans(stages, size, 5, init=start, max_iter=n).inertia for n in range(8)]
    assert all((b <= a * (1 + 1e-12)).all() for a, b in pairwise(inertia))


def test_start_is_a_function_of_the_seed():
    stages, size = pyramid(2), (14, 14)
    first, again, other = (factored_kmeans(stages, size, 4, max_iter=0, seed=s).centroids for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_global_random_state_is_left_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    np.random.seed(0)
    expected = np.random.RandomState(0).random()
    factored_kmeans(pyramid(), (8, 8), 3)
    assert torch.equal(torch.get_rng_state(), before)
    assert np.random.random() == expected


def test_stages_are_not_written_to():
    stages = pyramid()
    copies = [s.clone() for s in stages]
    factored_kmeans(stages, (8, 8), 3)
    assert all(torch.equal(a, b) for a, b in zip(stages, copies, strict=True))


def test_coarse_mode_iterates_on_a_quarter_and_assigns_on_the_target():
    stages, size, k = pyramid(4), (30, 30), 4
    matrix = built(stages, (8, 8))
    init = matrix[:, ::15][:, :k]
    coarse = factored_kmeans(stages, size, k, init=init, mode="coarse")
    small = factored_kmeans(stages, (8, 8), k, init=init)
    torch.testing.assert_close(coarse.centroids, small.centroids)
    assert coarse.labels.shape == (2, 30, 30)
    exact = factored_kmeans(stages, size, k, init=init)
    assert (coarse.labels == exact.labels).double().mean() > 0.8


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_constant_activations_give_one_region(value):
    result = factored_kmeans([torch.full((1, 4, 3, 3), value)], (12, 12), 5)
    assert (result.labels == 0).all()
    assert result.inertia.item() == pytest.approx(0, abs=1e-6)


def test_k_above_the_distinct_positions_gives_as_many_regions_as_there_are():
    stage = torch.zeros(1, 2, 1, 2)
    stage[0, 0, 0, 1] = 1.0
    result = factored_kmeans([stage], (1, 2), 7)
    assert result.labels.unique().numel() == 2
    assert result.inertia.item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_the_number_of_centroids_at_a_time_changes_nothing(monkeypatch, at_once):
    stages, size = pyramid(9), (12, 12)
    whole = factored_kmeans(stages, size, 5)
    monkeypatch.setattr("nasbench.segment.kmeans._AT_ONCE", at_once)
    parts = factored_kmeans(stages, size, 5)
    np.testing.assert_array_equal(parts.labels, whole.labels)
    torch.testing.assert_close(parts.centroids, whole.centroids)


def test_single_position():
    result = factored_kmeans([torch.randn(2, 3, 1, 1)], (1, 1), 3)
    assert (result.labels == 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k is 0"),
        ({"k": 2, "max_iter": -1}, "max_iter is -1"),
        ({"k": 2, "mode": "fast"}, "choose exact or coarse"),
        ({"k": 2, "init": torch.zeros(2, 2, 12)}, r"expected \(2, 2, 13\)"),
        ({"k": 2, "init": torch.full((2, 2, 13), torch.inf)}, "init holds NaN or infinite"),
        ({"k": 2, "seed": [1, 2, 3]}, "3 seeds for 2 images"),
    ],
)
def test_wrong_calls_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        factored_kmeans(pyramid(), (8, 8), options.pop("k"), **options)


def test_nan_activations_are_named_by_image():
    stages = pyramid()
    stages[1][1, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="stage 1 of image 1 holds NaN"):
        factored_kmeans(stages, (8, 8), 3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_cuda_agrees_with_the_cpu():
    stages, size = pyramid(6, dtype=torch.float32), (40, 40)
    start = factored_kmeans(stages, size, 6, max_iter=0).centroids
    cpu = factored_kmeans(stages, size, 6, init=start)
    gpu = factored_kmeans([s.cuda() for s in stages], size, 6, init=start.cuda())
    assert gpu.labels.is_cuda
    assert (gpu.labels.cpu() == cpu.labels).double().mean() >= 0.999
    torch.testing.assert_close(gpu.inertia.cpu(), cpu.inertia, rtol=1e-5, atol=0)


@pytest.mark.realdata
@pytest.mark.slow
def test_real_activations_agree_with_scikit_learn():
    """ResNet-50, three stages, 224², k = 10, 20 steps from the same start, 10 real images."""
    from nasbench.data import ViewSpec, make_view
    from nasbench.data.imagenet import ImageNetDataset

    root = realdata()
    classifier = load_classifier(name="resnet50", weights=str(root / "weights/resnet50.safetensors"))
    dataset = ImageNetDataset(root=str(root / "imagenet"))
    agreement = []
    for name in sorted(dataset.ids())[:10]:
        view = make_view(dataset.load(name).image, ViewSpec(size=(224, 224)))
        features = classifier.features(torch.from_numpy(view.pixels)[None])
        stages = scale_stages(features.stages[-3:], (224, 224))
        init = factored_kmeans(stages, (224, 224), 10, max_iter=0).centroids
        ours = factored_kmeans(stages, (224, 224), 10, init=init, max_iter=20)
        theirs = KMeans(10, init=init[0].numpy(), n_init=1, max_iter=20, tol=0).fit(
            built(stages, (224, 224))[0].numpy()
        )
        agreement.append(float((ours.labels[0].flatten().numpy() == theirs.labels_).mean()))
        assert ours.inertia.item() == pytest.approx(theirs.inertia_, rel=1e-4)
    assert np.median(agreement) >= 0.999
    assert min(agreement) >= 0.995


def test_what_is_spared_changes_nothing_else():
    gen = torch.Generator().manual_seed(11)
    stages = scale_stages([torch.randn(2, 5, 8, 8, generator=gen) + 3], (16, 16))
    whole = factored_kmeans(stages, (16, 16), 4)
    spared = factored_kmeans(stages, (16, 16), 4, centred=True, inertia=False)
    assert float((whole.labels == spared.labels).float().mean()) > 0.999
    torch.testing.assert_close(whole.centroids, spared.centroids, atol=1e-4, rtol=1e-4)
    assert bool(spared.inertia.isnan().all())
