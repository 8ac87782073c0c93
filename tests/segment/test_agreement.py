"""Agreement of two labellings: closed forms, other people's code, and what must hold for any two."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from nasbench.segment.agreement import adjusted_rand, matched_iou

BOTH = (adjusted_rand, matched_iou)


def columns(*widths, height=4):
    """Vertical strips of these widths, named 0, 1, ..."""
    return np.tile(np.repeat(np.arange(len(widths)), widths), (height, 1))


@st.composite
def pairs(draw, least=0):
    """Two labellings of one shape with a pixel in common; unrelated, or the second a noisy copy."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    shape = rng.integers(1, 9, 2)
    a, b = (rng.integers(least, draw(st.integers(1, 6)), shape) for _ in range(2))
    if draw(st.booleans()):
        b = np.where(rng.random(shape) < 0.2, b, a)
    a[0, 0], b[0, 0] = 0, 0
    return a, b


def slow_matched_iou(a, b):
    """Every one-to-one matching, region by region."""
    kept = (a >= 0) & (b >= 0)
    left, right = ([kept & (x == name) for name in np.unique(x[kept])] for x in (a, b))
    if len(left) > len(right):
        left, right = right, left
    iou = [[(m & o).sum() / (m | o).sum() for o in right] for m in left]
    matchings = itertools.permutations(range(len(right)), len(left))
    return max(sum(iou[i][j] for i, j in enumerate(match)) for match in matchings) / len(right)


@given(pairs(least=-1))
def test_adjusted_rand_is_scikit_learns(pair):
    a, b = pair
    kept = (a >= 0) & (b >= 0)
    assert adjusted_rand(a, b) == pytest.approx(adjusted_rand_score(a[kept], b[kept]), abs=1e-12)


@given(pairs(least=-1))
def test_the_matching_is_the_best_of_all(pair):
    assert matched_iou(*pair) == pytest.approx(slow_matched_iou(*pair), abs=1e-12)


@given(pairs(least=-1), st.integers(0, 1000))
def test_order_and_names_mean_nothing_and_ranges_hold(pair, seed):
    a, b = pair
    names = np.append(np.random.default_rng(seed).permutation(50) * 1_000_003, -1)
    for agreement in BOTH:
        value = agreement(a, b)
        assert agreement(b, a) == pytest.approx(value, abs=1e-12)
        assert agreement(names[a], b) == pytest.approx(value, abs=1e-12)
        assert agreement(a, names[a]) == 1
        assert value <= 1
    assert matched_iou(a, b) > 0


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.uint16, np.int64])
def test_any_integer_type_will_do(dtype):
    a, b = columns(3, 5).astype(dtype), columns(4, 4).astype(dtype)
    assert adjusted_rand(a, b) == adjusted_rand(columns(3, 5), columns(4, 4))
    assert matched_iou(a, b) == pytest.approx((3 / 4 + 4 / 5) / 2)


def test_matched_iou_in_closed_form():
    # One region split in half: 1/2 for the half that is matched, over two.
    assert matched_iou(columns(8), columns(4, 4)) == 1 / 4
    # One of two split in half: 1 and 1/2 and nothing, over three.
    assert matched_iou(columns(4, 4), columns(4, 2, 2)) == pytest.approx((1 + 1 / 2) / 3)
    # Crossed halves: any pair shares a quarter of the image out of three.
    assert matched_iou(columns(2, 2), columns(2, 2).T) == pytest.approx(1 / 3)


def test_the_best_matching_is_not_the_greedy_one():
    # IoU of (0, 0), (0, 1), (1, 0), (1, 1): 3/7, 2/5, 2/5, 0. Greedy takes 3/7 and is left with 0.
    a, b = np.repeat([[0, 0, 1]], [3, 2, 2], 1), np.repeat([[0, 1, 0]], [3, 2, 2], 1)
    assert matched_iou(a, b) == pytest.approx(2 / 5)


def test_adjusted_rand_in_closed_form():
    # Hubert & Arabie's formula by hand on crossed halves of 16: S = 4·6, A = B = 2·28, C(16, 2) = 120.
    chance = 56 * 56 / 120
    assert adjusted_rand(columns(2, 2), columns(2, 2).T) == pytest.approx((24 - chance) / (56 - chance))


def test_trivial_partitions():
    one, single = columns(8), np.arange(32).reshape(4, 8)
    assert adjusted_rand(one, one + 7) == 1
    assert adjusted_rand(single, single[::-1]) == 1
    for other in (single, columns(3, 5)):
        assert adjusted_rand(one, other) == adjusted_rand(other, one) == 0
    assert adjusted_rand(np.zeros((1, 1), int), np.zeros((1, 1), int)) == 1


def test_a_million_pixels_do_not_overflow():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 3, (1000, 1000))
    b = np.where(rng.random(a.shape) < 0.1, 0, a)
    assert adjusted_rand(a, b) == pytest.approx(adjusted_rand_score(a.ravel(), b.ravel()), abs=1e-9)
    assert adjusted_rand(np.zeros_like(a), np.zeros_like(a)) == 1
    assert matched_iou(a, a) == 1


def test_pixels_without_a_region_on_either_side_are_left_out():
    a, b = columns(4, 4), columns(3, 5)
    a[:, 3] = -1
    for agreement in BOTH:
        assert agreement(a, b) == agreement(b, a) == 1


@pytest.mark.parametrize("agreement", BOTH)
def test_nothing_in_common_is_an_error(agreement):
    with pytest.raises(ValueError, match="no pixel"):
        agreement(np.array([[0, -1]]), np.array([[-1, 0]]))
    with pytest.raises(ValueError, match="one shape"):
        agreement(columns(4), columns(5))
