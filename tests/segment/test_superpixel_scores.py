"""Superpixel scores: closed forms, slow twins, and what must hold for any segmentation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasbench.errors import UsageError
from nasbench.segment.scores import RegionScores, Scene
from nasbench.segment.superpixel_scores import (
    achievable_segmentation_accuracy,
    boundary_contrast,
    boundary_pixels,
    boundary_precision,
    boundary_recall,
    compactness,
    overlaps,
    reach,
    undersegmentation_error,
)

ALL = (
    "n_regions",
    "object_iou",
    "explained_variation",
    "undersegmentation_error",
    "achievable_segmentation_accuracy",
    "boundary_recall",
    "boundary_precision",
    "compactness",
    "boundary_contrast",
)
AGAINST_TRUTH = ALL[3:7]


def columns(*widths, height=4):
    """Vertical strips of these widths, named 0, 1, ..."""
    return np.tile(np.repeat(np.arange(len(widths)), widths), (height, 1))


# --- slow and obvious twins: pixel by pixel, straight from the definitions ----------------------------


def both(labels, truth):
    return [p for p in np.ndindex(labels.shape) if labels[p] >= 0 and truth[p] >= 0]


def regions_of(labels, pixels):
    return [{p for p in pixels if labels[p] == name} for name in {int(labels[p]) for p in pixels}]


def slow_undersegmentation(labels, truth):
    pixels = both(labels, truth)
    if not pixels:
        return None
    leak = sum(
        min(len(region & segment), len(region - segment))
        for segment in regions_of(truth, pixels)
        for region in regions_of(labels, pixels)
        if region & segment
    )
    return leak / len(pixels)


def slow_accuracy(labels, truth):
    pixels = both(labels, truth)
    if not pixels:
        return None
    segments = regions_of(truth, pixels)
    return sum(max(len(r & s) for s in segments) for r in regions_of(labels, pixels)) / len(pixels)


def sides(p):
    return [(p[0] - 1, p[1]), (p[0] + 1, p[1]), (p[0], p[1] - 1), (p[0], p[1] + 1)]


def slow_boundary(labels, pixels):
    return {p for p in pixels if any(q in pixels and labels[q] != labels[p] for q in sides(p))}


def slow_hits(of, near, r):
    return sum(any(max(abs(y - v), abs(x - u)) <= r for v, u in near) for y, x in of) / len(of)


def slow_recall(labels, truth, tolerance):
    pixels = set(both(labels, truth))
    ours, theirs = slow_boundary(labels, pixels), slow_boundary(truth, pixels)
    return slow_hits(theirs, ours, reach(labels.shape, tolerance)) if theirs else None


def slow_precision(labels, truth, tolerance):
    pixels = set(both(labels, truth))
    ours, theirs = slow_boundary(labels, pixels), slow_boundary(truth, pixels)
    return slow_hits(ours, theirs, reach(labels.shape, tolerance)) if ours and theirs else None


def slow_compactness(labels):
    pixels = [p for p in np.ndindex(labels.shape) if labels[p] >= 0]
    if not pixels:
        return None
    total = 0.0
    for region in regions_of(labels, pixels):
        length = sum(q not in region for p in region for q in sides(p))
        total += len(region) * 4 * math.pi * len(region) / length**2
    return total / len(pixels)


def slow_contrast(image, labels):
    height, width = labels.shape
    luma = image @ np.array([0.299, 0.587, 0.114]) / 255
    weights = ((-1, 1), (0, 2), (1, 1))

    def at(y, x):
        return luma[min(max(y, 0), height - 1), min(max(x, 0), width - 1)]

    def gradient(y, x):
        across = sum(w * (at(y + d, x + 1) - at(y + d, x - 1)) for d, w in weights)
        down = sum(w * (at(y + 1, x + d) - at(y - 1, x + d)) for d, w in weights)
        return math.hypot(across, down)

    pixels = {p for p in np.ndindex(labels.shape) if labels[p] >= 0}
    boundary = slow_boundary(labels, pixels)
    everywhere = sum(gradient(*p) for p in pixels) / max(len(pixels), 1)
    if not boundary or everywhere < 1e-9:
        return None
    return sum(gradient(*p) for p in boundary) / len(boundary) / everywhere


@st.composite
def pairs(draw, least=0):
    """Labels and truth of one shape, blocky so that regions are larger than a pixel."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    shape = rng.integers(1, 9, 2)
    labels, truth = (
        rng.integers(least, draw(st.integers(1, 5)), shape).repeat(rng.integers(1, 3), 1)[:, : shape[1]]
        for _ in range(2)
    )
    if draw(st.booleans()):
        truth = truth * 1_000_003  # names far beyond the number of pixels
    return labels, truth


