"""What tells cells apart: which keys of a configuration are compared, and which are the protocol.

Compared are the network, the map and the regions. All else, the view, the metric and its options, the class
explained and so on, is the protocol: what has to be the same before two numbers may stand in one column.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nasbench.report.merged import MergedCell
from nasbench.report.summary import value_text

# The choices that are compared, in the order in which a table names them.
COMPARED = ("model", "saliency", "segmenter")
# With the options of these, what is compared; `seed` repeats it.
_SUBJECT = (*COMPARED, "sign", "randomise", "counts", "over", "seed")
# Which scores a metric makes, and no convention of any of them.
_SELECTIONS = ("metric.names", "metric.orders")
# Said by `precision`, and again by the network.
TWICE = ("model.dtype", "model.channels_last")
# Of relevance curves these name the table.
_REMOVED = ("units", "patch")
_ABSENT = ""


def options(cell: MergedCell) -> dict[str, str]:
    """A cell's configuration as dotted keys with their values as text."""
    seed = cell.config.get("seed")
    found = dict(_flat(cell.config))
    # `seed` of a group is the run's, unless it is set by itself.
    kept = {
        key: value
        for key, value in found.items()
        if key not in TWICE and not (key.endswith(".seed") and key.count(".") == 1 and value == seed)
    }
    return {key: value_text(value) for key, value in kept.items()}


def subject(cell: MergedCell) -> dict[str, str]:
    """What is compared: the choices and their options, as dotted keys."""
    chosen = {group: cell.choices[group] for group in COMPARED if group in cell.choices}
    # Tables across what is removed tell it apart too.
    removed = _REMOVED if cell.command == "lerf" else ()
    said = {key: value for key, value in options(cell).items() if is_subject(key) or key in removed}
    return {**chosen, **said}


def protocol(cell: MergedCell) -> dict[str, str]:
    """What must be equal within a table: all options of what is not compared, and does not name the table."""
    left_out = (*_SELECTIONS, *(_REMOVED if cell.command == "lerf" else ()))
    return {
        key: value
        for key, value in options(cell).items()
        if not is_subject(key) and key not in left_out and not key.startswith("sources.dataset")
    }


def is_subject(key: str) -> bool:
    """Whether a dotted key is of what is compared."""
    return key.removeprefix("sources.").split(".")[0] in _SUBJECT


def distinguishing(cells: Sequence[MergedCell]) -> list[str]:
    """As few keys as tell the cells apart: what a line is about, choices that vary, then single options.

    Of options those come first that a run swept, then the names of networks.
    """
    about = "saliency" if any("saliency" in cell.choices for cell in cells) else "segmenter"
    found = [subject(cell) for cell in cells]
    keys = [group for group in COMPARED if group == about or _varies(found, group)]
    swept = {key for cell in cells for key in cell.swept}
    options = sorted({key for one in found for key in one if key not in COMPARED and _varies(found, key)})
    options.sort(key=lambda key: (key not in swept, not key.endswith(".name"), "digest" in key))
    parts = _distinct(found, keys)
    for key in options:
        more = _distinct(found, [*keys, key])
        if more > parts or (key in swept and is_subject(key)):
            keys, parts = [*keys, key], more
    return keys


def text_of(cell: MergedCell, key: str) -> str:
    """A cell's value of a choice or dotted key; empty where it has none."""
    if key in cell.choices:
        return cell.choices[key]
    return options(cell).get(key, _ABSENT)


def known_keys(cells: Sequence[MergedCell]) -> list[str]:
    """All keys that may make lines: choices first."""
    groups = dict.fromkeys(group for cell in cells for group in cell.choices)
    return list(dict.fromkeys([*groups, *(key for cell in cells for key in options(cell))]))


def _varies(found: Sequence[Mapping[str, str]], key: str) -> bool:
    return len({one.get(key, _ABSENT) for one in found}) > 1


def _distinct(found: Sequence[Mapping[str, str]], keys: Sequence[str]) -> int:
    return len({tuple(one.get(key, _ABSENT) for key in keys) for one in found})


def _flat(node: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in node.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{name}.")
        elif not isinstance(value, Mapping):
            yield name, value
