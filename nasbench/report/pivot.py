"""The lines of a table: cells by the values of some keys, the others averaged over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nasbench.errors import RunError
from nasbench.report.cell_keys import COMPARED, distinguishing, text_of
from nasbench.report.merged import MergedCell

_NONE = "none"
# Keys that make regions, beside the segmenter's own.
_REGIONS = ("segmenter", "counts", "over")


@dataclass(frozen=True)
class Line:
    """One line of a table.

    Attributes:
        values: the keys' values, in the order of the table's keys.
        label: what tells the line from others, in words.
        cells: those it is the mean of.
    """

    values: tuple[str, ...]
    label: str
    cells: tuple[MergedCell, ...]


@dataclass(frozen=True)
class Pivot:
    """The lines of one table.

    Attributes:
        keys: what makes a line.
        lines: in the order of their values' first cells.
        over: what lines are averaged over, as words: `saliency (cam, centre)`.
        bases: by line, the one that differs from it in having no regions.
    """

    keys: tuple[str, ...]
    lines: tuple[Line, ...]
    over: tuple[str, ...]
    bases: dict[int, int]


def pivot(cells: Sequence[MergedCell], by: Sequence[str] | None) -> Pivot:
    """Lines of these cells; without `by` one for each.

    Raises RunError where lines would be averaged over other values of a key that is not named: their
    difference would be that of the values.
    """
    told = distinguishing(cells)
    keys = tuple(told if by is None else [key for key in by if any(text_of(cell, key) for cell in cells)])
    keys = keys or (told[0],)
    members: dict[tuple[str, ...], list[MergedCell]] = {}
    for cell in cells:
        members.setdefault(tuple(text_of(cell, key) for key in keys), []).append(cell)
    # Options of a named group go with its choice: regions of `none` have no number of clusters.
    left = [key for key in told if key not in keys]
    free = [key for key in left if key.split(".")[0] not in keys]
    labels = _labels(keys, list(members))
    if by is not None:
        _check_balance(members, labels, free)
    lines = tuple(
        Line(values, label, tuple(some))
        for (values, some), label in zip(members.items(), labels, strict=True)
    )
    over = [f"{key} ({', '.join(_values(cells, key))})" for key in left if _averaged(members.values(), key)]
    return Pivot(keys, lines, tuple(over), _bases(keys, lines))


def _check_balance(
    members: dict[tuple[str, ...], list[MergedCell]], labels: Sequence[str], free: Sequence[str]
) -> None:
    found = {
        label: {tuple(text_of(cell, key) for key in free) for cell in some}
        for label, some in zip(labels, members.values(), strict=True)
    }
    every = set().union(*found.values())
    for label, some in found.items():
        lacking = sorted(every - some)
        if lacking:
            what = " ".join(value or _NONE for value in lacking[0])
            raise RunError(
                f"--by would average over {', '.join(free)}, but there is no {what} of {label}: name "
                f"{'it' if len(free) == 1 else 'them'} in --by, or add the run"
            )


def _averaged(lines: Iterable[Sequence[MergedCell]], key: str) -> bool:
    return any(len({text_of(cell, key) for cell in some}) > 1 for some in lines)


def _values(cells: Sequence[MergedCell], key: str) -> list[str]:
    found = {text_of(cell, key) for cell in cells} - {""}
    return sorted(found, key=lambda text: (len(text), text) if text.isdecimal() else (0, text))


def _labels(keys: Sequence[str], lines: Sequence[tuple[str, ...]]) -> list[str]:
    """Choices joined by +, then options; regions are left out where there are none."""
    short = _short(keys)
    labels = []
    for values in lines:
        named = dict(zip(keys, values, strict=True))
        chosen = [
            value
            for key, value in named.items()
            if _is_choice(key) and value and (key, value) != ("segmenter", _NONE)
        ]
        said = [f"{short[key]}={value}" for key, value in named.items() if not _is_choice(key) and value]
        labels.append(" ".join([" + ".join(chosen), *said]).strip() or "no regions")
    return labels


def _short(keys: Sequence[str]) -> dict[str, str]:
    """Each key by its last part, where that is its alone."""
    last = [key.split(".")[-1] for key in keys]
    return {key: name if last.count(name) == 1 else key for key, name in zip(keys, last, strict=True)}


def _is_choice(key: str) -> bool:
    return key in (*COMPARED, "dataset", "imputer", "metric")


def _bases(keys: Sequence[str], lines: Sequence[Line]) -> dict[int, int]:
    if "segmenter" not in keys:
        return {}
    at = list(keys).index("segmenter")
    others = [i for i, key in enumerate(keys) if key.split(".")[0] not in _REGIONS]

    def but_regions(line: Line) -> tuple[str, ...]:
        return tuple(line.values[i] for i in others)

    plain = {but_regions(line): i for i, line in enumerate(lines) if line.values[at] == _NONE}
    found = {i: plain.get(but_regions(line)) for i, line in enumerate(lines) if line.values[at] != _NONE}
    return {i: base for i, base in found.items() if base is not None}