def defined(value):
    assert value is not None
    return value


def same(found, expected):
    assert (found is None) == (expected is None)
    if found is not None:
        assert found == pytest.approx(expected, abs=1e-12)


@given(pairs(least=-1), st.sampled_from([0.0, 0.0025, 0.1, 0.3, 1.0]))
def test_scores_equal_their_slow_twins(pair, tolerance):
    labels, truth = pair
    same(undersegmentation_error(labels, truth), slow_undersegmentation(labels, truth))
    same(achievable_segmentation_accuracy(labels, truth), slow_accuracy(labels, truth))
    same(boundary_recall(labels, truth, tolerance=tolerance), slow_recall(labels, truth, tolerance))
    same(boundary_precision(labels, truth, tolerance=tolerance), slow_precision(labels, truth, tolerance))
    same(compactness(labels), slow_compactness(labels))


@given(pairs(least=-1), st.integers(0, 1000), st.integers(1, 256))
def test_contrast_equals_its_slow_twin(pair, seed, levels):
    labels, _ = pair
    image = np.random.default_rng(seed).integers(0, levels, (*labels.shape, 3), dtype=np.uint8)
    same(boundary_contrast(image, labels), slow_contrast(image, labels))


@given(pairs(least=-1))
def test_overlaps_count_the_pixels_of_each_pair(pair):
    labels, truth = pair
    pixels = both(labels, truth)
    left, right = (sorted({int(x[p]) for p in pixels}) for x in (labels, truth))
    expected: dict[tuple[int, int], int] = {}
    for p in pixels:
        place = left.index(labels[p]), right.index(truth[p])
        expected[place] = expected.get(place, 0) + 1
    found = overlaps(labels, truth)
    if found is None:
        assert not pixels
    else:
        assert {(r, s): n for r, s, n in zip(*(x.tolist() for x in found), strict=True)} == expected


def test_many_regions_and_many_segments_take_the_sorted_way():
    rng = np.random.default_rng(0)
    labels, truth = rng.permutation(400).reshape(20, 20) // 2, rng.permutation(400).reshape(20, 20) // 3
    same(undersegmentation_error(labels, truth), slow_undersegmentation(labels, truth))
    same(achievable_segmentation_accuracy(labels, truth), slow_accuracy(labels, truth))


# --- what holds for any segmentation -------------------------------------------------------------------


@given(pairs())
def test_a_perfect_segmentation_is_perfect(pair):
    _, truth = pair
    assert undersegmentation_error(truth, truth) == 0
    assert achievable_segmentation_accuracy(truth, truth) == 1
    assert boundary_recall(truth, truth) in {1, None}
    assert boundary_precision(truth, truth) in {1, None}


@given(pairs(), st.integers(0, 1000))
def test_refining_never_harms(pair, seed):
    labels, truth = pair
    finer = labels * 3 + np.random.default_rng(seed).integers(0, 3, labels.shape)
    before, after = (defined(undersegmentation_error(x, truth)) for x in (labels, finer))
    assert after <= before
    before, after = (defined(achievable_segmentation_accuracy(x, truth)) for x in (labels, finer))
    assert after >= before
    if boundary_pixels(truth).any():
        before, after = (defined(boundary_recall(x, truth)) for x in (labels, finer))
        assert after >= before


