"""From an index to a scene: every choice is a named draw, so that a knob changes only what it governs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nasbench.data.rendered.colour import HUES, rgb
from nasbench.data.rendered.geometry import SIDE, Pose, extent, place
from nasbench.data.rendered.inks import Style, layer, style
from nasbench.data.rendered.integer import Stream
from nasbench.data.rendered.levels import DEFAULT_DIFFICULTY, LEVELS, Level
from nasbench.data.rendered.objects import CLASSES, OBJECTS
from nasbench.data.rendered.scene import Backdrop, Layer, Light, Scene
from nasbench.data.rendered.texture import TEXTURES
from nasbench.data.rendered.things import clutter, distractor, occluder
from nasbench.errors import UsageError

KINDS: tuple[str, ...] = tuple(TEXTURES)
"""Backdrop kinds; the kind tied to class c is KINDS[c % len(KINDS)]."""

SPLITS = ("train", "val", "test")
"""Splits draw from unrelated streams: no scene is in two of them."""

_ROOT = 0x6E617362656E6368
_COARSE = 64  # pixels: visibility is judged at one resolution, so that a scene does not depend on its size


def scene(
    index: int,
    *,
    split: str = "test",
    seed: int = 0,
    difficulty: int = DEFAULT_DIFFICULTY,
    background_bias: float = 0.0,
    size: int = 224,
) -> Scene:
    """The scene of an index.

    Every block of len(CLASSES) indices that starts at a multiple of it holds each class once.

    Args:
        index: 0 or more.
        split: one of SPLITS.
        seed: any integer.
        difficulty: 0 (plain) to 4 (hard), see `levels.LEVELS`.
        background_bias: 0..1, the probability that the backdrop's kind is the one tied to the class; else it
            is drawn uniformly, whatever the class.
        size: image side in pixels, 32..1024.
    """
    check(split=split, seed=seed, difficulty=difficulty, background_bias=background_bias, size=size)
    if index < 0:
        raise UsageError(f"rendered scene: index={index} is negative; indices start at 0")
    level = LEVELS[difficulty]
    label = _label(Stream(_ROOT).child(seed, split), index)
    stream = Stream(_ROOT).child(seed, split, index)
    look = style(stream.child("style"), level.patterned)
    pose, parts = _object(stream.child("object"), label, level, look)
    return Scene(
        index=index,
        split=split,
        seed=seed,
        difficulty=difficulty,
        background_bias=background_bias,
        size=size,
        label=label,
        parts=parts,
        distractors=_distractors(stream.child("distractors"), pose, level, look),
        occluders=_occluders(stream.child("occluders"), pose, parts, level, look),
        backdrop=_backdrop(stream.child("backdrop"), label, background_bias, level, look),
        light=_light(stream.child("light"), level),
    )


def check(*, split: str, seed: int, difficulty: int, background_bias: float, size: int) -> None:
    """Raise UsageError, naming the key, the value and what is valid, if a parameter of `scene` is wrong."""
    if split not in SPLITS:
        raise UsageError(f"rendered dataset: split={split!r} is unknown; choose one of {', '.join(SPLITS)}")
    check_integer("seed", seed, -(2**63), 2**63 - 1)
    check_integer("difficulty", difficulty, 0, len(LEVELS) - 1)
    check_integer("size", size, 32, 1024)
    if not _is_share(background_bias):
        raise UsageError(f"rendered dataset: background_bias={background_bias!r} is not a number in 0..1")


def check_integer(key: str, value: object, low: int, high: int) -> None:
    """Raise UsageError, naming the key and the value, unless `value` is an integer in [low, high]."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise UsageError(f"rendered dataset: {key}={value!r} is not an integer in {low}..{high}")


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _label(stream: Stream, index: int) -> int:
    block, place_in_block = divmod(index, len(CLASSES))
    return stream.shuffled(f"classes {block}", len(CLASSES))[place_in_block]


