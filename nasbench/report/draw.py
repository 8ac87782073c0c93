"""Pictures of regions, maps and boxes: overlays and the contact sheet."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_ZOOM = 2
# Pixels of a tile's side at least: there are words above and in it.
_LEAST_SIDE = 128
_GAP = 8
_HEAD = 44
_TILES_ACROSS = 8
_LINE = (255, 230, 0)
_SHADOW = (10, 10, 10)
_GREY = (225, 225, 225)
_TRUE = (70, 235, 90)
_FOUND = (255, 140, 0)
_BICUBIC = Image.Resampling.BICUBIC
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def overlay(image: NDArray[np.uint8], labels: NDArray[np.integer[Any]], *, zoom: int = _ZOOM) -> Image.Image:
    """Region boundaries over an image (H, W, 3) with labels (H, W), `zoom` times as large.

    A bright line with a dark edge on both sides can be seen on any background, in print too.
    """
    from skimage.segmentation import find_boundaries

    out = np.array(_enlarged(image, zoom))
    # From 1: scikit-image takes 0 for background and would draw its boundaries on one side only.
    enlarged = np.asarray(labels, dtype=np.int64).repeat(zoom, axis=0).repeat(zoom, axis=1) + 1
    inner = find_boundaries(enlarged, mode="inner")
    outer = find_boundaries(enlarged, mode="thick")
    edge = outer.copy()
    edge[1:] |= outer[:-1]
    edge[:-1] |= outer[1:]
    edge[:, 1:] |= outer[:, :-1]
    edge[:, :-1] |= outer[:, 1:]
    out[edge] = (out[edge] * 0.35).astype(np.uint8) + np.array(_SHADOW, dtype=np.uint8)
    out[inner] = _LINE
    return Image.fromarray(out)


Sampled = tuple[int, str]


def heat(
    image: NDArray[np.uint8],
    values: NDArray[np.floating[Any]],
    labels: NDArray[np.integer[Any]] | None = None,
    *,
    diverging: bool = False,
    zoom: int = _ZOOM,
) -> Image.Image:
    """A map (h, w) of any resolution over an image (H, W, 3) faded to grey, on a scale of its own.

    It goes from its lowest value, dark, to its highest, bright; a diverging one is blue below 0, white at 0
    and red above. A hundredth of the values is off the scale: single pixels would
    leave the rest in the dark. With labels (H, W) the regions' boundaries are drawn too.
    """
    from matplotlib import colormaps

    height, width = image.shape[:2]
    shown = Image.fromarray(values.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    smooth = np.asarray(shown, dtype=np.float64)
    reach = float(np.quantile(np.abs(smooth), 0.99)) or float(np.abs(smooth).max()) or 1.0
    low, high = (-reach, reach) if diverging else np.quantile(smooth, [0.0, 0.99]).tolist()
    if high <= low:  # a constant map, or one that differs in a few pixels only
        high = float(smooth.max())
    place = np.clip((smooth - low) / ((high - low) or 1.0), 0, 1)
    colours = colormaps["RdBu_r" if diverging else "inferno"](place)
    grey = np.asarray(Image.fromarray(image).convert("L"), dtype=np.float64)[..., None]
    mixed = np.rint(0.65 * 255 * colours[..., :3] + 0.35 * grey).astype(np.uint8)
    return _enlarged(mixed, zoom) if labels is None else overlay(mixed, labels, zoom=zoom)


def boxed(
    picture: Image.Image, truth: NDArray[np.float64], found: NDArray[np.float64] | None, *, zoom: int
) -> Image.Image:
    """A picture with boxes drawn into it, half-open, in pixels before zooming.

    The truth (n, 4) is green, what was found (4,) orange.
    """
    pen = ImageDraw.Draw(picture)
    boxes = [(box, _TRUE) for box in truth] + ([] if found is None else [(found, _FOUND)])
    for box, colour in boxes:
        x0, y0, x1, y1 = np.rint(box * zoom).astype(int).tolist()
        # Two pixels wide inside the box, with a dark line on either side.
        for inset, ink in ((0, _SHADOW), (3, _SHADOW), (1, colour), (2, colour)):
            if x1 - x0 > 2 * inset and y1 - y0 > 2 * inset:
                pen.rectangle((x0 + inset, y0 + inset, x1 - 1 - inset, y1 - 1 - inset), outline=ink)
    return picture


@dataclass(frozen=True)
class Tile:
    """What a cell shows of one image.

    Attributes:
        image: (H, W, 3), plain.
        note: a few words about it.
        draw: makes the picture, so many times as large as the image.
    """

    image: NDArray[np.uint8]
    note: str
    draw: Callable[[int], Image.Image]


@dataclass(frozen=True)
class SheetColumn:
    """A cell on the sheet.

    Attributes:
        name: its headline.
        dataset: which data set its images are of.
        kept: what it shows of (data set, sample id).
    """

    name: str
    dataset: int
    kept: Mapping[Sampled, Tile]


def contact_sheet(columns: Sequence[SheetColumn], samples: Sequence[Sampled], *, title: str) -> bytes:
    """A PNG of images × cells; with few cells, images stand in several blocks side by side.

    Args:
        columns: the cells.
        samples: the images as (data set, id), in order. One that a cell could not segment is left grey there;
            one of another data set than the cell's is left white.
        title: the headline.
    """
    sizes = [tile.image.shape for column in columns for tile in column.kept.values()]
    largest = max((max(size[:2]) for size in sizes), default=224)
    zoom = max(_ZOOM if len(columns) < _TILES_ACROSS else 1, -(-_LEAST_SIDE // largest))
    side = zoom * largest
    step = side + _GAP
    blocks = min(max(1, _TILES_ACROSS // (len(columns) + 1)), len(samples))
    rows = -(-len(samples) // blocks)
    names = ["image", *(column.name for column in columns)]
    width = blocks * (len(names) * step + _GAP) + _GAP
    sheet = Image.new("RGB", (width, 2 * _HEAD + rows * step + _GAP), "white")
    pen = ImageDraw.Draw(sheet)
    _write(pen, (_GAP, _GAP), title, width - 2 * _GAP, 30)
    for block in range(blocks):
        left = _GAP + block * (len(names) * step + _GAP)
        for column, name in enumerate(names):
            _write(pen, (left + column * step, _HEAD + _GAP), name, side, 26)
        for row, sample in enumerate(samples[block * rows : (block + 1) * rows]):
            _paste_sample(sheet, pen, columns, sample, (left, 2 * _HEAD + row * step), (side, zoom))
    return png_bytes(sheet)


def _paste_sample(
    sheet: Image.Image,
    pen: ImageDraw.ImageDraw,
    columns: Sequence[SheetColumn],
    sample: Sampled,
    place: tuple[int, int],
    scale: tuple[int, int],
) -> None:
    """One image, plain with its id and then once per cell; scale is a tile's side and its zoom."""
    (left, top), (side, zoom) = place, scale
    plain = next((column.kept[sample].image for column in columns if sample in column.kept), None)
    if plain is None:
        pen.rectangle((left, top, left + side, top + side), fill=_GREY)
    else:
        sheet.paste(_enlarged(plain, zoom), place)
    _tag(pen, (left, top + side - 28), sample[1], side)
    for number, column in enumerate(columns, start=1):
        corner = (left + number * (side + _GAP), top)
        if sample in column.kept:
            tile = column.kept[sample]
            sheet.paste(tile.draw(zoom), corner)
            _tag(pen, corner, tile.note, side)
        elif sample[0] == column.dataset:
            pen.rectangle((*corner, corner[0] + side, corner[1] + side), fill=_GREY)
            _tag(pen, corner, "failed", side)