@given(pairs(least=-1), st.integers(0, 1000))
def test_names_of_regions_mean_nothing(pair, seed):
    labels, truth = pair
    names = np.append(np.random.default_rng(seed).permutation(50), -1)
    for score in (
        undersegmentation_error,
        achievable_segmentation_accuracy,
        boundary_recall,
        boundary_precision,
    ):
        same(score(names[labels], truth), score(labels, truth))
    same(compactness(names[labels]), compactness(labels))
    image = np.random.default_rng(seed).integers(0, 256, (*labels.shape, 3), dtype=np.uint8)
    same(boundary_contrast(image, names[labels]), boundary_contrast(image, labels))


@given(pairs())
def test_the_error_is_at_least_what_accuracy_misses(pair):
    # Each region's pixels outside its best segment leak at least once, and at most all of them twice.
    labels, truth = pair
    missed = 1 - defined(achievable_segmentation_accuracy(labels, truth))
    assert missed - 1e-12 <= defined(undersegmentation_error(labels, truth)) <= 2 * missed + 1e-12


# --- closed forms --------------------------------------------------------------------------------------


def test_undersegmentation_error_in_closed_form():
    # Strips of 4 and 4 against 3 and 5: one column of the first region leaks, charged on both sides.
    assert undersegmentation_error(columns(4, 4), columns(3, 5)) == 2 / 8
    assert undersegmentation_error(columns(8), columns(4, 4)) == 1


def test_achievable_accuracy_in_closed_form():
    assert achievable_segmentation_accuracy(columns(4, 4), columns(3, 5)) == 7 / 8
    assert achievable_segmentation_accuracy(columns(8), columns(2, 6)) == 6 / 8


def test_boundaries_are_both_sides_of_an_edge_and_never_the_images():
    expected = np.zeros((4, 8), dtype=bool)
    expected[:, 2:4] = True
    np.testing.assert_array_equal(boundary_pixels(columns(3, 5)), expected)
    corner = np.array([[1, 0], [0, 0]])
    np.testing.assert_array_equal(boundary_pixels(corner), [[True, True], [True, False]])
    assert not boundary_pixels(np.array([[0, -1, 1]])).any()


@pytest.mark.parametrize(("off", "recall"), [(0, 1.0), (1, 1.0), (2, 0.5), (3, 0.0)])
def test_boundary_recall_in_closed_form(off, recall):
    # Boundaries are columns 9, 10 and 9+off, 10+off; one pixel of tolerance.
    tolerance = 1 / math.hypot(4, 20)
    labels, truth = columns(10 + off, 10 - off), columns(10, 10)
    assert boundary_recall(labels, truth, tolerance=tolerance) == recall
    assert boundary_precision(labels, truth, tolerance=tolerance) == recall


def test_needless_boundaries_cost_precision_and_not_recall():
    labels, truth = columns(10, 5, 5), columns(10, 10)
    assert boundary_recall(labels, truth, tolerance=0) == 1
    assert boundary_precision(labels, truth, tolerance=0) == 0.5


def step(*values, width=10):
    """Grey strips of these values, side by side."""
    image = np.tile(np.repeat(np.array(values, dtype=np.uint8), width), (4, 1))
    return np.repeat(image[:, :, None], 3, axis=2)


@pytest.mark.parametrize(("off", "contrast"), [(0, 10.0), (1, 5.0), (-1, 5.0), (2, 0.0), (5, 0.0)])
def test_boundary_contrast_in_closed_form(off, contrast):
    # The step's gradient is on columns 9 and 10 of 20, alike; the boundary on 9+off and 10+off.
    found = [boundary_contrast(image, columns(10 + off, 10 - off)) for image in (step(0, 255), step(90, 70))]
    assert found == pytest.approx([contrast] * 2)


def test_boundaries_on_the_stronger_of_two_edges_have_more_contrast():
    # Gradients 1 : 3 on two columns of 30 each: mean 8/30.
    image = step(100, 110, 140)
    assert boundary_contrast(image, columns(10, 20)) == pytest.approx(1 / (8 / 30))
    assert boundary_contrast(image, columns(20, 10)) == pytest.approx(3 / (8 / 30))


def test_boundaries_everywhere_have_a_contrast_of_one():
    image = np.random.default_rng(0).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    assert boundary_contrast(image, np.arange(42).reshape(6, 7)) == pytest.approx(1)


