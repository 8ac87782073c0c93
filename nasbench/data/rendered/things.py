"""Things that are no object: what clutters a backdrop, distracts behind an object, or stands before it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nasbench.data.rendered.colour import Colour, mixed
from nasbench.data.rendered.geometry import SIDE, UNIT, Point, Pose, Shape, arc, ellipse, frame, rectangle
from nasbench.data.rendered.inks import Style, layer
from nasbench.data.rendered.integer import ONE, TURN, Stream, cosine, sine
from nasbench.data.rendered.objects import SPARES

if TYPE_CHECKING:
    from nasbench.data.rendered.scene import Layer


def clutter(stream: Stream, count: int, colours: tuple[Colour, Colour], look: Style) -> tuple[Layer, ...]:
    """`count` small shapes, most of them in the backdrop's own tones."""
    made = []
    for i in range(count):
        own = stream.child(i)
        shape = _BLOCKS[own.draw("shape", 0, len(_BLOCKS) - 1)]
        drawn = layer(own, shape, _anywhere(own, 70, 240), look, name="clutter")
        if own.chance("muted", 60):
            ground = mixed(*colours, own.draw("tone", -60, 316))
            r, g, b = (min(255, max(0, c)) for c in ground)
            drawn = replace(drawn, colours=((r, g, b), drawn.colours[1], drawn.colours[2]), pattern="solid")
        made.append(drawn)
    return tuple(made)


def distractor(stream: Stream, half: int, look: Style) -> tuple[Layer, ...]:
    """One thing of up to three layers, up to half as large as the object: stacked blocks, or a lone part.

    `half`: half the object's extent, in 1/SIDE of the image's side.
    """
    pose = _anywhere(stream, half * 28 // 100, half * 52 // 100)
    if stream.chance("part", 50):
        part = SPARES[stream.draw("spare", 0, len(SPARES) - 1)]
        x, y, rx, ry = frame(part.shape)
        # A part is off the middle of its object's frame and smaller than it: centre and enlarge it.
        large = pose.half * UNIT // max(rx, ry)
        moved = replace(pose, half=large)
        a, b, c, d = moved.matrix(SIDE)
        shifted = replace(moved, x=pose.x - (a * x + b * y >> 24), y=pose.y - (c * x + d * y >> 24))
        return (layer(stream, part.shape, shifted, look, name="distractor", pattern=part.pattern),)
    layers = []
    for i in range(stream.draw("layers", 1, 3)):
        own = stream.child(i)
        shape = _BLOCKS[own.draw("shape", 0, len(_BLOCKS) - 1)]
        reach = pose.half * (3 - i) // 3
        placed = replace(
            pose,
            x=pose.x + own.draw("x", -reach, reach) * i // 3,
            y=pose.y + own.draw("y", -reach, reach) * i // 3,
            half=reach,
            turn=own.draw("turn", 0, TURN - 1),
        )
        layers.append(layer(own, shape, placed, look, name="distractor", order=i))
    return tuple(layers)


def occluder(stream: Stream, at: Point, half: int, look: Style) -> tuple[Layer, ...]:
    """One thing before the object, near the position `at` (in 1/SIDE): a post, a twig, a stone or a leaf."""
    shape = _SCREENS[stream.draw("shape", 0, len(_SCREENS) - 1)]
    pose = Pose(
        x=at[0] + half * stream.draw("x", -75, 75) // 100,
        y=at[1] + half * stream.draw("y", -75, 75) // 100,
        half=half * stream.draw("half", 30, 50) // 100,
        turn=stream.draw("turn", 0, TURN - 1),
    )
    return (layer(stream, shape, pose, look, name="occluder"),)


def _anywhere(stream: Stream, least: int, most: int) -> Pose:
    return Pose(
        x=stream.draw("x", 0, SIDE),
        y=stream.draw("y", 0, SIDE),
        half=stream.draw("half", least, most),
        turn=stream.draw("turn", 0, TURN - 1),
        stretch=stream.draw("stretch", 180, 360),
    )


def _polar(radius: int, turn: int) -> Point:
    return radius * cosine(turn) // ONE, radius * sine(turn) // ONE


def _regular(corners: int) -> Shape:
    return Shape((tuple(_polar(1000, i * TURN // corners) for i in range(corners)),))


def _star(points: int) -> Shape:
    half = TURN // (2 * points)
    tips = [i * TURN // points for i in range(points)]
    return Shape(tuple((_polar(1000, t), _polar(420, t + half), (0, 0), _polar(420, t - half)) for t in tips))


_BLOCKS: tuple[Shape, ...] = (
    _regular(3),
    _regular(4),
    _regular(5),
    _regular(6),
    Shape((ellipse(0, 0, 1000, 1000, corners=20),)),
    Shape((ellipse(0, 0, 1000, 600, corners=20),)),
    _star(5),
    Shape(arc(0, 0, 800, 400, 0, TURN, pieces=16)),
    Shape(arc(0, 0, 800, 360, 0, TURN // 2, pieces=8)),
    Shape((rectangle(-1000, -220, 1000, 220),)),
    Shape((rectangle(-1000, -280, 1000, 280), rectangle(-280, -1000, 280, 1000))),
    Shape((rectangle(-800, -800, -300, 800), rectangle(-800, 300, 800, 800))),
)

_SCREENS: tuple[Shape, ...] = (
    Shape((rectangle(-3000, -170, 3000, 170),)),
    Shape(
        (
            rectangle(-2400, -80, 2400, 80),
            ellipse(-500, 260, 420, 190, turn=130),
            ellipse(600, -260, 420, 190, turn=130),
        )
    ),
    Shape((((-900, 100), (-500, -700), (200, -850), (900, -250), (850, 500), (150, 850), (-600, 700)),)),
    Shape((ellipse(0, 0, 1100, 520),)),
)
