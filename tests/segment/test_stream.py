"""Clusterings of many images in a stream, against the same done on one concatenated matrix."""

from __future__ import annotations

import json
import struct
import weakref
from functools import reduce
from itertools import pairwise, permutations
from operator import add

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from sklearn.cluster import KMeans

from nasbench.errors import UsageError
from nasbench.segment.activations import scale_stages
from nasbench.segment.clustering import (
    Clustering,
    kept_clusterings,
    read_clusterings,
    write_clusterings,
)
from nasbench.segment.sample import Sample, vectors_at
from nasbench.segment.scale import moments
from nasbench.segment.stream import PartialSums, fit_stream, partial_sums
from nasbench.segment.virtual import VirtualFeatures
from tests.segment.test_virtual import built, pyramids

SIZE = (16, 13)


def photos(n=6, seed=0, dtype=torch.float32):
    """n images of two stages (6 and 4 channels), each with its own level and contrast."""
    gen = torch.Generator().manual_seed(seed)
    level = torch.arange(n, dtype=dtype)[:, None, None, None]
    first = torch.randn(n, 6, 4, 5, generator=gen, dtype=dtype) * (1 + level / 3) + level
    return [first, 20 * torch.randn(n, 4, 7, 6, generator=gen, dtype=dtype) - 30]


def names(n):
    return [f"photo-{i}" for i in range(n)]


def stream(stages, order=None, at_once=2):
    """The images in the order given, as `fit_stream` reads them."""
    ids = names(len(stages[0]))
    order = list(range(len(ids))) if order is None else list(order)

    def batches():
        for first in range(0, len(order), at_once):
            chosen = order[first : first + at_once]
            yield [ids[i] for i in chosen], [stage[chosen] for stage in stages]

    return batches


def matrix(stages, size=SIZE):
    """All positions of all images, (B·H·W, ΣC) float64, by the library's own upsampling."""
    return built([stage.double() for stage in stages], size).flatten(0, 1).numpy()


def by_hand(points, channels):
    """A matrix on the frozen scale, from its definition."""
    parts = np.split(points - points.mean(axis=0), np.cumsum(channels)[:-1], axis=1)
    return np.concatenate([part / np.sqrt(part.var(axis=0).sum()) for part in parts], axis=1)


# --- the same as on one matrix