def test_blind_boundaries_have_a_contrast_of_about_one():
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    blind = np.kron(rng.integers(0, 1000, (8, 8)), np.ones((8, 8), dtype=int))
    assert boundary_contrast(image, blind) == pytest.approx(1, abs=0.05)


def test_luma_weighs_the_colours():
    # Steps of 100 in red and of 100 in green, each on two columns of 30.
    image = np.zeros((4, 30, 3), dtype=np.uint8)
    image[:, 10:, 0] = image[:, 20:, 1] = 100
    mean = 2 * (0.299 + 0.587) / 30
    assert boundary_contrast(image, columns(10, 20)) == pytest.approx(0.299 / mean)
    assert boundary_contrast(image, columns(20, 10)) == pytest.approx(0.587 / mean)


def test_only_pixels_with_a_label_count_for_contrast():
    labels = columns(10, 10)
    labels[:, :5] = -1
    assert boundary_contrast(step(0, 255), labels) == pytest.approx(7.5)
    labels = columns(4, 4, 12)
    labels[:, 8:] = -1
    assert boundary_contrast(step(0, 255), labels) is None  # flat where it is looked at


@pytest.mark.parametrize(
    ("shape", "pixels"), [((321, 481), 1), ((96, 96), 0), ((600, 800), 3), ((160, 120), 1), ((800, 600), 3)]
)
def test_tolerance_is_a_rounded_share_of_the_diagonal(shape, pixels):
    # 1.446, 0.339, 2.5 (halves go up), 0.5 (likewise), 2.5
    assert reach(shape, 0.0025) == pixels


def test_compactness_in_closed_form():
    # Squares: π/4. A strip of a × b: 4π·ab / (2a+2b)².
    assert compactness(np.zeros((5, 5), dtype=int)) == pytest.approx(math.pi / 4)
    assert compactness(columns(4, 4)) == pytest.approx(math.pi / 4)
    strips = [4 * math.pi * 4 * w / (8 + 2 * w) ** 2 for w in (1, 3)]
    assert compactness(columns(1, 3)) == pytest.approx((4 * strips[0] + 12 * strips[1]) / 16)


def test_a_hole_and_a_second_piece_lengthen_the_perimeter():
    ring = np.zeros((3, 3), dtype=int)
    ring[1, 1] = 1
    expected = (8 * 4 * math.pi * 8 / 16**2 + 1 * 4 * math.pi * 1 / 4**2) / 9
    assert compactness(ring) == pytest.approx(expected)
    assert compactness(np.array([[0, 1, 0]])) == pytest.approx((2 * 8 * math.pi / 64 + 4 * math.pi / 16) / 3)


def test_pixels_outside_the_view_count_for_nothing():
    labels, truth = columns(4, 4), columns(3, 5)
    labels[:, 3] = -1
    assert undersegmentation_error(labels, truth) == 0
    assert achievable_segmentation_accuracy(labels, truth) == 1
    assert boundary_recall(labels, truth) is None  # the truth's only edge has a side outside
    assert compactness(np.full((2, 2), -1)) is None
    assert undersegmentation_error(np.full((4, 8), -1), truth) is None


# --- as metrics ----------------------------------------------------------------------------------------


def scored(truth="segments", names=ALL, tolerance=0.0025, **changes):
    labels = columns(4, 4)
    image = np.zeros((4, 8, 3), dtype=np.uint8)
    image[:, 4:] = 90
    parts = {"image": image, "labels": labels, "n_regions": 2, "target": None, "truth": truth} | changes
    found = RegionScores(names=names, boundary_tolerance=tolerance)(Scene(**parts))
    return {score.name: score for score in found}


