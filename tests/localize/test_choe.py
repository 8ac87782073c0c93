"""The published protocol: every box and decision as the straightforward procedure gives them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from nasbench.localize import choe, choe_boxes, choe_decisions, contours, finders, levels
from nasbench.localize.choe import choe_gt_boxes, choe_thresholds, choe_upsample
from nasbench.localize.maps import MapError
from tests.localize.maps import KINDS, make_map
from tests.localize.twins import inclusive_iou, published_boxes, published_decisions
from tests.support.realdata import realdata

GRID = np.linspace(0, 1, 97)
DENSE = np.linspace(0, 1, 301)
ODD = np.array([0.999, -0.3, 0.0, 1.0, 0.5, 0.5, 2.0, 1 / 255, 0.25, -0.0])


def golden():
    path = realdata().parent / "golden" / "wsol.npz"
    if not path.is_file():
        pytest.skip("no golden file")
    return np.load(path)


CONTOURS: tuple[choe.Contours, ...] = ("largest", "all")


@pytest.mark.realdata
def test_the_golden_file_to_the_last_bit():
    data = golden()
    thresholds = data["thresholds"]
    assert np.array_equal(thresholds, choe_thresholds())
    ends = np.cumsum(data["gt_count"])
    for i, scores in enumerate(data["maps"]):
        truth = data["gt_boxes"][ends[i] - data["gt_count"][i] : ends[i]]
        assert np.array_equal(choe_boxes(scores, thresholds), data["largest_boxes"][i])
        for which, name in zip(CONTOURS, ("correct_largest", "correct_multi"), strict=True):
            wanted = np.unpackbits(data[name][i], axis=-1)[:, : len(thresholds)]
            assert np.array_equal(choe_decisions(scores, truth, thresholds, contours=which), wanted)


@pytest.mark.realdata
def test_ground_truth_of_the_golden_file_from_the_annotation():
    boxes = choe_gt_boxes([[10, 81, 179, 207], [55, 25, 194, 91]], (227, 227))
    assert np.array_equal(boxes, golden()["gt_boxes"][:2])


@pytest.fixture(params=["as shipped", "no shortcut", "every shortcut", "components", "no runs"])
def shortcuts(request, monkeypatch):
    """Shortcuts that depend on numbers of levels or contours, or on OpenCV, always and never taken."""
    always = request.param in {"every shortcut", "components"}
    if request.param != "as shipped":
        monkeypatch.setattr(levels, "_FEW", 0 if always else 10**9)
        monkeypatch.setattr(contours, "_MANY", 0 if request.param == "components" else 10**9)
    if request.param in {"no shortcut", "no runs"}:
        monkeypatch.setattr(contours, "fastest", lambda: finders.by_contours)
    if request.param == "no runs":
        monkeypatch.setattr(levels, "_FEW", 0)


def test_every_finder_finds_the_same_boxes():
    assert finders.fastest() is finders.by_runs, "OpenCV draws linked runs another way: this is but slower"
    rng = np.random.default_rng(0)
    for _ in range(1000):
        count, height, width = rng.integers(1, [5, 24, 24])
        share = rng.random((count, 1, 1))
        stack = (rng.random((count, height + 1, width)) < share).astype(np.uint8)
        stack[:, -1] = 0
        least = float(rng.integers(0, 40))
        wanted = finders.by_contours(stack, least)
        for finder in (finders.by_runs, finders.by_components):
            for one, other in zip(finder(stack, least), wanted, strict=True):
                assert sorted(one.pieces) == sorted(other.pieces)
                assert sorted(one.holes) == sorted(other.holes)
                assert one.contours == other.contours


@pytest.mark.usefixtures("shortcuts")
@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_twin_on_small_maps(kind):
    for seed in range(12):
        check_against_twin(kind, seed, (17, 23), GRID)
        check_against_twin(kind, seed, (9, 4), ODD)


@pytest.mark.usefixtures("shortcuts")
@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_twin_on_many_maps(kind):
    rng = np.random.default_rng(KINDS.index(kind))
    for seed in range(100, 140):
        size = tuple(int(n) for n in rng.integers(1, 40, 2))
        check_against_twin(kind, seed, size, GRID)


@pytest.mark.parametrize("kind", ["smooth", "wavy", "noise", "plateaus"])
def test_equals_the_twin_at_full_size(kind):
    thresholds = np.linspace(0, 1, 31)
    check_against_twin(kind, 0, (224, 224), thresholds, boxes=[[60, 40, 170, 200]])


@pytest.mark.parametrize("contour", CONTOURS)
@pytest.mark.parametrize("steps", [0, 32, 200])
@pytest.mark.parametrize("coarse", [4, 7, 12])
def test_equals_the_twin_where_much_is_left_unsearched(coarse, steps, contour):
    for seed in range(6):
        rng = np.random.default_rng([seed, coarse, steps])
        scores = cv2.resize(rng.random((coarse, coarse)), (70, 60), interpolation=cv2.INTER_CUBIC)
        scores = (scores - scores.min()) / np.ptp(scores)
        if steps:
            scores = np.floor(scores * (steps - 0.01)) / (steps - 1)
        x0, y0 = rng.integers(0, 40, 2)
        truth = [[x0, y0, x0 + 25, y0 + 18], [5, 5, 50, 52]][: seed % 2 + 1]
        iou = ((0.3, 0.5, 0.7), (0.05,), (0.9, 0.5), (1.0, 0.45, 0.55))[seed % 4]
        found = choe_decisions(scores, truth, DENSE, contours=contour, iou=iou)
        assert np.array_equal(found, published_decisions(scores, truth, DENSE, contours=contour, iou=iou))
        assert np.array_equal(choe_boxes(scores, DENSE), published_boxes(scores, DENSE))


def test_few_searches_are_left_on_a_smooth_map(monkeypatch):
    scores = make_map("smooth", 3, (100, 100))
    calls: list[str] = []

    def counted(name, original):
        def call(*args, **options):
            calls.append(name)
            return original(*args, **options)

        return call

    for name in ("findContours", "findContoursLinkRuns"):
        monkeypatch.setattr(cv2, name, counted(name, getattr(cv2, name)))
    for which in CONTOURS:
        calls.clear()
        choe_decisions(scores, [[20, 30, 70, 80]], choe_thresholds(), contours=which)
        assert 0 < len(calls) < 80, "of 255 levels"


def nested():
    """Rings in rings, each brighter, with a spot in the middle."""
    scores = np.zeros((41, 47))
    for i, step in enumerate(range(1, 20, 3)):
        scores[step : 41 - step, step : 47 - step] = 0 if i % 2 else (i + 1) / 7
    return scores


def checkers(step):
    return ((np.add.outer(np.arange(24) // step, np.arange(30) // step)) % 2).astype(float)


def pixel(y, x):
    scores = np.zeros((16, 19))
    scores[y, x] = 1
    return scores


@pytest.mark.usefixtures("shortcuts")
@pytest.mark.parametrize(
    "scores",
    [
        nested(), 1 - nested(), nested() * np.linspace(1, 0.5, 47),
        checkers(1), checkers(2), checkers(5), checkers(1) * np.linspace(0.1, 1, 30),
        np.zeros((9, 9)), np.ones((9, 9)), np.full((9, 9), 0.4),
        pixel(0, 0), pixel(15, 18), pixel(7, 3), 1 - pixel(7, 3), 1 - pixel(0, 5), 0.5 * pixel(8, 8) + 0.25,
    ],
)  # fmt: skip
def test_equals_the_twin_on_maps_made_to_mislead(scores):
    thresholds = np.linspace(0, 1, 60)
    truth = [[3, 2, 9, 13]]
    assert np.array_equal(choe_boxes(scores, thresholds), published_boxes(scores, thresholds))
    for which in CONTOURS:
        found = choe_decisions(scores, truth, thresholds, contours=which, iou=(0.02, 0.3, 0.5, 0.7))
        wanted = published_decisions(scores, truth, thresholds, contours=which, iou=(0.02, 0.3, 0.5, 0.7))
        assert np.array_equal(found, wanted)


def check_against_twin(kind, seed, size, thresholds, boxes=None):
    scores = make_map(kind, seed, size, dtype=(np.float32, np.float64)[seed % 2])
    assert np.array_equal(choe_boxes(scores, thresholds), published_boxes(scores, thresholds))
    if boxes is None:
        rng = np.random.default_rng(seed)
        corners = np.sort(rng.integers(0, [[size[1]] * 2, [size[0]] * 2], size=(3, 2, 2)), axis=2)
        boxes = corners.transpose(0, 2, 1).reshape(3, 4)[: seed % 3 + 1]
    for which in CONTOURS:
        found = choe_decisions(scores, boxes, thresholds, contours=which)
        wanted = published_decisions(scores, boxes, thresholds, contours=which)
        assert np.array_equal(found, wanted), (kind, seed, size, which)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 2)])
def test_the_smallest_maps(size):
    for seed in range(8):
        check_against_twin("noise", seed, size, ODD)
        check_against_twin("two levels", seed, size, ODD)


def test_one_square_by_hand():
    scores = np.zeros((20, 30), dtype=np.float32)
    scores[4:9, 10:16] = 1
    # A pixel wider than inclusive corners would be, and none at all at the highest threshold.
    assert choe_boxes(scores, [0.0, 0.5, 1.0]).tolist() == [[10, 4, 16, 9], [10, 4, 16, 9], [0, 0, 0, 0]]
    scores[4:, 10:] = 1
    assert choe_boxes(scores, [0.0]).tolist() == [[10, 4, 29, 19]]


def test_the_contour_of_a_hole_counts_among_all():
    scores = np.zeros((40, 40), dtype=np.float32)
    scores[2:38, 2:38] = 1
    scores[10:30, 12:28] = 0
    # The hole's contour runs through the pixels around it; the box is one wider still.
    hole = [11, 9, 29, 31]
    assert choe_decisions(scores, [hole], [0.5], contours="all", iou=[1.0]).all()
    assert not choe_decisions(scores, [hole], [0.5], iou=[0.9]).any()


def test_iou_counts_both_corners_and_any_truth_will_do():
    scores = np.zeros((20, 20), dtype=np.float32)
    scores[2:6, 2:6] = 1
    box = choe_boxes(scores, [0.5])[0]
    iou = inclusive_iou(box, [2, 2, 5, 5])
    assert iou == pytest.approx(16 / 25)
    assert choe_decisions(scores, [[2, 2, 5, 5]], [0.5], iou=[iou, iou + 1e-9]).ravel().tolist() == [
        True,
        False,
    ]
    assert choe_decisions(scores, [[12, 12, 15, 15], [2, 2, 6, 6]], [0.5], iou=[1.0]).all()


def test_nothing_found_is_a_box_at_the_origin():
    scores = np.zeros((8, 8), dtype=np.float32)
    assert choe_boxes(scores, GRID).tolist() == [[0, 0, 0, 0]] * len(GRID)
    for which in CONTOURS:
        assert choe_decisions(scores, [[0, 0, 0, 0]], [0.5], contours=which, iou=[1.0]).all()


def test_aggregates_by_hand():
    right = np.zeros((2, 3, 4), dtype=bool)
    right[0, :, 0] = True
    right[1, 0, 1:3] = True
    right[0, 0, 2] = True
    curve = choe.accuracy_over_thresholds(right)
    assert curve.tolist() == [[0.5, 0.5, 1.0, 0.0], [0.5, 0, 0, 0], [0.5, 0, 0, 0]]
    assert choe.max_box_acc(right) == 0.5
    assert choe.max_box_acc(right, at=0.3) == 1.0
    assert choe.max_box_acc_v2(right) == pytest.approx((1 + 0.5 + 0.5) / 3)
    with pytest.raises(ValueError, match="at=0.4"):
        choe.max_box_acc(right, at=0.4)
    with pytest.raises(ValueError, match="no image"):
        choe.max_box_acc_v2(right[:0])


def test_upsampling():
    scores = np.random.default_rng(0).standard_normal((7, 7)).astype(np.float32)
    large = choe_upsample(scores)
    by_hand = cv2.resize(scores, (224, 224), interpolation=cv2.INTER_CUBIC)
    by_hand -= by_hand.min()
    by_hand /= by_hand.max()
    assert large.dtype == np.float32
    assert np.array_equal(large, by_hand)
    assert choe_upsample(scores, 32).shape == (32, 32)
    for dull in (np.full((7, 7), 3.0), np.where(scores > 0, np.nan, scores)):
        assert not choe_upsample(dull).any()
    with pytest.raises(MapError, match="infinite") as caught:
        choe_upsample(np.where(scores > 0, np.inf, scores))
    assert caught.value.fault == "infinite"


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (np.full((4, 4), np.nan), "NaN"),
        (np.full((4, 4), np.inf), "infinite"),
        (np.full((4, 4), 1.5), "range"),
        (np.full((4, 4), -0.1), "range"),
        (np.zeros((0, 4)), "shape"),
        (np.zeros((1, 4, 4)), "shape"),
        (np.full((4, 4), "a"), "shape"),
    ],
)
def test_bad_maps_are_named(bad, fault):
    for call in (lambda: choe_boxes(bad, [0.5]), lambda: choe_decisions(bad, [[0, 0, 1, 1]], [0.5])):
        with pytest.raises(MapError) as caught:
            call()
        assert caught.value.fault == fault
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([], "no ground-truth box"),
        (np.zeros((0, 4)), "no ground-truth box"),
        ([[3, 3, 2, 5]], "box 1 .3 3 2 5. is inverted"),
        ([[0, 0, 1, 1], [0, np.nan, 1, 1]], "box 2"),
        ([[0, 0, np.inf, 1]], "box 1"),
        ([[0, 0, 1]], "shape"),
    ],
)
def test_bad_boxes_are_named(boxes, message):
    with pytest.raises(ValueError, match=message):
        choe_decisions(np.eye(4), boxes, [0.5])


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="contours='both'"):
        choe_decisions(np.eye(4), [[0, 0, 1, 1]], [0.5], contours="both")  # type: ignore[arg-type]
    for iou in ([], [0.0], [1.1], [np.nan]):
        with pytest.raises(ValueError, match="iou="):
            choe_decisions(np.eye(4), [[0, 0, 1, 1]], [0.5], iou=iou)
    for thresholds in ([np.nan], [[0.5]], 0.5):
        with pytest.raises(ValueError, match="thresholds"):
            choe_boxes(np.eye(4), thresholds)


def test_whole_numbers_are_maps_too():
    assert choe_boxes(np.eye(4, dtype=bool), [0.5]).tolist() == choe_boxes(np.eye(4), [0.5]).tolist()


def test_no_threshold_gives_no_box():
    assert choe_boxes(np.eye(4), []).shape == (0, 4)
    for which in CONTOURS:
        assert choe_decisions(np.eye(4), [[0, 0, 1, 1]], [], contours=which).shape == (3, 0)
