"""Scores of segmentations against answers known in closed form."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasbench.errors import UsageError
from nasbench.segment.scores import RegionScores, Scene, best_union_iou, explained_variation


def brute_force(labels, target):
    """Every union of regions."""
    names = [name for name in np.unique(labels) if name >= 0]
    best = 0.0
    for size in range(1, len(names) + 1):
        for union in itertools.combinations(names, size):
            region = np.isin(labels, union)
            best = max(best, (region & target).sum() / (region | target).sum())
    return best


@given(st.integers(0, 500), st.integers(1, 6))
def test_best_union_equals_trying_every_union(seed, k):
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1, k, (6, 7))
    target = rng.random((6, 7)) < rng.random()
    target[0, 0] = True
    assert best_union_iou(labels, target) == pytest.approx(brute_force(labels, target))


def test_best_union_of_a_perfect_segmentation_is_one():
    labels = np.arange(12).reshape(3, 4)
    assert best_union_iou(labels, labels > 5) == 1.0


def test_best_union_of_one_region_is_the_objects_share():
    target = np.zeros((4, 5), dtype=bool)
    target[1, :3] = True
    assert best_union_iou(np.zeros((4, 5), dtype=np.int64), target) == 3 / 20


def test_best_union_without_any_region_is_zero():
    assert best_union_iou(np.full((2, 2), -1), np.ones((2, 2), dtype=bool)) == 0.0


def test_explained_variation_in_closed_form():
    image = np.zeros((2, 2, 3), dtype=np.uint8)
    image[0, 0], image[0, 1] = 100, 20
    # Rows: means 60 and 0, mean of all 30; explained 4·30² of 70²+10²+30²+30².
    labels = np.array([[0, 0], [1, 1]])
    assert explained_variation(image, labels) == pytest.approx(3600 / 6800)


def test_explained_variation_ends():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    assert explained_variation(image, np.arange(30).reshape(5, 6)) == pytest.approx(1.0)
    assert explained_variation(image, np.zeros((5, 6), dtype=np.int64)) == pytest.approx(0.0, abs=1e-12)
    assert (
        explained_variation(np.full((5, 6, 3), 7, dtype=np.uint8), np.zeros((5, 6), dtype=np.int64)) is None
    )


def scene(truth="mask", **changes):
    image = np.zeros((4, 4, 3), dtype=np.uint8)
    image[:2] = 200
    labels = np.repeat([0, 0, 1, 1], 4).reshape(4, 4)
    parts = {"image": image, "labels": labels, "n_regions": 2, "target": labels == 1, "truth": truth}
    return Scene(**(parts | changes))


def test_scores_carry_their_conventions_and_the_name_of_their_truth():
    by_name = {score.name: score for score in RegionScores()(scene("box"))}
    assert by_name["n_regions"].value == 2
    assert by_name["object_iou_box"].value == 1.0
    assert by_name["object_iou_box"].conventions["target"] == "union of all boxes"
    assert by_name["explained_variation"].value == pytest.approx(1.0)


def test_ignored_pixels_count_for_nothing():
    ignore = np.zeros((4, 4), dtype=bool)
    ignore[1] = True
    target = np.zeros((4, 4), dtype=bool)
    target[1:] = True
    (score,) = RegionScores(names=["object_iou"])(scene(target=target, ignore=ignore))
    assert score.value == 1.0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"target": None}, "no mask for this image"),
        ({"target": None, "truth": None}, "neither masks nor boxes"),
        ({"target": np.zeros((4, 4), dtype=bool)}, "the object has no pixels"),
    ],
)
def test_no_object_is_a_reason_not_a_zero(changes, reason):
    (score,) = RegionScores(names=["object_iou"])(scene(**changes))
    assert score.value is None
    assert reason in score.reason


AGREEMENTS = ["agreement_ari", "agreement_iou"]


def test_agreement_with_the_image_level_regions():
    reference = np.tile(np.repeat([0, 1], 2), (4, 1))
    ari, iou = RegionScores(names=AGREEMENTS)(scene(reference=reference))
    # Crossed halves; the adjusted Rand index as in test_agreement.py.
    assert iou.value == pytest.approx(1 / 3)
    assert ari.value == pytest.approx((24 - 56 * 56 / 120) / (56 - 56 * 56 / 120))
    assert "image-level" in ari.conventions["with"]
    for score in RegionScores(names=AGREEMENTS)(scene("box", reference=1 - scene().labels)):
        assert score.name in AGREEMENTS
        assert score.value == 1


def test_without_image_level_regions_there_is_nothing_to_agree_with():
    for score in RegionScores(names=AGREEMENTS)(scene()):
        assert score.value is None
        assert score.reason == "the segmenter works image by image: nothing to agree with"
    for score in RegionScores(names=AGREEMENTS)(scene(reference=np.full((4, 4), -1))):
        assert score.value is None
        assert score.reason == "no pixel has a label"


@pytest.mark.parametrize("name", AGREEMENTS)
def test_only_agreements_ask_for_a_reference(name):
    assert RegionScores(names=["n_regions", name]).uses_reference
    assert not RegionScores().uses_reference


def test_unknown_metric_is_named():
    with pytest.raises(UsageError, match="metric.names holds iou"):
        RegionScores(names=["iou"])


def test_regions_that_are_edges_explain_edges_and_those_between_them_do_not():
    image = np.zeros((20, 20, 3), dtype=np.uint8)
    image[:, 10:] = 200
    band = np.zeros((20, 20), dtype=np.int64)
    band[:, 9:11] = 1  # the two columns on which the Sobel gradient is not 0
    sides = np.zeros((20, 20), dtype=np.int64)
    sides[:, 10:] = 1
    metric = RegionScores(names=["edge_variation", "explained_variation"])

    def values(labels):
        return [score.value for score in metric(Scene(image, labels, 2, None, None))]

    assert values(band)[0] == pytest.approx(1.0)
    assert values(sides) == [pytest.approx(0.0), pytest.approx(1.0)]
    flat = Scene(np.full((8, 8, 3), 7, np.uint8), np.zeros((8, 8), np.int64), 1, None, None)
    assert RegionScores(names=["edge_variation"])(flat)[0].reason == "the image has no edges"
