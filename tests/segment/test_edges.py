"""nas+image: the guided filter, and borders that move to the image's edges."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nasbench.errors import UsageError
from nasbench.models import Features
from nasbench.segment.base import Views
from nasbench.segment.edges import NasImage, guided_filter
from nasbench.segment.nas import Nas


def twin(maps, guide, radius, eps):
    """The filter by its definition: a linear fit in every window, averaged over the windows of a pixel."""
    height, width = maps.shape
    total, count = np.zeros((2, height, width)), np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            window = np.s_[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1]
            p, i = maps[window], guide[window]
            a = ((p * i).mean() - p.mean() * i.mean()) / (i.var() + eps)
            total[0][window] += a
            total[1][window] += p.mean() - a * i.mean()
            count[window] += 1
    return (total[0] * guide + total[1]) / count


def test_the_filter_is_that_of_the_definition():
    rng = np.random.default_rng(0)
    maps, guide = rng.random((2, 12, 13)), rng.random((12, 13))
    found = guided_filter(torch.from_numpy(maps)[None], torch.from_numpy(guide)[None, None], 2, 0.01)[0]
    for k in range(2):
        np.testing.assert_allclose(found[k].numpy(), twin(maps[k], guide, 2, 0.01), atol=1e-10)


def test_a_guide_equal_to_the_map_is_kept():
    guide = torch.rand(1, 1, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(guided_filter(guide, guide, 2, 1e-9), guide, atol=1e-5, rtol=0)


def test_what_is_common_to_all_maps_does_not_enter_the_arg_min():
    gen = torch.Generator().manual_seed(1)
    maps = torch.rand(1, 4, 20, 20, dtype=torch.float64, generator=gen)
    guide, common = (torch.rand(1, 1, 20, 20, dtype=torch.float64, generator=gen) for _ in range(2))
    plain, shifted_ = (guided_filter(m, guide, 3, 0.01).argmin(dim=1) for m in (maps, maps + 9 * common))
    assert torch.equal(plain, shifted_)


def shifted():
    """Activations that split at column 32 of 64, in cells of 8 pixels; the image's edge lies at column 35."""
    stage = torch.zeros(1, 2, 8, 8)
    stage[:, 0, :, :4], stage[:, 1, :, 4:] = 1.0, 1.0
    pixels = torch.zeros(1, 3, 64, 64)
    pixels[:, :, :, 35:] = 1.0
    return Views(("a",), pixels), Features(torch.zeros(1, 2), (stage,), stage)


def border(labels):
    return int((labels[0, 32, 1:] != labels[0, 32, :-1]).nonzero()[0]) + 1


def test_borders_move_to_the_edge_of_the_image():
    views, features = shifted()
    assert border(Nas(k=2, stages=[0])(views, features)) == 32
    assert border(NasImage(k=2, stages=[0])(views, features)) == 35


def test_misuse_is_named():
    with pytest.raises(UsageError, match="segmenter.radius=0"):
        NasImage(radius=0)
    with pytest.raises(UsageError, match="segmenter.eps=0"):
        NasImage(eps=0.0)
