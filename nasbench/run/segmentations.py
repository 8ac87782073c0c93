"""What a map is averaged over: one segmentation, or one for each count and value of a segmenter's keys."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

from nasbench.errors import UsageError

# Keys that one segmentation is made with, or that several would contradict.
_FIXED = ("_target_", "match", "scope", "centroids", "source", "source_weights", "source_model")


def segmenter_nodes(config: Mapping[str, Any], choice: str) -> list[dict[str, Any]]:
    """The segmenter's node at every combination of the values in `over` and the numbers in `counts`.

    The node itself where both are empty. Raises UsageError, one line naming the key.
    """
    node, over, counts = config["segmenter"], config["over"], config["counts"]
    if choice == "none" and (over or counts is not None):
        said = f"over.{next(iter(over))}" if over else f"counts={counts}"
        raise UsageError(f"{said}: segmenter=none has no regions to average over or count")
    for key, values in over.items():
        _check_values(node, choice, key, values)
    varied = [dict(zip(over, values, strict=True)) for values in product(*over.values())]
    if counts is None:
        return [{**node, **values} for values in varied]
    if not counts or min(counts) < 1:
        raise UsageError(f"counts={counts}: give numbers of regions, at least 1 each, or null")
    return [_counted({**node, **values}, choice, count) for values in varied for count in counts]


def _check_values(node: Mapping[str, Any], choice: str, key: str, values: Any) -> None:
    if key in _FIXED:
        raise UsageError(f"over.{key}: maps are not averaged over this key")
    if key not in node:
        known = [name for name in node if name not in _FIXED]
        raise UsageError(f"over.{key}: segmenter={choice} has no such key; it has {', '.join(known)}")
    if not isinstance(values, list) or not values:
        raise UsageError(f"over.{key}={values}: give its values in brackets, such as [5, 10]")


def _counted(node: dict[str, Any], choice: str, count: int) -> dict[str, Any]:
    """A segmenter's node brought to a number of regions. Raises UsageError where it cannot be."""
    if node.get("match") is not None:
        raise UsageError(
            f"counts and segmenter.match={node['match']} both ask for numbers of regions; give one"
        )
    if node.get("scope", "image") != "image":
        raise UsageError(
            f"counts: the number of a clustering of many images is fixed (scope={node['scope']})"
        )
    for key in ("match", "n"):  # nas_tree meets any n by itself
        if key in node:
            return {**node, key: count}
    raise UsageError(f"counts: segmenter={choice} has no key that brings it to a number of regions")
