"""`nasbench.lerf`: relevance curves of tensors in memory."""

from __future__ import annotations

from typing import Any

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
        ({"score": "rank"}, UsageError, "lerf: score=rank"),
        ({"target": 5000}, UsageError, "beyond the model's 1000 classes"),
        ({"max_batch": 0}, UsageError, "max_batch=0"),
        ({"max_batch": 2.5}, UsageError, "max_batch=2.5 must be a whole number"),
        ({"imputer": None}, UsageError, "imputer=None is no imputer: it has no __call__"),
        ({"imputer": Zero}, UsageError, r"imputer=Zero is a class; give an instance, Zero\(\)"),
        ({"imputer": lambda image: image}, UsageError, "is no imputer: it has no fill_for"),
        ({"steps": 2.5}, UsageError, r"lerf: steps=2.5 is not of type int \| None"),
        ({"steps": "a"}, UsageError, "lerf: steps='a' is not of type int"),
        ({"steps": True}, UsageError, "lerf: steps=True is not of type int"),
        ({"fractions": 0.5}, UsageError, r"lerf: fractions=0.5 is not of type Sequence\[float\]"),
        ({"fractions": ["a"]}, UsageError, r"lerf: fractions=\['a'\] is not of type"),
        ({"fractions": np.ones((2, 2))}, UsageError, "lerf: fractions=ndarray is not of type"),
        ({"seeds": 2.0, "tie": "seeded"}, UsageError, "lerf: seeds=2.0 is not of type int"),
        ({"draws": "2"}, UsageError, "lerf: draws='2' is not of type int"),
        ({"seed": 1.5}, UsageError, "lerf: seed=1.5 is not of type int"),
        ({"orders": "lerf"}, UsageError, r"lerf: orders='lerf' is not of type Sequence\[Literal\['lerf'"),
        ({"tie": None}, UsageError, r"lerf: tie=None is not of type Literal\['block', 'seeded'\]"),
        ({"target": "3"}, ValueError, "targets are '3'; expected classes"),
        ({"labels": torch.zeros(3, 8, 8, dtype=torch.int64)}, ValueError, "labels are torch.int64"),
        ({"labels": np.zeros((3, 64, 64), dtype=np.int64)}, ValueError, "labels are ndarray"),
        ({"labels": torch.ones(3, 64, 64, dtype=torch.int64)}, ValueError, "none is 0"),
        ({"labels": torch.full((3, 64, 64), 10**15)}, ValueError, "labels reach 1000000000000000"),
    ],
)
def test_what_is_refused(classifier, x, maps, options, error, message):
    with pytest.raises(error, match=message):
        nasbench.lerf(classifier, x, maps, **options)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda maps: maps[:2], r"maps are torch.float32 \(2, 8, 8\); expected .* of 3 images"),
        (lambda maps: maps.long(), "maps are torch.int64"),
        (lambda maps: maps.numpy(), "maps are ndarray; expected a floating-point tensor"),
        (lambda maps: maps.tolist(), "maps are list; expected a floating-point tensor"),
        (lambda maps: maps[:, :0], r"maps are torch.float32 \(3, 0, 8\): they hold no value"),
        (lambda maps: maps * float("nan"), "NaN"),
        (lambda maps: maps / 0, "NaN, infinite"),
    ],
)
def test_maps_that_are_no_maps_are_refused(classifier, x, maps, change, message):
    with pytest.raises(ValueError, match=message):
        nasbench.lerf(classifier, x, change(maps))


def test_numbers_of_other_libraries_are_numbers(classifier, x, maps):
    four: Any = np.int64(4)
    given = nasbench.lerf(classifier, x, maps, fractions=np.linspace(0, 1, 3), max_batch=four)
    for one, other in zip(given, nasbench.lerf(classifier, x, maps, steps=2, max_batch=4), strict=True):
        assert np.array_equal(one.curves["lerf"][0].scores, other.curves["lerf"][0].scores)


def test_an_image_of_one_region_has_curves_of_both_ends(classifier, x, maps):
    (found, *_) = nasbench.lerf(classifier, x, maps, torch.zeros(3, 64, 64, dtype=torch.int64))
    for kind in ("lerf", "morf", "random"):
        assert found.curves[kind][0].removed.tolist() == [0, 1]
        assert found.areas(kind)[0] == pytest.approx((found.full + found.empty) / 2)


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
