"""Which class of a model stands for which class of a data set, where the two were made apart.

A map is a JSON object: a data set's class, by its name or its index, to the index of a model's class.

    {"001.Black_footed_Albatross": 422, "3": 203}
"""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench.digest import digest_value
from nasbench.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DIGITS = 9  # of an index, at most


def read_label_map(path: str, classes: Sequence[str], *, model_classes: int | None = None) -> dict[int, int]:
    """Read a map: class index of the data set -> class index of the model, both from 0.

    Classes that the file does not name are absent; several may share one class of the model. A key is a
    class's name before it is an index, should a name be a number.

    Args:
        path: of the JSON file.
        classes: names by class index; empty where unknown, and then only indices can be keys.
        model_classes: how many the model has, for a check; None where that is not known yet.

    Raises UsageError that names the file and its first bad entry, with the nearest class names.
    """
    indices: dict[str, int] = {}
    for i, name in enumerate(classes):
        indices.setdefault(name, i)
    found: dict[int, int] = {}
    for key, value in _read_entries(path):
        where = f"model.label_map: {path!r}, entry {key!r}"
        index = _dataset_class(key, indices, len(classes), where)
        if index in found:
            raise UsageError(f"{where}: the data set's class {index} stands there twice")
        found[index] = _model_class(value, model_classes, where)
    if not found:
        raise UsageError(f"model.label_map: {path!r} maps no class")
    return found


def digest_label_map(mapping: Mapping[int, int]) -> str:
    """Hex digest of what a map says; neither order nor names for indices count."""
    return digest_value(sorted(mapping.items()))


def _read_entries(path: str) -> list[tuple[str, Any]]:
    """The pairs of the file's object in their order, repeated keys included."""
    try:
        text = Path(path).expanduser().read_bytes().decode("utf-8-sig")
        # Pairs, not a dict, which would keep the last of repeated keys without a word.
        entries = json.loads(text, object_pairs_hook=_Pairs)
    except OSError as error:
        raise UsageError(f"model.label_map: cannot read {path!r}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UsageError(f"model.label_map: {path!r}, line {line}: not UTF-8 text") from error
    except json.JSONDecodeError as error:
        raise UsageError(f"model.label_map: {path!r}, line {error.lineno}: {error.msg}") from error
    except (ValueError, RecursionError) as error:  # endless numbers, endless brackets, a NUL in the path
        raise UsageError(f"model.label_map: {path!r} cannot be read as JSON: {error}") from error
    if not isinstance(entries, _Pairs):
        raise UsageError(f"model.label_map: {path!r} is no JSON object of classes to indices")
    return list(entries)


class _Pairs(list[tuple[str, Any]]):
    """A JSON object, told apart from an array."""


def _dataset_class(key: str, indices: Mapping[str, int], count: int, where: str) -> int:
    if key in indices:
        return indices[key]
    # Other scripts' digits are decimal, too, and nobody means them here; nor numbers of many digits.
    if key.isascii() and key.isdecimal() and len(key) <= _DIGITS:
        if not count or int(key) < count:
            return int(key)
        raise UsageError(f"{where}: the data set has the classes 0 to {count - 1}")
    if not count:
        raise UsageError(f"{where}: the data set's classes have no names; give indices")
    near = difflib.get_close_matches(key, indices, n=3, cutoff=0.5)
    hint = f"; near: {', '.join(near)}" if near else f", such as {min(indices)}"
    raise UsageError(f"{where}: no class of the data set{hint}")


def _model_class(value: Any, count: int | None, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        shown = "an object" if isinstance(value, _Pairs) else repr(value)
        raise UsageError(f"{where}: the index of a model's class is a whole number from 0, not {shown}")
    if count is not None and value >= count:
        raise UsageError(f"{where}: the model has the classes 0 to {count - 1}, not {value}")
    return value
