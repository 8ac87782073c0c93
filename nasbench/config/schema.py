"""Typed schemas of the configuration: what is checked before anything heavy is imported.

One dataclass per `_target_`; a test holds each against its constructor and its YAML. A target without a
schema (a user's own class) is taken as it is: its constructor checks it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nasbench.config.faithfulness_schema import FAITHFULNESS_SCHEMAS
from nasbench.config.localize_schema import LOCALIZE_SCHEMAS
from nasbench.config.saliency_schema import SALIENCY_SCHEMAS, Target
from nasbench.config.segmenter_schema import SEGMENTER_SCHEMAS

# The groups a user chooses from, in the order of the summary's columns.
GROUPS = ("model", "dataset", "saliency", "segmenter", "imputer", "metric", "engine", "experiment")

# What decides the rows of a command's cells; the rest of its primary config only decides how they are
# computed.
_SEGMENT_KEYS = ("model", "dataset", "view", "segmenter", "metric", "precision", "seed")
_EXPLAIN_KEYS = (*_SEGMENT_KEYS, "saliency", "target", "sign", "counts", "over", "randomise")
CELL_KEYS: dict[str, tuple[str, ...]] = {
    "segment": _SEGMENT_KEYS,
    "explain": _EXPLAIN_KEYS,
    "wsol": _EXPLAIN_KEYS,
    "lerf": (*_EXPLAIN_KEYS, "imputer", "units", "patch", "wrong"),
}
# Groups that some commands lack.
CELL_GROUPS = {group for group in GROUPS if any(group in keys for keys in CELL_KEYS.values())}
SETTING_KEYS = ("engine", "limit", "device", "max_batch", "on_error", "save", "sheet")


@dataclass
class TimmModel(Target):
    """`nasbench.models.load_classifier`, and where the data set's classes stand among the model's."""

    name: str = "???"
    weights: str | None = None
    num_classes: int | None = None
    input_size: Any = None
    mean: list[float] | None = None
    std: list[float] | None = None
    stages: list[int] | None = None
    seed: int = 0
    kwargs: dict[str, Any] = field(default_factory=dict)
    label_map: str | None = None


@dataclass
class ModelByModules(Target):
    """`nasbench.models.load_by_modules`."""

    builder: str = "???"
    stages: Any = "???"
    weights: str | None = None
    head: str | None = None
    num_classes: int | None = None
    input_size: Any = 224
    mean: list[float] = field(default_factory=lambda: [0.485, 0.456, 0.406])
    std: list[float] = field(default_factory=lambda: [0.229, 0.224, 0.225])
    seed: int = 0
    kwargs: dict[str, Any] = field(default_factory=dict)
    label_map: str | None = None


@dataclass
class Rendered(Target):
    """`nasbench.data.rendered.RenderedDataset`."""

    n: int = 64
    split: str = "test"
    seed: int = 0
    difficulty: int = 2
    background_bias: float = 0.0
    size: int = 224


@dataclass
class Folder(Target):
    """`nasbench.data.folder.FolderDataset`."""

    root: str = "???"
    labels: str | None = None
    boxes: str = "table"
    box_table: str | None = None


@dataclass
class ImageNet(Target):
    """`nasbench.data.imagenet.ImageNetDataset`."""

    root: str = "???"
    split: str = "val"
    boxes: str = "inclusive"


@dataclass
class Bsds500(Target):
    """`nasbench.data.bsds500.BSDS500Dataset`."""

    root: str = "???"
    split: str | None = None


@dataclass
class Stl10(Target):
    """`nasbench.data.stl10.STL10Dataset`."""

    root: str = "???"
    split: str = "test"


@dataclass
class Cub(Target):
    """`nasbench.data.cub.CUBDataset`."""

    root: str = "???"
    split: str = "test"


@dataclass
class Custom(Target):
    """A user's own class."""

    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass
class RegionScores(Target):
    """`nasbench.segment.scores.RegionScores`."""

    names: list[str] = field(default_factory=list)
    boundary_tolerance: float = 0.0025


