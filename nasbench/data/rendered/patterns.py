"""Surface patterns: which pixels of a part take its second colour.

A pattern sees the object units relative to the middle of its part (u right, v down, each (h, w) int32) and
half the part's extents (rx, ry); it answers (h, w) bool.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Units = NDArray[np.int32]
Ink = NDArray[np.bool_]
Pattern = Callable[[Units, Units, int, int], Ink]

_BAND = 125  # object units: some 6 pixels for an object of 90 pixels
_CELL = 270
_DOT = 92


def stripes(u: Units, v: Units, rx: int, ry: int) -> Ink:
    """Upright bands."""
    del v, rx, ry
    ink: Ink = u // np.int32(_BAND) & np.int32(1) == 1
    return ink


def slant(u: Units, v: Units, rx: int, ry: int) -> Ink:
    """Oblique bands."""
    del rx, ry
    ink: Ink = (u + v) // np.int32(_BAND * 3 // 2) & np.int32(1) == 1
    return ink


def checks(u: Units, v: Units, rx: int, ry: int) -> Ink:
    """A chequerboard."""
    del rx, ry
    ink: Ink = (u // np.int32(_BAND) + v // np.int32(_BAND)) & np.int32(1) == 1
    return ink


def dots(u: Units, v: Units, rx: int, ry: int) -> Ink:
    """Discs in staggered rows."""
    del rx, ry
    row = v // np.int32(_CELL)
    y = v - row * np.int32(_CELL) - np.int32(_CELL // 2)
    shifted = u + (row & np.int32(1)) * np.int32(_CELL // 2)
    x = shifted - shifted // np.int32(_CELL) * np.int32(_CELL) - np.int32(_CELL // 2)
    ink: Ink = x * x + y * y < np.int32(_DOT * _DOT)
    return ink


def target(u: Units, v: Units, rx: int, ry: int) -> Ink:
    """A disc of half the part's size in its middle."""
    ink: Ink = u * u + v * v < np.int32(min(rx, ry) ** 2 // 4)
    return ink


def cross(u: Units, v: Units, rx: int, ry: int) -> Ink:
    """An upright cross in the middle, as of a window's bars."""
    ink: Ink = (np.abs(u) < np.int32(rx // 6)) | (np.abs(v) < np.int32(ry // 6))
    return ink


def rays(u: Units, v: Units, rx: int, ry: int) -> Ink:
    """Bands that spread downwards from the top, as of an umbrella."""
    depth = np.maximum(v + np.int32(ry + ry // 3), np.int32(1))
    ink: Ink = (u * np.int32(ry * 2) // depth + np.int32(rx // 6)) // np.int32(max(rx // 3, 1)) & np.int32(
        1
    ) == 1
    return ink


PATTERNS: dict[str, Pattern | None] = {
    "solid": None,
    "stripes": stripes,
    "slant": slant,
    "checks": checks,
    "dots": dots,
    "target": target,
    "cross": cross,
    "rays": rays,
}
"""Every pattern by name; None paints one colour."""

FREE = ("stripes", "slant", "checks", "dots")
"""What a part without a pattern of its own may draw."""
