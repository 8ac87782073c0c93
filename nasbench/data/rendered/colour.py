"""Colours from integer hue, saturation and value."""

from __future__ import annotations

Colour = tuple[int, int, int]
"""Red, green, blue, each 0..255."""

HUES = 1536
"""Steps of the hue circle."""


def rgb(hue: int, saturation: int, value: int) -> Colour:
    """The colour of a hue (modulo HUES), a saturation and a value (both 0..255)."""
    sector, rest = divmod(hue % HUES, 256)
    low = value * (255 - saturation) // 255
    rise = low + (value - low) * rest // 255
    fall = low + (value - low) * (255 - rest) // 255
    table: tuple[Colour, ...] = (
        (value, rise, low),
        (fall, value, low),
        (low, value, rise),
        (low, fall, value),
        (rise, low, value),
        (value, low, fall),
    )
    return table[sector]


def mixed(first: Colour, second: Colour, part: int) -> Colour:
    """`part`/256 of the second colour in the first."""
    r, g, b = (p + (q - p) * part // 256 for p, q in zip(first, second, strict=True))
    return r, g, b
