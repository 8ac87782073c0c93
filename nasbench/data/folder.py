"""A folder of images, with masks and labels where there are any."""

from __future__ import annotations

import csv
import difflib
import io
import os
import unicodedata
from collections import defaultdict
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING

from nasbench.data.decode import IMAGE_SUFFIXES, read_bytes, read_image, read_mask
from nasbench.data.sample import Sample, Truth
from nasbench.digest import digest_bytes, digest_value
from nasbench.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_MASK_SUFFIXES = (".png", ".bmp")  # in the order of preference


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

    Raises UsageError: no such folder, no image in it, a damaged label file, masks of which none fits.
    """

    classes: Sequence[str]
    truth: Truth | None

    def __init__(self, *, root: str, labels: str | None = None) -> None:
        folder = existing_folder(root)
        masks = folder / "masks"
        base = folder / "images" if (folder / "images").is_dir() else folder
        self._images = _by_id(find_files(base, IMAGE_SUFFIXES, skip=masks), base)
        if not self._images:
            raise UsageError(
                f"no images below {str(base)!r} (looked for {', '.join(sorted(IMAGE_SUFFIXES))})"
            )
        self.truth = "mask" if masks.is_dir() else None
        self._masks = _matching_masks(masks, self._images) if self.truth else {}
        names = _label_names(folder, labels, self._images)
        self.classes = tuple(sorted({name for found in names.values() for name in found}))
        index = {name: i for i, name in enumerate(self.classes)}
        self._labels = {i: tuple(sorted(index[name] for name in found)) for i, found in names.items()}

    def ids(self) -> Sequence[str]:
        """All sample ids, sorted."""
        return sorted(self._images)

    def digest(self, sample_id: str) -> str:
        """Hex digest of the image's and the mask's bytes and the label indices."""
        mask = self._masks.get(sample_id)
        return digest_value(
            {
                "image": content_digest(self._images[sample_id]),
                "mask": None if mask is None else content_digest(mask),
                "labels": self._labels.get(sample_id, ()),
            }
        )

    def load(self, sample_id: str) -> Sample:
        """Read image and mask. Raises DataError: one of them is unreadable, or their sizes differ."""
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
        return Sample(id=sample_id, image=image, labels=self._labels.get(sample_id, ()), mask=mask)


def existing_folder(root: str) -> Path:
    """The folder of that name. Raises UsageError with a similar name, if there is one beside it."""
    path = Path(root).expanduser()
    if path.is_dir():
        return path
    if os.path.lexists(path):
        raise UsageError(f"{root!r} is not a folder")
    siblings = {name.casefold(): name for name in _folder_names(path.parent)}
    near = difflib.get_close_matches(path.name.casefold(), siblings, n=1)
    hint = f"; did you mean {str(path.parent / siblings[near[0]])!r}?" if near else ""
    raise UsageError(f"no folder {root!r}{hint}")


def find_files(base: Path, suffixes: Iterable[str], skip: Path | None = None) -> list[Path]:
    """All entries below a folder whose name ends in one of the (lower-case) suffixes, sorted.

    A folder with such a name is an entry, too, and not descended into: it is an image that cannot be read,
    which a run must report rather than pass over. Every real folder is read once, under its own name before
    that of a link to it, so that loops of links end. Hidden entries and the folder `skip` are left out.
    Raises UsageError for a folder that cannot be listed.
    """
    wanted = frozenset(suffixes)
    found: list[Path] = []
    visited = {_identity(skip)} if skip is not None and skip.is_dir() else set()
    folders, links = [base], list[Path]()
    while folders or links:
        folder = folders.pop() if folders else links.pop(0)
        try:
            if _identity(folder) in visited:
                continue
            visited.add(_identity(folder))
            entries = sorted(folder.iterdir())
        except OSError as error:
            raise UsageError(f"cannot list the folder {str(folder)!r}: {error.strerror}") from error
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.suffix.lower() in wanted:
                found.append(entry)
            elif os.path.isdir(entry):  # noqa: PTH112 - Path.is_dir raises for some broken links
                (links if entry.is_symlink() else folders).append(entry)
    return sorted(found)


def csv_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Line number and stripped values of the named columns, row by row, of a UTF-8 CSV file with a header.

    Raises UsageError that names the file and the line: unreadable, not UTF-8, a column or a field missing.
    """
    # Not `str.splitlines`: it also splits at characters that are legal inside a name.
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        missing = [name for name in columns if name not in header]
        if missing:
            raise UsageError(f"{str(path)!r}, line 1: no column {missing[0]!r}, found {', '.join(header)!r}")
        picked = [header.index(name) for name in columns]
        for row in reader:
            if row and len(row) != len(header):
                counts = f"{len(row)} fields, but {len(header)} in the header"
                raise UsageError(f"{str(path)!r}, line {reader.line_num}: {counts}")
            if row:
                yield reader.line_num, [row[i].strip() for i in picked]
    except csv.Error as error:
        raise UsageError(f"{str(path)!r}, line {reader.line_num}: {error}") from error


def read_text(path: Path) -> str:
    """The content of a UTF-8 file. Raises UsageError that names the file and the line."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UsageError(f"{str(path)!r}, line {line}: not UTF-8 text") from error
    except OSError as error:
        raise UsageError(f"cannot read {str(path)!r}: {error.strerror}") from error


def as_id(relative: PurePath) -> str:
    """A relative path as valid, normalised text, also where its name is in a broken encoding."""
    raw = os.fsencode(relative.as_posix())
    return unicodedata.normalize("NFC", raw.decode("utf-8", "backslashreplace"))


def by_stem(paths: Iterable[Path], what: str) -> dict[str, Path]:
    """Paths by the id made of their stem. Raises UsageError where two `what` ("images", say) share one."""
    found: dict[str, Path] = {}
    for path in paths:
        sample_id = as_id(PurePath(path.stem))
        if sample_id in found:
            raise UsageError(
                f"two {what} share the id {sample_id!r}: {str(found[sample_id])!r}, {str(path)!r}"
            )
        found[sample_id] = path
    return found


def content_digest(path: Path) -> str:
    """Hex digest of a file's bytes; of an unreadable file, of the reason why it cannot be read."""
    try:
        return digest_bytes(read_bytes(path))
    except DataError as error:
        return digest_bytes(b"unreadable", str(error).encode())


def _folder_names(parent: Path) -> list[str]:
    try:
        return [path.name for path in sorted(parent.iterdir()) if path.is_dir()]
    except OSError:  # the names only serve a hint
        return []


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


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
    for line, (image, label) in csv_rows(path, ("image", "label")):
        if not image or not label:
            raise UsageError(f"{str(path)!r}, line {line}: an empty field")
        names[as_id(PurePosixPath(image))].add(label)
    if names.keys().isdisjoint(images):
        raise UsageError(f"{str(path)!r} names no image of the data set (they look like {min(images)!r})")
    return names
