"""NAS on activations whose regions are known."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from nasbench.errors import SegmentationError, UsageError
from nasbench.models import Features
from nasbench.segment.activations import scale_stages
from nasbench.segment.base import Views, contiguous
from nasbench.segment.nas import Nas


def quadrants(batch=1, noise=0.0):
    """A stage with one vector per quadrant, and a deeper one that splits left from right."""
    gen = torch.Generator().manual_seed(0)
    stage = torch.zeros(batch, 4, 8, 8)
    for i, (ys, xs) in enumerate([(0, 0), (0, 4), (4, 0), (4, 4)]):
        stage[:, i, ys : ys + 4, xs : xs + 4] = 1.0
    deep = torch.zeros(batch, 2, 4, 4)
    deep[:, 0, :, :2] = 50.0
    stages = (stage + noise * torch.randn(stage.shape, generator=gen), deep)
    return Features(torch.zeros(batch, 3), stages, deep)


def views(batch=1, size=16):
    return Views(tuple(f"image-{i}" for i in range(batch)), torch.zeros(batch, 3, size, size))


def test_four_quadrants_are_found():
    labels = Nas(k=4, stages=[0])(views(), quadrants(noise=0.05))[0]
    corners = {int(labels[y, x]) for y in (1, 14) for x in (1, 14)}
    assert corners == {0, 1, 2, 3}
    for y in (0, 8):
        for x in (0, 8):
            block = labels[y + 1 : y + 7, x + 1 : x + 7]
            assert block.unique().numel() == 1


def test_scaling_lets_a_stage_of_small_activations_speak():
    """The deep stage is 50 times as strong and knows left from right only."""
    scaled = Nas(k=4, stages=[0, 1])(views(), quadrants())[0]
    assert len({int(scaled[y, x]) for y in (1, 14) for x in (1, 14)}) == 4
    raw = Nas(k=2, stages=[0, 1], scaling="none")(views(), quadrants())[0]
    assert raw[1, 1] == raw[14, 1] != raw[1, 14]


def test_scaled_stages_add_a_mean_squared_norm_of_one():
    gen = torch.Generator().manual_seed(1)
    stages = [torch.randn(2, 3, 4, 4, generator=gen) * 9 + 4, torch.randn(2, 5, 7, 7, generator=gen)]
    for stage in scale_stages(stages, (20, 20)):
        upsampled = F.interpolate(stage, (20, 20), mode="bilinear", align_corners=False)
        torch.testing.assert_close(
            upsampled.mean(dim=(2, 3)), torch.zeros(stage.shape[:2]), atol=1e-5, rtol=0
        )
        torch.testing.assert_close(upsampled.square().sum(dim=1).mean(dim=(1, 2)), torch.ones(2))


def test_stage_weights_multiply_squared_distances():
    stages = quadrants().stages
    plain, doubled = (scale_stages(stages, (8, 8), weights=w) for w in (None, [4.0, 1.0]))
    torch.testing.assert_close(doubled[0], 2 * plain[0])
    torch.testing.assert_close(doubled[1], plain[1])


@pytest.mark.parametrize("value", [0.0, 1.0, 1e4])
def test_a_stage_without_variation_says_nothing(value):
    assert (scale_stages([torch.full((1, 6, 5, 5), value)], (16, 16))[0] == 0).all()


def test_black_image_with_constant_activations_is_one_region():
    features = Features(torch.zeros(1, 2), (torch.ones(1, 4, 3, 3),), torch.ones(1, 4, 3, 3))
    assert (Nas(k=10, stages=[-1])(views(), features) == 0).all()


def test_the_label_map_depends_on_the_id_and_the_seed_only():
    gen = torch.Generator().manual_seed(3)
    stage = torch.randn(3, 6, 9, 9, generator=gen)
    features = Features(torch.zeros(3, 2), (stage,), stage)
    nas = Nas(k=5, stages=[0])
    whole = nas(views(3), features)
    order = [2, 0, 1]
    mixed = nas(
        Views(tuple(f"image-{i}" for i in order), torch.zeros(3, 3, 16, 16)),
        Features(torch.zeros(3, 2), (stage[order],), stage[order]),
    )
    assert torch.equal(mixed, whole[order])


def test_restarts_keep_the_lowest_inertia():
    gen = torch.Generator().manual_seed(4)
    stage = torch.randn(2, 6, 9, 9, generator=gen)
    nas = Nas(k=6, stages=[0], restarts=4)
    scaled = scale_stages([stage], (16, 16))
    best = nas._best(scaled, views(2)).inertia
    # One start alone is not compared with another, and its inertia is not computed.
    singles = [Nas(k=6, stages=[0], restarts=n)._best(scaled, views(2)).inertia for n in (2, 3, 4)]
    assert torch.equal(best, torch.stack(singles).min(dim=0).values)
    assert all((b <= a).all() for a, b in pairwise(singles))


def test_labels_are_contiguous_and_connected_on_request():
    features = quadrants(noise=0.4)
    connected = Nas(k=3, stages=[0], connected=True)(views(), features)
    plain = Nas(k=3, stages=[0])(views(), features)
    for labels in (connected, plain):
        assert labels.unique().tolist() == list(range(int(labels.max()) + 1))
    assert connected.max() >= plain.max()


def test_contiguous_keeps_order():
    assert contiguous(torch.tensor([[[5, 2], [2, 9]]])).tolist() == [[[1, 0], [0, 2]]]


def test_nan_is_a_named_segmentation_error():
    features = quadrants()
    features.stages[0][0, 0, 0, 0] = torch.nan
    with pytest.raises(SegmentationError, match="NaN"):
        Nas(k=2, stages=[0])(views(), features)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "segmenter.k=0 must be at least 1"),
        ({"stages": []}, "segmenter.stages is empty"),
        ({"scaling": "l2"}, "choose variance or none"),
        ({"mode": "fast"}, "choose exact or coarse"),
        ({"stage_weights": [1.0]}, "1 values for 3 stages"),
        ({"stage_weights": [1.0, -1.0, 1.0]}, "must not be negative"),
        ({"source": "others"}, "choose self, random_weights, mirror, pixels or model:<name>"),
        ({"restarts": 0}, "segmenter.restarts=0"),
        ({"min_size": 1.5}, "share of the image"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(UsageError, match=message):
        Nas(**options)


def test_the_pixels_as_a_source_need_no_activations():
    pixels = torch.zeros(1, 3, 16, 16)
    pixels[0, 0, :, 8:] = 1.0
    nas = Nas(k=2, source="pixels", stage_weights=None)
    assert not nas.uses_features
    labels = nas(Views(("a",), pixels), None)[0]
    assert labels[:, :8].unique().tolist() != labels[:, 8:].unique().tolist()
    assert labels.unique().numel() == 2
    black = Nas(k=4, source="pixels")(Views(("a",), torch.zeros(1, 3, 16, 16)), None)
    assert black.unique().numel() == 4, "position alone still tells pixels apart"


def test_unknown_stage_is_named():
    with pytest.raises(UsageError, match="the model has 2 stages: -2 to 1"):
        Nas(stages=[-3])(views(), quadrants())
