"""Typed schemas of what `nasbench wsol` adds to metrics and saliency; see `nasbench.config.schema`."""

from __future__ import annotations

from dataclasses import dataclass

from nasbench.config.saliency_schema import Target


@dataclass
class BoxAccuracy(Target):
    """`nasbench.localize.metric.BoxAccuracy`."""

    normalisation: str = "minmax"
    share: float | None = None
    threshold: str = "crossfit"
    fixed: float = 0.5
    space: str = "model"


@dataclass
class ChoeAccuracy(Target):
    """`nasbench.localize.choe_metric.ChoeAccuracy`."""

    step: float = 0.001
    corner: str = "inclusive"


LOCALIZE_SCHEMAS: dict[str, type[Target]] = {
    "nasbench.localize.metric.BoxAccuracy": BoxAccuracy,
    "nasbench.localize.choe_metric.ChoeAccuracy": ChoeAccuracy,
    "nasbench.saliency.controls.FullBox": Target,
    "nasbench.saliency.controls.ConstBox": Target,
}
