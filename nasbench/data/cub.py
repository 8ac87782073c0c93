"""CUB-200-2011 (Wah et al., Caltech CNS-TR-2011-001): birds with boxes, points on their parts, and masks."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from nasbench.data.decode import read_image, read_mask
from nasbench.data.files import as_id, content_digest, existing_folder, read_text
from nasbench.data.sample import Sample, Truth
from nasbench.digest import digest_value
from nasbench.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_SPLITS = {"train": "1", "test": "0"}
_HALF = 127  # of 255; the greys above it are what most annotators outlined


class CUBDataset:
    """Images of one bird each, in the layout of its makers.

    - Images: those that `root/images.txt` names and `root/train_test_split.txt` counts to the split; the
      files lie below `root/images/`. Ids are the names without suffix. A file that is missing is an
      unreadable image, not one image less: published figures are over all of them.
    - Classes: by position in `root/classes.txt`; labels: `root/image_class_labels.txt`.
    - Boxes: `root/bounding_boxes.txt`, of which the README says `x y width height`, "all measured in pixels",
      and nothing of the origin. Some x are 0, so pixels are counted from 0, and a width is taken for a count
      of pixels: `x y x+width y+height`, half-open, clipped, as some reach a pixel beyond the image.
      (Protocols that take `x+width` for the last pixel inside have boxes larger by one.)
    - Parts: `root/parts/parts.txt` and `root/parts/part_locs.txt`, if there is a folder `parts`: the centre
      of each visible part, a point in the coordinates of the boxes. A part is the single pixel that holds its
      point; one that is not visible or lies outside the image is absent.
    - Masks: `root/segmentations/<id>.png`, a separate download of the makers, without a description. Its
      greys are taken for the share of annotators who outlined a pixel: above 127 of 255, more than half, is
      the object. Transparency counts for nothing. An image may lack its mask. Without the folder, the truth
      is the box.

    Raises UsageError: no such folder or split, a damaged list (with the line), no image or mask of the split.
    """

    classes: Sequence[str]
    truth: Truth | None

    def __init__(self, *, root: str, split: str = "test") -> None:
        if split not in _SPLITS:
            raise UsageError(f"split must be one of {', '.join(_SPLITS)}, not {split!r}")
        folder = existing_folder(root)
        classes = _read_names(folder / "classes.txt", "class")
        self.classes = tuple(classes.values())
        self._birds = _read_birds(folder, split, classes)
        self._images = {i: folder / "images" / bird.file for i, bird in self._birds.items()}
        _existing(self._images, folder / "images")
        masks = folder / "segmentations"
        self.truth = "mask" if masks.is_dir() else "box"
        self._masks: Mapping[str, Path] = {}
        if self.truth == "mask":
            named = {i: masks / bird.file.with_suffix(".png") for i, bird in self._birds.items()}
            self._masks = _existing(named, masks)

    def ids(self) -> Sequence[str]:
        """All sample ids, sorted."""
        return sorted(self._birds)

    def digest(self, sample_id: str) -> str:
        """Hex digest of the image's and the mask's bytes, the label index, the box and the parts' points."""
        bird = self._birds[sample_id]
        mask = self._masks.get(sample_id)
        return digest_value(
            {
                "image": content_digest(self._images[sample_id]),
                "mask": None if mask is None else content_digest(mask),
                "label": bird.label,
                "box": bird.box,
                "points": bird.points,
            }
        )

    def load(self, sample_id: str) -> Sample:
        """Read image and mask. Raises DataError: one is unreadable, they differ in size, the box is empty."""
        bird = self._birds[sample_id]
        image = read_image(self._images[sample_id])
        size = (image.shape[0], image.shape[1])
        return Sample(
            id=sample_id,
            image=image,
            labels=(bird.label,),
            boxes=_half_open(bird.box, size)[None],
            mask=_read_majority(self._masks[sample_id], size) if sample_id in self._masks else None,
            parts=_pixels(bird.points, size),
        )


