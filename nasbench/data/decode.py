"""Files to pixels: every format and colour mode a data set can hold, or a one-line reason why not.

A reason never holds a path: it goes into a result row, and rows must not depend on where the data lie.
"""

from __future__ import annotations

import io
import stat
import threading
import warnings
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from nasbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"})
"""Lower-case suffixes of what a reader takes for an image; the content alone decides the format."""

# A closed list: PIL also knows formats that start other programs (EPS) or that are no single image.
_IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
_MASK_FORMATS = ("PNG", "BMP", "TIFF", "GIF")
_MASK_MODES = frozenset({"1", "L", "LA", "P", "PA", "I", "I;16", "I;16B", "I;16L", "RGB", "RGBA"})
_WHITE = 255
_DEEPEST_GREY = 0xFFFF

# `warnings.catch_warnings` is not thread-safe: two overlapping scopes can leave the filters changed for good.
_warnings_lock = threading.Lock()


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image file as (H, W, 3) uint8 RGB, contiguous and writable, EXIF orientation applied.

    - Of an animation or a multi-page file, the first image.
    - Transparency is composited over white: the colours under a transparent pixel are arbitrary, often
      black, and would draw contours nobody sees; files with alpha are mostly made for white pages.
    - 16-bit values keep their high byte (`value >> 8`): no stretching, so that brightness stays comparable
      between files.
    - Embedded colour profiles are ignored, as the training pipelines of the classifiers do.

    Raises DataError, without a path: missing, not readable, a folder, empty, truncated, of an unknown format,
    with floating-point pixels, or with more pixels than PIL's MAX_IMAGE_PIXELS (never decoded).
    """
    return _decode(path, _IMAGE_FORMATS, _rgb)


def read_mask(path: Path) -> NDArray[np.bool_]:
    """Read a mask file as (H, W) bool: every non-zero pixel is the object.

    Grey and 1-bit: the value. Palette: the index, not its colour. Colour: any channel. An alpha channel and
    transparency count for nothing; there is no "ignore" value, 255 is as good as 1. Lossy formats are
    refused, since their background is not exactly zero. Raises DataError as `read_image` does.
    """
    return _decode(path, _MASK_FORMATS, _non_zero)


def read_bytes(path: Path) -> bytes:
    """The content of a regular file. Raises DataError with a reason that holds no path."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise DataError("a folder, not an image file")
        if not stat.S_ISREG(mode):  # reading a pipe would block for ever
            raise DataError("not a regular file")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataError("the file is missing") from error
    except OSError as error:
        raise DataError(f"the file cannot be read: {(error.strerror or 'unknown error').lower()}") from error


def _decode(
    path: Path, formats: tuple[str, ...], to_pixels: Callable[[Image.Image], NDArray[T]]
) -> NDArray[T]:
    content = read_bytes(path)
    if not content:
        raise DataError("the file is empty")
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # damaged metadata that does not concern the pixels
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            # From memory: what PIL says about a nameless stream cannot hold a path.
            with Image.open(io.BytesIO(content), formats=formats) as image:
                image.load()
                return np.array(_upright(to_pixels(image), _orientation(image)), order="C")
        except DataError:
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            limit = Image.MAX_IMAGE_PIXELS
            raise DataError(f"more than {limit} pixels, refused as a decompression bomb") from error
        except UnidentifiedImageError as error:
            raise DataError(f"not an image in a known format ({', '.join(formats)})") from error
        except Exception as error:  # PIL's decoders raise almost anything on hostile bytes
            raise DataError(f"cannot be decoded: {_one_line(error)}") from error


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode == "F":
        raise DataError("floating-point pixels: their range is not known")
    if image.mode.startswith("I"):
        return _deep_grey(image)
    if image.has_transparency_data:
        return _over_white(np.asarray(image.convert("RGBA")))
    return np.asarray(image.convert("RGB"))


def _deep_grey(image: Image.Image) -> NDArray[np.uint8]:
    """PIL's modes I;16, I;16B and I, where values above 16 bits have no agreed white."""
    deep = np.asarray(image)
    if deep.min() < 0 or deep.max() > _DEEPEST_GREY:
        raise DataError("grey values outside 0..65535: their range is not known")
    grey = (deep >> 8).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[deep == transparent] = _WHITE
    return np.repeat(grey[..., None], 3, axis=2)


def _over_white(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    alpha = rgba[..., 3:].astype(np.uint16)
    # At most 255 · 255 + 127, which 16 bits hold; the half makes the division round.
    mixed = (rgba[..., :3] * alpha + (255 - alpha) * _WHITE + 127) // 255
    return mixed.astype(np.uint8)


def _non_zero(image: Image.Image) -> NDArray[np.bool_]:
    if image.mode not in _MASK_MODES:
        raise DataError(f"pixels of mode {image.mode} are no mask")
    values = np.asarray(image)
    if image.mode in {"LA", "PA", "RGBA"}:
        values = values[..., :-1]
    return np.asarray(values.any(axis=2) if values.ndim > 2 else values != 0)  # noqa: PLR2004 - has channels


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # noqa: BLE001 - damaged metadata must not cost the pixels
        return 1
    return value if isinstance(value, int) else 1


def _upright(pixels: NDArray[T], orientation: int) -> NDArray[T]:
    """Undo the eight EXIF orientations; unknown values are taken as upright."""
    turns: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, 1),
    }
    return turns[orientation](pixels) if orientation in turns else pixels


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