@pytest.mark.parametrize("steps", [1, 4, 9])
def test_the_stream_equals_scikit_learn_on_all_images_at_once(steps):
    stages, k = photos(), 5
    points = by_hand(matrix(stages), (6, 4))
    init = points[:: len(points) // k][:k]
    found = fit_stream(stream(stages), SIZE, k=k, init=torch.from_numpy(init), max_iter=steps)
    twin = KMeans(k, init=init, n_init=1, max_iter=steps, tol=0).fit(points)
    assert found.n_iter == steps == twin.n_iter_, "the case must not settle early"
    assert (found.n_images, int(found.counts.sum())) == (6, len(points))
    np.testing.assert_allclose(found.centroids, twin.cluster_centers_, atol=1e-4)
    labels = found.labels(stages, SIZE)
    assert labels.shape == (6, *SIZE)
    assert (labels.flatten().numpy() == twin.labels_).mean() >= 0.999
    sums = partial_sums(found.scale.apply(stages), found.centroids, SIZE)
    assert sums.inertia == pytest.approx(twin.inertia_, rel=1e-5)
    if steps > 1:
        # What is reported is the last pass's assignment, made before its update.
        before = KMeans(k, init=init, n_init=1, max_iter=steps - 1, tol=0).fit(points)
        assert found.inertia == pytest.approx(before.inertia_, rel=1e-5)
        assert np.abs(found.counts.numpy() - np.bincount(before.labels_)).sum() <= 0.001 * len(points)


@given(pyramids(), st.integers(1, 70))
@settings(max_examples=30)
def test_partial_sums_are_those_of_the_built_matrix(case, k):
    stages, size = case
    points = built(stages, size).flatten(0, 1)
    gen = torch.Generator().manual_seed(k)
    centroids = torch.randn(k, points.shape[1], generator=gen, dtype=torch.float64)
    sums = partial_sums(stages, centroids, size)
    squares = (points[:, None] - centroids).square().sum(dim=2)
    labels = squares.argmin(dim=1)
    assert torch.equal(sums.counts, torch.bincount(labels, minlength=k))
    expected = torch.zeros_like(centroids).index_add_(0, labels, points)
    torch.testing.assert_close(sums.sums, expected)
    assert sums.inertia == pytest.approx(squares.min(dim=1).values.sum().item(), rel=1e-9, abs=1e-9)
    assert sums.sums.dtype == torch.float64


def test_far_from_the_origin_no_digits_are_lost():
    """Without centring, float32 products of 1e4 · 1e4 leave nothing of distances of order 1."""
    stages = [photos(seed=3)[0][:2] + 1e4]
    points = matrix(stages)
    centroids = points[[3, 100, 250]]
    sums = partial_sums(stages, torch.from_numpy(centroids), SIZE)
    squares = ((points[:, None] - centroids) ** 2).sum(axis=2)
    assert sums.inertia == pytest.approx(squares.min(axis=1).sum(), rel=1e-3)
    assert np.abs(sums.counts.numpy() - np.bincount(squares.argmin(axis=1))).sum() <= 2


def test_two_kinds_of_position_are_told_apart_in_closed_form():
    """Half of each image is at a, half at b: k = 2 finds a and b, and nothing is left."""
    stage = torch.zeros(4, 3, 1, 12)
    stage[:, :, :, :6] = torch.tensor([4.0, 0, 0])[:, None, None]
    stage[:, :, :, 6:] = torch.tensor([0.0, 3, 0])[:, None, None]
    found = fit_stream(stream([stage]), (1, 12), k=2, scaling="none", seed=3)
    rows = sorted(found.centroids.round(decimals=5).tolist())
    assert rows == [[0, 3, 0], [4, 0, 0]]
    assert found.counts.tolist() == [24, 24]
    assert found.inertia == pytest.approx(0, abs=1e-5)
    labels = found.labels([stage], (1, 12))
    left, right = int(labels[0, 0, 0]), int(labels[0, 0, 11])
    assert left != right
    assert (labels[:, :, :6] == left).all()
    assert (labels[:, :, 6:] == right).all()


def test_a_cluster_keeps_its_number_in_every_image():
    """An image that lies in the second cluster only is labelled 1, not renumbered to 0."""
    stage = torch.stack([torch.zeros(2, 3, 3), torch.ones(2, 3, 3)])
    init = torch.tensor([[0.0, 0], [1, 1]])
    found = fit_stream(stream([stage]), (6, 6), k=2, scaling="none", init=init)
    assert (found.labels([stage[1:]], (6, 6)) == 1).all()
    assert (found.labels([stage[:1]], (3, 4)) == 0).all()


# --- order and batches


def test_neither_order_nor_batches_matter():
    stages = photos(7)
    order = [4, 0, 6, 2, 5, 1, 3]
    cases = [fit_stream(stream(stages, o, n), SIZE, k=4) for o in (None, order) for n in (1, 3, 7)]
    for case in cases[1:]:
        torch.testing.assert_close(case.centroids, cases[0].centroids, atol=1e-6, rtol=0)
        torch.testing.assert_close(case.scale.mean, cases[0].scale.mean, atol=1e-6, rtol=0)
        assert torch.equal(case.counts, cases[0].counts)
        assert case.inertia == pytest.approx(cases[0].inertia, rel=1e-6)
        assert case.n_iter == cases[0].n_iter


def sampled(stages, order, **options):
    sample = Sample(**{"most": 40, "per_image": 16, "seed": 0, **options})
    for i in order:
        sample.add(names(99)[i], VirtualFeatures.of([s[i : i + 1] for s in stages], SIZE))
    return sample


def test_the_sample_is_the_same_in_any_order():
    stages = photos(7)
    first = sampled(stages, range(7))
    assert len(first) == 40
    for order in ([6, 5, 4, 3, 2, 1, 0], [3, 0, 6, 2, 5, 1, 4]):
        assert torch.equal(sampled(stages, order).vectors(), first.vectors())
    assert not torch.equal(sampled(stages, range(7), seed=1).vectors(), first.vectors())


def test_the_sample_holds_rows_of_the_matrix_and_no_position_twice():
    stages = photos(3)
    rows = sampled(stages, range(3), most=30, per_image=1000).vectors().double().numpy()
    distances = np.abs(rows[:, None] - matrix(stages)).max(axis=2)
    assert distances.min(axis=1).max() < 1e-4
    assert len(np.unique(distances.argmin(axis=1))) == 30


def test_the_sample_is_uniform_over_images():
    """Of 40 images the last is as likely to be sampled as the first; no sample takes one of each."""
    stage = torch.arange(40.0)[:, None, None, None].expand(40, 1, 2, 2)
    counts = np.zeros(40)
    for seed in range(100):
        found = sampled([stage], range(40), most=40, per_image=20, seed=seed).vectors()[:, 0]
        per_image = np.bincount(found.round().long().numpy(), minlength=40)
        assert per_image.max() > 1
        counts += per_image
    assert counts.sum() == 4000
    # Each count is about binomial with mean 100 and deviation 10.
    assert 60 < counts.min() < counts.max() < 140
    assert abs(counts[:20].sum() - 2000) < 150


def test_a_sample_of_everything_is_the_matrix_in_order():
    stages = photos(3)
    rows = sampled(stages, [2, 0, 1], most=10_000, per_image=10_000).vectors()
    np.testing.assert_allclose(rows, matrix(stages), rtol=1e-5, atol=1e-4)


@given(pyramids())
@settings(max_examples=40)
def test_vectors_at_positions_are_rows_of_the_built_matrix(case):
    stages, size = case
    image = VirtualFeatures.of([stage[:1] for stage in stages], size)
    positions = torch.arange(size[0] * size[1]).flip(0)
    torch.testing.assert_close(vectors_at(image, positions), built(image.stages, size)[0, positions])


def test_a_vector_does_not_depend_on_how_many_are_asked_for():
    image = VirtualFeatures.of([s[:1] for s in photos()], SIZE)
    whole = vectors_at(image, torch.arange(208))
    assert all(torch.equal(vectors_at(image, torch.tensor([p]))[0], whole[p]) for p in range(208))


def test_partial_sums_merge_in_any_order():
    stages = photos(4)
    centroids = torch.from_numpy(matrix(stages)[[0, 200, 400, 600]])
    parts = [partial_sums([s[i : i + 1] for s in stages], centroids, SIZE) for i in range(4)]
    whole = partial_sums(stages, centroids, SIZE)
    for order in permutations(parts):
        merged = reduce(add, order)
        assert torch.equal(merged.counts, whole.counts)
        torch.testing.assert_close(merged.sums, whole.sums, rtol=1e-12, atol=1e-9)
        assert merged.inertia == pytest.approx(whole.inertia, rel=1e-12)
    one, other = parts[0] + parts[1], parts[1] + parts[0]
    assert torch.equal(one.sums, other.sums)
    assert one.inertia == other.inertia


def test_moments_merge_in_any_order():
    stages = photos(4)
    parts = [moments([s[i : i + 1] for s in stages], SIZE) for i in range(4)]
    for order in permutations(parts):
        merged = reduce(add, order)
        torch.testing.assert_close(merged.mean, moments(stages, SIZE).mean, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(merged.spread, moments(stages, SIZE).spread, rtol=1e-12, atol=0)
    one, other = parts[0] + parts[1], parts[1] + parts[0]
    assert torch.equal(one.mean, other.mean)
    assert torch.equal(one.spread, other.spread)


# --- scale


@pytest.mark.parametrize("scaling", ["variance", "none"])
@pytest.mark.parametrize("weights", [None, [4.0, 0.25]])
def test_the_scale_of_one_image_is_that_of_scale_stages(scaling, weights):
    stages = [stage[2:3] for stage in photos()]
    scaled = moments(stages, SIZE).scale(scaling, weights).apply(stages)
    for ours, theirs in zip(
        scaled, scale_stages(stages, SIZE, scaling=scaling, weights=weights), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@given(pyramids())
@settings(max_examples=40)
def test_moments_are_those_of_the_built_matrix(case):
    stages, size = case
    points = built(stages, size).flatten(0, 1)
    found = moments(stages, size)
    assert found.count == len(points)
    torch.testing.assert_close(found.mean, points.mean(dim=0))
    squares = [p.square().sum() for p in (points - points.mean(dim=0)).split(found.channels, dim=1)]
    torch.testing.assert_close(found.spread, torch.stack(squares))


def test_all_images_together_have_a_mean_squared_norm_of_one_per_stage():
    stages = photos()
    scaled = moments(stages, SIZE).scale().apply(stages)
    for stage in scaled:
        points = matrix([stage])
        np.testing.assert_allclose(points.mean(axis=0), 0, atol=1e-5)
        assert (points**2).sum(axis=1).mean() == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(matrix(scaled), by_hand(matrix(stages), (6, 4)), atol=1e-5)


def test_a_large_mean_does_not_cancel():
    """Float32 sums of squares near 1e10 would not even see a variance of order 1."""
    stage = photos(3, seed=5)[0] + 1e5
    points = matrix([stage])
    expected = ((points - points.mean(axis=0)) ** 2).sum()
    assert moments([stage], SIZE).spread.item() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("value", [0.0, 1.0, 1e4])
def test_a_stage_constant_over_all_images_says_nothing(value):
    stages = [photos()[0], torch.full((6, 3, 5, 5), value)]
    scale = moments(stages, SIZE).scale()
    assert scale.factors[1] == 0 < scale.factors[0]
    assert (scale.apply(stages)[1] == 0).all()


def test_a_stage_constant_in_each_image_tells_images_apart():
    """Image by image such a stage is 0; the frozen scale of all images keeps it."""
    stage = torch.tensor([1.0, 3.0])[:, None, None, None].expand(2, 1, 4, 4)
    scaled = moments([stage], SIZE).scale().apply([stage])[0]
    torch.testing.assert_close(scaled[:, 0, 0, 0], torch.tensor([-1.0, 1.0]))


def test_half_precision_is_widened():
    stages = [stage.bfloat16() for stage in photos()]
    found = fit_stream(stream(stages), SIZE, k=3)
    wide = fit_stream(stream([stage.float() for stage in stages]), SIZE, k=3)
    assert torch.equal(found.centroids, wide.centroids)
    assert torch.equal(found.labels(stages, SIZE), wide.labels([s.float() for s in stages], SIZE))


# --- start, steps, memory


def test_an_empty_cluster_keeps_its_centroid():
    stages = photos(2)
    init = torch.from_numpy(by_hand(matrix(stages), (6, 4))[[0, 50, 0]])
    init[2] = 1000.0
    found = fit_stream(stream(stages), SIZE, k=3, init=init, max_iter=3)
    assert found.counts[2] == 0
    assert (found.centroids[2] == 1000).all()
    assert (found.counts[:2] > 0).all()


def test_updated_centroids_are_means():
    sums = PartialSums(torch.tensor([[6.0, 9], [0, 0]]).double(), torch.tensor([3, 0]), 0.0)
    previous = torch.tensor([[7.0, 7], [5, 5]])
    assert sums.centroids(previous).tolist() == [[2, 3], [5, 5]]


def test_more_clusters_than_positions_do_no_harm():
    stages = [torch.tensor([[[[0.0, 1]]], [[[2.0, 3]]]])]
    found = fit_stream(stream(stages), (1, 2), k=9)
    assert found.counts.sum() == 4
    assert found.inertia == pytest.approx(0, abs=1e-10)
    assert found.labels(stages, (1, 2)).unique().numel() == 4


def test_more_passes_never_raise_the_inertia_and_the_last_changes_nothing():
    stages, k = photos(), 4
    init = torch.from_numpy(by_hand(matrix(stages), (6, 4))[: 4 * 7 : 7])
    inertia = [fit_stream(stream(stages), SIZE, k=k, init=init, max_iter=n).inertia for n in range(1, 9)]
    assert all(after <= before for before, after in pairwise(inertia))
    assert inertia[-1] < 0.9 * inertia[0]
    settled = fit_stream(stream(stages), SIZE, k=k, init=init, max_iter=200)
    assert settled.n_iter < 200
    again = fit_stream(stream(stages), SIZE, k=k, init=settled.centroids, max_iter=200)
    assert again.n_iter <= 2
    assert again.inertia == pytest.approx(settled.inertia, rel=2e-6)


def test_the_start_is_better_than_positions_at_random():
    stages, k = photos(12), 12
    points = by_hand(matrix(stages), (6, 4))
    ours = fit_stream(stream(stages), SIZE, k=k, max_iter=1).inertia
    rng = np.random.default_rng(0)
    others = []
    for _ in range(10):
        init = torch.from_numpy(points[rng.choice(len(points), k, replace=False)])
        others.append(fit_stream(stream(stages), SIZE, k=k, init=init, max_iter=1).inertia)
    assert ours < 0.95 * min(others)


@pytest.mark.parametrize("most", [100, 10_000])
def test_the_seed_decides_the_start(most):
    """By the sample, and where that holds all positions still by the draws of k-means++."""
    first, again, other = (
        fit_stream(stream(photos()), SIZE, k=4, max_iter=1, seed=s, max_sample=most) for s in (1, 1, 2)
    )
    assert torch.equal(first.centroids, again.centroids)
    assert (first.centroids - other.centroids).abs().max() > 0.01


def test_memory_does_not_grow_with_the_images(monkeypatch):
    """300 images: at most two batches are alive at any time, and the sample never exceeds its bound."""
    alive: weakref.WeakSet[torch.Tensor] = weakref.WeakSet()
    most, sizes = [], []
    add_to = Sample.add

    def watched(self, name, image):
        add_to(self, name, image)
        sizes.append((len(self), self._vectors.untyped_storage().nbytes()))

    def batches():
        gen = torch.Generator().manual_seed(0)
        for i in range(100):
            stage = torch.randn(3, 4, 3, 3, generator=gen)
            alive.add(stage)
            yield [f"{3 * i + j}" for j in range(3)], [stage]
            del stage
            most.append(len(alive))

    monkeypatch.setattr(Sample, "add", watched)
    found = fit_stream(batches, (12, 12), k=3, max_iter=2, sample_per_image=10, max_sample=64)
    assert found.n_images == 300
    assert len(sizes) == 300
    assert max(n for n, _ in sizes) == 64
    assert max(n_bytes for _, n_bytes in sizes) == 64 * 4 * 4
    assert len(most) == 300
    assert max(most) <= 2


def test_progress_is_told_of_each_pass():
    said: list[str] = []
    found = fit_stream(stream(photos()), SIZE, k=4, max_iter=3, progress=said.append)
    assert len(said) == 1 + found.n_iter
    assert said[1] == "clustering, pass 1 of 3 at most"


def test_an_empty_batch_is_passed_over():
    stages = photos(3)
    plain = stream(stages)

    def batches():
        yield [], [stage[:0] for stage in stages]
        yield from plain()

    assert torch.equal(fit_stream(batches, SIZE, k=3).centroids, fit_stream(plain, SIZE, k=3).centroids)


# --- wrong calls


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k is 0; it must be at least 1"),
        ({"max_iter": 0}, "max_iter is 0"),
        ({"sample_per_image": 0}, "sample_per_image is 0"),
        ({"max_sample": 2}, "max_sample is 2; it must be at least 3"),
        ({"scaling": "l2"}, "choose variance or none"),
        ({"weights": [1.0]}, r"weights are \[1.0\]; expected 2"),
        ({"weights": [1.0, -1.0]}, "none negative"),
        ({"init": torch.zeros(3, 9)}, r"shape \(3, 9\); expected \(3, 10\)"),
        ({"init": torch.full((3, 10), torch.nan)}, "centroids hold NaN"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        fit_stream(stream(photos(2)), SIZE, **{"k": 3, **options})


def test_a_bad_image_is_named():
    stages = photos()
    stages[1][3, 0, 0, 0] = torch.inf
    with pytest.raises(ValueError, match="photo-3: stage 1 .* NaN or infinite"):
        fit_stream(stream(stages), SIZE, k=3)


def test_no_images_are_an_error():
    with pytest.raises(ValueError, match="no images to cluster"):
        fit_stream(list, SIZE, k=3)


def test_a_stream_that_ends_early_the_second_time_is_an_error():
    once = iter(list(stream(photos(), at_once=1)()))
    with pytest.raises(ValueError, match="pass 1 gave 0 images, the first gave 6"):
        fit_stream(lambda: once, SIZE, k=3)


def test_ids_and_images_must_be_as_many():
    with pytest.raises(ValueError, match=r"1 ids for stages of \[2, 2\] images"):
        fit_stream(lambda: [(["a"], photos(2))], SIZE, k=3)


def test_stages_of_another_network_are_refused():
    found = fit_stream(stream(photos()), SIZE, k=3)
    with pytest.raises(ValueError, match=r"stages have \(4, 6\) channels; the scale was made for \(6, 4\)"):
        found.labels(photos()[::-1], SIZE)
    with pytest.raises(ValueError, match=r"stages of \(6, 4\) and of \(4, 6\) channels"):
        moments(photos(), SIZE) + moments(photos()[::-1], SIZE)


# --- the file


@pytest.fixture
def clusterings():
    # Two of them share a scale, whose memory a file may not share.
    dog = fit_stream(stream(photos()), SIZE, k=4, metadata={"class": "Hündchen"})
    cat = Clustering(dog.scale, dog.centroids + 1, dog.counts, 0.1 + 0.2, 3, 2)
    return {"dog/1": dog, "cat": cat}


def same(a, b):
    for x, y in (
        (a.scale.mean, b.scale.mean),
        (a.scale.factors, b.scale.factors),
        (a.centroids, b.centroids),
        (a.counts, b.counts),
    ):
        assert x.dtype == y.dtype
        assert torch.equal(x, y)
    assert a.scale.channels == b.scale.channels
    assert (a.inertia, a.n_images, a.n_iter) == (b.inertia, b.n_images, b.n_iter)
    assert a.metadata == b.metadata


def test_what_is_read_is_what_was_written(tmp_path, clusterings):
    path = tmp_path / "centroids.safetensors"
    write_clusterings(path, clusterings, {"model": "résnet"})
    found, metadata = read_clusterings(path)
    assert metadata == {"model": "résnet"}
    assert sorted(found) == ["cat", "dog/1"]
    for name, clustering in clusterings.items():
        same(found[name], clustering)
        assert torch.equal(found[name].labels(photos(), SIZE), clustering.labels(photos(), SIZE))
    assert [p.name for p in tmp_path.iterdir()] == ["centroids.safetensors"]


def test_equal_contents_are_equal_bytes(tmp_path, clusterings):
    paths = [tmp_path / name for name in ("a", "b", "c", "d")]
    write_clusterings(paths[0], clusterings, {"x": "1", "y": "2", "z": "3"})
    write_clusterings(paths[1], dict(reversed(clusterings.items())), {"z": "3", "x": "1", "y": "2"})
    write_clusterings(paths[2], *read_clusterings(paths[0]))
    write_clusterings(paths[3], clusterings, {"x": "1", "y": "2", "z": "4"})
    first, second, third, other = (path.read_bytes() for path in paths)
    assert first == second == third != other


def test_no_clusterings_are_a_file_too(tmp_path):
    write_clusterings(tmp_path / "none", {})
    assert read_clusterings(tmp_path / "none") == ({}, {})


def test_a_failed_write_leaves_the_old_file(tmp_path, clusterings, monkeypatch):
    path = tmp_path / "centroids.safetensors"
    write_clusterings(path, clusterings)
    before = path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nasbench.atomic.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_clusterings(path, {"cat": clusterings["cat"]})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def flipped(data, where):
    return data[:where] + bytes([data[where] ^ 1]) + data[where + 1 :]


def with_header(data, change):
    """A file's bytes with our header changed and all else left valid."""
    (length,) = struct.unpack("<Q", data[:8])
    outer = json.loads(data[8 : 8 + length])
    inner = json.loads(outer["__metadata__"]["nasbench"])
    change(inner)
    outer["__metadata__"]["nasbench"] = json.dumps(inner)
    text = json.dumps(outer).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: data[:-3], "damaged or not a safetensors file"),
        (lambda data: data[:20], "damaged or not a safetensors file"),
        (lambda _: b"", "damaged or not a safetensors file"),
        (lambda _: b"PK\x03\x04" * 50, "damaged or not a safetensors file"),
        (lambda data: flipped(data, len(data) - 1), "damaged: its contents do not match their digest"),
        (lambda data: with_header(data, lambda h: h["metadata"].update(a="b")), "do not match their digest"),
        (lambda data: with_header(data, lambda h: h.pop("digest")), "do not match their digest"),
        (lambda data: with_header(data, lambda h: h.update(version=99)), "has format version 99"),
        (lambda data: with_header(data, lambda h: h.update(format="x")), "something else"),
    ],
)
def test_a_damaged_file_is_named_with_the_reason(tmp_path, clusterings, damage, reason):
    path = tmp_path / "centroids.safetensors"
    write_clusterings(path, clusterings)
    path.write_bytes(damage(path.read_bytes()))
    for read in (read_clusterings, kept_clusterings):
        with pytest.raises(UsageError, match=reason) as error:
            read(path)
        assert str(error.value).startswith(f"{path} ")
        assert "\n" not in str(error.value)


def test_other_files_are_refused(tmp_path):
    missing = tmp_path / "none.safetensors"
    with pytest.raises(UsageError, match=r"none\.safetensors does not exist"):
        read_clusterings(missing)
    with pytest.raises(UsageError, match=r"none\.safetensors cannot be read: No such file"):
        kept_clusterings(missing)
    with pytest.raises(UsageError, match="is a folder"):
        read_clusterings(tmp_path)
    weights = tmp_path / "weights.safetensors"
    for metadata in (None, {"format": "pt"}, {"nasbench": "no JSON"}, {"nasbench": "[1]"}):
        save_file({"fc.weight": torch.zeros(2, 2)}, weights, metadata=metadata)
        with pytest.raises(UsageError, match="something else: it holds no clusterings"):
            read_clusterings(weights)


def test_a_kept_file_is_read_again_only_when_it_has_changed(tmp_path, clusterings):
    path = tmp_path / "centroids.safetensors"
    write_clusterings(path, clusterings)
    first = kept_clusterings(str(path))
    assert kept_clusterings(str(path)) is first
    write_clusterings(path, {"cat": clusterings["cat"]})
    assert list(kept_clusterings(str(path))) == ["cat"]


# --- devices


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_cuda_agrees_with_the_cpu():
    stages = photos(12)
    init = torch.from_numpy(by_hand(matrix(stages), (6, 4))[::500])
    cpu, gpu = (
        fit_stream(stream([s.to(device) for s in stages]), SIZE, k=len(init), init=init, max_iter=2)
        for device in ("cpu", "cuda")
    )
    torch.testing.assert_close(gpu.centroids, cpu.centroids, atol=1e-3, rtol=0)
    assert gpu.inertia == pytest.approx(cpu.inertia, rel=1e-4)
    labels = gpu.labels([s.cuda() for s in stages], SIZE)
    assert labels.is_cuda
    assert (labels.cpu() == cpu.labels(stages, SIZE)).double().mean() >= 0.999
    start = fit_stream(stream([s.cuda() for s in stages]), SIZE, k=5, max_iter=1)
    assert start.centroids.device.type == "cpu"