@dataclass(frozen=True)
class _Bird:
    """What the lists say of one image.

    Attributes:
        file: below `images/`.
        label: class index from 0.
        box: x, y, width, height, as listed.
        points: x and y of each visible part, by name, as listed.
    """

    file: PurePosixPath
    label: int
    box: tuple[float, ...]
    points: Mapping[str, tuple[float, ...]]


def _read_birds(folder: Path, split: str, classes: Mapping[str, str]) -> dict[str, _Bird]:
    """The images of a split by sample id."""
    files = _read_files(folder / "images.txt")
    splits = _by_image(folder / "train_test_split.txt", ("is_training_image",), files)
    labels = _by_image(folder / "image_class_labels.txt", ("class_id",), files)
    boxes = _by_image(folder / "bounding_boxes.txt", ("x", "y", "width", "height"), files)
    points = _read_points(folder / "parts", files) if (folder / "parts").is_dir() else {}
    index = {class_id: i for i, class_id in enumerate(classes)}
    birds = {}
    for image_id, file in files.items():
        where, (is_training,) = splits[image_id]
        if is_training not in _SPLITS.values():
            raise UsageError(f"{where}: is_training_image must be 0 or 1, not {is_training!r}")
        where, (class_id,) = labels[image_id]
        if class_id not in index:
            raise UsageError(f"{where}: the class {class_id!r} is not in classes.txt")
        box = _numbers(*boxes[image_id])
        if is_training == _SPLITS[split]:
            birds[as_id(file.with_suffix(""))] = _Bird(file, index[class_id], box, points.get(image_id, {}))
    if not birds:
        raise UsageError(f"{str(folder / 'train_test_split.txt')!r} names no image of the split {split!r}")
    return birds


def _read_files(path: Path) -> dict[str, PurePosixPath]:
    """The image files by the list's id; all lie below `images/`, and no two differ in the suffix alone."""
    files: dict[str, PurePosixPath] = {}
    seen = set()
    for where, (image_id, name) in _rows(path, ("image_id", "image_name")):
        file = PurePosixPath(name)
        if file.is_absolute() or ".." in file.parts or not file.name or "\0" in name:
            raise UsageError(f"{where}: {name!r} names no file below 'images'")
        sample_id = as_id(file.with_suffix(""))
        if image_id in files or sample_id in seen:
            twice = image_id if image_id in files else sample_id
            raise UsageError(f"{where}: the image {twice!r} stands there twice")
        files[image_id] = file
        seen.add(sample_id)
    return files


def _read_names(path: Path, what: str) -> dict[str, str]:
    """Names of classes or parts by the list's id, in the order of the list."""
    names: dict[str, str] = {}
    for where, (key, name) in _rows(path, (f"{what}_id", f"{what}_name")):
        if key in names or name in names.values():
            raise UsageError(f"{where}: the {what} {key if key in names else name!r} stands there twice")
        names[key] = name
    return names


def _read_points(folder: Path, files: Mapping[str, PurePosixPath]) -> dict[str, dict[str, tuple[float, ...]]]:
    """Points `(x, y)` of the visible parts, by the list's image id and the part's name."""
    names = _read_names(folder / "parts.txt", "part")
    points: dict[str, dict[str, tuple[float, ...]]] = {}
    seen = set()
    columns = ("image_id", "part_id", "x", "y", "visible")
    for where, (image_id, part_id, x, y, visible) in _rows(folder / "part_locs.txt", columns):
        if image_id not in files:
            raise UsageError(f"{where}: the image {image_id!r} is not in images.txt")
        if part_id not in names:
            raise UsageError(f"{where}: the part {part_id!r} is not in parts.txt")
        if (image_id, part_id) in seen:
            raise UsageError(f"{where}: the part {part_id!r} of image {image_id!r} stands there twice")
        if visible not in {"0", "1"}:
            raise UsageError(f"{where}: visible must be 0 or 1, not {visible!r}")
        seen.add((image_id, part_id))
        point = _numbers(where, (x, y))
        if visible == "1":
            points.setdefault(image_id, {})[names[part_id]] = point
    return points


