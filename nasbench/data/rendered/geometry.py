"""Poses and shapes: convex polygons in an object's own units, placed and filled with integer arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from nasbench.data.rendered.integer import ONE, TURN, cosine, sine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

Point = tuple[int, int]
Polygon = tuple[Point, ...]

UNIT = 1000
"""Half the extent of an object in its own units: a shape lies in [-UNIT, UNIT]², x right, y down."""

SIDE = 4096
"""The image's side in the units of a pose, whatever its size in pixels."""

_SUB = 256  # sub-pixel steps of a vertex
_FORWARD = 16  # fractional bits of the matrix object units -> sub-pixels
_BACK = 14  # fractional bits of the matrix sub-pixels -> object units


@dataclass(frozen=True, eq=False)
class Shape:
    """A union of convex polygons in object units, compared by identity.

    Attributes:
        polygons: the vertices of each polygon, in either orientation.
    """

    polygons: tuple[Polygon, ...]


@dataclass(frozen=True)
class Pose:
    """Where and how a shape lies in the image.

    Attributes:
        x, y: the image position of the origin of the object's units, in 1/SIDE of the image's side.
        half: the length of UNIT object units, in 1/SIDE of the image's side.
        turn: rotation in 1/TURN of a turn, clockwise on the screen.
        flip: 1, or -1 for the mirror image.
        stretch: width over height, in 1/256.
        lean: horizontal shear, in 1/256.
    """

    x: int
    y: int
    half: int
    turn: int = 0
    flip: int = 1
    stretch: int = 256
    lean: int = 0

    def matrix(self, size: int) -> tuple[int, int, int, int]:
        """Row-major object units -> sub-pixels of an image of `size` pixels, _FORWARD fractional bits."""
        c, s = cosine(self.turn), sine(self.turn)
        wide = self.flip * self.stretch
        scale = self.half * size * _SUB << _FORWARD
        below = SIDE * UNIT * ONE * 256
        # The rotation times the matrix of stretch and lean, whose rows are (wide, lean) and (0, 256).
        return (
            scale * c * wide // below,
            scale * (c * self.lean - s * 256) // below,
            scale * s * wide // below,
            scale * (s * self.lean + c * 256) // below,
        )


@dataclass(frozen=True)
class Cover:
    """The pixels of a placed shape.

    Attributes:
        top, left: image position of the window, in pixels.
        inside: (h, w) bool, the window's pixels whose centres lie in the shape; h or w may be 0.
    """

    top: int
    left: int
    inside: NDArray[np.bool_]

    @property
    def window(self) -> tuple[slice, slice]:
        """Where `inside` lies in the image."""
        h, w = self.inside.shape
        return slice(self.top, self.top + h), slice(self.left, self.left + w)


