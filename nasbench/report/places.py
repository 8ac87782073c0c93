"""Which cells share a table, and what it is called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nasbench.digest import canonical_json
from nasbench.report.cell_keys import TWICE, subject
from nasbench.report.merged import MergedCell
from nasbench.report.relevance_groups import by_regions, removed_as_whole

# In the order in which they are told.
_COMMANDS = {
    "wsol": "localisation",
    "lerf": "relevance curves",
    "segment": "segmentation",
    "explain": "maps",
}
ACROSS = "across what is removed, each from its own random orders"
# Of a place, what one across what is removed keeps: the command, the data set, the metric and the imputer.
_KEPT = 4


def places(cells: Sequence[MergedCell]) -> Iterable[tuple[list[MergedCell], str]]:
    """Cells that are compared, and the title of their table."""
    found: dict[tuple[str, ...], list[MergedCell]] = {}
    for cell in sorted(cells, key=lambda one: list(_COMMANDS).index(one.command)):
        found.setdefault(_place(cell), []).append(cell)
    groups: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for key in found:
        groups.setdefault(key[:_KEPT], []).append(key)
    for keys in groups.values():
        titles = _told_apart([found[key][0] for key in keys])
        yield from ((found[key], title) for key, title in zip(keys, titles, strict=True))
        if len(keys) > 1:
            first = found[keys[0]][0]
            yield [cell for key in keys for cell in found[key]], f"{_title(first)}, {ACROSS}"


def _place(cell: MergedCell) -> tuple[str, ...]:
    """What names a cell's table: cells of different ones are never compared.

    The command, the data set and the metric; of relevance curves also the imputer, the network, and what is
    removed as a whole, since areas of different ones have other random orders and other best ones.
    """
    metric = str(cell.config.get("metric", {}).get("_target_", ""))
    found = (cell.command, cell.choices.get("dataset", ""), metric)
    if cell.command != "lerf":
        return found
    model = {k: v for k, v in cell.config["model"].items() if f"model.{k}" not in TWICE}
    regions = canonical_json(cell.config["segmenter"]) if by_regions(cell) else ""
    network = (cell.choices["model"], canonical_json(model))
    return (*found, cell.choices.get("imputer", ""), *network, removed_as_whole(cell), regions)


def _title(cell: MergedCell) -> str:
    words = [_COMMANDS[cell.command], cell.choices.get("dataset", "")]
    if cell.command == "lerf":
        words.append(f"imputer {cell.choices.get('imputer', '')}")
    if cell.choices.get("metric") in ("choe", "lattice"):
        words.append(f"metric {cell.choices['metric']}")
    return ", ".join(filter(None, words))


def _told_apart(cells: Sequence[MergedCell]) -> list[str]:
    """Titles of places by a cell of each, with as many options as it takes to make them different."""
    if cells[0].command != "lerf":  # whose places differ in what the title says
        return [_title(cell) for cell in cells]
    several = len({cell.choices["model"] for cell in cells}) > 1
    network = [f"model {cell.choices['model']}, " if several else "" for cell in cells]
    titles = [
        f"{_title(cell)}, {model}{removed_as_whole(cell)} removed"
        for cell, model in zip(cells, network, strict=True)
    ]
    found = [_of_place(cell) for cell in cells]
    swept = {key for cell in cells for key in cell.swept}
    keys = sorted({key for one in found for key in one}, key=lambda key: (key not in swept, key))
    for key in keys:
        more = [
            f"{title}, {key.split('.')[-1]}={one[key]}" if key in one else title
            for title, one in zip(titles, found, strict=True)
        ]
        if len(set(more)) > len(set(titles)):
            titles = more
    return titles


def _of_place(cell: MergedCell) -> Mapping[str, str]:
    of_place = ("model.", "segmenter.") if by_regions(cell) else ("model.",)
    return {key: value for key, value in subject(cell).items() if key.startswith(of_place)}
