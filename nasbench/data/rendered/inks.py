"""The colours and the pattern of a layer: drawn at random, from the same ranges for everything in a scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nasbench.data.rendered.colour import HUES, Colour, mixed, rgb
from nasbench.data.rendered.patterns import FREE
from nasbench.data.rendered.scene import Layer

if TYPE_CHECKING:
    from nasbench.data.rendered.geometry import Pose, Shape
    from nasbench.data.rendered.integer import Stream


@dataclass(frozen=True)
class Style:
    """What the layers of one scene share.

    Attributes:
        outlined: whether layers have an outline.
        edge: the outline's colour.
        patterned: percent of the layers without a pattern of their own that draw one.
    """

    outlined: bool
    edge: Colour
    patterned: int


def style(stream: Stream, patterned: int) -> Style:
    """A scene's style: three in four have outlines, most of them dark."""
    grey = stream.draw("dark", 8, 45) if stream.chance("dark?", 75) else stream.draw("light", 225, 250)
    return Style(stream.chance("outlined", 75), (grey, grey, grey), patterned)


def layer(
    stream: Stream,
    shape: Shape,
    pose: Pose,
    look: Style,
    *,
    name: str,
    pattern: str | None = None,
    grow: int = 256,
    order: int = 0,
) -> Layer:
    """A layer with colours of its own; `order` alternates bright and dark along an object's parts."""
    bright = (stream.draw("bright", 0, 2) + order) % 2 == 0
    hue = stream.draw("hue", 0, HUES - 1)
    saturation = stream.draw("saturation", 60, 255)
    value = stream.draw("value", 185, 255) if bright else stream.draw("value", 85, 150)
    ground = rgb(hue, saturation, value)
    # The pattern's ink lies on the other side of the ground, so that a pattern always shows.
    other = rgb(hue + stream.draw("shift", -300, 300), stream.draw("ink", 60, 255), 60 if bright else 250)
    if pattern is None:
        free = FREE[stream.draw("free", 0, len(FREE) - 1)]
        pattern = free if stream.chance("patterned", look.patterned) else "solid"
    edge = mixed(look.edge, ground, 40)
    return Layer(name, shape, pose, grow, pattern, (ground, other, edge), look.outlined)