def _by_image(
    path: Path, columns: tuple[str, ...], files: Mapping[str, PurePosixPath]
) -> dict[str, tuple[str, list[str]]]:
    """Place and words of each image's line, by the list's id. Raises UsageError: not one line each."""
    found: dict[str, tuple[str, list[str]]] = {}
    for where, (image_id, *words) in _rows(path, ("image_id", *columns)):
        if image_id not in files:
            raise UsageError(f"{where}: the image {image_id!r} is not in images.txt")
        if image_id in found:
            raise UsageError(f"{where}: the image {image_id!r} stands there twice")
        found[image_id] = where, words
    for image_id, file in files.items():
        if image_id not in found:
            raise UsageError(f"{str(path)!r} lacks the image {image_id!r} ({file})")
    return found


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
    """Place (file and line, for messages) and words of each line; a name may hold spaces, being the last."""
    named = columns[-1].endswith("_name")
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        words = line.strip().split(maxsplit=len(columns) - 1 if named else -1)
        where = f"{str(path)!r}, line {number}"
        if words and len(words) != len(columns):
            expected = " ".join(f"<{column}>" for column in columns)
            raise UsageError(f"{where}: expected {expected}, not {line.strip()!r}")
        if words:
            yield where, words


def _numbers(where: str, words: Sequence[str]) -> tuple[float, ...]:
    try:
        numbers = tuple(float(word) for word in words)
    except ValueError as error:
        raise UsageError(f"{where}: {' '.join(words)!r} is not numeric") from error
    if not all(math.isfinite(number) for number in numbers):
        raise UsageError(f"{where}: {' '.join(words)!r} is not finite")
    return numbers


def _existing(paths: Mapping[str, Path], folder: Path) -> dict[str, Path]:
    """The paths, all below a folder, that are there. Raises UsageError where none is."""
    found = {i: path for i, path in paths.items() if os.path.lexists(path)}
    if not found:
        example = paths[min(paths)].relative_to(folder).as_posix()
        raise UsageError(
            f"{str(folder)!r} holds none of the split's files (expected, for example, {example!r})"
        )
    return found


def _half_open(box: tuple[float, ...], size: tuple[int, int]) -> NDArray[np.float64]:
    """`x y width height` to (4,) `x0 y0 x1 y1`, half-open and clipped to the image of size (h, w)."""
    x, y, width, height = box
    h, w = size
    found = np.clip([x, y, x + width, y + height], 0.0, [w, h, w, h])
    if found[2] <= found[0] or found[3] <= found[1]:
        raise DataError(f"box ({x:g} {y:g} {width:g} {height:g}) covers nothing of the {w}×{h} image")
    return found


def _pixels(points: Mapping[str, tuple[float, ...]], size: tuple[int, int]) -> dict[str, NDArray[np.bool_]]:
    """Each point inside the image as a mask (h, w) of the one pixel that holds it."""
    masks = {}
    for name, (x, y) in points.items():
        row, column = math.floor(y), math.floor(x)
        if 0 <= row < size[0] and 0 <= column < size[1]:
            masks[name] = np.zeros(size, dtype=np.bool_)
            masks[name][row, column] = True
    return masks


def _read_majority(path: Path, size: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask (h, w) of a grey image: what most annotators outlined. Raises DataError without a path."""
    try:
        greys = read_image(path)
        # Transparent pixels come back white, which would be the object; `read_mask` sees their value.
        marked = read_mask(path)
    except DataError as error:
        raise DataError(f"mask: {error}") from error
    if (greys != greys[..., :1]).any():
        raise DataError("mask: colours, not shades of grey")
    if marked.shape != size:
        sizes = [f"{w}×{h}" for h, w in (marked.shape, size)]
        raise DataError(f"the mask has {sizes[0]} pixels, its image {sizes[1]}")
    mask: NDArray[np.bool_] = (greys[..., 0] > _HALF) & marked
    if not mask.any():
        raise DataError(f"mask: no pixel is brighter than {_HALF} of 255, so there is no object")
    return mask