def png_bytes(image: Image.Image) -> bytes:
    """An image as PNG."""
    sink = io.BytesIO()
    image.save(sink, format="PNG")
    return sink.getvalue()


def _enlarged(image: NDArray[np.uint8], zoom: int) -> Image.Image:
    return Image.fromarray(image).resize((image.shape[1] * zoom, image.shape[0] * zoom), _BICUBIC)


def _tag(pen: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, width: int) -> None:
    """A few words on white, readable on any picture."""
    place = (corner[0] + 6, corner[1] + 4)
    # Never over half a tile of an ordinary size: there is a picture below.
    font = _fitting(pen, text, max(width // 2, 50), 18)
    x0, y0, x1, y1 = pen.textbbox(place, text, font=font)
    pen.rectangle((x0 - 4, y0 - 3, x1 + 4, y1 + 3), fill="white")
    pen.text(place, text, fill="black", font=font)


def _write(pen: ImageDraw.ImageDraw, place: tuple[int, int], text: str, width: int, size: int) -> None:
    font = _fitting(pen, text, width, size)
    while len(text) > 1 and pen.textlength(text, font=font) > width:
        text = f"{text[:-2]}…"
    pen.text(place, text, fill="black", font=font)


def _fitting(pen: ImageDraw.ImageDraw, text: str, width: int, size: int) -> _Font:
    """The default font, small enough that the text fits a width in pixels."""
    length = pen.textlength(text, font=ImageFont.load_default(size))
    return ImageFont.load_default(size if length <= width else max(8.0, size * width / length))
