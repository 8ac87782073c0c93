"""ImageNet (ILSVRC 2012) in the layout of the Kaggle CLS-LOC task, whole or in part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from nasbench.data.decode import IMAGE_SUFFIXES, read_image
from nasbench.data.files import by_stem, content_digest, csv_rows, existing_folder, find_files, read_text
from nasbench.data.sample import Sample, Truth, no_boxes
from nasbench.digest import digest_value
from nasbench.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

BoxConvention = Literal["inclusive", "half_open"]

_GROUP = 5  # synset x0 y0 x1 y1


class ImageNetDataset:
    """Images with one class and its boxes.

    - Images: in `root/ILSVRC/Data/CLS-LOC/<split>/`, else `root/<split>/`, directly or in one folder per
      synset; else in synset folders directly below `root`. Ids are the file names without suffix, in either
      layout.
    - Classes: by position in `root/LOC_synset_mapping.txt` (`n01440764 tench, Tinca tinca`); without that
      file, the synset folders in sorted order.
    - Labels and boxes: `root/LOC_<split>_solution.csv`; the label of an image it does not list is its synset
      folder. Images listed there and absent here are not part of the data set.
    - Boxes: the table holds pixel indices, of which the second pair is `inclusive`, though some reach one
      pixel beyond the image; inside, boxes are half-open, so 1 is added and the result clipped to the image.
      `half_open` takes them as they are, clipped.

    Attributes:
        synsets: WordNet ids by class index.

    Raises UsageError: no such folder or split, no images, a damaged table (with the line).
    """

    classes: Sequence[str]
    truth: Truth | None

    def __init__(self, *, root: str, split: str = "val", boxes: str = "inclusive") -> None:
        if boxes not in get_args(BoxConvention):
            raise UsageError(f"boxes must be one of {', '.join(get_args(BoxConvention))}, not {boxes!r}")
        self._convention = boxes
        folder = existing_folder(root)
        base, paths = _split_files(folder, split)
        self._paths = by_stem(paths, "images")
        folders = {
            i: path.relative_to(base).parts[0] for i, path in self._paths.items() if path.parent != base
        }

        mapping = folder / "LOC_synset_mapping.txt"
        classes = (
            _read_mapping(mapping) if mapping.exists() else {s: s for s in sorted(set(folders.values()))}
        )
        self.synsets = tuple(classes)
        self.classes = tuple(classes.values())
        index = {synset: i for i, synset in enumerate(self.synsets)}
        for sample_id, synset in folders.items():
            if synset not in index:
                raise UsageError(f"{str(mapping)!r} lacks the folder {synset!r} (image {sample_id!r})")

        solution = folder / f"LOC_{split}_solution.csv"
        self.truth = "box" if solution.exists() else None
        self._solution = _read_solution(solution, self._paths, index) if self.truth else {}
        self._labels: dict[str, tuple[int, ...]] = {i: (index[synset],) for i, synset in folders.items()}
        for sample_id, groups in self._solution.items():
            if groups:
                self._labels[sample_id] = tuple(sorted({index[group[0]] for group in groups}))

    def ids(self) -> Sequence[str]:
        """All sample ids, sorted."""
        return sorted(self._paths)

    def digest(self, sample_id: str) -> str:
        """Hex digest of the image's bytes, its label indices, its boxes and their convention."""
        return digest_value(
            {
                "image": content_digest(self._paths[sample_id]),
                "labels": self._labels.get(sample_id, ()),
                "boxes": [group[1:] for group in self._solution.get(sample_id, ())],
                "convention": self._convention,
            }
        )

    def load(self, sample_id: str) -> Sample:
        """Read one image. Raises DataError: the image is unreadable, or one of its boxes is invalid."""
        image = read_image(self._paths[sample_id])
        height, width = image.shape[:2]
        texts = [group[1:] for group in self._solution.get(sample_id, ())]
        grow = 1.0 if self._convention == "inclusive" else 0.0
        boxes = [_half_open(text, n, (height, width), grow) for n, text in enumerate(texts, start=1)]
        return Sample(
            id=sample_id,
            image=image,
            labels=self._labels.get(sample_id, ()),
            boxes=np.stack(boxes) if boxes else no_boxes(),
        )


def _split_files(folder: Path, split: str) -> tuple[Path, list[Path]]:
    """The folder that holds the images or their synset folders, and the image files."""
    for base in (folder / "ILSVRC" / "Data" / "CLS-LOC" / split, folder / split):
        if base.is_dir():
            paths = find_files(base, IMAGE_SUFFIXES)
            if not paths:
                raise UsageError(f"no images below {str(base)!r}")
            return base, paths
    synsets = sorted(p for p in folder.glob("n[0-9]*") if p.is_dir() and p.name[1:].isdigit())
    paths = [path for synset in synsets for path in find_files(synset, IMAGE_SUFFIXES)]
    if not paths:
        places = f"ILSVRC/Data/CLS-LOC/{split}, {split} and synset folders"
        raise UsageError(f"no images of the split {split!r} below {str(folder)!r} (looked in {places})")
    return folder, paths


def _read_mapping(path: Path) -> dict[str, str]:
    """Names by synset, in the order of the file."""
    classes: dict[str, str] = {}
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        synset, _, names = line.strip().partition(" ")
        where = f"{str(path)!r}, line {number}"
        if not synset:
            continue
        if not names:
            raise UsageError(f"{where}: expected a synset, a space and names, not {line.strip()!r}")
        if synset in classes:
            raise UsageError(f"{where}: the synset {synset!r} stands there twice")
        classes[synset] = names.strip()
    return classes


def _read_solution(
    path: Path, images: Mapping[str, Path], index: Mapping[str, int]
) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Groups `(synset, x0, y0, x1, y1)` by id, as text, of the images at hand; others are only checked."""
    found: dict[str, tuple[tuple[str, ...], ...]] = {}
    listed = set()
    for line, (image, prediction) in csv_rows(path, ("ImageId", "PredictionString")):
        where = f"{str(path)!r}, line {line}"
        if image in listed:
            raise UsageError(f"{where}: the image {image!r} stands there twice")
        listed.add(image)
        words = prediction.split()
        if len(words) % _GROUP:
            raise UsageError(f"{where}: {len(words)} words, not groups of {_GROUP} (synset x0 y0 x1 y1)")
        if image not in images:
            continue
        groups = tuple(tuple(words[i : i + _GROUP]) for i in range(0, len(words), _GROUP))
        unknown = [group[0] for group in groups if group[0] not in index]
        if unknown:
            raise UsageError(f"{where}: {unknown[0]!r} is no class of the mapping or folders")
        found[image] = groups
    return found


def _half_open(text: Sequence[str], number: int, size: tuple[int, int], grow: float) -> NDArray[np.float64]:
    """One box (4,) `x0 y0 x1 y1`, half-open and clipped; `number` counts from 1, for the reason."""
    name = f"box {number} ({' '.join(text)})"
    try:
        x0, y0, x1, y1 = (float(word) for word in text)
    except ValueError as error:
        raise DataError(f"{name} is not numeric") from error
    if not np.isfinite([x0, y0, x1, y1]).all():
        raise DataError(f"{name} is not finite")
    if x1 < x0 or y1 < y0:
        raise DataError(f"{name} is inverted")
    h, w = size
    box = np.clip([x0, y0, x1 + grow, y1 + grow], 0.0, [w, h, w, h])
    if box[2] <= box[0] or box[3] <= box[1]:
        raise DataError(f"{name} covers nothing of the {w}×{h} image")
    return box
