"""The image as the model sees it, and the exact way back.

Coordinates are continuous and measured at edges: pixel i covers [i, i+1), its centre is at i + 0.5. An axis
is mapped by `x_model = sx * x_image + tx`; the numbers describe the resampling that was done, after its
rounding to whole pixels, so boxes, labels and masks go back and forth without drift.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from PIL import Image

from nasbench.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Resize = Literal["squash", "crop", "letterbox"]
Interpolation = Literal["bilinear", "bicubic"]

_RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_MAX_LEVEL = 255
# Pixels. Ordinary images stay below and are resized whole, bit for bit as torchvision does; a 1 × 3000 image
# under `crop`, 256 × 768000 when resized, is not.
_MAX_CONTENT = 1 << 24


@dataclass(frozen=True)
class ViewSpec:
    """How an image is brought to the model's size. Raises UsageError for values out of range.

    Attributes:
        size: (h, w) of the model's input, pixels.
        resize: `squash` stretches both axes to the size; `crop` scales until the size divided by
            `crop_fraction` is covered and takes the centre, as torchvision and timm evaluate; `letterbox`
            scales until the image fits and pads both sides with `fill`.
        interpolation: PIL's antialiased filter, on 8-bit values.
        crop_fraction: in (0, 1]; 0.875 is 224 of 256, the usual evaluation.
        fill: RGB of the letterbox's bars, 0..255; mid-grey is near the mean of the usual normalisations.
    """

    size: tuple[int, int]
    resize: Resize = "squash"
    interpolation: Interpolation = "bilinear"
    crop_fraction: float = 0.875
    fill: tuple[int, int, int] = (128, 128, 128)

    def __post_init__(self) -> None:
        _check_choice("resize", self.resize, get_args(Resize))
        _check_choice("interpolation", self.interpolation, get_args(Interpolation))
        if min(self.size) < 1:
            raise UsageError(f"size must be two positive numbers (h, w), not {self.size}")
        if not 0 < self.crop_fraction <= 1:
            raise UsageError(f"crop_fraction must lie in (0, 1], not {self.crop_fraction}")
        if min(self.fill) < 0 or max(self.fill) > _MAX_LEVEL:
            raise UsageError(f"fill must be three numbers in 0..255, not {self.fill}")


@dataclass(frozen=True)
class View:
    """One image at model size, with its geometry.

    Attributes:
        pixels: (3, h, w) float32 RGB in [0, 1], not normalised.
        image_size: (H, W) of the image.
        scale: (sx, sy), model pixels per image pixel.
        offset: (tx, ty), model pixels; whole numbers, negative where the image sticks out (crop).
    """

    pixels: NDArray[np.float32]
    image_size: tuple[int, int]
    scale: tuple[float, float]
    offset: tuple[float, float]

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of the model's input."""
        return self.pixels.shape[1], self.pixels.shape[2]

    def boxes_to_model(self, boxes: ArrayLike, *, clip: bool = False) -> NDArray[np.float64]:
        """Boxes (n, 4) `x0 y0 x1 y1` half-open, image to model pixels; `clip` cuts them at the view."""
        moved = _as_boxes(boxes) * np.tile(self.scale, 2) + np.tile(self.offset, 2)
        return _clipped(moved, self.size) if clip else moved

    def boxes_to_image(self, boxes: ArrayLike, *, clip: bool = False) -> NDArray[np.float64]:
        """Boxes (n, 4) `x0 y0 x1 y1` half-open, model to image pixels; `clip` cuts them at the image."""
        moved = (_as_boxes(boxes) - np.tile(self.offset, 2)) / np.tile(self.scale, 2)
        return _clipped(moved, self.image_size) if clip else moved

    def labels_to_image(self, labels: NDArray[Any]) -> NDArray[np.int64]:
        """Labels (h, w) of any integer type to (H, W) int64.

        Each image pixel takes the label at its centre, -1 where that lies outside the view.
        """
        _check_shape("labels", labels, self.size)
        ys, y_inside = self._model_index(0)
        xs, x_inside = self._model_index(1)
        out = labels[ys[:, None], xs[None, :]].astype(np.int64)
        out[~(y_inside[:, None] & x_inside[None, :])] = -1
        return out

    def mask_to_model(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Mask (H, W) to (h, w): each model pixel takes the value at its centre, False outside the image."""
        _check_shape("mask", mask, self.image_size)
        ys, y_inside = self._image_index(0)
        xs, x_inside = self._image_index(1)
        out: NDArray[np.bool_] = mask[ys[:, None], xs[None, :]] & y_inside[:, None] & x_inside[None, :]
        return out

    def _axis(self, axis: int) -> tuple[int, int, int, int]:
        """Of axis 0 (rows) or 1 (columns): lengths of image, content and view, and the content's start."""
        source = self.image_size[axis]
        return source, round(self.scale[1 - axis] * source), self.size[axis], round(self.offset[1 - axis])

    # Centres in whole-number arithmetic: a centre on an edge goes to the right on every machine.

    def _model_index(self, axis: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        source, content, target, start = self._axis(axis)
        return _within((2 * np.arange(source) + 1) * content // (2 * source) + start, target)

    def _image_index(self, axis: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        source, content, target, start = self._axis(axis)
        return _within((2 * (np.arange(target) - start) + 1) * source // (2 * content), source)


def make_view(image: NDArray[np.uint8], spec: ViewSpec) -> View:
    """Bring an image (H, W, 3) uint8 to the model's size.

    Squash and crop of an image that already has the size (crop: with `crop_fraction` 1) change no bit.
    """
    height, width = image.shape[:2]
    h, w = spec.size
    ch, cw = _content_size((height, width), spec)
    top, left = _start(h, ch), _start(w, cw)
    y, x = max(top, 0), max(left, 0)
    shown = (max(-top, 0), max(-left, 0), min(h, ch), min(w, cw))
    canvas = np.empty((h, w, 3), np.uint8)
    canvas[:] = spec.fill
    canvas[y : y + shown[2], x : x + shown[3]] = _resampled(image, (ch, cw), shown, spec.interpolation)
    pixels = np.ascontiguousarray(canvas.transpose(2, 0, 1)).astype(np.float32) / np.float32(_MAX_LEVEL)
    return View(pixels, (height, width), (cw / width, ch / height), (float(left), float(top)))


def _resampled(
    image: NDArray[np.uint8],
    content: tuple[int, int],
    shown: tuple[int, int, int, int],
    interpolation: Interpolation,
) -> NDArray[np.uint8]:
    """The part `shown` (top, left, height, width) of the image resized to `content` (h, w)."""
    height, width = image.shape[:2]
    (ch, cw), (top, left, h, w) = content, shown
    picture = Image.fromarray(np.ascontiguousarray(image))
    method = _RESAMPLING[interpolation]
    if ch * cw <= _MAX_CONTENT:
        return np.asarray(picture.resize((cw, ch), method))[top : top + h, left : left + w]
    # PIL's filter reaches beyond the box into the image, so this equals the above, but for a level or two of
    # 255: the box is held in single precision, and PIL may take the two passes in another order.
    y0, x0 = top * height / ch, left * width / cw
    y1, x1 = min((top + h) * height / ch, height), min((left + w) * width / cw, width)
    return np.asarray(picture.resize((w, h), method, box=(x0, y0, x1, y1)))


def _content_size(image_size: tuple[int, int], spec: ViewSpec) -> tuple[int, int]:
    """(h, w) of the whole image after scaling, before cutting or padding."""
    height, width = image_size
    if spec.resize == "squash":
        return spec.size
    if spec.resize == "crop":
        # Truncated like torchvision's and timm's resize, so that published accuracies can be met.
        h, w = (math.floor(n / spec.crop_fraction) for n in spec.size)
        if height * w <= width * h:
            return h, h * width // height
        return w * height // width, w
    h, w = spec.size
    if height * w >= width * h:
        return h, min(w, max(1, round(h * width / height)))
    return min(h, max(1, round(w * height / width))), w


def _start(target: int, content: int) -> int:
    """Where the content starts on an axis of the view: >= 0 as padding, <= 0 as cutting."""
    if content > target:
        return -round((content - target) / 2)  # rounds half to even, as torchvision's centre crop
    return (target - content) // 2


def _within(index: NDArray[np.int64], length: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    return np.clip(index, 0, length - 1), (index >= 0) & (index < length)


def _as_boxes(boxes: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(boxes, dtype=np.float64).reshape(-1, 4)


def _clipped(boxes: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    h, w = size
    return np.clip(boxes, 0.0, np.array([w, h, w, h], dtype=np.float64))


def _check_shape(name: str, array: NDArray[Any], expected: tuple[int, int]) -> None:
    if array.shape != expected:
        raise ValueError(f"{name} have the shape {array.shape}, expected {expected}")


def _check_choice(key: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UsageError(f"{key} must be one of {', '.join(choices)}, not {value!r}")
