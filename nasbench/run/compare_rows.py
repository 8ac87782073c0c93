"""Rows of a unit against the same rows computed anew."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

# What another machine, other versions or another batch size may change a continuous value by, relative to it.
TOLERANCE = 1e-5
# Of values nearer to zero the difference counts relative to this.
_SMALL = 1e-3
_NUMBERS = ("value", "curve")

Place = tuple[str, int | None, str]


@dataclass(frozen=True)
class Compared:
    """How the rows of a unit differ from those computed anew.

    Attributes:
        rows: rows of the unit.
        equal: those that are equal in every bit.
        largest: the largest relative difference of a number, over all rows.
        differing: rows that differ by more than is allowed.
        first: the first of them, in words; empty without one.
    """

    rows: int
    equal: int
    largest: float
    differing: int
    first: str = ""


def compare_rows(kept: pa.Table, anew: pa.Table, *, tolerance: float) -> Compared:
    """Compare by (sample, target, metric); `tolerance` 0 asks for equal bits."""
    ours, theirs = _by_place(kept), _by_place(anew)
    equal, largest, differing, first = 0, 0.0, 0, ""
    for place in dict.fromkeys([*ours, *theirs]):
        said, difference = _difference(ours.get(place), theirs.get(place), tolerance)
        largest = max(largest, difference)
        equal += not said and difference == 0
        differing += bool(said)
        if said and not first:
            sample, target, metric = place
            of = "" if target is None else f", class {target}"
            first = f"sample {sample}{of}, {metric}: {said}"
    return Compared(len(ours), equal, largest, differing, first)


def _by_place(table: pa.Table) -> dict[Place, dict[str, Any]]:
    return {(row["sample"], row["target"], row["metric"]): row for row in table.to_pylist()}


def _difference(
    kept: Mapping[str, Any] | None, anew: Mapping[str, Any] | None, tolerance: float
) -> tuple[str, float]:
    """What differs by more than is allowed, in words, and by how much numbers differ at all."""
    if kept is None or anew is None:
        return ("there is no such row" if kept is None else "computed anew there is no such row"), 0.0
    for name in kept:
        if name not in _NUMBERS and kept[name] != anew[name]:
            return f"{name} is {_short(kept[name])}, computed anew {_short(anew[name])}", 0.0
    largest = 0.0
    for name in _NUMBERS:
        pairs = _pairs(kept[name], anew[name])
        if pairs is None:
            return f"{name} is {_short(kept[name])}, computed anew {_short(anew[name])}", 0.0
        for one, other in pairs:
            difference = _relative(one, other)
            if difference > tolerance:
                return f"{name} has {one!r}, computed anew {other!r}", difference
            largest = max(largest, difference)
    return "", largest


def _pairs(kept: Any, anew: Any) -> list[tuple[float, float]] | None:
    """The numbers to be compared; None where there are not as many."""
    if kept is None or anew is None:
        return [] if kept is anew else None
    if isinstance(kept, float):
        return [(kept, anew)]
    return list(zip(kept, anew, strict=True)) if len(kept) == len(anew) else None


def _relative(one: float, other: float) -> float:
    """0 for equal bits only, but for the sign of a zero; infinity where one is not a number."""
    if one == other or (math.isnan(one) and math.isnan(other)):
        return 0.0
    if not (math.isfinite(one) and math.isfinite(other)):
        return math.inf
    return abs(one - other) / max(abs(one), abs(other), _SMALL)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - so long a line can be read
