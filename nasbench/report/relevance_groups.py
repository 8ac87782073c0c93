"""Which cells of `nasbench leRF` share a ranking: those that remove the same and watch the same.

Areas by pixel, by patch and by region have different random orders and different best ones (docs/metrics.md).
So do those of other networks, images or imputers. What is left to differ is the map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from nasbench.digest import canonical_json
from nasbench.report.labels import cell_labels
from nasbench.report.summary import value_text

# Of a cell's configuration, what makes its map and nothing else.
_MAP = ("saliency", "sign", "randomise", "counts", "over")
_REMOVED = ("units", "patch", "segmenter")
_NAMED = ("model", "dataset", "imputer", "metric")


class RelevanceCell(Protocol):
    """What is to be known of a cell."""

    @property
    def choices(self) -> Mapping[str, str]:
        """Config group -> choice."""
        ...

    @property
    def swept(self) -> Mapping[str, Any]:
        """Swept key -> value."""
        ...

    @property
    def config(self) -> Mapping[str, Any]:
        """Its configuration."""
        ...


@dataclass(frozen=True)
class Group:
    """Cells that share a ranking.

    Attributes:
        removed: what is removed as a whole.
        title: that, and what else the cells have in common and others have not.
        labels: by cell, what tells it from the others of the group.
        lattice: whether the cells have a lattice, and not curves.
        score: what is watched.
    """

    removed: str
    title: str
    labels: Mapping[int, str]
    lattice: bool
    score: str


def groups_of(cells: Sequence[RelevanceCell]) -> list[Group]:
    """The groups in the order of their first cells."""
    found: dict[str, list[int]] = {}
    for i, cell in enumerate(cells):
        found.setdefault(_key(cell), []).append(i)
    varying = [name for name in _NAMED if len({cell.choices.get(name) for cell in cells}) > 1]
    return [_group(cells, members, varying) for members in found.values()]


def is_lattice(cell: RelevanceCell) -> bool:
    """Whether a cell has a lattice, and not curves."""
    return str(cell.config["metric"]["_target_"]).endswith(".LatticeScores")


def _key(cell: RelevanceCell) -> str:
    config = {name: value for name, value in cell.config.items() if name not in (*_MAP, *_REMOVED)}
    choices = {name: choice for name, choice in cell.choices.items() if name in _NAMED}
    segmenter = cell.config["segmenter"] if by_regions(cell) else None
    return canonical_json([config, choices, removed_as_whole(cell), segmenter])


def by_regions(cell: RelevanceCell) -> bool:
    """Whether regions of a segmenter are removed."""
    units = cell.config["units"]
    return units == "regions" or (units == "auto" and cell.choices["segmenter"] != "none")


def removed_as_whole(cell: RelevanceCell) -> str:
    """What is removed as a whole, in words."""
    if by_regions(cell):
        return f"regions of {cell.choices['segmenter']}"
    if cell.config["units"] == "patch":
        side = cell.config["patch"]
        return f"patches of {side} × {side} pixels"
    return "pixels"


def _group(cells: Sequence[RelevanceCell], members: Sequence[int], varying: Sequence[str]) -> Group:
    first = cells[members[0]]
    swept = [cells[i].swept for i in members]
    common = {
        key: value
        for key, value in first.swept.items()
        if not key.startswith(_MAP) and all(key in one and one[key] == value for one in swept)
    }
    own = [{key: value for key, value in one.items() if key not in common} for one in swept]
    removed = removed_as_whole(first)
    shown = (
        f"{key.split('.')[-1]}={value_text(value)}" for key, value in common.items() if key not in _REMOVED
    )
    words = [f"{name} {first.choices[name]}" for name in varying if name in first.choices]
    labels = cell_labels([cells[i].choices for i in members], own)
    if by_regions(first):  # the title says of what
        labels = cell_labels([_but(cells[i].choices, "segmenter") for i in members], own)
    return Group(
        removed,
        ", ".join([removed, *shown, *words]),
        dict(zip(members, labels, strict=True)),
        is_lattice(first),
        str(first.config["metric"].get("score", "")),
    )


def _but(choices: Mapping[str, str], group: str) -> dict[str, str]:
    return {name: choice for name, choice in choices.items() if name != group}
