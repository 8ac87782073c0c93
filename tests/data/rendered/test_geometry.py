"""Filling, hashing and trigonometry against slow twins in plain Python integers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench.data.rendered import geometry
from nasbench.data.rendered.colour import HUES, rgb
from nasbench.data.rendered.geometry import SIDE, Pose, Shape, arc, dome, ellipse, place, rectangle
from nasbench.data.rendered.integer import ONE, TURN, Stream, cosine, hash_grid, sine, sine_table
from nasbench.data.rendered.noise import fractal, value_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHAPES = {
    "disc": Shape((ellipse(0, 0, 900, 900),)),
    "dome": Shape((dome(0, 0, 900, 700),)),
    "band": Shape(arc(0, 0, 700, 300, 0, TURN)),
    "two": Shape((rectangle(-800, -900, -200, 500), ((100, 0), (900, -400), (500, 800)))),
}

POSES = st.builds(
    Pose,
    x=st.integers(-300, SIDE + 300),
    y=st.integers(-300, SIDE + 300),
    half=st.integers(100, 2500),
    turn=st.integers(0, TURN - 1),
    flip=st.sampled_from([-1, 1]),
    stretch=st.integers(180, 340),
    lean=st.integers(-60, 60),
)


def naive_fill(shape: Shape, pose: Pose, size: int, grow: int) -> NDArray[np.bool_]:
    xs, ys = (v.tolist() for v in geometry._placed(shape, pose, size, grow))
    filled = np.zeros((size, size), dtype=bool)
    for row in range(size):
        for column in range(size):
            px, py = 256 * column + 128, 256 * row + 128
            start = 0
            for polygon in shape.polygons:
                end = start + len(polygon)
                corners = list(zip(xs[start:end], ys[start:end], strict=True))
                following = corners[1:] + corners[:1]
                pairs = list(zip(corners, following, strict=True))
                area = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairs)
                turned = 1 if area >= 0 else -1
                sides = [
                    turned * ((x1 - x0) * (py - y0) - (y1 - y0) * (px - x0)) for (x0, y0), (x1, y1) in pairs
                ]
                filled[row, column] |= all(s >= 0 for s in sides)
                start = end
    return filled


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(sorted(SHAPES)), pose=POSES, grow=st.integers(220, 290))
def test_filling_equals_testing_every_pixel_centre(name: str, pose: Pose, grow: int) -> None:
    size = 33
    cover = place(SHAPES[name], pose, size, grow)
    filled = np.zeros((size, size), dtype=bool)
    filled[cover.window] = cover.inside
    np.testing.assert_array_equal(filled, naive_fill(SHAPES[name], pose, size, grow))


def test_own_units_undo_the_pose() -> None:
    pose = Pose(x=2000, y=1900, half=1500, turn=77, flip=-1, stretch=290, lean=30)
    shape = SHAPES["two"]
    cover = place(shape, pose, 224)
    u, v = geometry.own_units(pose, 224, cover)
    a, b, c, d = pose.matrix(224)
    x0, y0 = geometry._origin(pose, 224)
    px = (np.arange(u.shape[1]) + cover.left) * 256 + 128
    py = (np.arange(u.shape[0]) + cover.top) * 256 + 128
    # One object unit is some 20 sub-pixels here; the fixed-point inverse is good to three units.
    np.testing.assert_allclose(np.broadcast_to(px, u.shape), x0 + (u * a + v * b) / 65536, atol=80)
    np.testing.assert_allclose(np.broadcast_to(py[:, None], u.shape), y0 + (u * c + v * d) / 65536, atol=80)


def test_extent_is_the_box_of_the_filled_shape() -> None:
    pose = Pose(x=2048, y=2048, half=1200, turn=100)
    x0, y0, x1, y1 = geometry.extent(SHAPES["disc"], pose)
    cover = place(SHAPES["disc"], pose, 256)
    rows, columns = np.flatnonzero(cover.inside.any(1)), np.flatnonzero(cover.inside.any(0))
    pixel = SIDE // 256
    np.testing.assert_allclose(
        [x0, y0, x1, y1],
        [
            (cover.left + columns[0]) * pixel,
            (cover.top + rows[0]) * pixel,
            (cover.left + columns[-1] + 1) * pixel,
            (cover.top + rows[-1] + 1) * pixel,
        ],
        atol=pixel,
    )


def test_sine_is_close_to_the_sine_and_odd() -> None:
    for i in range(-TURN, TURN):
        assert sine(i) / ONE == pytest.approx(math.sin(2 * math.pi * i / TURN), abs=0.002)
        assert sine(-i) == -sine(i)
        assert cosine(i) == sine(i + TURN // 4)
    assert sine_table().tolist() == [sine(i) for i in range(TURN)]


def test_hash_grid_equals_its_definition_in_plain_integers() -> None:
    key, m = 0x0123456789ABCDEF, 0xFFFFFFFF
    for (row, column), value in np.ndenumerate(hash_grid(key, 5, 7)):
        h = (row * 0x9E3779B1 + (key & m) & m) ^ (column * 0x85EBCA77 + (key >> 32) & m)
        h = (h ^ h >> 16) * 0x7FEB352D & m
        h = (h ^ h >> 15) * 0x846CA68B & m
        assert int(value) == h ^ h >> 16


def test_splitmix_gives_its_published_values() -> None:
    from nasbench.data.rendered.integer import _mix64

    # The first outputs of splitmix64 seeded with 1234567.
    gamma, m = 0x9E3779B97F4A7C15, (1 << 64) - 1
    outputs = [_mix64(1234567 + i * gamma & m) for i in range(3)]
    assert outputs == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_draws_depend_on_names_only_and_fill_their_range() -> None:
    stream = Stream(5).child("a", 1)
    later = [stream.draw(str(i), -3, 3) for i in range(500)]
    assert later == [Stream(5).child("a").child(1).draw(str(i), -3, 3) for i in range(500)]
    counts = np.bincount(np.array(later) + 3, minlength=7)
    assert counts.min() > 40
    assert sorted(stream.shuffled("order", 12)) == list(range(12))


def test_noise_is_smooth_and_in_range() -> None:
    for noise in (value_noise(3, 96, 6, 6), fractal(3, 96, 6, 6)):
        assert noise.shape == (96, 96)
        assert 0 <= noise.min() < noise.max() <= 255
    steps = np.abs(np.diff(value_noise(3, 96, 6, 6), axis=1))
    assert steps.max() <= 27  # 255 · 1.5 / 16 pixels a cell, and rounding


def test_rgb_meets_the_corners_of_the_colour_circle() -> None:
    assert [rgb(h, 255, 255) for h in range(0, HUES, 512)] == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    assert rgb(700, 0, 99) == (99, 99, 99)