def test_annotators_are_averaged():
    found = scored(segmentations=(columns(4, 4) + 1, columns(3, 5) + 7))
    assert found["undersegmentation_error"].value == pytest.approx((0 + 2 / 8) / 2)
    assert found["achievable_segmentation_accuracy"].value == pytest.approx((1 + 7 / 8) / 2)
    # No tolerance on so small an image: columns 3, 4 against 3, 4 and 2, 3.
    assert found["boundary_recall"].value == pytest.approx((1 + 0.5) / 2)
    assert found["boundary_precision"].value == pytest.approx((1 + 0.5) / 2)
    assert "mean over the annotators" in found["boundary_recall"].conventions["truth"]
    assert "0.0025 of the image's diagonal" in found["boundary_recall"].conventions["tolerance"]
    assert "min form" in found["undersegmentation_error"].conventions["variant"]
    assert found["object_iou"].value is None
    assert "no object" in found["object_iou"].reason


def test_the_tolerance_is_an_option():
    found = scored(tolerance=0.12, segmentations=(columns(3, 5),))
    assert found["boundary_recall"].value == 1


def test_annotators_without_a_boundary_are_left_out_of_boundary_scores_only():
    found = scored(segmentations=(columns(4, 4), columns(8)))
    assert found["boundary_recall"].value == found["boundary_precision"].value == 1
    assert found["achievable_segmentation_accuracy"].value == 1


@pytest.mark.parametrize(("truth", "suffix"), [("mask", ""), ("box", "_box")])
def test_an_object_and_the_rest_are_two_segments(truth, suffix):
    found = scored(truth, target=columns(3, 5) == 1)
    assert list(found) == [name + suffix if name in (*AGAINST_TRUTH, "object_iou") else name for name in ALL]
    assert list(found) == RegionScores(names=ALL).titles(truth)
    assert found[f"undersegmentation_error{suffix}"].value == 2 / 8
    assert found[f"achievable_segmentation_accuracy{suffix}"].value == 7 / 8
    assert found[f"boundary_recall{suffix}"].value == 0.5


@pytest.mark.parametrize("truth", ["mask", "segments"])
def test_ignored_pixels_are_left_out(truth):
    ignore = columns(3, 1, 4) == 1
    wanted = columns(3, 5)
    found = scored(truth, target=wanted == 1, segmentations=(wanted.astype(np.int32),), ignore=ignore)
    assert found["undersegmentation_error"].value == 0
    assert found["achievable_segmentation_accuracy"].value == 1
    assert found["boundary_recall"].value is None


@pytest.mark.parametrize(
    ("changes", "names", "reason"),
    [
        ({"truth": None}, AGAINST_TRUTH, "no masks, boxes or segmentations"),
        ({}, AGAINST_TRUTH, "no segmentation for this image"),
        ({"truth": "mask"}, AGAINST_TRUTH, "no mask for this image"),
        ({"truth": "mask", "target": np.zeros((4, 8), dtype=bool)}, AGAINST_TRUTH, "has no pixels"),
        ({"truth": "mask", "target": np.ones((4, 8), dtype=bool)}, AGAINST_TRUTH[2:], "no boundary in the"),
        ({"segmentations": (columns(8),)}, AGAINST_TRUTH[2:], "no boundary in the truth"),
        (
            {"segmentations": (columns(4, 4),), "labels": columns(8)},
            ["boundary_precision"],
            "with one region",
        ),
        ({"segmentations": (columns(8) - 1,)}, AGAINST_TRUTH[:2], "both a label and a truth"),
        ({"labels": columns(8) - 1}, ["compactness"], "no pixel has a label"),
        ({"labels": columns(8)}, ["boundary_contrast"], "one region has no boundary"),
        ({"image": np.full((4, 8, 3), 7, dtype=np.uint8)}, ["boundary_contrast"], "the image is flat"),
    ],
)
def test_undefined_is_a_reason_not_a_zero(changes, names, reason):
    found = scored(**{"truth": "segments", **changes})
    for name in names:
        assert found[name].value is None
        assert reason in found[name].reason


def test_one_region_recalls_nothing():
    assert (
        scored(labels=columns(8), n_regions=1, segmentations=(columns(4, 4),))["boundary_recall"].value == 0
    )


@pytest.mark.parametrize("tolerance", [-0.1, 1.5, float("nan")])
def test_a_tolerance_out_of_range_is_named(tolerance):
    with pytest.raises(UsageError, match="metric.boundary_tolerance"):
        RegionScores(boundary_tolerance=tolerance)
