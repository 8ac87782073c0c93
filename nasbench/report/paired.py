"""What regions are worth: each cell against the same maps without regions, image by image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nasbench.digest import canonical_json
from nasbench.localize.boxes import IOU_GRID
from nasbench.localize.thresholds import column_names, with_mean
from nasbench.report.localisation import Entries, LocalisedCell, Scored, Stratum, score
from nasbench.statistics.bootstrap import percentile_ends
from nasbench.statistics.paired import holm, mcnemar

# Of a cell's configuration, what decides its regions.
_REGIONS = ("segmenter", "counts", "over")


@dataclass(frozen=True)
class Difference:
    """A cell less its base, at one IoU or in the mean, in one stratum.

    Attributes:
        cell, base: their places.
        stratum, column: where, and of what.
        value: the difference of the accuracies on the images that both have.
        low, high: its 95 % bootstrap interval, images paired and both refitted.
        gained, lost: images right with the cell alone, with the base alone; None for the mean.
        p: of the exact McNemar test; None for the mean.
        p_holm: the same, Holm-adjusted over all tests of the stratum.
        n: images.
    """

    cell: int
    base: int
    stratum: str
    column: str
    value: float
    low: float
    high: float
    gained: int | None
    lost: int | None
    p: float | None
    p_holm: float | None
    n: int


def bases(cells: Sequence[LocalisedCell]) -> dict[int, int]:
    """Of each cell with regions the cell that differs in having none, where there is one."""
    plain = {_but_regions(cell): i for i, cell in enumerate(cells) if cell.choices["segmenter"] == "none"}
    pairs = {i: plain.get(_but_regions(cell)) for i, cell in enumerate(cells)}
    return {i: base for i, base in pairs.items() if base is not None and base != i}


def differences(
    cells: Sequence[LocalisedCell],
    entries: Sequence[Entries],
    scored: Mapping[tuple[int, str], Scored],
    stratum: str,
) -> list[Difference]:
    """All cells that have a base against it, in one stratum; `scored` by (cell, stratum)."""
    found: list[Difference] = []
    for cell, base in bases(cells).items():
        if entries[base].without_place:
            continue  # regions change nothing of it
        common = frozenset(entries[cell].kept) & frozenset(entries[base].kept)
        both = []
        for i in (cell, base):
            whole = len(common) == len(entries[i].kept)
            part = Stratum.of(entries[i].kept, stratum, among=common)
            config = cells[i].config["metric"]
            both.append(scored[i, stratum] if whole else score(part, config, constant=entries[i].constant))
        if both[0].n:
            found += _compared(cell, base, stratum, *both)
    tested = [one for one in found if one.p is not None]
    adjusted = iter(holm([one.p for one in tested if one.p is not None]))
    return [one if one.p is None else replace(one, p_holm=next(adjusted)) for one in found]


def _compared(cell: int, base: int, stratum: str, ours: Scored, theirs: Scored) -> list[Difference]:
    gained = (ours.right & ~theirs.right).sum(axis=0)
    lost = (theirs.right & ~ours.right).sum(axis=0)
    values = with_mean((gained - lost) / ours.n, IOU_GRID)
    low, high = percentile_ends(ours.resampled - theirs.resampled)
    tests = [(int(b), int(c), mcnemar(int(b), int(c))) for b, c in zip(gained, lost, strict=True)]
    return [
        Difference(cell, base, stratum, name, float(value), float(a), float(b), *test, None, ours.n)
        for name, value, a, b, test in zip(
            column_names(), values, low, high, [*tests, (None, None, None)], strict=True
        )
    ]


def _but_regions(cell: LocalisedCell) -> str:
    """All that decides a cell's rows, but its regions."""
    config: dict[str, Any] = {k: v for k, v in cell.config.items() if k not in _REGIONS}
    choices = {group: choice for group, choice in cell.choices.items() if group != "segmenter"}
    return canonical_json([choices, config])
