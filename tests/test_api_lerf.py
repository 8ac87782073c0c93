"""`nasbench.lerf`: relevance curves of tensors in memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import nasbench
from nasbench.errors import UsageError
from nasbench.faithfulness.imputers import Zero
from nasbench.faithfulness.relevance import RelevanceCurves
from nasbench.models import load_classifier


@pytest.fixture(scope="module")
def classifier():
    return load_classifier(
        name="test_resnet", weights="random", input_size=64, kwargs={"zero_init_last": False}
    )


@pytest.fixture(scope="module")
def x():
    return torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def maps():
    return torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(1))


def probability(classifier, image, target):
    with torch.no_grad():
        return float(classifier.logits(image[None]).double().softmax(dim=1)[0, target])


def test_curves_are_those_of_removing_pixels_one_step_at_a_time(classifier, x, maps):
    found = nasbench.lerf(classifier, x, maps, target=5, steps=4, imputer="zero", max_batch=5)
    assert len(found) == 3
    large = torch.nn.functional.interpolate(maps[:, None], (64, 64), mode="bilinear", align_corners=False)
    for image, values, one in zip(x, large[:, 0], found, strict=True):
        (curve,) = one.curves["lerf"]
        np.testing.assert_allclose(curve.removed, [0, 0.25, 0.5, 0.75, 1], atol=1e-3)
        rank = values.flatten().argsort(stable=True)
        for share, score in zip(curve.removed, curve.scores, strict=True):
            changed = image.clone().flatten(1)
            changed[:, rank[: round(share * 64 * 64)]] = 0
            expected = probability(classifier, changed.view(3, 64, 64), 5)
            assert score == pytest.approx(expected, rel=1e-4, abs=1e-7)
        assert one.full == pytest.approx(probability(classifier, image, 5), rel=1e-5)
        (morf,) = one.curves["morf"]
        assert morf.scores[0] == curve.scores[0]
        assert morf.scores[-1] == curve.scores[-1]
        assert set(one.curves) == {"lerf", "morf", "random"}


def test_regions_go_as_a_whole_and_batches_do_not_matter(classifier, x, maps):
    labels = nasbench.nas(classifier, x, k=4)
    found = nasbench.lerf(classifier, x, maps, labels, imputer=Zero(), max_batch=2)
    alone = [
        nasbench.lerf(classifier, x[i : i + 1], maps[i : i + 1], labels[i : i + 1], imputer="zero")[0]
        for i in range(3)
    ]
    for one, other in zip(found, alone, strict=True):
        assert len(one.curves["lerf"][0].removed) == 5
        np.testing.assert_allclose(
            one.curves["lerf"][0].scores, other.curves["lerf"][0].scores, rtol=1e-5, atol=1e-7
        )


def test_inputs_are_left_alone(classifier, x, maps):
    before = x.clone(), maps.clone()
    state = torch.get_rng_state()
    nasbench.lerf(classifier, x, maps, imputer="noise", steps=2)
    assert torch.equal(x, before[0])
    assert torch.equal(maps, before[1])
    assert torch.equal(torch.get_rng_state(), state)


def test_a_constant_map_has_a_curve_of_both_ends(classifier, x):
    (found, *_) = nasbench.lerf(classifier, x, torch.ones(3, 7, 7), orders=("lerf",))
    (curve,) = found.curves["lerf"]
    assert curve.removed.tolist() == [0, 1]
    assert found.areas("lerf")[0] == pytest.approx((found.full + found.empty) / 2)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"imputer": "white"}, UsageError, "imputer=white: choose of zero, dataset_mean"),
        ({"step": 3}, UsageError, "unknown option step"),
        ({"score": "rank"}, UsageError, "metric.score=rank"),
        ({"target": 5000}, UsageError, "beyond the model's 1000 classes"),
        ({"max_batch": 0}, UsageError, "max_batch=0"),
        ({"labels": torch.zeros(3, 8, 8, dtype=torch.int64)}, ValueError, "labels are torch.int64"),
        ({"labels": torch.ones(3, 64, 64, dtype=torch.int64)}, ValueError, "none is 0"),
    ],
)
def test_what_is_refused(classifier, x, maps, options, error, message):
    with pytest.raises(error, match=message):
        nasbench.lerf(classifier, x, maps, **options)


def test_maps_that_are_no_maps_are_refused(classifier, x, maps):
    with pytest.raises(ValueError, match="maps are"):
        nasbench.lerf(classifier, x, maps[:2])
    with pytest.raises(ValueError, match="NaN"):
        nasbench.lerf(classifier, x, torch.full((3, 7, 7), float("nan")))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("srg", "measure srg needs the curve morf among orders; there are lerf, random"),
        ("aopc", "measure aopc needs the curve morf"),
        ("auc", "there is no measure auc; choose of srg, abpc, aopc"),
        (["srg"], "there is no measure"),
    ],
)
def test_a_measure_without_its_curves_says_what_is_missing(classifier, x, maps, name, message):
    (found,) = nasbench.lerf(classifier, x[:1], maps[:1], orders=("lerf", "random"), steps=2)
    with pytest.raises(UsageError, match=message):
        found.measure(name, RelevanceCurves())
    assert found.measure("insertion", RelevanceCurves()) == pytest.approx(found.areas("lerf")[0])
    assert found.measure("irof", RelevanceCurves()) is None


def test_a_flat_map_stays_flat_on_the_way_to_the_images_grid(classifier, x):
    # Upsampling alone would round 0.1 to several values, and rank pixels by them.
    (found, *_) = nasbench.lerf(classifier, x, torch.full((3, 7, 7), 0.1), orders=("lerf",))
    assert found.curves["lerf"][0].removed.tolist() == [0, 1]
