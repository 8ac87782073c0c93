"""Files of maps: which of a folder's names belong to an image, and what one of them holds.

Arrays are real numbers of any type, (h, w) or (1, h, w), finite. NumPy's own reader is used without pickle: a
file of Python objects is refused, never executed. A reason never holds the folder: it goes into a result row,
and rows must not depend on where the data lie.
"""

from __future__ import annotations

import os
import re
import unicodedata
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from nasbench.errors import SaliencyError, UsageError

T = TypeVar("T")

_SUFFIXES = (".npy", ".npz")
_BY_CLASS = re.compile(r"(.+)__(0|[1-9][0-9]{0,8})", re.DOTALL)
# A map of more values is a mistake or an attack: a header of a few bytes can ask for any amount of memory.
_MAX_VALUES = 1 << 24


@dataclass(frozen=True)
class Candidates:
    """The files that fit an image, relative to their folder.

    Attributes:
        general: of any class.
        by_class: of one class each.
    """

    general: tuple[str, ...]
    by_class: Mapping[int, tuple[str, ...]]

    @property
    def all(self) -> tuple[str, ...]:
        """All of them, sorted."""
        return tuple(sorted((*self.general, *(name for names in self.by_class.values() for name in names))))

    @property
    def ambiguous(self) -> bool:
        """Whether more than one might be meant for some class."""
        return any(len(names) > 1 for names in (self.general, *self.by_class.values())) or bool(
            self.general and self.by_class
        )


@dataclass(frozen=True)
class MapFiles:
    """The files of a folder, by name.

    Attributes:
        paths: relative name, with `/` -> path, sorted by name.
        general: stem -> names of the files whose stem it is.
        by_class: stem -> class -> names of the files `<stem>__<class>`.
    """

    paths: Mapping[str, Path]
    general: Mapping[str, tuple[str, ...]]
    by_class: Mapping[str, Mapping[int, tuple[str, ...]]]

    @classmethod
    def below(cls, folder: Path) -> MapFiles:
        """Read the folder. Raises UsageError for one that cannot be listed."""
        paths = dict(sorted((_shown(path.relative_to(folder)), path) for path in _walk(folder)))
        general: defaultdict[str, tuple[str, ...]] = defaultdict(tuple)
        by_class: defaultdict[str, dict[int, tuple[str, ...]]] = defaultdict(dict)
        for name in paths:
            stem = unicodedata.normalize("NFC", name[: -len(_SUFFIXES[0])])
            general[stem] += (name,)
            if match := _BY_CLASS.fullmatch(stem):
                numbers = by_class[match[1]]
                numbers[int(match[2])] = (*numbers.get(int(match[2]), ()), name)
        return cls(paths, dict(general), dict(by_class))

    def of(self, sample_id: str) -> Candidates:
        """The files that fit an image's id, with its suffix or without."""
        stems = _stems(unicodedata.normalize("NFC", sample_id))
        by_class: defaultdict[int, tuple[str, ...]] = defaultdict(tuple)
        for stem in stems:
            for number, names in self.by_class.get(stem, {}).items():
                by_class[number] += names
        general = tuple(name for stem in stems for name in self.general.get(stem, ()))
        return Candidates(general, dict(by_class))


def read_map(path: Path, name: str) -> NDArray[np.float32]:
    """The map (h, w) in a file, contiguous. Raises SaliencyError that begins with the name."""

    def read(stream: IO[bytes]) -> NDArray[np.float32]:
        _header(stream)
        stream.seek(0)
        array: NDArray[np.float64] = npy.read_array(stream, allow_pickle=False)
        with np.errstate(over="ignore"):  # what overflows is told below
            return np.asarray(array, dtype=np.float32, order="C")

    array = _reading(path, name, read)
    if array.ndim == 3 and array.shape[0] == 1:  # noqa: PLR2004 - (1, h, w)
        array = array[0]
    if array.ndim != 2 or 0 in array.shape:  # noqa: PLR2004 - (h, w)
        hint = ": its channels must be brought to one first" if 3 in array.shape[::2] else ""  # noqa: PLR2004
        raise SaliencyError(f"{name}: shape {array.shape}, expected (h, w) or (1, h, w){hint}")
    if not np.isfinite(array).all():
        raise SaliencyError(f"{name}: holds NaN, infinite or too large values")
    return array


def read_shape(path: Path, name: str) -> tuple[int, ...]:
    """The shape of the array in a file, by its header. Raises SaliencyError that begins with the name."""
    return _reading(path, name, _header)


def _reading(path: Path, name: str, read: Callable[[IO[bytes]], T]) -> T:
    """Apply a reader to the one array of a file, whatever may be wrong with it."""
    try:
        if path.suffix.lower() == ".npy":
            with path.open("rb") as stream:
                return read(stream)
        with zipfile.ZipFile(path) as archive, archive.open(_only_member(archive)) as stream:
            return read(stream)
    except SaliencyError as error:
        raise SaliencyError(f"{name}: {error}") from error
    except OSError as error:
        raise SaliencyError(f"{name}: {(error.strerror or 'cannot be read').lower()}") from error
    except Exception as error:  # what the readers raise on hostile bytes is nowhere written down
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SaliencyError(f"{name}: not a readable NumPy file ({reason})") from error


def _only_member(archive: zipfile.ZipFile) -> str:
    members = archive.namelist()
    if len(members) != 1:
        raise SaliencyError(f"holds {len(members)} arrays, expected one")
    return members[0]


def _header(stream: IO[bytes]) -> tuple[int, ...]:
    """The shape an array's header tells, of an array that may be read. Raises SaliencyError, ValueError."""
    read = npy.read_array_header_1_0 if npy.read_magic(stream) == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype.hasobject:
        raise SaliencyError("holds pickled Python objects, which are refused")
    if dtype.kind not in "biuf":
        raise SaliencyError(f"holds {dtype} values, expected real numbers")
    if np.prod(shape, dtype=object) > _MAX_VALUES:
        raise SaliencyError(f"shape {shape}: more than {_MAX_VALUES} values")
    return tuple(int(n) for n in shape)


def _stems(sample_id: str) -> tuple[str, ...]:
    """How the files of an image may be called: its id, and its id without what follows the last point."""
    bare, point, suffix = sample_id.rpartition(".")
    has_suffix = point and "/" not in suffix and bare and not bare.endswith("/")
    return (sample_id, bare) if has_suffix else (sample_id,)


def _walk(folder: Path, above: tuple[tuple[int, int], ...] = ()) -> Iterator[Path]:
    """All map files below a folder; a link to a folder that holds it ends there."""
    try:
        status = folder.stat()
        here = (status.st_dev, status.st_ino)
        entries = [] if here in above else sorted(folder.iterdir())
    except OSError as error:
        raise UsageError(f"saliency.path: cannot list {str(folder)!r}: {error.strerror}") from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if os.path.isdir(entry):  # noqa: PTH112 - Path.is_dir raises for some broken links
            yield from _walk(entry, (*above, here))
        elif entry.suffix.lower() in _SUFFIXES and os.path.isfile(entry):  # noqa: PTH113 - likewise
            yield entry


def _shown(relative: Path) -> str:
    """A relative path as valid text, also where its name is in a broken encoding."""
    return os.fsencode(relative.as_posix()).decode("utf-8", "backslashreplace")
