"""Backdrop textures: twelve kinds, each a tone in 0..255 per pixel; the colours are drawn elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nasbench.data.rendered.integer import TURN, Stream, cosine, hash_grid, sine, sine_table
from nasbench.data.rendered.noise import fractal, speckle, value_noise

Tone = NDArray[np.int32]
Texture = Callable[[Stream, int], Tone]

_SPAN = 224  # cells of turned textures are in 1/224 of the image's side, whatever its size in pixels


def mist(stream: Stream, size: int) -> Tone:
    """Soft clouds."""
    return fractal(stream.key, size, 3, 3, octaves=4)


def grain(stream: Stream, size: int) -> Tone:
    """Coarse sand."""
    return (speckle(stream.key, size) + value_noise(stream.key + 1, size, size // 5, size // 5)) >> np.int32(
        1
    )


def grass(stream: Stream, size: int) -> Tone:
    """Upright blades."""
    return (value_noise(stream.key, size, 12, 80) * 3 + value_noise(stream.key + 1, size, 5, 5)) >> np.int32(
        2
    )


def planks(stream: Stream, size: int) -> Tone:
    """Boards with a grain along them and dark seams."""
    boards = stream.draw("boards", 5, 9)
    board, offset = _cells(size, boards)
    own = (hash_grid(stream.key, boards + 1, 1) >> np.uint32(25)).astype(np.int32)[board]
    tone = (value_noise(stream.key + 1, size, boards * 8, 4) >> np.int32(1)) + own
    tone[offset < 20] = 0  # noqa: PLR2004 # the seam, of 256 to a board
    return tone


def bricks(stream: Stream, size: int) -> Tone:
    """Courses of bricks, each with its own tone, in light mortar."""
    courses = stream.draw("courses", 9, 15)
    row, down = _cells(size, courses)
    position = (2 * np.arange(size, dtype=np.int32) + 1) * np.int32(courses * 64) // np.int32(size)
    along = position[None, :] + (row[:, None] & np.int32(1)) * np.int32(128)
    brick = along >> np.int32(8)
    values = (hash_grid(stream.key, courses + 1, courses + 2) >> np.uint32(25)).astype(np.int32)
    tone: Tone = values[row[:, None], brick] + (speckle(stream.key + 1, size) >> np.int32(3))
    mortar = (along & np.int32(255) < np.int32(20)) | (down[:, None] < np.int32(40))
    tone[mortar] = 235
    return tone


def tiles(stream: Stream, size: int) -> Tone:
    """A turned chequerboard."""
    u, v = _turned(stream, size)
    cell = np.int32(stream.draw("cell", 18, 34) * 256)
    tone: Tone = ((u // cell + v // cell) & np.int32(1)) * np.int32(170)
    return tone + (value_noise(stream.key, size, 24, 24) >> np.int32(2))


def waves(stream: Stream, size: int) -> Tone:
    """Level swell, displaced sideways."""
    u, v = _grid(size)
    bend = _wave(u * stream.draw("bends", 2, 4) + stream.draw("phase", 0, TURN))
    crests = v * stream.draw("crests", 9, 16) + (bend & np.int32(-2))
    tone: Tone = (_wave(crests) >> np.int32(1)) + np.int32(64)
    return tone + (value_noise(stream.key, size, 20, 10) >> np.int32(1))


def bands(stream: Stream, size: int) -> Tone:
    """Straight stripes at some angle."""
    u, _ = _turned(stream, size)
    cell = np.int32(stream.draw("cell", 12, 26) * 256)
    tone: Tone = (u // cell & np.int32(1)) * np.int32(170)
    return tone + (value_noise(stream.key, size, 24, 24) >> np.int32(2))


def pebbles(stream: Stream, size: int) -> Tone:
    """Round stones, one to a cell, displaced and of their own size and tone."""
    cells = stream.draw("cells", 9, 15)
    cell, offset = _cells(size, cells)
    h = hash_grid(stream.key, cells, cells)

    def drawn(shift: int, bits: int) -> Tone:
        values = (h >> np.uint32(shift) & np.uint32((1 << bits) - 1)).astype(np.int32)
        return values[cell][:, cell]

    # In units of 1/512 of a cell; a stone's middle is displaced by up to 16/256 of a cell either way.
    dx = (offset[None, :] - np.int32(108) - drawn(0, 5)) * np.int32(2)
    dy = (offset[:, None] - np.int32(108) - drawn(5, 5)) * np.int32(2)
    radius = drawn(10, 6) + np.int32(140)
    stones: Tone = np.where(dx * dx + dy * dy < radius * radius, drawn(25, 7) + np.int32(100), np.int32(30))
    return stones + (speckle(stream.key + 1, size) >> np.int32(3))


def marble(stream: Stream, size: int) -> Tone:
    """Veins bent by noise."""
    u, v = _turned(stream, size)
    noise = fractal(stream.key, size, 4, 4)
    across = u * stream.draw("veins", 3, 7) // np.int32(_SPAN) << np.int32(2)
    tone: Tone = _wave(across + noise * np.int32(6) + (v >> np.int32(9))) + np.int32(128)
    return tone


def patches(stream: Stream, size: int) -> Tone:
    """Blots of four tones, as of camouflage."""
    noise = fractal(stream.key, size, 6, 6)
    tone: Tone = np.clip((noise - np.int32(80)) // np.int32(24), 0, 3).astype(np.int32) * np.int32(80)
    return tone


def ripples(stream: Stream, size: int) -> Tone:
    """Octagonal rings around a point."""
    u, v = _grid(size)
    dx = np.abs(u - np.int32(stream.draw("x", 0, TURN)))
    dy = np.abs(v - np.int32(stream.draw("y", 0, TURN)))
    near, far = np.minimum(dx, dy), np.maximum(dx, dy)
    distance = np.maximum(far, (far + near) * np.int32(181) >> np.int32(8))
    tone: Tone = (_wave(distance * stream.draw("rings", 9, 16)) >> np.int32(1)) + np.int32(64)
    return tone + (value_noise(stream.key, size, 16, 16) >> np.int32(1))


TEXTURES: dict[str, Texture] = {
    "mist": mist,
    "grain": grain,
    "grass": grass,
    "planks": planks,
    "bricks": bricks,
    "tiles": tiles,
    "waves": waves,
    "bands": bands,
    "pebbles": pebbles,
    "marble": marble,
    "patches": patches,
    "ripples": ripples,
}
"""Every kind of backdrop; a tone may leave 0..255 a little, the painter clips."""


def _wave(phase: Tone) -> Tone:
    """The sine of a phase in 1/TURN of a turn, -128..128."""
    wave: Tone = sine_table()[phase & np.int32(TURN - 1)] >> np.int32(7)
    return wave


def _grid(size: int) -> tuple[Tone, Tone]:
    """Position over the image, x (1, size) and y (size, 1), in 0..TURN-1."""
    axis = (2 * np.arange(size, dtype=np.int32) + 1) * np.int32(TURN) // np.int32(2 * size)
    return axis[None, :], axis[:, None]


def _turned(stream: Stream, size: int) -> tuple[Tone, Tone]:
    """Position along two perpendicular axes at a random angle, each (size, size); the side is 256 _SPAN."""
    turn = stream.draw("turn", 0, TURN - 1)
    axis = ((2 * np.arange(size, dtype=np.int64) + 1 - size) * (_SPAN * 64) // size).astype(np.int32)
    c, s = np.int32(cosine(turn) >> 1), np.int32(sine(turn) >> 1)
    x, y = axis[None, :], axis[:, None]
    return (x * c >> np.int32(12)) + (y * s >> np.int32(12)), (y * c >> np.int32(12)) - (
        x * s >> np.int32(12)
    )


def _cells(size: int, count: int) -> tuple[Tone, Tone]:
    """The cell of each position of an axis of `count` cells, and the offset in it (0..255), each (size,)."""
    position = (2 * np.arange(size, dtype=np.int32) + 1) * np.int32(count * 128) // np.int32(size)
    return position >> np.int32(8), position & np.int32(255)
