"""Maps that another tool has made, read from a folder of NumPy files.

Names. A file holds the map of one image, for any class or for one: `<id>.npy` or `<id>__<class>.npy`, the
class a number as the network counts them. `.npz` is as good, if it holds one array, under any key. An id's
`/` are sub-folders. The suffix of the id (`.jpg`) may be left out: the map of `birds/wren.jpg` is
`birds/wren.jpg.npy` or `birds/wren.npy`. Names are compared in Unicode form NFC; hidden files are skipped,
links are followed.

Nothing is guessed. An image with two files for one class, with files of both kinds, or with a file that fits
another image too is `doubled` in the `inventory`, and the first two are refused when its map is asked for.
The third cannot be seen from one image alone: a run looks at the inventory first.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasbench.digest import digest_bytes, digest_file, digest_value
from nasbench.errors import SaliencyError, UsageError
from nasbench.models import Classifier
from nasbench.saliency.base import Batch, Method
from nasbench.saliency.map_files import MapFiles, read_map, read_shape
from nasbench.saliency.options import check_choice

Space = Literal["squash", "image", "crop"]
# Of a rectangle: (top, bottom), (left, right), in pixels of some grid.
Edges = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class Precomputed:
    """Maps of another tool. Raises UsageError for a missing folder.

    Attributes:
        path: the folder; see the module for the names in it.
        space: what a map covers: `squash` the whole image, at any resolution; `image` the same with one value
            per pixel of the image; `crop` what a view with resize=crop shows of it.
    """

    path: str
    space: Space = "squash"

    method: ClassVar[Method] = Method(
        name="precomputed",
        title="precomputed maps",
        source="the user's files",
        formula="as read",
        range="real",
        passes="none",
        needs="none",
    )

    def __post_init__(self) -> None:
        check_choice("space", self.space, get_args(Space))
        _folder(self.path)

    def unsupported(self, classifier: Classifier) -> str | None:
        """None: what network the maps are of, the files do not say."""
        del classifier
        return None

    def __call__(self, classifier: Classifier, batch: Batch) -> Tensor:
        """Maps (B, H, W) float32 on the view's grid, taken to cover exactly what the view shows.

        That is so for `squash` and `image` on squashed views and for `crop` on cropped ones; for any other
        pair call `load` and `to_view`. Files may differ in size, so that no batch could hold them as they
        are; upsampled here or later, bilinearly, their region means are the same.
        """
        del classifier
        maps = [self.load(name, int(c)) for name, c in zip(batch.ids, batch.target, strict=True)]
        return torch.stack([_placed(image, _whole(batch.size), batch.size, 0.0) for image in maps])

    def load(self, sample_id: str, target: int) -> Tensor:
        """An image's map for a class, (h, w) float32 as stored. Raises SaliencyError naming the file."""
        found = self._files.of(sample_id)
        if found.ambiguous:
            raise SaliencyError(f"several maps: {', '.join(map(repr, found.all))}; keep one for each class")
        names = found.by_class.get(target, found.general)
        if not names:
            tried = f"{sample_id}.npy", f"{sample_id}__{target}.npy"
            raise SaliencyError(f"no map: neither {tried[0]!r} nor {tried[1]!r}")
        return torch.from_numpy(read_map(self._files.paths[names[0]], names[0]))

    @cached_property
    def _files(self) -> MapFiles:
        return MapFiles.below(_folder(self.path))


def to_view(
    stored: Tensor,
    space: Space,
    *,
    image_size: tuple[int, int],
    size: tuple[int, int],
    scale: tuple[float, float],
    offset: tuple[float, float],
    crop_fraction: float = 0.875,
    outside: float = 0.0,
) -> Tensor:
    """Bring a map to a view's grid by its geometry: (h, w) of any size -> (H, W) float32, bilinearly.

    An image's point x is at `scale · x + offset` of the view, coordinates being measured at edges. A map
    covers a rectangle of the image, and so one of the view: all of the image for `squash` and `image`; for
    `crop` its centre, as torchvision and timm evaluate: the image is scaled until `size / crop_fraction` is
    covered, and the middle cut out. In it the convention is that of `nasbench.segment.interpolation`: a map
    larger than the view is sampled, not averaged.

    Args:
        stored: (h, w) floating point.
        space: see `Precomputed`.
        image_size: (H, W) of the image, pixels.
        size: (H, W) of the view, pixels.
        scale: (sx, sy) of the view, view pixels per image pixel.
        offset: (tx, ty) of the view, view pixels.
        crop_fraction: of the crop that the maps cover, in (0, 1].
        outside: value of view pixels whose centre the map does not cover: 0 is no evidence.

    Raises:
        SaliencyError: the space is `image` and the map has another size than the image.
    """
    check_choice("space", space, get_args(Space))
    if space == "image" and tuple(stored.shape) != tuple(image_size):
        sizes = [f"{shape[1]}×{shape[0]}" for shape in (stored.shape, image_size)]
        raise SaliencyError(f"the map has {sizes[0]} pixels, its image {sizes[1]} (saliency.space=image)")
    edges = _crop_edges(image_size, size, crop_fraction) if space == "crop" else _whole(image_size)
    (sx, sy), (tx, ty) = scale, offset
    rows, columns = (
        (s * low + t, s * high + t) for s, t, (low, high) in zip((sy, sx), (ty, tx), edges, strict=True)
    )
    return _placed(stored, (rows, columns), size, outside)