def place(shape: Shape, pose: Pose, size: int, grow: int = 256) -> Cover:
    """Fill `shape`, grown about its own middle by `grow`/256, in an image of `size` pixels.

    A pixel is inside where its centre is; polygons are closed on every side.
    """
    xs, ys = _placed(shape, pose, size, grow)
    left, right = _clipped(int(xs.min()) // _SUB, size), _clipped(int(xs.max()) // _SUB + 1, size)
    top, bottom = _clipped(int(ys.min()) // _SUB, size), _clipped(int(ys.max()) // _SUB + 1, size)
    h, w = bottom - top, right - left
    inside = np.zeros((h, w), dtype=np.bool_)
    if inside.size:
        columns = np.arange(w, dtype=np.int64)
        for first, last in _spans(shape, xs - left * _SUB, ys - top * _SUB, h, w):
            inside |= (columns >= first[:, None]) & (columns <= last[:, None])
    return Cover(top, left, inside)


def extent(shape: Shape, pose: Pose, grow: int = 256) -> tuple[int, int, int, int]:
    """The box `x0 y0 x1 y1` of a placed shape, in 1/SIDE of the image's side, not clipped."""
    xs, ys = _placed(shape, pose, SIDE, grow)
    return int(xs.min()) // _SUB, int(ys.min()) // _SUB, int(xs.max()) // _SUB + 1, int(ys.max()) // _SUB + 1


def frame(shape: Shape) -> tuple[int, int, int, int]:
    """The middle (x, y) of a shape's bounding box and half its width and height, in object units."""
    own = _vertices(shape)
    rx, ry = (own.points.max(axis=0) - own.points.min(axis=0)) // 2
    return int(own.middle[0]), int(own.middle[1]), int(rx), int(ry)


def own_units(pose: Pose, size: int, cover: Cover) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The object units (x, y) of each pixel of the cover's window, each (h, w) int32."""
    a, b, c, d = pose.matrix(size)
    det = a * d - b * c
    x0, y0 = _origin(pose, size)
    h, w = cover.inside.shape
    shift = _FORWARD + _BACK
    dx = (np.arange(w, dtype=np.int64) + cover.left) * _SUB + _SUB // 2 - x0
    dy = (np.arange(h, dtype=np.int64) + cover.top) * _SUB + _SUB // 2 - y0
    u = (dx * ((d << shift) // det)).astype(np.int32) + (dy * ((-b << shift) // det)).astype(np.int32)[
        :, None
    ]
    v = (dx * ((-c << shift) // det)).astype(np.int32) + (dy * ((a << shift) // det)).astype(np.int32)[
        :, None
    ]
    u >>= np.int32(_BACK)
    v >>= np.int32(_BACK)
    return u, v


def rectangle(x0: int, y0: int, x1: int, y1: int) -> Polygon:
    """An upright rectangle."""
    return ((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def ellipse(x: int, y: int, rx: int, ry: int, turn: int = 0, corners: int = 24) -> Polygon:
    """An ellipse around (x, y) as a polygon, turned by `turn`/TURN clockwise."""
    c, s = cosine(turn), sine(turn)
    points = []
    for i in range(corners):
        px, py = rx * cosine(i * TURN // corners), ry * sine(i * TURN // corners)
        points.append((x + (px * c - py * s) // (ONE * ONE), y + (px * s + py * c) // (ONE * ONE)))
    return tuple(points)


def dome(x: int, y: int, rx: int, ry: int, corners: int = 14) -> Polygon:
    """The upper half of an ellipse whose base is centred on (x, y)."""
    steps = [TURN // 2 + i * (TURN // 2) // (corners - 1) for i in range(corners)]
    return tuple((x + rx * cosine(i) // ONE, y + ry * sine(i) // ONE) for i in steps)


def arc(
    x: int, y: int, radius: int, width: int, start: int, end: int, pieces: int = 8
) -> tuple[Polygon, ...]:
    """A band of the given width along a circle's arc from `start` to `end` (in 1/TURN), as quadrilaterals."""

    def at(r: int, i: int) -> Point:
        angle = start + (end - start) * i // pieces
        return x + r * cosine(angle) // ONE, y + r * sine(angle) // ONE

    outer, inner = radius + width // 2, radius - width // 2
    return tuple((at(outer, i), at(outer, i + 1), at(inner, i + 1), at(inner, i)) for i in range(pieces))


@dataclass(frozen=True, eq=False)
class _Vertices:
    """A shape's n vertices and p polygons as arrays.

    Attributes:
        points: (n, 2), in object units.
        following: (n,), the index of the next vertex of the same polygon.
        starts, lengths: (p,), each polygon's first vertex and how many it has.
        middle: (2,), of the bounding box.
    """

    points: NDArray[np.int64]
    following: NDArray[np.int64]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    middle: NDArray[np.int64]


@lru_cache(maxsize=512)
def _vertices(shape: Shape) -> _Vertices:
    points = np.array([p for polygon in shape.polygons for p in polygon], dtype=np.int64)
    lengths = np.array([len(polygon) for polygon in shape.polygons], dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    following = np.arange(1, len(points) + 1)
    following[starts + lengths - 1] = starts
    return _Vertices(points, following, starts, lengths, (points.min(axis=0) + points.max(axis=0)) // 2)


def _placed(shape: Shape, pose: Pose, size: int, grow: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The vertices' x (n,) and y (n,) in sub-pixels."""
    own = _vertices(shape)
    grown = own.middle + ((own.points - own.middle) * grow >> 8)
    a, b, c, d = pose.matrix(size)
    x0, y0 = _origin(pose, size)
    xs = x0 + (grown[:, 0] * a + grown[:, 1] * b >> _FORWARD)
    ys = y0 + (grown[:, 0] * c + grown[:, 1] * d >> _FORWARD)
    return xs, ys


def _origin(pose: Pose, size: int) -> tuple[int, int]:
    return pose.x * size * _SUB // SIDE, pose.y * size * _SUB // SIDE


def _clipped(value: int, size: int) -> int:
    return min(max(value, 0), size)


def _spans(
    shape: Shape, xs: NDArray[np.int64], ys: NDArray[np.int64], h: int, w: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Each polygon's first and last column in each row, both (h,); last < first where there is none.

    A convex polygon meets a row in one span: each edge bounds it on the left or on the right.
    """
    own = _vertices(shape)
    x1, y1 = xs[own.following], ys[own.following]
    # Inside is where a·x + b·y + c >= 0 for every edge, once the orientation is made positive.
    area = np.add.reduceat(xs * y1 - x1 * ys, own.starts)
    orientation = np.repeat(np.where(area >= 0, 1, -1), own.lengths)
    a, b = orientation * (ys - y1), orientation * (x1 - xs)
    c = a * (_SUB // 2 - xs) - b * ys  # at the centre of column 0
    rows = np.arange(h, dtype=np.int64) * _SUB + _SUB // 2
    level = b[:, None] * rows + c[:, None]
    step = (a * _SUB)[:, None]
    columns = level // np.maximum(np.abs(step), 1)
    first = np.where(step > 0, -columns, 0)
    last = np.where(step < 0, columns, np.where((step == 0) & (level < 0), -1, w - 1))
    return zip(
        np.maximum.reduceat(first, own.starts, axis=0),
        np.minimum.reduceat(last, own.starts, axis=0),
        strict=True,
    )
