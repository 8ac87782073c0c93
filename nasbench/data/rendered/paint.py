"""Painting a scene, with interventions: a part left out, or another scene's backdrop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nasbench.data.rendered.compose import scene as compose_scene
from nasbench.data.rendered.geometry import Cover, frame, own_units, place
from nasbench.data.rendered.integer import Stream
from nasbench.data.rendered.noise import fractal, speckle
from nasbench.data.rendered.patterns import PATTERNS
from nasbench.data.rendered.texture import TEXTURES
from nasbench.data.sample import extent
from nasbench.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from nasbench.data.rendered.colour import Colour
    from nasbench.data.rendered.scene import Backdrop, Layer, Light, Scene

_GROUND, _INK, _EDGE, _TINTS = 0, 1, 2, 3  # a layer's colours, and how many there are


@dataclass(frozen=True, eq=False)
class Rendered:
    """A painted scene.

    Attributes:
        image: (size, size, 3) uint8 RGB.
        mask: (size, size) bool, the visible pixels of the object.
        parts: part name -> (size, size) bool, its visible pixels; disjoint, their union is the mask. A hidden
            part has an empty mask, a part left out has none.
        box: `x0 y0 x1 y1` of the mask, half-open, in pixels; zeros where nothing is visible.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    parts: Mapping[str, NDArray[np.bool_]]
    box: tuple[int, int, int, int]


def render(scene: Scene, *, without: str | None = None, background: int | Scene | None = None) -> Rendered:
    """Paint a scene.

    Args:
        scene: what to paint.
        without: name of a part that is not drawn; what lies behind it shows.
        background: the scene whose backdrop (texture, colours, clutter) replaces this scene's, or its index
            among the scenes with the same parameters. Object, light, occluders and distractors stay.

    Every pixel outside the part left out, or outside the backdrop, is the same as in `render(scene)`.
    """
    names = [part.name for part in scene.parts]
    if without is not None and without not in names:
        raise UsageError(
            f"rendered scene: without={without!r} is no part of it; its parts are {', '.join(names)}"
        )
    backdrop = _backdrop(scene, background)
    canvas = _Canvas(scene.size)
    for layer in (*backdrop.clutter, *scene.distractors):
        canvas.add(layer)
    drawn = {part.name: canvas.add(part) for part in scene.parts if part.name != without}
    for layer in scene.occluders:
        canvas.add(layer)
    owner = canvas.owner()
    parts = {name: owner == number for name, number in drawn.items()}
    mask = np.zeros((scene.size, scene.size), dtype=np.bool_)
    for part_mask in parts.values():
        mask |= part_mask
    image = _lit(canvas.coloured(_paper(backdrop, scene.size)), scene.light)
    return Rendered(image, mask, parts, extent(mask) or (0, 0, 0, 0))


class _Canvas:
    """Which layer, and which of its three colours, each pixel shows: 3 n + tint for layer n."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._shown = np.zeros((size, size), dtype=np.int16)  # layer 0 is the backdrop
        self._palette: list[Colour] = [(0, 0, 0)] * _TINTS

    def add(self, layer: Layer) -> int:
        """Paint a layer over what is there; returns its number."""
        number = len(self._palette) // _TINTS
        self._palette.extend(layer.colours)
        cover = place(layer.shape, layer.pose, self._size, layer.grow)
        if cover.inside.size:
            shown = self._shown[cover.window]
            np.copyto(shown, _tints(layer, cover, self._size) + np.int16(_TINTS * number), where=cover.inside)
        return number

    def owner(self) -> NDArray[np.int16]:
        """The number of the layer each pixel shows, (size, size)."""
        owner: NDArray[np.int16] = self._shown // np.int16(_TINTS)
        return owner

    def coloured(self, paper: NDArray[np.int32]) -> NDArray[np.int32]:
        """The layers' colours, and `paper` (3, size, size) where there is no layer."""
        palette = np.array(self._palette, dtype=np.int32).T
        layered = self._shown >= np.int16(_TINTS)
        for channel, colours in zip(paper, palette, strict=True):
            np.copyto(channel, colours[self._shown], where=layered)
        return paper


def _tints(layer: Layer, cover: Cover, size: int) -> NDArray[np.int16]:
    """Which of the layer's colours each pixel of the window takes, (h, w)."""
    pattern = PATTERNS[layer.pattern]
    if pattern is None:
        tints = np.full(cover.inside.shape, _GROUND, dtype=np.int16)
    else:
        u, v = own_units(layer.pose, size, cover)
        x, y, rx, ry = frame(layer.shape)
        u -= np.int32(x)
        v -= np.int32(y)
        tints = np.where(pattern(u, v, rx, ry), np.int16(_INK), np.int16(_GROUND))
    if layer.outlined:
        tints[_rim(cover.inside)] = _EDGE
    return tints


def _rim(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of a shape that have a neighbour (of four) outside it or outside the window."""
    padded = np.zeros((inside.shape[0] + 2, inside.shape[1] + 2), dtype=np.bool_)
    padded[1:-1, 1:-1] = inside
    core = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    rim: NDArray[np.bool_] = inside & ~core
    return rim


def _paper(backdrop: Backdrop, size: int) -> NDArray[np.int32]:
    """The bare backdrop, (3, size, size) int32 in 0..255."""
    tone = np.clip(TEXTURES[backdrop.kind](Stream(backdrop.key), size), 0, 255)
    paper = np.empty((3, size, size), dtype=np.int32)
    for channel, dark, light in zip(paper, *backdrop.colours, strict=True):
        channel[:] = (tone * np.int32(light - dark) >> np.int32(8)) + np.int32(dark)
    return paper


def _lit(image: NDArray[np.int32], light: Light) -> NDArray[np.uint8]:
    """Light and noise over an image (3, size, size), which is overwritten; returns (size, size, 3)."""
    size = image.shape[1]
    axis = (2 * np.arange(size, dtype=np.int32) + 1 - size) * np.int32(128) // np.int32(size)  # -128..127
    sx, sy = light.slope
    across, down = axis * np.int32(sx) >> np.int32(8), axis * np.int32(sy) >> np.int32(8)
    strength = fractal(light.key, size, 5, 5, octaves=2)
    strength -= np.int32(128)
    strength *= np.int32(light.mottle)
    strength >>= np.int32(7)
    strength += across[None, :] + (down[:, None] + np.int32(light.level))
    noise = speckle(light.key + 9, size)
    noise -= np.int32(128)
    noise *= np.int32(light.noise)
    noise >>= np.int32(7)
    image *= strength
    image >>= np.int32(8)
    image += noise
    np.clip(image, 0, 255, out=image)
    return np.ascontiguousarray(image.astype(np.uint8).transpose(1, 2, 0))


def _backdrop(scene: Scene, background: int | Scene | None) -> Backdrop:
    if background is None:
        return scene.backdrop
    if isinstance(background, int):
        background = compose_scene(
            background,
            split=scene.split,
            seed=scene.seed,
            difficulty=scene.difficulty,
            background_bias=scene.background_bias,
            size=scene.size,
        )
    return background.backdrop
