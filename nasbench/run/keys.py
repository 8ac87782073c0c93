"""Keys of units: everything that determines a unit's rows, and nothing else."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path, PurePath
from typing import Any

import torch

import nasbench.data
import nasbench.faithfulness
import nasbench.localize
import nasbench.models
import nasbench.run
import nasbench.saliency
import nasbench.segment
from nasbench.run.build import source_digest
from nasbench.run.naming import unit_name
from nasbench.run.rows import ROW_SCHEMA

# Whose results enter the rows; other versions may give other last bits.
_NUMERIC = ("numpy", "pillow", "scikit-image", "scikit-learn", "scipy", "timm", "torch")
# And OpenCV, by the distributions it comes in: we ask for the first, but any of them will do.
_OPENCV = (
    "opencv-python-headless",
    "opencv-python",
    "opencv-contrib-python-headless",
    "opencv-contrib-python",
)

_CPUINFO = Path("/proc/cpuinfo")
_GENERATION = {"cpu family": "family", "model": "model"}

# Keys whose values are paths, in any group.
PATH_KEYS = ("root", "labels", "box_table", "weights", "source_weights", "label_map", "centroids", "path")
_OUTSIDE = (*PATH_KEYS, "n")

# Raised when a room's results change for the same configuration.
SCHEMAS = {
    "rows": ROW_SCHEMA,
    "run": nasbench.run.SCHEMA,
    "data": nasbench.data.SCHEMA,
    "models": nasbench.models.SCHEMA,
    "segment": nasbench.segment.SCHEMA,
    "saliency": nasbench.saliency.SCHEMA,
    "localize": nasbench.localize.SCHEMA,
    "faithfulness": nasbench.faithfulness.SCHEMA,
}


@cache
def numeric_versions() -> dict[str, str]:
    """Installed versions of the libraries whose results enter the rows."""
    versions = {name: metadata.version(name) for name in _NUMERIC}
    return dict(sorted({**versions, "opencv": _opencv_version()}.items()))


def _opencv_version() -> str:
    """Of the distribution that is there, without importing it.

    Of several, every version: they write the same files, and none says which came last. "unknown" where no
    package manager of Python's put it there.
    """
    found = set()
    for name in _OPENCV:
        with suppress(metadata.PackageNotFoundError):
            found.add(metadata.version(name))
    return " ".join(sorted(found)) or "unknown"


def platform_record() -> dict[str, str]:
    """What the manifest says of the machine; not part of any key."""
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "kernels": torch.backends.cpu.get_cpu_capability(),
    }


def _processor() -> str:
    """The processor's name, and its generation, which a virtual machine's name may not tell.

    Libraries choose their kernels by it, and with them the last bits of a sum.
    """
    said: dict[str, str] = {}
    with suppress(OSError):
        for line in _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            said.setdefault(name.strip(), value.strip())
    name = said.get("model name") or platform.processor()
    generation = [f"{short} {said[key]}" for key, short in _GENERATION.items() if key in said]
    return f"{name} ({', '.join(generation)})" if generation else name


def keyed_config(
    config: Mapping[str, Any], model: Mapping[str, Any], source: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A cell's configuration with content in place of paths.

    Args:
        config: the cell's configuration.
        model: the classifier's own description; its digest stands for the weights' path.
        source: the description of another network that the segmenter reads; None where there is none.

    Of the data set's configuration what names a place or an extent is left out: the samples' digests say
    what lies there, and which of them are taken.
    """
    keyed = {key: value for key, value in config.items() if key != "model"}
    keyed["dataset"] = {key: value for key, value in config["dataset"].items() if key not in _OUTSIDE}
    for group in ("segmenter", "saliency"):
        if group in config:
            # What a user's own class means by such a key is not known here: its value counts.
            ours = config[group]["_target_"].startswith("nasbench.")
            keyed[group] = {k: v for k, v in config[group].items() if not (ours and k in PATH_KEYS)}
    if source is not None:
        keyed["segmenter"]["source_model"] = {k: v for k, v in source.items() if k != "weights"}
    described = {key: value for key, value in model.items() if key != "weights"}
    # The seed too: the control `random_weights` starts an untrained network from it.
    keyed["model"] = {
        "_target_": config["model"]["_target_"],
        "seed": config["model"].get("seed"),
        **described,
    }
    for group, node in config.items():
        if isinstance(node, Mapping) and "_target_" in node:
            code = source_digest(node.get("builder") or node["_target_"])
            if code is not None:
                keyed.setdefault("sources", {})[group] = code
    return keyed


def unit_key(
    command: str,
    choices: Mapping[str, str],
    keyed: Mapping[str, Any],
    samples: Sequence[tuple[str, str]],
    truth: str | None,
) -> str:
    """Key of a cell × these samples, given as (id, content digest); `truth` is the data set's."""
    versions = numeric_versions()
    return unit_name(command, choices, keyed, samples, truth, schemas=SCHEMAS, versions=versions)


def short_paths(paths: Sequence[str]) -> list[str]:
    """Each path by as many of its last parts as tell it from the others: what a table may show of it."""
    parts = [PurePath(path).parts for path in paths]
    depth = 1
    while depth < max(map(len, parts), default=1) and len({p[-depth:] for p in parts}) < len(set(parts)):
        depth += 1
    return ["/".join(p[-depth:]) for p in parts]
