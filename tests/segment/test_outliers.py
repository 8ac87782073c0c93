"""Outlying tokens are mended from their neighbours, and nothing else is touched."""

from __future__ import annotations

import pytest
import torch

from nasbench.errors import UsageError
from nasbench.models import Features, load_classifier
from nasbench.segment.base import Views
from nasbench.segment.matching import Matched
from nasbench.segment.nas import Nas
from nasbench.segment.outliers import mend_outlier_tokens


def ramp(size=6):
    ys, xs = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return torch.stack([10.0 + ys, 10.0 + xs])[None]


def test_nothing_to_mend_is_the_same_tensor():
    stage = ramp()
    assert mend_outlier_tokens(stage, 3.0) is stage


def test_one_outlier_takes_the_mean_of_its_eight_neighbours():
    stage, broken = ramp(), ramp()
    broken[0, :, 2, 3] = 500.0
    torch.testing.assert_close(mend_outlier_tokens(broken, 3.0), stage)


def test_a_patch_of_outliers_is_filled_from_its_rim():
    broken = ramp(8)
    broken[0, :, 2:7, 2:7] = -900.0
    mended = mend_outlier_tokens(broken, 3.0)
    assert mended.max() < 20
    assert mended.min() > 9
    keep = torch.ones(8, 8, dtype=torch.bool)
    keep[2:7, 2:7] = False
    assert torch.equal(mended[0][:, keep], broken[0][:, keep])


def test_an_image_is_mended_alone():
    batch = torch.cat([ramp(), 100 * ramp()])
    assert mend_outlier_tokens(batch, 3.0) is batch


def outlying(tokens):
    gen = torch.Generator().manual_seed(0)
    stage = torch.zeros(1, 4, 8, 8)
    stage[:, 0, :, :4], stage[:, 1, :, 4:] = 1.0, 1.0
    stage += 0.01 * torch.randn(stage.shape, generator=gen)
    stage[0, :, 1, 1] = 60.0
    return Features(torch.zeros(1, 2), (stage,), stage, tokens=tokens)


def test_without_mending_an_outlier_takes_a_cluster_of_its_own():
    views = Views(("a",), torch.zeros(1, 3, 32, 32))
    mended = Nas(k=2, stages=[0])(views, outlying(tokens=True))[0]
    assert mended[5, 5] == mended[30, 2] != mended[30, 30]
    kept = Nas(k=2, stages=[0], outlier_norm=None)(views, outlying(tokens=True))[0]
    assert kept[30, 2] == kept[30, 30] != kept[5, 5]
    convolutional = Nas(k=2, stages=[0])(views, outlying(tokens=False))[0]
    assert torch.equal(convolutional, kept)


def test_tokens_stay_tokens_when_a_batch_is_taken_apart():
    views = Views(("a",), torch.zeros(1, 3, 32, 32))
    nas = Nas(k=2, stages=[0])
    matched = Matched(nas, 2)(views, outlying(tokens=True))
    assert torch.equal(matched, nas(views, outlying(tokens=True)))
    assert outlying(tokens=True).image(0).tokens


def test_only_transformers_have_tokens():
    x = torch.rand(1, 3, 160, 160, generator=torch.Generator().manual_seed(0))
    for name, tokens in (("test_vit", True), ("test_resnet", False)):
        assert load_classifier(name=name, weights="random", input_size=160).features(x).tokens is tokens


def test_misuse_is_named():
    with pytest.raises(UsageError, match="outlier_norm=1"):
        Nas(outlier_norm=1.0)
