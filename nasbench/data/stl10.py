"""STL-10 (Coates, Ng & Lee, AISTATS 2011) in its official binary files, with masks where there are any."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from nasbench.data.decode import read_mask
from nasbench.data.files import content_digest, existing_folder, find_files, read_text
from nasbench.data.sample import Sample, Truth
from nasbench.digest import digest_bytes, digest_value
from nasbench.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_SIDE = 96  # pixels
_IMAGE_BYTES = 3 * _SIDE * _SIDE
_SPLITS = ("train", "test", "unlabeled")
_MASK_NAME = re.compile(r"(\d{5,})(?:_(.+))?")


class STL10Dataset:
    """Images of 96 × 96 pixels, read one at a time from one file.

    - Images: `root/<split>_X.bin`, uint8, n × 3 × 96 × 96 with each channel column by column, so that the
      axes of one image are (channel, x, y). Ids are `<split>_00000`, counted from 0.
    - Labels: `root/<split>_y.bin`, uint8, counted from 1; without that file there are none. Inside, class
      indices are counted from 0.
    - Classes: the lines of `root/class_names.txt`; unnamed without it.
    - Masks: `root/masks/00000.png` or `00000_<class>.png`, not part of the official set, of the test split;
      see `read_mask`. An image may lack one.

    Raises UsageError: no such folder or split, a file whose size does not fit, a label out of range, a mask
    that belongs to no image or is named for another class.
    """

    classes: Sequence[str]
    truth: Truth | None

    def __init__(self, *, root: str, split: str = "test") -> None:
        if split not in _SPLITS:
            raise UsageError(f"split must be one of {', '.join(_SPLITS)}, not {split!r}")
        folder = existing_folder(root)
        self._split = split
        self._file = folder / f"{split}_X.bin"
        self._count = _count(self._file)
        names = folder / "class_names.txt"
        self.classes = _read_names(names) if names.exists() else ()
        labels = folder / f"{split}_y.bin"
        self._labels = _read_labels(labels, self._count, len(self.classes)) if labels.exists() else ()
        masks = folder / "masks"
        self.truth = "mask" if split == "test" and masks.is_dir() else None
        self._masks = self._find_masks(masks) if self.truth else {}

    def ids(self) -> Sequence[str]:
        """All sample ids, in the order of the file."""
        return [f"{self._split}_{index:05d}" for index in range(self._count)]

    def digest(self, sample_id: str) -> str:
        """Hex digest of the image's and the mask's bytes and the label index."""
        index = self._index(sample_id)
        try:
            image = digest_bytes(self._read(index))
        except DataError as error:
            image = digest_bytes(b"unreadable", str(error).encode())
        mask = self._masks.get(index)
        return digest_value(
            {
                "image": image,
                "mask": None if mask is None else content_digest(mask),
                "labels": self._labels[index : index + 1],
            }
        )

    def load(self, sample_id: str) -> Sample:
        """Read one image and its mask. Raises DataError: one of them is unreadable, or of another size."""
        index = self._index(sample_id)
        stored = np.frombuffer(self._read(index), dtype=np.uint8).reshape(3, _SIDE, _SIDE)
        image = np.array(stored.transpose(2, 1, 0), order="C")
        labels = self._labels[index : index + 1]
        return Sample(id=sample_id, image=image, labels=labels, mask=self._mask(index))

    def _mask(self, index: int) -> NDArray[np.bool_] | None:
        if index not in self._masks:
            return None
        try:
            mask = read_mask(self._masks[index])
        except DataError as error:
            raise DataError(f"mask: {error}") from error
        if mask.shape != (_SIDE, _SIDE):
            raise DataError(f"the mask has {mask.shape[1]}×{mask.shape[0]} pixels, its image {_SIDE}×{_SIDE}")
        return mask

    def _index(self, sample_id: str) -> int:
        return int(sample_id.removeprefix(f"{self._split}_"))

    def _read(self, index: int) -> bytes:
        """The bytes of one image. Raises DataError: the file is gone or has become shorter."""
        try:
            with self._file.open("rb") as file:
                file.seek(index * _IMAGE_BYTES)
                content = file.read(_IMAGE_BYTES)
        except OSError as error:
            reason = (error.strerror or "unknown error").lower()
            raise DataError(f"{self._file.name} cannot be read: {reason}") from error
        if len(content) < _IMAGE_BYTES:
            raise DataError(f"{self._file.name} ends within image {index} or before it")
        return content

    def _find_masks(self, folder: Path) -> Mapping[int, Path]:
        found: dict[int, Path] = {}
        for path in find_files(folder, (".png", ".bmp")):
            parts = _MASK_NAME.fullmatch(path.stem)
            if parts is None or int(parts[1]) >= self._count:
                raise UsageError(
                    f"{str(path)!r} is the mask of no image; expected 00000 to {self._count - 1:05d} and, if "
                    "wanted, _<class>"
                )
            index, name = int(parts[1]), parts[2]
            if index in found:
                raise UsageError(f"two masks of image {index}: {str(found[index])!r}, {str(path)!r}")
            if name in self.classes and self._labels and name != self.classes[self._labels[index]]:
                raise UsageError(
                    f"{str(path)!r} is named for {name!r}, but image {index} is labelled "
                    f"{self.classes[self._labels[index]]!r}"
                )
            found[index] = path
        return found


def _count(path: Path) -> int:
    """Number of images in a file. Raises UsageError: it is missing, empty, or ends within an image."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise UsageError(f"cannot read {str(path)!r}: {error.strerror}") from error
    if not path.is_file():
        raise UsageError(f"{str(path)!r} is not a file")
    if size == 0 or size % _IMAGE_BYTES:
        raise UsageError(
            f"{str(path)!r} has {size} bytes, not a multiple of {_IMAGE_BYTES}: truncated, or not STL-10"
        )
    return size // _IMAGE_BYTES


def _read_names(path: Path) -> tuple[str, ...]:
    return tuple(name for line in read_text(path).split("\n") if (name := line.strip()))


def _read_labels(path: Path, count: int, n_classes: int) -> tuple[int, ...]:
    """Class indices from 0. Raises UsageError: unreadable, not one byte per image, a label out of range."""
    try:
        labels = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    except OSError as error:
        raise UsageError(f"cannot read {str(path)!r}: {error.strerror}") from error
    if len(labels) != count:
        raise UsageError(f"{str(path)!r} has {len(labels)} labels for {count} images")
    most = n_classes or int(np.iinfo(np.uint8).max)
    if labels.min() < 1 or labels.max() > most:
        wrong = int(np.flatnonzero((labels < 1) | (labels > most))[0])
        raise UsageError(f"{str(path)!r}: label {labels[wrong]} of image {wrong} is not in 1..{most}")
    return tuple(int(label) - 1 for label in labels)
