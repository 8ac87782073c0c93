"""Which of a model's classes an image's labels stand for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nasbench.data import Dataset
from nasbench.models.label_map import digest_label_map, read_label_map
from nasbench.run.build import Parts


def label_map(
    parts: Parts, config: Mapping[str, Any], model_classes: int | None = None
) -> Mapping[int, int] | None:
    """The cell's `model.label_map`, class of the data set -> class of the model; None where it has none.

    `model_classes`, how many the model has, is for a check. Raises UsageError naming the file.
    """
    path = config["model"].get("label_map")
    if path is None:
        return None
    dataset: Dataset = parts.get("dataset", config["dataset"])

    def read() -> dict[int, int]:
        return read_label_map(path, dataset.classes, model_classes=model_classes)

    found: Mapping[int, int] = parts.once(["label_map", path, config["dataset"], model_classes], read)
    return found


def label_map_key(parts: Parts, config: Mapping[str, Any], model_classes: int) -> dict[str, str]:
    """What a cell's key says of its label map. Raises UsageError."""
    found = label_map(parts, config, model_classes)
    return {} if found is None else {"label_map": digest_label_map(found)}


def model_class(parts: Parts, config: Mapping[str, Any], label: int) -> int | None:
    """The model's class for a label of the data set; None where it has no counterpart."""
    found = label_map(parts, config)
    return label if found is None else found.get(label)


def no_counterpart(parts: Parts, config: Mapping[str, Any], label: int) -> str:
    """Why there is no class for a label, in one line."""
    names = parts.get("dataset", config["dataset"]).classes
    name = f" ({names[label]})" if 0 <= label < len(names) else ""
    return f"class {label}{name} has no counterpart in model.label_map"
