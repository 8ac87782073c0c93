"""Names of cells that say what tells them apart, and no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def cell_labels(choices: Sequence[Mapping[str, str]], swept: Sequence[Mapping[str, Any]]) -> list[str]:
    """One short, unique name per cell: its segmenter, the groups that vary, and its swept values."""
    varying = [
        group
        for group in dict.fromkeys(group for choice in choices for group in choice)
        if group == "segmenter" or len({choice.get(group) for choice in choices}) > 1
    ]
    labels = []
    for choice, values in zip(choices, swept, strict=True):
        words = [choice[group] for group in varying if group in choice]
        words += [f"{key.split('.')[-1]}={value}" for key, value in values.items()]
        labels.append(" ".join(words))
    counts: dict[str, int] = {}
    unique = []
    for label in labels:
        counts[label] = counts.get(label, 0) + 1
        unique.append(label if labels.count(label) == 1 else f"{label} #{counts[label]}")
    return unique
