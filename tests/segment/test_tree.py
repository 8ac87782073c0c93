"""The NAS tree: nested, exact counts, Ward's criterion."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.measure import label

from nasbench.errors import SegmentationError, UsageError
from nasbench.models import Features
from nasbench.segment.base import Views
from nasbench.segment.components import connected_regions
from nasbench.segment.tree import NasTree, ward_tree
from nasbench.segment.virtual import VirtualFeatures


def case(seed, regions=9, size=(8, 10)):
    """Random features and random connected regions."""
    gen = torch.Generator().manual_seed(seed)
    stages = [
        torch.randn(1, 3, 4, 5, generator=gen, dtype=torch.float64),
        torch.randn(1, 2, 8, 10, generator=gen),
    ]
    points = torch.randint(0, 100, (regions, 2), generator=gen) % torch.tensor(size)
    ys, xs = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    distance = (ys[None] - points[:, 0, None, None]) ** 2 + (xs[None] - points[:, 1, None, None]) ** 2
    leaves = connected_regions(distance.argmin(dim=0)[None])[0]
    return VirtualFeatures.of([s.double() for s in stages], size), leaves


def spread(matrix, labels):
    """Σ_p ‖x(p) − mean of its region‖²."""
    return sum(
        float(np.square(matrix[labels == name] - matrix[labels == name].mean(axis=0)).sum())
        for name in np.unique(labels)
    )


def adjacent(labels):
    pairs = set()
    for a, b in ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])):
        pairs |= {tuple(sorted(pair)) for pair in zip(a.ravel().tolist(), b.ravel().tolist(), strict=True)}
    return {pair for pair in pairs if pair[0] != pair[1]}


@given(st.integers(0, 30))
def test_every_merge_is_the_cheapest_of_all_adjacent_pairs(seed):
    """The slow, obvious twin: try each pair of neighbours and measure the spread."""
    features, leaves = case(seed)
    matrix = features.materialise()[0].numpy().reshape(*features.size, -1)
    tree = ward_tree(features, leaves)
    for left, cost in zip(range(tree.count, 1, -1), tree.costs, strict=True):
        before, after = tree.cut(left).numpy(), tree.cut(left - 1).numpy()
        base = spread(matrix, before)
        trials = [spread(matrix, np.where(before == b, a, before)) - base for a, b in adjacent(before)]
        assert cost == pytest.approx(min(trials), rel=1e-6, abs=1e-9)
        assert spread(matrix, after) - base == pytest.approx(cost, rel=1e-6, abs=1e-9)


@given(st.integers(0, 30))
def test_cuts_are_exact_nested_and_connected(seed):
    features, leaves = case(seed, regions=12)
    tree = ward_tree(features, leaves)
    cuts = [tree.cut(n).numpy() for n in range(1, tree.count + 1)]
    for n, labels in enumerate(cuts, start=1):
        assert np.unique(labels).tolist() == list(range(n))
        assert label(labels, background=-1, connectivity=1).max() == n
    for coarse, fine in pairwise(cuts):
        assert (
            len({(int(f), int(c)) for f, c in zip(fine.ravel(), coarse.ravel(), strict=True)})
            == fine.max() + 1
        )
    assert torch.equal(tree.cut(10_000), tree.leaves)


def views(n=2, size=(32, 40)):
    gen = torch.Generator().manual_seed(1)
    stages = tuple(torch.randn(n, c, s, s, generator=gen) for c, s in ((4, 12), (5, 6), (6, 3)))
    return (
        Views(tuple(f"image-{i}" for i in range(n)), torch.zeros(n, 3, *size)),
        Features(torch.zeros(n, 2), stages, stages[-1]),
    )


@pytest.mark.parametrize("n", [1, 2, 7, 20])
def test_the_segmenter_meets_the_count(n):
    labels = NasTree(n=n)(*views())
    assert [int(image.max()) + 1 for image in labels] == [n, n]


def test_one_region_of_constant_activations():
    batch, features = views(1)
    flat = Features(features.logits, tuple(torch.ones_like(s) for s in features.stages), features.final)
    assert (NasTree(n=5)(batch, flat) == 0).all()


def test_misuse_is_named():
    with pytest.raises(UsageError, match="segmenter.n=0"):
        NasTree(n=0)
    with pytest.raises(UsageError, match="segmenter.k=0"):
        NasTree(k=0)
    with pytest.raises(UsageError, match="3 stages: -3 to 2"):
        NasTree(stages=[5]).check_stages(3)
    with pytest.raises(SegmentationError, match="activations"):
        NasTree()(views()[0], None)
