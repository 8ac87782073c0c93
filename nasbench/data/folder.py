"""A folder of images, with masks and labels where there are any."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from nasbench.data.decode import IMAGE_SUFFIXES, read_image, read_mask
from nasbench.data.files import as_id, content_digest, existing_folder, find_files, image_rows
from nasbench.data.folder_boxes import Box, box_around, boxes_from_csv, checked_in_image
from nasbench.data.sample import Sample, Truth, no_boxes
from nasbench.digest import digest_value
from nasbench.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

_MASK_SUFFIXES = (".png", ".bmp")  # in the order of preference
_BOXES = ("table", "masks", "none")


class FolderDataset:
    """Images below a folder.

    - Images: below `root/images/` if that exists, else anywhere below `root` except `root/masks/`. Hidden
      files are skipped, links are followed, each folder is read once.
    - Ids: the path relative to that folder, with suffix, `/` as separator, Unicode in form NFC.
    - Masks: `root/masks/<the same relative path>` ending in .png or .bmp; see `read_mask`. An image may lack
      one.
    - Labels: the file `labels` or `root/labels.csv`, with columns `image` (an id) and `label` (a name);
      several rows of an image are several labels; rows of absent images count for the classes only. Without
      such a file, the first-level folder's name, if every image lies in one.
    - Classes: the label names, sorted as text.
    - Boxes: with `boxes="table"` those of the file `box_table` or `root/boxes.csv`, with columns `image` (an
      id), `x0`, `y0`, `x1`, `y1`, half-open, in image pixels; several rows of an image are several boxes.
      Without such a file none. With `boxes="masks"` one around each mask; with "none" no file is read.
    - Truth: masks where there is their folder, else boxes.

    Raises UsageError: no such folder, no image in it, a damaged label file or table, masks of which none
    fits, boxes of masks that are not there.
    """

    classes: Sequence[str]
    truth: Truth | None

    def __init__(
        self, *, root: str, labels: str | None = None, boxes: str = "table", box_table: str | None = None
    ) -> None:
        folder = existing_folder(root)
        masks = folder / "masks"
        base = folder / "images" if (folder / "images").is_dir() else folder
        self._images = _by_id(find_files(base, IMAGE_SUFFIXES, skip=masks), base)
        if not self._images:
            raise UsageError(
                f"no images below {str(base)!r} (looked for {', '.join(sorted(IMAGE_SUFFIXES))})"
            )
        self._masks = _matching_masks(masks, self._images) if masks.is_dir() else {}
        self._boxes = _boxes(folder, boxes, box_table, self._images)
        if self._boxes is None and not self._masks:
            raise UsageError(f"dataset.boxes=masks: there is no folder {str(masks)!r}")
        self.truth = "mask" if self._masks else "box" if self._boxes else None
        names = _label_names(folder, labels, self._images)
        self.classes = tuple(sorted({name for found in names.values() for name in found}))
        index = {name: i for i, name in enumerate(self.classes)}
        self._labels = {i: tuple(sorted(index[name] for name in found)) for i, found in names.items()}

    def ids(self) -> Sequence[str]:
        """All sample ids, sorted."""
        return sorted(self._images)

    def digest(self, sample_id: str) -> str:
        """Hex digest of the image's and the mask's bytes, the label indices and the table's boxes."""
        mask = self._masks.get(sample_id)
        parts = {
            "image": content_digest(self._images[sample_id]),
            "mask": None if mask is None else content_digest(mask),
            "labels": self._labels.get(sample_id, ()),
        }
        boxes = (self._boxes or {}).get(sample_id)
        return digest_value(parts if boxes is None else {**parts, "boxes": boxes})

    def load(self, sample_id: str) -> Sample:
        """Read image and mask.

        Raises DataError: one of them is unreadable, their sizes differ, or a box reaches beyond the image.
        """
        image = read_image(self._images[sample_id])
        mask = None
        if sample_id in self._masks:
            try:
                mask = read_mask(self._masks[sample_id])
            except DataError as error:
                raise DataError(f"mask: {error}") from error
            if mask.shape != image.shape[:2]:
                sizes = [f"{a.shape[1]}×{a.shape[0]}" for a in (mask, image)]
                raise DataError(f"the mask has {sizes[0]} pixels, its image {sizes[1]}")
        boxes: NDArray[np.float64] = no_boxes()
        if self._boxes is not None:
            boxes = checked_in_image(self._boxes.get(sample_id, ()), image.shape[:2])
        elif mask is not None:
            boxes = box_around(mask)
        labels = self._labels.get(sample_id, ())
        return Sample(id=sample_id, image=image, labels=labels, boxes=boxes, mask=mask)


def _by_id(paths: Iterable[Path], base: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        sample_id = as_id(path.relative_to(base))
        if sample_id in found:
            raise UsageError(
                f"two files below {str(base)!r} differ only in their Unicode form: {sample_id!r}"
            )
        found[sample_id] = path
    return found


def _matching_masks(masks: Path, images: Iterable[str]) -> dict[str, Path]:
    """The mask of each image that has one; names are compared as ids, whatever their Unicode form."""
    by_stem: dict[tuple[str, str], Path] = {}
    for path in find_files(masks, _MASK_SUFFIXES):
        stem = as_id(path.relative_to(masks).with_suffix(""))
        by_stem.setdefault((stem, path.suffix.lower()), path)
    found = {}
    for sample_id in images:
        stem = str(PurePosixPath(sample_id).with_suffix(""))
        candidates = [by_stem[stem, suffix] for suffix in _MASK_SUFFIXES if (stem, suffix) in by_stem]
        if candidates:
            found[sample_id] = candidates[0]
    if not found:
        example = str(PurePosixPath(min(images)).with_suffix(".png"))
        raise UsageError(f"{str(masks)!r} holds no mask of any image (expected, for example, {example!r})")
    return found


def _boxes(
    folder: Path, boxes: str, table: str | None, images: Mapping[str, Path]
) -> Mapping[str, tuple[Box, ...]] | None:
    """Boxes by image id; None where they are those around masks."""
    if boxes not in _BOXES:
        raise UsageError(f"dataset.boxes={boxes}: choose one of {', '.join(_BOXES)}")
    if boxes != "table":
        if table is not None:
            raise UsageError("dataset.box_table is for dataset.boxes=table")
        return None if boxes == "masks" else {}
    if table is not None:
        return boxes_from_csv(Path(table).expanduser(), images)
    path = folder / "boxes.csv"
    try:
        return boxes_from_csv(path, images) if path.exists() else {}
    except UsageError as error:  # it may be another program's
        raise UsageError(f"{error}; with dataset.boxes=none it is not read") from error


def _label_names(folder: Path, labels: str | None, images: Mapping[str, Path]) -> Mapping[str, set[str]]:
    """Label names by image id; ids beyond the images' only add classes."""
    path = Path(labels).expanduser() if labels is not None else folder / "labels.csv"
    if labels is not None or path.exists():
        return _names_from_csv(path, images)
    if all("/" in sample_id for sample_id in images):
        return {sample_id: {sample_id.split("/", 1)[0]} for sample_id in images}
    return {}


def _names_from_csv(path: Path, images: Iterable[str]) -> Mapping[str, set[str]]:
    names: defaultdict[str, set[str]] = defaultdict(set)
    for where, image, (label,) in image_rows(path, ("label",), images):
        if not label:
            raise UsageError(f"{where}: an empty field")
        names[image].add(label)
    return names
