"""What clusterings of whole classes or data sets a run needs, and whether their file holds the right ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasbench.digest import canonical_json, digest_value
from nasbench.errors import RunError, UsageError
from nasbench.run.keys import SCHEMAS, numeric_versions
from nasbench.segment.clustering import read_clusterings
from nasbench.segment.nas import Nas

# What of a segmenter's configuration decides its clusterings.
_OPTIONS = (
    "scope", "k", "stages", "scaling", "stage_weights", "source", "source_model", "forward_size", "average",
    "outlier_norm", "max_iter", "seed",
)  # fmt: skip


@dataclass(frozen=True)
class Fit:
    """A file of clusterings that a run needs.

    Attributes:
        path: the file.
        key: names its content: of all that determines it.
        options: JSON, the configuration behind it.
        missing: whether it is to be fitted.
        note: what the user should know of a file that is there; empty for one that is not.
    """

    path: Path
    key: str
    options: str
    missing: bool
    note: str = ""


def check_fit(fit: Fit) -> None:
    """Whether a file still holds what the run was planned with. Raises RunError."""
    try:
        _, metadata = read_clusterings(fit.path)
    except UsageError as error:
        raise RunError(str(error)) from error
    if metadata.get("key") != fit.key:
        raise RunError(f"segmenter.centroids={fit.path} has been replaced by another run; name another file")


def planned_fit(
    segmenter: Any,
    keyed: Mapping[str, Any],
    samples: Sequence[tuple[str, str]],
    classes: Sequence[str],
) -> Fit | None:
    """What a cell's segmenter needs to be fitted, or has been; None where it clusters each image alone.

    Args:
        segmenter: the cell's segmenter.
        keyed: the cell's configuration with digests in place of paths.
        samples: (id, content digest) of the run's images, which a missing file is fitted on.
        classes: the data set's classes, in whose order scope=class counts.

    Raises UsageError where the file was fitted in another way, naming the first difference.
    """
    if not isinstance(segmenter, Nas) or segmenter.scope == "image":
        return None
    assert segmenter.centroids is not None
    path = Path(segmenter.centroids).expanduser()
    options = {
        **{f"segmenter.{name}": keyed["segmenter"][name] for name in _OPTIONS},
        **{name: keyed[name] for name in ("model", "view", "precision")},
    }
    if segmenter.scope == "class":
        options["dataset.classes"] = digest_value(list(classes))
    if path.exists():
        found, metadata = read_clusterings(path)
        if not {"key", "options"} <= set(metadata):
            raise UsageError(
                f"segmenter.centroids={path} was not written by nasbench segment; name another file"
            )
        _check_same_options(path, json.loads(metadata["options"]), options)
        images = sum(clustering.n_images for clustering in found.values())
        note = f"{path}: {len(found)} clusterings of {images} images in all, fitted before"
        return Fit(path, metadata["key"], metadata["options"], missing=False, note=note)
    key = digest_value(
        {
            "options": options,
            "samples": [list(pair) for pair in samples],
            "schemas": SCHEMAS,
            "versions": numeric_versions(),
        }
    )
    return Fit(path, key, canonical_json(options), missing=True)


def _check_same_options(path: Path, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    for name, value in ours.items():
        if theirs.get(name) != value:
            both = f"{name}={_short(theirs.get(name))}, this run has {_short(value)}"
            raise UsageError(f"segmenter.centroids={path} was fitted with {both}; name another file")


def _short(value: Any) -> str:
    text = canonical_json(value)
    return text if len(text) <= 60 else f"another one (digest {digest_value(value)[:8]})"  # noqa: PLR2004
