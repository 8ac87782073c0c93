"""What of an explanation's configuration can be found wrong before a run begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nasbench.errors import UsageError
from nasbench.run.build import Parts
from nasbench.run.device import randomised_classifier
from nasbench.saliency.precomputed import Precomputed, digest, inventory

_TARGETS = ("label", "prediction", "present")


def check_explanation(
    config: Mapping[str, Any], choices: Mapping[str, str], parts: Parts, device: str
) -> None:
    """Build the method, the network it explains and its segmenters. Raises UsageError, one line."""
    target, counts = config["target"], config["counts"]
    if not (target in _TARGETS or (isinstance(target, int) and not isinstance(target, bool))):
        raise UsageError(f"target={target}: choose {', '.join(_TARGETS)} or a class index")
    _check_contract(parts.get("saliency", config["saliency"]), config["saliency"]["_target_"])
    randomised_classifier(parts, config, device)
    if counts is None:
        return
    if not counts or min(counts) < 1:
        raise UsageError(f"counts={counts}: give numbers of regions, at least 1 each, or null")
    if choices["segmenter"] == "none":
        raise UsageError(f"counts={counts}: segmenter=none has no regions to count")
    for count in counts:
        parts.get("segmenter", counted(config["segmenter"], choices["segmenter"], count))


def _check_contract(method: Any, name: str) -> None:
    """Refuse a user's object that cannot be called as a method, before a run begins. Raises UsageError."""
    lacking = [what for what in ("__call__", "unsupported") if not callable(getattr(method, what, None))]
    if lacking:
        raise UsageError(
            f"saliency: {name} is no saliency method: it has no {lacking[0]} (nasbench.saliency.base)"
        )


def counted(node: Mapping[str, Any], choice: str, count: int) -> dict[str, Any]:
    """A segmenter's node brought to a number of regions. Raises UsageError where it cannot be."""
    for key in ("match", "n"):  # nas_tree meets any n by itself
        if key in node:
            return {**node, key: count}
    raise UsageError(f"counts: segmenter={choice} has no key that brings it to a number of regions")


def stored_maps(parts: Parts, config: Mapping[str, Any], ids: Sequence[str]) -> tuple[dict[str, str], str]:
    """The content of the maps a cell reads from files, for its key, and what was found, for the user."""
    method = parts.get("saliency", config["saliency"])
    if not isinstance(method, Precomputed):
        return {}, ""
    found = inventory(method.path, ids)
    for sample, candidates in found.doubled:
        if len(candidates) == 1:  # nothing is wrong with the image's own files: another's fit it too
            said = f"{candidates[0]} fits {sample} and another image; give it the image's full name"
            raise UsageError(f"saliency.path: {said}")
    files = [file for files in found.matched.values() for file in files]
    return {"files": digest(method.path, files)}, found.text()