@dataclass(frozen=True)
class Inventory:
    """What a folder of maps holds for a set of images.

    Attributes:
        matched: image id -> its files, relative to the folder: one, or one for each class.
        missing: ids without a file.
        doubled: ids whose files are ambiguous, with these files.
        unused: files of no image.
        damaged: files of `matched` whose header cannot be read, with the reason.
        shapes: of the arrays in the other files of `matched`, by their headers.
    """

    matched: Mapping[str, tuple[str, ...]]
    missing: tuple[str, ...] = ()
    doubled: tuple[tuple[str, tuple[str, ...]], ...] = ()
    unused: tuple[str, ...] = ()
    damaged: tuple[tuple[str, str], ...] = ()
    shapes: Counter[tuple[int, ...]] = field(default_factory=Counter)

    def text(self) -> str:
        """A few lines, to be printed before a run."""
        images = len(self.matched) + len(self.missing) + len(self.doubled)
        lines = [f"precomputed maps: {len(self.matched)} of {images} images have one"]
        shapes = [f"{'×'.join(map(str, shape))} ({n})" for shape, n in self.shapes.most_common()]
        doubled = [f"{name}: {' and '.join(files)}" for name, files in self.doubled]
        damaged = [f"{name}: {reason}" for name, reason in self.damaged]
        for title, entries in (
            ("shapes", shapes),
            ("images without a map", list(self.missing)),
            ("images with several maps", doubled),
            ("files that cannot be read", damaged),
            ("files of no image", list(self.unused)),
        ):
            if entries:
                lines.append(f"  {title}: {len(entries)} ({_few(entries)})")
        return "\n".join(lines)


def inventory(path: str | Path, ids: Iterable[str]) -> Inventory:
    """Compare a folder of maps with the ids of images; arrays are not read, only their headers.

    Raises UsageError for a missing folder.
    """
    files = MapFiles.below(_folder(path))
    found = {name: files.of(name) for name in ids}
    claims = Counter(name for candidates in found.values() for name in candidates.all)
    matched, missing, doubled = {}, [], []
    for name, candidates in found.items():
        if not candidates.all:
            missing.append(name)
        elif candidates.ambiguous or any(claims[file] > 1 for file in candidates.all):
            doubled.append((name, candidates.all))
        else:
            matched[name] = candidates.all
    shapes: Counter[tuple[int, ...]] = Counter()
    damaged = []
    for file in (file for names in matched.values() for file in names):
        try:
            shapes[read_shape(files.paths[file], file)] += 1
        except SaliencyError as error:
            damaged.append((file, str(error)))
    unused = tuple(file for file in files.paths if file not in claims)
    return Inventory(matched, tuple(missing), tuple(doubled), unused, tuple(damaged), shapes)


def digest(path: str | Path, files: Iterable[str]) -> str:
    """Hex digest of the content of these files of the folder, and of their names, which say whose they are.

    A file that cannot be read has a digest too, of the reason. Raises UsageError for a missing folder.
    """
    folder = _folder(path)
    paths = {name: folder / name for name in files}
    if not all(map(os.path.isfile, paths.values())):  # a name in a broken encoding is not its path
        paths |= {name: path for name, path in MapFiles.below(folder).paths.items() if name in paths}
    return digest_value({name: _content(path) for name, path in paths.items()})


def _content(path: Path) -> str:
    try:
        return digest_file(path)
    except OSError as error:
        return digest_bytes(b"unreadable", (error.strerror or "").encode())


def _folder(path: str | Path) -> Path:
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise UsageError(f"saliency.path={str(path)!r}: {'not a' if folder.exists() else 'no such'} folder")
    return folder


def _few(entries: list[str], most: int = 3) -> str:
    return ", ".join(entries[:most]) + (", ..." if len(entries) > most else "")


def _whole(size: tuple[int, int]) -> Edges:
    """The edges of a grid of (H, W) pixels."""
    return (0.0, float(size[0])), (0.0, float(size[1]))


def _crop_edges(image_size: tuple[int, int], size: tuple[int, int], fraction: float) -> Edges:
    """Edges in image pixels of the centre crop, its two roundings included."""
    height, width = image_size
    h, w = (math.floor(n / fraction) for n in size)
    content = (h, h * width // height) if height * w <= width * h else (w * height // width, w)
    edges = []
    for source, scaled, target in zip(image_size, content, size, strict=True):
        start = round((scaled - target) / 2)
        edges.append((start * source / scaled, (start + target) * source / scaled))
    return edges[0], edges[1]


def _placed(
    stored: Tensor,
    edges: Edges,
    size: tuple[int, int],
    outside: float,
) -> Tensor:
    """A map laid over the rectangle within the edges on a grid: (H, W) float32."""
    from scipy.ndimage import map_coordinates

    positions, inside = [], []
    for (low, high), n_in, n_out in zip(edges, stored.shape, size, strict=True):
        share = (np.arange(n_out) + 0.5 - low) / (high - low)
        positions.append(share * n_in - 0.5)
        inside.append((share >= 0) & (share < 1))
    grid = np.meshgrid(*positions, indexing="ij")
    values: NDArray[np.float64] = map_coordinates(stored.double().numpy(), grid, order=1, mode="nearest")
    covered = inside[0][:, None] & inside[1]
    return torch.from_numpy(np.where(covered, values, outside).astype(np.float32))
