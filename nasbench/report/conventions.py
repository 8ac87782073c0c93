"""Refuses to put numbers in one table that do not mean the same, and says what differs."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations

from nasbench.errors import RunError
from nasbench.report.cell_keys import protocol, text_of
from nasbench.report.merged import MergedCell
from nasbench.report.run_folders import Run

# Rooms whose results enter a command's rows.
_EVERY = ("run", "data", "models", "segment")
_ROOMS = {
    "segment": _EVERY,
    "explain": (*_EVERY, "saliency"),
    "wsol": (*_EVERY, "saliency", "localize"),
    "lerf": (*_EVERY, "saliency", "faithfulness"),
}
# Of a row's conventions what is told of an image, and not decided by the configuration.
_OF_IMAGE = ("fault", "match", "counts")
# What follows from what is compared; units of removal tell tables apart, and are told by the one across them.
_OF_SUBJECT = ("sign", "units")
# The box of `saliency=const_box`, which no protocol finds in a map.
_CONSTANT = ("box", "constant")
_SHOWN = 3


def check_comparable(cells: Sequence[MergedCell], runs: Sequence[Run], named: Sequence[str]) -> None:
    """Refuse cells of one table whose numbers do not mean the same; keys `named` by the user are compared.

    Raises RunError naming the runs, the key and its values: rooms whose results changed between the runs, a
    part of the protocol, or the content of an image. What the shown rows rest on: `check_conventions`.
    """
    _check_schemas(cells, runs)
    _check_protocol(cells, named)
    _check_content(cells)


def check_conventions(
    cells: Sequence[MergedCell], named: Sequence[str], metrics: Collection[str] | None
) -> None:
    """Refuse rows that rest on different conventions, within cells that have the same values of named keys.

    Those of `metrics`, which stand behind the shown columns; None for all. Raises RunError naming the
    convention.
    """
    alike: dict[tuple[str, ...], list[MergedCell]] = {}
    for cell in cells:
        alike.setdefault(tuple(text_of(cell, key) for key in named), []).append(cell)
    for some in alike.values():
        for metric in sorted({name for cell in some for name in cell.said}):
            if metrics is not None and metric not in metrics:
                continue
            said = [(cell, _said(cell, metric)) for cell in some if metric in cell.said]
            for (cell, ours), (other, theirs) in combinations(said, 2):
                for key in sorted(ours.keys() & theirs.keys()):
                    # Some vary with the image: then both cells have several, or one of them by chance.
                    if not ours[key] & theirs[key]:
                        values = {min(ours[key]): cell, min(theirs[key]): other}
                        _refuse(f"the convention {key}", values, f"of {metric}")


def _check_schemas(cells: Sequence[MergedCell], runs: Sequence[Run]) -> None:
    using = {name for cell in cells for name in cell.runs}
    mine = [run for run in runs if run.name in using]
    command = cells[0].command
    for room in _ROOMS.get(command, _EVERY):
        found = {run.manifest.schemas.get(room): run.name for run in reversed(mine)}
        if len(found) > 1:
            numbers = sorted(found, key=str)
            where = " and ".join(found[number] for number in numbers)
            raise RunError(
                f"{where} differ in the schema of {room} ({_listed(numbers)}), whose results changed: their "
                f"{command} rows do not share a table; compute the older one anew"
            )


def _check_protocol(cells: Sequence[MergedCell], named: Sequence[str]) -> None:
    found = [protocol(cell) for cell in cells]
    for key in sorted({key for one in found for key in one if key not in named}):
        values: dict[str, MergedCell] = {}
        for cell, one in zip(cells, found, strict=True):
            values.setdefault(one.get(key, "none"), cell)
        if len(values) > 1:
            _refuse(key, values, f"name it in --by to compare {cells[0].command} across it")


def _check_content(cells: Sequence[MergedCell]) -> None:
    seen: dict[str, tuple[str, MergedCell]] = {}
    for cell in cells:
        for sample, digest in cell.samples.items():
            first, other = seen.setdefault(sample, (digest, cell))
            if first != digest:
                raise RunError(
                    f"{_runs([other, cell])}: image {sample} has another content in each; they are of "
                    "different data sets"
                )


def _said(cell: MergedCell, metric: str) -> Mapping[str, set[str]]:
    """By convention the values that a metric's rows have."""
    found: dict[str, set[str]] = {}
    for text in cell.said[metric]:
        for key, value in json.loads(text).items():
            if key not in (*_OF_IMAGE, *_OF_SUBJECT) and (key, value) != _CONSTANT:
                found.setdefault(key, set()).add(str(value))
    return found


def _refuse(key: str, values: Mapping[str, MergedCell], more: str) -> None:
    listed = sorted(values)
    where = _runs([values[value] for value in listed])
    what = f"{key} ({_listed(listed)})"
    verb = "holds cells that differ" if " and " not in where else "differ"
    if more.startswith("of "):
        raise RunError(f"{where} {verb} in {what} {more}: these rows do not share a table")
    raise RunError(f"{where} {verb} in {what}: their rows do not share a table; {more}")


def _runs(cells: Sequence[MergedCell]) -> str:
    """The runs of some cells: one that has them all, or one of each."""
    common = [name for name in cells[0].runs if all(name in cell.runs for cell in cells)]
    if common:
        return common[0]
    return " and ".join(dict.fromkeys(cell.runs[0] for cell in cells))


def _listed(values: Sequence[object]) -> str:
    shown = ["none" if value is None else str(value) for value in values[:_SHOWN]]
    more = [f"and {len(values) - _SHOWN} more"] if len(values) > _SHOWN else []
    return ", ".join([*shown, *more])
