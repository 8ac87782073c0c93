"""What a difficulty means, one row a level."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Level:
    """The ranges one difficulty draws from; pairs are inclusive.

    Attributes:
        turn: greatest rotation either way, in 1/1024 of a turn.
        extent: the object's own square (2 UNIT), in percent of the image's side.
        stretch: greatest deviation of width over height, in percent.
        jitter: greatest growth or shrinkage of a part about its own middle, in percent.
        patterned: percent of the parts without a pattern of their own that draw one.
        distractors: how many things that are no object lie behind the object.
        occluders: how many things are put before the object.
        visible: least visible share of the object, in percent.
        clutter: how many small shapes lie on the backdrop.
        saturation: of the backdrop's colours, 0..255.
        light: greatest change of the light from one side of the image to the other, in percent.
        noise: amplitude of the noise of each pixel, in grey levels of 255.
    """

    turn: int
    extent: tuple[int, int]
    stretch: int
    jitter: int
    patterned: int
    distractors: tuple[int, int]
    occluders: tuple[int, int]
    visible: int
    clutter: tuple[int, int]
    saturation: tuple[int, int]
    light: int
    noise: int


LEVELS: tuple[Level, ...] = (
    Level(28, (64, 84), 0, 0, 0, (0, 0), (0, 0), 100, (0, 0), (0, 40), 10, 2),
    Level(56, (54, 88), 8, 5, 25, (0, 2), (0, 1), 80, (4, 8), (0, 80), 25, 4),
    Level(86, (46, 90), 14, 8, 40, (1, 3), (0, 2), 68, (8, 16), (10, 120), 40, 6),
    Level(170, (38, 92), 20, 10, 60, (2, 4), (1, 2), 62, (14, 26), (20, 160), 55, 9),
    Level(512, (30, 92), 26, 12, 80, (3, 6), (1, 3), 60, (20, 40), (30, 200), 70, 12),
)
"""By difficulty, 0 (plain) to 4 (hard)."""

DEFAULT_DIFFICULTY = 2
