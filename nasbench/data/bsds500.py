"""BSDS500 (Arbeláez et al., PAMI 2011): photographs, each cut into segments by several people."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench.data.decode import IMAGE_SUFFIXES, read_bytes, read_image
from nasbench.data.files import by_stem, content_digest, existing_folder, find_files
from nasbench.data.sample import Sample, Truth
from nasbench.digest import digest_value
from nasbench.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


class BSDS500Dataset:
    """Images with the segmentations of several people.

    - Images: below `root/images/<split>/`, else `root/data/images/<split>/`; without a split, below
      `images/`. Ids are the file names without suffix, which are unique over the splits.
    - Segmentations: `groundTruth/<split>/<id>.mat` beside `images`, MATLAB 5, a cell `groundTruth` of structs
      with a field `Segmentation`, one per annotator. An image may lack its file. The drawn boundaries, the
      field `Boundaries`, are not read: scores derive boundaries from the segments.

    Raises UsageError: no such folder or split, no images, segmentations of which none fits.
    """

    classes: Sequence[str] = ()
    truth: Truth | None

    def __init__(self, *, root: str, split: str | None = None) -> None:
        base, images = _split_folder(existing_folder(root), split)
        self._images = by_stem(find_files(images, IMAGE_SUFFIXES), "files")
        if not self._images:
            raise UsageError(f"no images below {str(images)!r}")
        annotations = base / "groundTruth" / images.relative_to(base / "images")
        self.truth = "segments" if annotations.is_dir() else None
        found = by_stem(find_files(annotations, (".mat",)), "files") if self.truth else {}
        self._annotations = {i: path for i, path in found.items() if i in self._images}
        if self.truth and not self._annotations:
            example = f"{min(self._images)}.mat"
            raise UsageError(
                f"{str(annotations)!r} holds no segmentation of any image (expected, for example, "
                f"{example!r})"
            )

    def ids(self) -> Sequence[str]:
        """All sample ids, sorted."""
        return sorted(self._images)

    def digest(self, sample_id: str) -> str:
        """Hex digest of the bytes of the image and of its segmentations."""
        annotation = self._annotations.get(sample_id)
        return digest_value(
            {
                "image": content_digest(self._images[sample_id]),
                "segmentations": None if annotation is None else content_digest(annotation),
            }
        )

    def load(self, sample_id: str) -> Sample:
        """Read image and segmentations. Raises DataError: one is unreadable, or their sizes differ."""
        image = read_image(self._images[sample_id])
        if sample_id not in self._annotations:
            return Sample(id=sample_id, image=image)
        try:
            segmentations = _read_segmentations(self._annotations[sample_id])
        except DataError as error:
            raise DataError(f"groundTruth: {error}") from error
        for n, segmentation in enumerate(segmentations, start=1):
            if segmentation.shape != image.shape[:2]:
                sizes = [f"{a.shape[1]}×{a.shape[0]}" for a in (segmentation, image)]
                raise DataError(f"segmentation {n} has {sizes[0]} pixels, its image {sizes[1]}")
        return Sample(id=sample_id, image=image, segmentations=segmentations)


def _split_folder(folder: Path, split: str | None) -> tuple[Path, Path]:
    """The folder that holds images/ and groundTruth/, and that of the split's images."""
    bases = [base for base in (folder, folder / "data") if (base / "images").is_dir()]
    if not bases:
        raise UsageError(f"no folder 'images' or 'data/images' in {str(folder)!r}")
    base = bases[0]
    if split is None:
        return base, base / "images"
    splits = sorted(path.name for path in (base / "images").iterdir() if path.is_dir())
    if split not in splits:
        raise UsageError(
            f"no split {split!r} in {str(base / 'images')!r}; it has {', '.join(splits) or 'none'}"
        )
    return base, base / "images" / split


def _read_segmentations(path: Path) -> tuple[NDArray[np.int32], ...]:
    """The segmentations (H, W) of all annotators. Raises DataError with a reason that holds no path."""
    content = read_bytes(path)
    try:
        from scipy.io import loadmat

        # From memory: a message about it cannot hold a path. Reading builds arrays and runs nothing.
        cells = loadmat(io.BytesIO(content), variable_names=["groundTruth"]).get("groundTruth")
    except Exception as error:  # the parser raises almost anything on damaged bytes
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"not a readable MATLAB 5 file: {reason}") from error
    if not isinstance(cells, np.ndarray) or cells.dtype != object or cells.size == 0:
        raise DataError("no cell array 'groundTruth' in the MATLAB file")
    return tuple(_segmentation(cell, n) for n, cell in enumerate(cells.ravel(), start=1))


def _segmentation(cell: Any, number: int) -> NDArray[np.int32]:
    fields = getattr(getattr(cell, "dtype", None), "names", None) or ()
    if "Segmentation" not in fields or cell.size != 1:
        raise DataError(f"annotator {number} has no field 'Segmentation'")
    found = cell["Segmentation"].ravel()[0]
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.dtype.kind not in "uif":  # noqa: PLR2004
        raise DataError(f"segmentation {number} is no array of numbers with two axes")
    with np.errstate(invalid="ignore"):  # what does not fit is seen by the comparison
        out = found.astype(np.int32)
    if (out != found).any() or (out < 0).any():
        raise DataError(f"segmentation {number} holds other values than whole numbers from 0")
    return out
