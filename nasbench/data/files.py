"""What readers share: folders listed, text and tables read, ids and digests made of files."""

from __future__ import annotations

import csv
import difflib
import io
import os
import unicodedata
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING

from nasbench.data.decode import read_bytes
from nasbench.digest import digest_bytes
from nasbench.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


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
        double = [name for name in columns if header.count(name) > 1]
        if double:
            raise UsageError(f"{str(path)!r}, line 1: the column {double[0]!r} stands there twice")
        picked = [header.index(name) for name in columns]
        for row in reader:
            if row and len(row) != len(header):
                counts = f"{len(row)} fields, but {len(header)} in the header"
                raise UsageError(f"{str(path)!r}, line {reader.line_num}: {counts}")
            if row:
                yield reader.line_num, [row[i].strip() for i in picked]
    except csv.Error as error:
        raise UsageError(f"{str(path)!r}, line {reader.line_num}: {error}") from error


def image_rows(
    path: Path, columns: Sequence[str], images: Iterable[str]
) -> Iterator[tuple[str, str, list[str]]]:
    """Of a table with the column `image`: the place for a message, the image's id, the columns' values.

    Raises UsageError as `csv_rows`, for an empty name, and in the end where none of the images was named.
    """
    named = set()
    for line, (image, *values) in csv_rows(path, ("image", *columns)):
        where = f"{str(path)!r}, line {line}"
        if not image:
            raise UsageError(f"{where}: an empty field")
        sample_id = as_id(PurePosixPath(image))
        named.add(sample_id)
        yield where, sample_id, values
    if named.isdisjoint(images):
        raise UsageError(f"{str(path)!r} names no image of the data set (they look like {min(images)!r})")


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
