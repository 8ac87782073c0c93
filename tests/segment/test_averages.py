"""Averages over flips and shifts, on a network whose features are the image itself."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from nasbench.models import Features
from nasbench.segment.averages import Variant, averaged, variants
from nasbench.segment.interpolation import shifted_taps


def pooled(pixels, cell=8):
    """A network of one stage: means over cells."""
    stage = F.avg_pool2d(pixels, cell)
    return Features(torch.zeros(len(pixels), 2), (stage,), stage)


def smooth(batch=2, size=64):
    """Images that vary slowly: a plane and a wide wave."""
    ys, xs = torch.meshgrid(torch.arange(size) + 0.5, torch.arange(size) + 0.5, indexing="ij")
    plane = (ys + 2 * xs) / (3 * size)
    wave = torch.sin(xs / size * 3).abs()
    return torch.stack([torch.stack([plane * (i + 1) / batch, wave, plane]) for i in range(batch)])


def test_flips_of_an_equivariant_network_change_nothing():
    x = smooth()
    passes = variants(["flip"], (8, 8), (64, 64))
    found = averaged([pooled(p.of(x)) for p in passes], passes, (64, 64))
    assert len(passes) == 2
    torch.testing.assert_close(found.stages[0], pooled(x).stages[0])


def test_shifts_undo_what_they_did_and_double_the_grid():
    x = smooth()
    passes = variants(["shift"], (8, 8), (64, 64))
    assert {p.shift for p in passes} == {(-2, -2), (-2, 2), (2, -2), (2, 2)}
    found = averaged([pooled(p.of(x)) for p in passes], passes, (64, 64))
    assert found.stages[0].shape == (2, 3, 16, 16)
    direct = F.avg_pool2d(x, 4)
    # Away from the edges, whose pixels were repeated, a plane's cell means are known between cells too.
    inner, wanted = found.stages[0][..., 2:-2, 2:-2], direct[..., 2:-2, 2:-2]
    torch.testing.assert_close(inner[:, [0, 2]], wanted[:, [0, 2]])
    assert (inner - wanted).abs().max() < 0.02, "a wave is smoothed a little"


def test_a_shift_of_a_cell_reads_the_neighbour():
    taps = shifted_taps(4, 4, 1.0)
    torch.testing.assert_close(
        taps @ torch.arange(4.0, dtype=torch.float64), torch.tensor([1.0, 2, 3, 3]).double()
    )
    torch.testing.assert_close(shifted_taps(5, 9, 0.3).sum(dim=1), torch.ones(9, dtype=torch.float64))
    with pytest.raises(ValueError, match="at least 1"):
        shifted_taps(0, 4, 0.0)


def test_content_moves_down_and_right_and_edges_repeat():
    x = torch.arange(16.0).reshape(1, 1, 4, 4).expand(1, 3, 4, 4)
    moved = Variant(shift=(1, 2)).of(x)
    assert moved[0, 0].tolist() == [[0, 0, 0, 1], [0, 0, 0, 1], [4, 4, 4, 5], [8, 8, 8, 9]]
    assert torch.equal(Variant(flip=True).of(x), x.flip(-1))


def test_both_are_eight_passes_and_match_their_one_by_one_mean():
    x = smooth()
    passes = variants(["flip", "shift"], (8, 8), (64, 64))
    assert len(passes) == len(set(passes)) == 8
    whole = averaged([pooled(p.of(x)) for p in passes], passes, (64, 64))
    single = [averaged([pooled(p.of(x))], [p], (64, 64)).stages[0] for p in passes]
    torch.testing.assert_close(whole.stages[0], torch.stack(single).mean(dim=0))
