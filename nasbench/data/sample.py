"""What a reader hands to a run: a Sample, and the Dataset that makes samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Truth = Literal["mask", "box", "segments"]


def no_boxes() -> NDArray[np.float64]:
    """An empty set of boxes, shape (0, 4)."""
    return np.zeros((0, 4), dtype=np.float64)


def extent(mask: NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    """The least box `x0 y0 x1 y1`, half-open, that holds a mask (H, W); None of an empty one."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@dataclass(frozen=True)
class Sample:
    """One image and everything known about it, in image pixels.

    Attributes:
        id: stable and unique within its dataset.
        image: (H, W, 3) uint8 RGB, EXIF orientation applied.
        labels: class indices of the dataset, empty where unknown.
        boxes: (n, 4) float64 `x0 y0 x1 y1`, half-open, inside the image.
        mask: (H, W) bool, the object; None where there is none.
        ignore: (H, W) bool, pixels that count for nothing; None where there are none.
        parts: part name -> (H, W) bool, visible pixels of that part.
        segmentations: (H, W) int32 label maps of the whole image, one per annotator. The numbers only tell
            segments apart; negative where the annotator said nothing.
    """

    id: str
    image: NDArray[np.uint8]
    labels: tuple[int, ...] = ()
    boxes: NDArray[np.float64] = field(default_factory=no_boxes)
    mask: NDArray[np.bool_] | None = None
    ignore: NDArray[np.bool_] | None = None
    parts: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    segmentations: tuple[NDArray[np.int32], ...] = ()


class Dataset(Protocol):
    """A set of samples, read one at a time.

    Attributes:
        classes: names by class index; empty where unknown.
        truth: what scores are measured against: the object's "mask" or "box", people's "segments" of the
            whole image (no object then), or None.
    """

    classes: Sequence[str]
    truth: Truth | None

    def ids(self) -> Sequence[str]:
        """All sample ids, unique; the order does not matter."""
        ...

    def digest(self, sample_id: str) -> str:
        """Hex digest of all content that determines the sample (bytes, labels, boxes), never of a path.

        Does not raise for a sample that cannot be read: an unreadable file has a digest too.
        """
        ...

    def load(self, sample_id: str) -> Sample:
        """Read one sample. Raises DataError with a one-line reason."""
        ...
