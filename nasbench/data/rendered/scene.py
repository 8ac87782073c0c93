"""A scene: everything that is drawn, as integers, before a pixel is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nasbench.data.rendered.colour import Colour
    from nasbench.data.rendered.geometry import Pose, Shape


@dataclass(frozen=True)
class Layer:
    """One coloured shape.

    Attributes:
        name: of the part, or of the thing it belongs to.
        shape, pose, grow: where it lies (see `geometry.place`).
        pattern: a name of `patterns.PATTERNS`.
        colours: of the ground, of the pattern, and of the outline.
        outlined: whether the outermost pixels take the outline's colour.
    """

    name: str
    shape: Shape
    pose: Pose
    grow: int
    pattern: str
    colours: tuple[Colour, Colour, Colour]
    outlined: bool


@dataclass(frozen=True)
class Backdrop:
    """What lies behind everything.

    Attributes:
        kind: a name of `texture.TEXTURES`.
        key: of the texture's random stream.
        colours: of its tones 0 and 255.
        clutter: small shapes scattered on it.
    """

    kind: str
    key: int
    colours: tuple[Colour, Colour]
    clutter: tuple[Layer, ...]


@dataclass(frozen=True)
class Light:
    """How the finished drawing is lit, by position only, so that every intervention keeps it.

    Attributes:
        level: brightness in the image's middle, in 1/256.
        slope: change from one side to the other, along x and along y, in 1/256.
        mottle: amplitude of soft blotches, in 1/256.
        noise: amplitude of the noise of each pixel, in grey levels.
        key: of the noise.
    """

    level: int
    slope: tuple[int, int]
    mottle: int
    noise: int
    key: int


@dataclass(frozen=True)
class Scene:
    """A whole scene; equal parameters give an equal scene.

    Attributes:
        index, split, seed, difficulty, background_bias, size: the parameters of `compose.scene`.
        label: class index.
        parts: the object's, back to front.
        distractors: behind the object.
        occluders: before it.
        backdrop, light: see there.
    """

    index: int
    split: str
    seed: int
    difficulty: int
    background_bias: float
    size: int
    label: int
    parts: tuple[Layer, ...]
    distractors: tuple[Layer, ...]
    occluders: tuple[Layer, ...]
    backdrop: Backdrop
    light: Light
