"""Maps against masks: closed forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nasbench.localize.maps import MapError
from nasbench.localize.pixel_scores import (
    overlap_at,
    pointing,
    px_ap,
    relevance_mass,
    relevance_rank,
    score_histogram,
    soft_f1,
    soft_iou,
)

MASK = np.array([[True, True, False, False]])
SCORES = np.array([[0.9, 0.5, 0.5, 0.1]])


def test_overlap_by_hand():
    found = overlap_at(SCORES, MASK, [0.0, 0.1, 0.5, 0.6, 0.9, 1.0])
    assert found is not None
    assert found.iou == pytest.approx([2 / 4, 2 / 4, 2 / 3, 1 / 2, 1 / 2, 0])
    assert found.f1 == pytest.approx([4 / 6, 4 / 6, 4 / 5, 2 / 3, 2 / 3, 0])


def test_overlap_equals_the_twin():
    rng = np.random.default_rng(0)
    scores, mask, ignore = rng.random((9, 11)), rng.random((9, 11)) < 0.3, rng.random((9, 11)) < 0.2
    thresholds = [*np.linspace(0, 1, 13), *scores[0]]
    found = overlap_at(scores, mask, thresholds, ignore=ignore)
    assert found is not None
    for i, t in enumerate(thresholds):
        kept, inside = (scores >= t) & ~ignore, mask & ~ignore
        assert found.iou[i] == (kept & inside).sum() / (kept | inside).sum()
        assert found.f1[i] == 2 * (kept & inside).sum() / (kept.sum() + inside.sum())


def test_soft_scores_by_hand():
    assert soft_iou(SCORES, MASK) == pytest.approx(1.4 / 2.6)
    assert soft_f1(SCORES, MASK) == pytest.approx(2.8 / (2.8 + 0.6 + 0.6))
    # On a binary map they are the plain ones.
    binary = (SCORES >= 0.5).astype(float)
    plain = overlap_at(SCORES, MASK, [0.5])
    assert plain is not None
    assert soft_iou(binary, MASK) == pytest.approx(plain.iou[0])
    assert soft_f1(binary, MASK) == pytest.approx(plain.f1[0])


def test_mass_by_hand():
    assert relevance_mass([[3.0, -5.0, 1.0, -1.0]], MASK) == pytest.approx(0.75)
    assert relevance_mass([[-3.0, -5.0, 0.0, -1.0]], MASK) is None
    assert relevance_mass(np.full((1, 4), 0.2), MASK) == pytest.approx(0.5)
    assert relevance_mass(np.full((1, 4), 1e308), MASK) == pytest.approx(0.5)


def test_rank_by_hand():
    assert relevance_rank([[4.0, 1.0, 3.0, 2.0]], MASK) == pytest.approx(0.5)
    assert relevance_rank([[4.0, 3.0, 1.0, 2.0]], MASK) == 1
    # One place is left for two pixels of which one is the object's: half a hit on average.
    assert relevance_rank(SCORES, MASK) == pytest.approx(0.75)
    assert relevance_rank(np.zeros((1, 4)), MASK) == pytest.approx(0.5)
    assert relevance_rank(np.zeros((1, 4)), np.ones((1, 4), dtype=bool)) == 1


def test_rank_is_the_mean_over_all_ways_to_break_ties():
    rng = np.random.default_rng(0)
    scores, mask = rng.integers(0, 4, (5, 6)).astype(float), rng.random((5, 6)) < 0.4
    size = mask.sum()
    hits = []
    for _ in range(4000):
        order = np.lexsort((rng.random(30), -scores.ravel()))[:size]
        hits.append(mask.ravel()[order].mean())
    assert relevance_rank(scores, mask) == pytest.approx(np.mean(hits), abs=0.01)


def point(y, x, size=(60, 60)):
    scores = np.zeros(size)
    scores[y, x] = 1
    return scores


def test_pointing_is_strict_about_its_tolerance():
    mask = np.zeros((60, 60), dtype=bool)
    mask[30, 30] = True
    # A disc of radius 15 without its rim, as TorchRay draws it: (9, 12, 15) is a right triangle.
    for y, x, hit in (
        (30, 30, 1),
        (30, 44, 1),
        (30, 45, 0),
        (39, 42, 0),
        (38, 42, 1),
        (16, 30, 1),
        (15, 30, 0),
    ):
        assert pointing(point(y, x), mask) == hit
    assert pointing(point(30, 31), mask, tolerance=0) == 0
    assert pointing(point(30, 30), mask, tolerance=0) == 1
    assert pointing(point(30, 31), mask, tolerance=1.5) == 1


def test_pointing_equals_the_disc():
    rng = np.random.default_rng(0)
    ys, xs = np.mgrid[:40, :50]
    for _ in range(60):
        mask = rng.random((40, 50)) < 0.002
        mask[rng.integers(40), rng.integers(50)] = True
        y, x = int(rng.integers(40)), int(rng.integers(50))
        hit = (mask & ((ys - y) ** 2 + (xs - x) ** 2 < 15**2)).any()
        assert pointing(point(y, x, (40, 50)), mask) == hit


def test_pointing_with_ties():
    mask = np.zeros((1, 100), dtype=bool)
    mask[0, 0] = True
    scores = np.zeros((1, 100))
    assert pointing(scores, mask) == pytest.approx(0.15)  # the share of points nearer than 15
    assert pointing(scores, mask, ties="first") == 1
    scores[0, [50, 0]] = 1
    assert pointing(scores, mask) == 0.5
    assert pointing(scores[:, ::-1], mask, ties="first") == 0
    ignore = np.zeros((1, 100), dtype=bool)
    ignore[0, 50] = True
    assert pointing(scores, mask, ignore=ignore) == 1


def test_px_ap_by_hand():
    histogram = score_histogram(SCORES, MASK, [0.0, 0.3, 0.6])
    assert histogram.inside.tolist() == [0, 1, 1, 0]
    assert histogram.outside.tolist() == [1, 1, 0, 0]
    assert px_ap([histogram]) == pytest.approx(1 * 0.5 + (2 / 3) * 0.5)
    # Scores of 1 have a bin of their own; two images are pooled.
    other = score_histogram(np.array([[1.0, 0.0]]), np.array([[False, False]]), [0.0, 0.3, 0.6])
    assert other.outside.tolist() == [1, 0, 0, 1]
    assert px_ap([histogram, other]) == pytest.approx(0.5 * 0.5 + 0.5 * 0.5)
    assert px_ap([score_histogram(MASK.astype(float), MASK, [0.0, 0.5])]) == 1


def test_px_ap_equals_the_published_sum():
    rng = np.random.default_rng(0)
    thresholds = np.arange(0, 1, 0.01)
    edges = np.append(thresholds, [1.0, 2.0, 3.0])
    true, false, histograms = np.zeros(102), np.zeros(102), []
    for _ in range(3):
        mask = rng.random((20, 20)) < 0.4
        scores = np.clip(rng.random((20, 20)) + 0.2 * mask, 0, 1).astype(np.float32)
        ignore = rng.random((20, 20)) < 0.1
        true += np.histogram(scores[mask & ~ignore], bins=edges)[0]
        false += np.histogram(scores[~mask & ~ignore], bins=edges)[0]
        histograms.append(score_histogram(scores, mask, thresholds, ignore=ignore))
    hits, kept = true[::-1].cumsum(), (true + false)[::-1].cumsum()
    wanted = sum(hits[i] / kept[i] * (hits[i] - hits[i - 1]) / hits[-1] for i in range(1, 102) if kept[i])
    assert px_ap(histograms) == pytest.approx(wanted)


SCORERS: list[Callable[..., Any]] = [
    soft_iou,
    soft_f1,
    relevance_mass,
    relevance_rank,
    pointing,
    lambda m, k, **o: overlap_at(m, k, [0.5], **o),
    lambda m, k, **o: score_histogram(m, k, [0.0, 0.5], **o),
]


@pytest.mark.parametrize("score", SCORERS)
def test_bad_input_is_named(score):
    for bad, fault in ((np.nan, "NaN"), (np.inf, "infinite")):
        with pytest.raises(MapError) as caught:
            score(np.where(MASK, bad, 0.5), MASK)
        assert caught.value.fault == fault
    with pytest.raises(ValueError, match="the mask is bool"):
        score(SCORES, MASK[:, :3])
    with pytest.raises(ValueError, match="the mask is int64"):
        score(SCORES, MASK.astype(np.int64))
    with pytest.raises(ValueError, match="the ignore mask"):
        score(SCORES, MASK, ignore=MASK[:, :3])


@pytest.mark.parametrize("score", SCORERS[:-1])
def test_without_an_object_there_is_no_score(score):
    assert score(SCORES, np.zeros_like(MASK)) is None
    assert score(SCORES, MASK, ignore=MASK) is None
    assert score(SCORES, MASK, ignore=np.ones_like(MASK)) is None


def test_maps_beyond_the_unit_range_are_refused_where_it_matters():
    for score in (soft_iou, soft_f1, lambda m, k: score_histogram(m, k, [0.0])):
        for scores in (SCORES - 0.2, SCORES + 0.2):
            with pytest.raises(MapError, match="not in .0, 1.") as caught:
                score(scores, MASK)
            assert caught.value.fault == "range"


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="ties='last'"):
        pointing(SCORES, MASK, ties="last")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="tolerance=-1"):
        pointing(SCORES, MASK, tolerance=-1)
    with pytest.raises(ValueError, match="thresholds"):
        overlap_at(SCORES, MASK, [np.nan])
    for thresholds in ([], [0.1, 0.5], [0.0, 0.5, 0.5], [0.0, 1.0]):
        with pytest.raises(ValueError, match="rise from 0"):
            score_histogram(SCORES, MASK, thresholds)
    with pytest.raises(ValueError, match="different thresholds"):
        score_histogram(SCORES, MASK, [0.0]) + score_histogram(SCORES, MASK, [0.0, 0.5])
    for histograms in ([], [score_histogram(SCORES, ~MASK & MASK, [0.0])]):
        with pytest.raises(ValueError, match="no recall"):
            px_ap(histograms)