def _object(stream: Stream, label: int, level: Level, look: Style) -> tuple[Pose, tuple[Layer, ...]]:
    percent = stream.draw("extent", *level.extent)
    stretch = 256 + 256 * stream.draw("stretch", -level.stretch, level.stretch) // 100
    pose = Pose(
        x=0,
        y=0,
        half=SIDE * percent // 200,
        turn=stream.draw("turn", -level.turn, level.turn),
        flip=-1 if stream.chance("flip", 50) else 1,
        stretch=stretch,
        lean=128 * stream.draw("lean", -level.stretch, level.stretch) // 100,
    )
    parts = []
    for order, part in enumerate(OBJECTS[CLASSES[label]]):
        own = stream.child(part.name)
        grow = 256 + 256 * own.draw("grow", -level.jitter, level.jitter) // 100
        parts.append(
            layer(own, part.shape, pose, look, name=part.name, pattern=part.pattern, grow=grow, order=order)
        )
    pose = _inside(stream, pose, parts)
    return pose, tuple(replace(part, pose=pose) for part in parts)


def _inside(stream: Stream, pose: Pose, parts: list[Layer]) -> Pose:
    """The pose, moved to a random place where the whole object is in the image, shrunk where it must be."""
    boxes = np.array([extent(part.shape, pose, part.grow) for part in parts])
    (x0, y0), (x1, y1) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    room = SIDE - SIDE // 32
    longest = int(max(x1 - x0, y1 - y0))
    scale = min(room, longest)
    x0, y0, x1, y1 = (int(v) * scale // longest for v in (x0, y0, x1, y1))
    margin = SIDE // 64
    return replace(
        pose,
        half=pose.half * scale // longest,
        x=stream.draw("x", margin - x0, max(margin - x0, SIDE - margin - x1)),
        y=stream.draw("y", margin - y0, max(margin - y0, SIDE - margin - y1)),
    )


def _distractors(stream: Stream, pose: Pose, level: Level, look: Style) -> tuple[Layer, ...]:
    count = stream.draw("count", *level.distractors)
    return tuple(drawn for i in range(count) for drawn in distractor(stream.child(i), pose.half, look))


def _occluders(
    stream: Stream, pose: Pose, parts: tuple[Layer, ...], level: Level, look: Style
) -> tuple[Layer, ...]:
    """The occluders that together leave the least share of the object visible; others are left out."""
    count = stream.draw("count", *level.occluders)
    if not count:
        return ()
    shown = np.zeros((_COARSE, _COARSE), dtype=np.bool_)
    for part in parts:
        cover = place(part.shape, part.pose, _COARSE, part.grow)
        shown[cover.window] |= cover.inside
    least = int(shown.sum()) * level.visible // 100
    kept: list[Layer] = []
    for i in range(count):
        (candidate,) = occluder(stream.child(i), (pose.x, pose.y), pose.half, look)
        cover = place(candidate.shape, candidate.pose, _COARSE, candidate.grow)
        left = shown.copy()
        left[cover.window] &= ~cover.inside
        if int(left.sum()) >= least:
            shown = left
            kept.append(candidate)
    return tuple(kept)


def _backdrop(stream: Stream, label: int, bias: float, level: Level, look: Style) -> Backdrop:
    tied = stream.draw("tied", 0, (1 << 30) - 1) < int(bias * (1 << 30))
    kind = KINDS[label % len(KINDS) if tied else stream.draw("kind", 0, len(KINDS) - 1)]
    hue = stream.draw("hue", 0, HUES - 1)
    dark = rgb(hue, stream.draw("dark saturation", *level.saturation), stream.draw("dark", 60, 125))
    light = rgb(
        hue + stream.draw("shift", -200, 200),
        stream.draw("light saturation", *level.saturation),
        stream.draw("light", 150, 225),
    )
    pieces = clutter(stream.child("clutter"), stream.draw("count", *level.clutter), (dark, light), look)
    return Backdrop(kind, stream.child("texture").key, (dark, light), pieces)


def _light(stream: Stream, level: Level) -> Light:
    change = 256 * level.light // 100
    return Light(
        level=256 + stream.draw("level", -change // 3, change // 6),
        slope=(stream.draw("x", -change, change), stream.draw("y", -change, change)),
        mottle=change // 5,
        noise=level.noise,
        key=stream.child("noise").key,
    )
