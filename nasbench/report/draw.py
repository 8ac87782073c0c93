"""Pictures of regions: overlays and the contact sheet."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_ZOOM = 2
_GAP = 8
_HEAD = 44
_LINE = (255, 230, 0)
_SHADOW = (20, 20, 20)


def overlay(image: NDArray[np.uint8], labels: NDArray[np.integer], *, zoom: int = _ZOOM) -> Image.Image:
    """Region boundaries over an image (H, W, 3) with labels (H, W), `zoom` times as large.

    A bright line with a dark edge on both sides can be seen on any background, in print too.
    """
    from skimage.segmentation import find_boundaries

    big = Image.fromarray(image).resize(
        (image.shape[1] * zoom, image.shape[0] * zoom), Image.Resampling.BICUBIC
    )
    out = np.array(big)
    enlarged = np.asarray(labels, dtype=np.int64).repeat(zoom, axis=0).repeat(zoom, axis=1)
    inner = find_boundaries(enlarged, mode="inner")
    outer = find_boundaries(enlarged, mode="thick")
    edge = outer.copy()
    edge[1:] |= outer[:-1]
    edge[:-1] |= outer[1:]
    edge[:, 1:] |= outer[:, :-1]
    edge[:, :-1] |= outer[:, 1:]
    out[edge] = (out[edge] * 0.35).astype(np.uint8) + np.array(_SHADOW, dtype=np.uint8) // 2
    out[inner] = _LINE
    return Image.fromarray(out)


def contact_sheet(
    columns: Sequence[tuple[str, Mapping[str, tuple[NDArray[np.uint8], NDArray[np.integer]]]]],
    samples: Sequence[str],
    *,
    title: str,
) -> bytes:
    """A PNG of images × cells.

    Args:
        columns: per cell its name and, by sample id, image (H, W, 3) and labels (H, W).
        samples: the rows, in order; an image that a cell could not segment is left grey.
        title: the headline.
    """
    sizes = [image.shape for _, kept in columns for image, _ in kept.values()]
    side = _ZOOM * max((max(size[:2]) for size in sizes), default=224)
    cell = side + _GAP
    width, height = cell * (len(columns) + 1) + _GAP, cell * len(samples) + 2 * _HEAD + 2 * _GAP
    sheet = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(sheet)
    pen.text((_GAP, _GAP), title, fill="black", font=_fitting(pen, title, width - 2 * _GAP, 26))
    for column, name in enumerate(["image", *(name for name, _ in columns)]):
        place = (_GAP + column * cell, _HEAD + _GAP)
        pen.text(place, name, fill="black", font=_fitting(pen, name, side, 24))
    for row, sample in enumerate(samples):
        top = 2 * _HEAD + _GAP + row * cell
        plain = next((kept[sample][0] for _, kept in columns if sample in kept), None)
        if plain is not None:
            whole = Image.fromarray(plain)
            sheet.paste(
                whole.resize((whole.width * _ZOOM, whole.height * _ZOOM), Image.Resampling.BICUBIC),
                (_GAP, top),
            )
        for column, (_, kept) in enumerate(columns, start=1):
            place = (_GAP + column * cell, top)
            if sample in kept:
                sheet.paste(overlay(*kept[sample]), place)
                count = f"{int(kept[sample][1].max()) + 1} regions"
                box = pen.textbbox((place[0] + 6, place[1] + 4), count, font=_font(18))
                pen.rectangle((box[0] - 4, box[1] - 3, box[2] + 4, box[3] + 3), fill="white")
                pen.text((place[0] + 6, place[1] + 4), count, fill="black", font=_font(18))
            else:
                pen.rectangle((*place, place[0] + side, place[1] + side), fill=(225, 225, 225))
                pen.text((place[0] + 12, place[1] + 12), "failed", fill="black", font=_font(20))
    return png_bytes(sheet)


def png_bytes(image: Image.Image) -> bytes:
    """An image as PNG."""
    sink = io.BytesIO()
    image.save(sink, format="PNG", optimize=True)
    return sink.getvalue()


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _fitting(
    pen: ImageDraw.ImageDraw, text: str, width: int, size: int
) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The default font, small enough that the text fits a width in pixels."""
    length = pen.textlength(text, font=_font(size))
    return _font(size if length <= width else max(8.0, size * width / length))
