"""The virtual feature matrix against the one that is built."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from nasbench.segment.interpolation import axis
from nasbench.segment.virtual import VirtualFeatures

sizes = st.integers(1, 9)


def built(stages, size):
    """The matrix, by the library's own upsampling: (B, H·W, ΣC)."""
    maps = [F.interpolate(s, size, mode="bilinear", align_corners=False) for s in stages]
    return torch.cat(maps, dim=1).flatten(2).transpose(1, 2)


@st.composite
def pyramids(draw):
    seed = draw(st.integers(0, 999))
    size = (draw(st.integers(1, 13)), draw(st.integers(1, 13)))
    shapes = draw(st.lists(st.tuples(st.integers(1, 4), sizes, sizes), min_size=1, max_size=3))
    gen = torch.Generator().manual_seed(seed)
    return [torch.randn(2, c, h, w, generator=gen, dtype=torch.float64) for c, h, w in shapes], size


@given(pyramids())
def test_materialised_matrix_is_the_librarys_upsampling(case):
    stages, size = case
    torch.testing.assert_close(VirtualFeatures.of(stages, size).materialise(), built(stages, size))


@given(pyramids())
def test_square_norms_are_those_of_the_built_matrix(case):
    stages, size = case
    norms = VirtualFeatures.of(stages, size).square_norms()
    torch.testing.assert_close(norms.flatten(1), built(stages, size).square().sum(dim=2))
    mean = VirtualFeatures.of(stages, size).mean_square_norm()
    torch.testing.assert_close(mean, norms.flatten(1).mean(dim=1))


@given(pyramids(), st.integers(1, 3))
def test_inner_and_pull_are_products_with_the_built_matrix(case, k):
    stages, size = case
    features = VirtualFeatures.of(stages, size)
    matrix = built(stages, size)
    gen = torch.Generator().manual_seed(k)
    vectors = torch.randn(2, k, matrix.shape[2], generator=gen, dtype=torch.float64)
    torch.testing.assert_close(features.inner(vectors).flatten(2), vectors @ matrix.transpose(1, 2))
    weights = torch.rand(2, k, *size, generator=gen, dtype=torch.float64)
    torch.testing.assert_close(features.pull(weights), weights.flatten(2) @ matrix)


@given(pyramids())
def test_centring_at_native_resolution_centres_the_target_grid(case):
    stages, size = case
    centred, mean = VirtualFeatures.of(stages, size).centred()
    matrix = built(stages, size)
    torch.testing.assert_close(mean, matrix.mean(dim=1))
    torch.testing.assert_close(centred.materialise(), matrix - matrix.mean(dim=1, keepdim=True))


@given(sizes, st.integers(1, 20))
def test_taps_sum_to_one_and_are_at_most_two(n_in, n_out):
    one = axis(n_in, n_out, torch.device("cpu"), torch.float64)
    torch.testing.assert_close(one.taps.sum(dim=1), torch.ones(n_out, dtype=torch.float64))
    assert int((one.taps != 0).sum(dim=1).max()) <= 2


def test_half_precision_is_widened():
    features = VirtualFeatures.of([torch.ones(1, 2, 2, 2, dtype=torch.bfloat16)], (4, 4))
    assert features.stages[0].dtype == torch.float32


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([], "at least one stage"),
        ([torch.zeros(2, 3, 4)], r"stage 0 has shape \(2, 3, 4\)"),
        ([torch.zeros(1, 0, 4, 4)], "stage 0 has shape"),
        ([torch.zeros(2, 3, 4, 4), torch.zeros(1, 3, 4, 4)], "stage 1 has 1 images, stage 0 has 2"),
        ([torch.zeros(2, 3, 4, 4, dtype=torch.int64)], "expected a floating-point tensor"),
        ([torch.ones(2, 3, 4, 4), torch.full((2, 1, 2, 2), torch.nan)], "stage 1 of image 0 holds NaN"),
    ],
)
def test_bad_stages_are_named(stages, message):
    with pytest.raises(ValueError, match=message):
        VirtualFeatures.of(stages, (8, 8))
