"""Pixel scores over all thresholds against the same, image by image and threshold by threshold."""

from __future__ import annotations

import numpy as np
import pytest

from nasbench.localize.choe import choe_thresholds
from nasbench.localize.pixel_curves import PixelCurves
from nasbench.localize.pixel_scores import overlap_at, px_ap, score_histogram

RNG = np.random.default_rng(0)
THRESHOLDS = choe_thresholds(0.05)
# Values on the thresholds, between them, and 1.
MAPS = [np.append(RNG.integers(0, 41, 35) / 40, 1.0).reshape(6, 6) for _ in range(12)]
MASKS = [RNG.random((6, 6)) < 0.4 for _ in MAPS]
HISTOGRAMS = [score_histogram(m, g, THRESHOLDS) for m, g in zip(MAPS, MASKS, strict=True)]
CURVES = PixelCurves.of([[h.inside, h.outside] for h in HISTOGRAMS])
AT = np.append(THRESHOLDS, 1)


def test_iou_and_f1_are_those_of_the_map_at_each_threshold():
    for i, (values, mask) in enumerate(zip(MAPS, MASKS, strict=True)):
        overlap = overlap_at(values, mask, AT)
        assert overlap is not None
        np.testing.assert_allclose(CURVES.iou[i], overlap.iou)
        np.testing.assert_allclose(CURVES.f1[i], overlap.f1)


def test_px_ap_is_that_of_all_drawn_images_pooled():
    counts = np.array([[1] * 12, [0, 2] * 6, [3] + [0] * 11])
    expected = [
        px_ap([one for one, n in zip(HISTOGRAMS, row, strict=True) for _ in range(n)])
        for row in counts.tolist()
    ]
    np.testing.assert_allclose(CURVES.px_ap(counts), expected)


def test_each_fold_is_judged_at_the_threshold_of_the_others():
    fold = np.arange(12) % 3
    counts = np.stack([np.ones(12, dtype=np.int64), RNG.multinomial(12, np.full(12, 1 / 12))])
    for row, (iou, f1) in zip(counts, CURVES.cross_fitted(fold, counts).tolist(), strict=True):
        total = np.zeros(2)
        for i in range(12):
            others = [(k, n) for k, n in enumerate(row.tolist()) if fold[k] != fold[i]]
            means = [sum(n * CURVES.iou[k, t] for k, n in others) for t in range(len(AT))]
            best = int(np.argmax(means))
            total += row[i] * np.array([CURVES.iou[i, best], CURVES.f1[i, best]])
        np.testing.assert_allclose([iou, f1], total / row.sum())


def test_a_perfect_map_is_perfect():
    mask = MASKS[0]
    found = score_histogram(mask.astype(float), mask, THRESHOLDS)
    curves = PixelCurves.of([[found.inside, found.outside]] * 2)
    np.testing.assert_allclose(curves.px_ap(np.ones((1, 2), dtype=np.int64)), 1)
    np.testing.assert_allclose(curves.cross_fitted(np.array([0, 1]), np.ones((1, 2), dtype=np.int64)), 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((3, 4)), "not (3, 4)"),
        (np.zeros((3, 3, 4)), "not (3, 3, 4)"),
        (np.array([[[0, 0], [3, 1]]]), "image 0 has no pixel of an object"),
    ],
)
def test_what_are_no_histograms(given, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace(")", r"\)")):
        PixelCurves.of(given)
