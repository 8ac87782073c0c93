"""What of an explanation's configuration can be found wrong before a run begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nasbench.digest import canonical_json
from nasbench.errors import UsageError
from nasbench.faithfulness.imputer import CONTRACT
from nasbench.faithfulness.lattice_scores import LatticeScores
from nasbench.run.build import Parts
from nasbench.run.device import prepared_classifier, randomised_classifier
from nasbench.run.segmentations import segmenter_nodes
from nasbench.saliency.precomputed import Precomputed, digest, inventory

_TARGETS = ("label", "prediction", "present")
# What a user's object must have to be called, and where the contract is.
_CONTRACTS = {
    "saliency": (("__call__", "unsupported"), "no saliency method", "nasbench.saliency.base"),
    "imputer": (CONTRACT, "no imputer", "nasbench.faithfulness.imputer"),
}


def check_explanation(
    config: Mapping[str, Any], choices: Mapping[str, str], parts: Parts, device: str
) -> None:
    """Build the method, the network it explains and its segmenters. Raises UsageError, one line."""
    target = config["target"]
    if not (target in _TARGETS or (isinstance(target, int) and not isinstance(target, bool))):
        raise UsageError(f"target={target}: choose {', '.join(_TARGETS)} or a class index")
    _check_contract("saliency", parts.get("saliency", config["saliency"]), config)
    randomised_classifier(parts, config, device)
    for node in segmenter_nodes(config, choices["segmenter"]):
        parts.get("segmenter", node)


def _check_contract(group: str, built: Any, config: Mapping[str, Any]) -> None:
    """Refuse a user's object that is not what its group holds, before a run begins. Raises UsageError."""
    needed, no_such, where = _CONTRACTS[group]
    lacking = [what for what in needed if not callable(getattr(built, what, None))]
    if lacking:
        name = config[group]["_target_"]
        raise UsageError(f"{group}: {name} is {no_such}: it has no {lacking[0]} ({where})")


def check_removal(
    config: Mapping[str, Any], choices: Mapping[str, str], parts: Parts, size: tuple[int, int]
) -> None:
    """Build the imputer, and see that there is what is to be removed. Raises UsageError, one line.

    `size` is (H, W), pixels, of the view.
    """
    _check_contract("imputer", parts.get("imputer", config["imputer"]), config)
    metric = parts.get("metric", config["metric"])
    segmented = choices["segmenter"] != "none"
    if not segmented and (config["units"] == "regions" or isinstance(metric, LatticeScores)):
        wanted = "metric=lattice" if isinstance(metric, LatticeScores) else "units=regions"
        raise UsageError(f"{wanted}: segmenter=none has no regions to remove; choose a segmenter")
    if isinstance(metric, LatticeScores) and config["units"] not in ("auto", "regions"):
        raise UsageError(f"metric=lattice removes regions, not units={config['units']}")
    if config["units"] == "patch" and config["patch"] >= max(size):
        height, width = size
        raise UsageError(
            f"patch={config['patch']}: one patch would cover the whole image of {height}×{width}"
        )
    several = config["counts"] or config["over"]
    if segmented and several and config["units"] in ("auto", "regions"):
        raise UsageError("counts and over average over several segmentations; to remove regions, give one")


def removal_forwards(config: Mapping[str, Any], parts: Parts) -> dict[str, int]:
    """About how many images with something removed a cell sends through the network for each image.

    By what they depend on: the empty image, random orders and lattices are shared by all methods.
    """
    metric, node = parts.get("metric", config["metric"]), config["segmenter"]
    count = int(node.get("match") or node.get("n") or node.get("k") or 10)
    own = f"removal in {canonical_json(config)}"
    keys = ["model", "view", "precision", "imputer"]

    def shared(what: str, *more: str) -> str:
        return canonical_json([what, *(config[key] for key in (*keys, *more))])

    if isinstance(metric, LatticeScores):
        if count <= metric.regions:
            return {shared("lattice", "segmenter", "target", "wrong"): 1 << count}
        drawn = shared("sampled orders", "segmenter", "target", "wrong", "metric")
        return {drawn: metric.samples * (count - 1), own: 2 * (count - 2)}
    by_regions = config["units"] == "regions" or (config["units"] == "auto" and len(node) > 1)
    inner = count - 1 if by_regions else len(metric.grid.fractions) - 2
    maps = inner * metric.seeds * len(set(metric.orders) - {"random"})
    found = {shared("empty"): 1, own: maps}
    if "random" in metric.orders:
        units = ("segmenter",) if by_regions else ("units", "patch")
        found[shared("random", *units, "target", "wrong", "metric")] = inner * metric.draws
    return found


def shares_forward(config: Mapping[str, Any], parts: Parts, device: str) -> bool:
    """Whether the cell's method reads what one forward pass of the network as it is yields."""
    reads = getattr(parts.get("saliency", config["saliency"]), "reads_final", None)
    if reads is None or config["randomise"]:
        return False
    return bool(reads(prepared_classifier(parts, config, device)))


def stored_maps(parts: Parts, config: Mapping[str, Any], ids: Sequence[str]) -> tuple[dict[str, str], str]:
    """The digest of each image's maps that a cell reads from files, and what was found, for the user.

    Raises UsageError where a file fits two images.
    """
    method = parts.get("saliency", config["saliency"])
    if not isinstance(method, Precomputed):
        return {}, ""
    found = inventory(method.path, ids)
    for sample, candidates in found.doubled:
        if len(candidates) == 1:  # nothing is wrong with the image's own files: another's fit it too
            said = f"{candidates[0]} fits {sample} and another image; give it the image's full name"
            raise UsageError(f"saliency.path: {said}")
    digests = {sample: digest(method.path, files) for sample, files in found.matched.items()}
    return digests, found.text()


def foreign_classes(
    parts: Parts, config: Mapping[str, Any], choices: Mapping[str, str], model_classes: int
) -> str:
    """What to say where a data set's labels need not be the model's classes; empty where nothing is."""
    classes = parts.get("dataset", config["dataset"]).classes
    if config["target"] not in ("label", "present") or config["model"].get("label_map"):
        return ""
    if not classes or len(classes) == model_classes:
        return ""
    return (
        f"{choices['dataset']} has {len(classes)} classes, {choices['model']} {model_classes}: "
        "labels are taken for the model's class indices as they are; "
        "target=prediction explains what the model sees"
    )


def check_segmenter(segmenter: Any, name: str) -> None:
    """Refuse a user's object that is no segmenter, before a run begins. Raises UsageError."""
    if not callable(segmenter) or not hasattr(segmenter, "uses_features"):
        lacking = "__call__" if not callable(segmenter) else "uses_features"
        raise UsageError(f"segmenter: {name} is no segmenter: it has no {lacking} (nasbench.segment.base)")