@dataclass
class LocalEngine:
    """`configs/engine/local.yaml`."""

    workers: int = 0
    threads: int = 1


@dataclass
class View:
    """How an image becomes what the model sees."""

    resize: str = "squash"
    interpolation: str = "bicubic"
    crop_fraction: float = 0.875


@dataclass
class Precision:
    """How the forward pass computes."""

    dtype: str = "float32"
    channels_last: bool = False


@dataclass
class Sheet:
    """The contact sheet."""

    images: int = 8
    columns: int = 8


@dataclass
class Primary:
    """The keys every command's primary config has beside its groups."""

    model: Any = None
    dataset: Any = None
    segmenter: Any = None
    metric: Any = None
    engine: LocalEngine = field(default_factory=LocalEngine)
    view: View = field(default_factory=View)
    precision: Precision = field(default_factory=Precision)
    sheet: Sheet = field(default_factory=Sheet)
    seed: int = 0
    limit: int | None = None
    device: str = "auto"
    max_batch: int = 16
    on_error: str = "skip"
    save: list[str] = field(default_factory=list)


@dataclass
class Explain(Primary):
    """`configs/explain.yaml` and `configs/wsol.yaml`."""

    saliency: Any = None
    target: Any = "label"
    sign: str = "signed"
    counts: list[int] | None = None
    over: dict[str, Any] = field(default_factory=dict)
    randomise: Any = 0


@dataclass
class Lerf(Explain):
    """`configs/lerf.yaml`."""

    imputer: Any = None
    units: str = "auto"
    patch: int = 16
    wrong: str = "keep"


PRIMARIES: dict[str, type[Primary]] = {
    "segment": Primary,
    "explain": Explain,
    "wsol": Explain,
    "lerf": Lerf,
}


SCHEMAS: dict[str, type[Target]] = {
    **FAITHFULNESS_SCHEMAS,
    **LOCALIZE_SCHEMAS,
    **SALIENCY_SCHEMAS,
    **SEGMENTER_SCHEMAS,
    "nasbench.models.load_classifier": TimmModel,
    "nasbench.models.load_by_modules": ModelByModules,
    "nasbench.data.rendered.RenderedDataset": Rendered,
    "nasbench.data.folder.FolderDataset": Folder,
    "nasbench.data.imagenet.ImageNetDataset": ImageNet,
    "nasbench.data.bsds500.BSDS500Dataset": Bsds500,
    "nasbench.data.stl10.STL10Dataset": Stl10,
    "nasbench.data.cub.CUBDataset": Cub,
    "nasbench.segment.scores.RegionScores": RegionScores,
}

# Values of closed lists, checked here because the primary config has no constructor to do it.
CLOSED: dict[str, tuple[str, ...]] = {
    "device": ("auto", "cpu", "cuda", "mps"),
    "on_error": ("skip", "fail"),
    "precision.dtype": ("float32", "bfloat16"),
    "view.resize": ("squash", "crop", "letterbox"),
    "view.interpolation": ("bilinear", "bicubic"),
    "sign": ("signed", "abs", "positive"),
    "units": ("auto", "pixel", "patch", "regions"),
    "wrong": ("keep", "skip", "prediction"),
}
# Lower bounds, likewise.
LEAST: dict[str, int] = {
    "limit": 1,
    "max_batch": 1,
    "engine.workers": 0,
    "engine.threads": 1,
    "sheet.images": 1,
    "sheet.columns": 1,
    "patch": 1,
}
# Upper bounds. A sheet shows images of the first unit.
MOST: dict[str, int] = {"sheet.images": 32}
# Dictionaries whose keys are the user's to add.
OPEN_KEYS = ("kwargs", "over")
# What a user may also call a key or group: superpixelifying a map means choosing a segmenter for it.
ALIASES = {"saliency.regions": "segmenter"}
# Settings that are lists, for which a comma lists and does not sweep.
LIST_KEYS = ("save",)
SAVE_CHOICES = {
    "segment": ("labels", "overlays"),
    "explain": ("maps", "overlays"),
    "wsol": ("maps", "overlays"),
    "lerf": ("maps", "overlays"),
}
