"""Names of cells that say what tells them apart, and no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def cell_labels(choices: Sequence[Mapping[str, str]], swept: Sequence[Mapping[str, Any]]) -> list[str]:
    """One short, unique name per cell: what it is about, the groups that vary, and its swept values."""
    groups = list(dict.fromkeys(group for choice in choices for group in choice))
    # Without a saliency method a cell is about its segmenter.
    subject = "saliency" if "saliency" in groups else "segmenter"
    varying = [g for g in groups if g == subject or len({choice.get(g) for choice in choices}) > 1]
    labels = []
    for choice, values in zip(choices, swept, strict=True):
        # A map without regions is simply the map.
        words = [choice[g] for g in varying if g in choice and (g, choice[g]) != ("segmenter", "none")]
        words += [f"{key.split('.')[-1]}={value}" for key, value in values.items()]
        labels.append(" ".join(words))
    counts: dict[str, int] = {}
    unique = []
    for label in labels:
        counts[label] = counts.get(label, 0) + 1
        unique.append(label if labels.count(label) == 1 else f"{label} #{counts[label]}")
    return unique
