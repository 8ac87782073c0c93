"""What `nasbench wsol` measures on one image: the thresholds at which the box of its map is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasbench.errors import UsageError
from nasbench.localize.boxes import IOU_GRID, areas, iou_of
from nasbench.localize.exact import BoxEvents, Interval, box_events, right_intervals
from nasbench.localize.maps import Normalisation, normalise, otsu_threshold

ThresholdRule = Literal["crossfit", "fixed", "otsu"]
Space = Literal["model", "image"]
Floats = NDArray[np.floating]

BOX_TITLES = tuple(f"box@{delta:.2f}" for delta in IOU_GRID)
COVERS, OTSU = "box_covers_frame", "otsu_threshold"
BOXES, BOX_SHARE = "gt_boxes", "gt_box_share"
UNION = "box_union_iou"
TOP = {"top1": 1, "top5": 5}
ON_BOXES = ("pointing", "energy")
PIXELS = "image_px_ap"
ON_MASK = ("soft_iou", "soft_f1", "relevance_mass", "relevance_rank", PIXELS)

# A predicted box of more than this share of the frame says nothing of places.
COVERING = 0.95


@dataclass(frozen=True)
class Found:
    """What a map says of an image's boxes.

    Attributes:
        right: for each IoU of the grid the intervals (low, high] of thresholds at which the box is right.
        covers: the intervals at which it covers over 95 % of the frame.
        otsu: the map's own threshold; None under another rule.
        fault: why the map says nothing, as `nasbench.localize.maps.Normalised` has it; empty where it does.
        normalised: (H, W) the map in [0, 1].
    """

    right: tuple[list[Interval], ...]
    covers: list[Interval]
    otsu: float | None
    fault: str
    normalised: Floats


@dataclass(frozen=True, kw_only=True)
class BoxAccuracy:
    """Boxes from maps, right or wrong at every threshold and IoU.

    Attributes:
        normalisation, share: how the map comes to [0, 1], see `nasbench.localize.maps.normalise`.
        threshold: at which it is judged: `crossfit`, `fixed` at `fixed`, or `otsu`. The rows hold all
            thresholds whichever it is; the report applies it.
        fixed: in [0, 1].
        space: the grid on which boxes are found and compared, the model's or the image's.
    """

    # Says to a run's plan that it reads what the network makes of the image.
    uses_logits: ClassVar[bool] = True

    normalisation: Normalisation = "minmax"
    share: float | None = None
    threshold: ThresholdRule = "crossfit"
    fixed: float = 0.5
    space: Space = "model"

    def __post_init__(self) -> None:
        for key, known in (("normalisation", Normalisation), ("threshold", ThresholdRule), ("space", Space)):
            if getattr(self, key) not in get_args(known):
                said = f"metric.{key}={getattr(self, key)}: choose one of {', '.join(get_args(known))}"
                raise UsageError(said)
        if self.share is not None and not 0 <= self.share < 1:
            raise UsageError(f"metric.share={self.share:g} must lie in [0, 1)")
        if self.share is not None and self.normalisation not in ("percentile", "ivr"):
            raise UsageError("metric.share is for metric.normalisation=percentile and ivr")
        if not 0 <= self.fixed <= 1:
            raise UsageError(f"metric.fixed={self.fixed:g} must lie in [0, 1]")

    def titles(self, truth: str | None) -> tuple[str, ...]:
        """The names of an image's scores; `truth` is what the data set offers."""
        otsu = (OTSU,) if self.threshold == "otsu" else ()
        masks = ON_MASK if truth == "mask" else ()
        return (*BOX_TITLES, COVERS, *otsu, BOX_SHARE, BOXES, *TOP, *ON_BOXES, *masks)

    def conventions(self) -> dict[str, str]:
        """What the decisions rest on."""
        share = "" if self.share is None else f" {self.share:g}"
        fixed = f" {self.fixed:g}" if self.threshold == "fixed" else ""
        return {
            "box": "largest 8-connected piece of {map >= t}, half-open",
            "normalisation": f"{self.normalisation}{share}",
            "space": self.space,
            "threshold": f"{self.threshold}{fixed}",
            "upsampling": "bilinear, half-pixel",
        }

    def __call__(self, score_map: ArrayLike, gt_boxes: ArrayLike) -> Found:
        """Decisions of a map (H, W) about boxes (n, 4) in its pixels, n >= 1.

        Raises MapError for a map that is not finite, ValueError for boxes as `checked_boxes` says.
        """
        scaled = normalise(score_map, self.normalisation, share=self.share)
        events = box_events(scaled.values)
        iou = iou_of(events.boxes, gt_boxes)
        return Found(
            tuple(right_intervals(events.levels, iou, delta) for delta in IOU_GRID),
            _covering(events, scaled.values.size),
            otsu_threshold(scaled.values) if self.threshold == "otsu" else None,
            scaled.fault,
            scaled.values,
        )


def upsample(score_map: Floats, size: tuple[int, int]) -> Floats:
    """A map (h, w) on a grid (H, W): bilinear, pixel centres at half-integers, no antialiasing; float32."""
    import torch

    given = torch.from_numpy(np.ascontiguousarray(score_map, dtype=np.float32))
    large: Any = torch.nn.functional.interpolate(
        given[None, None], size, mode="bilinear", align_corners=False
    )
    found: Floats = large[0, 0].numpy()
    return found


def total_length(intervals: Sequence[Interval]) -> float:
    """How much of [0, 1] disjoint intervals cover."""
    return float(sum(max(min(high, 1.0) - max(low, 0.0), 0.0) for low, high in intervals))


def flattened(intervals: Sequence[Interval]) -> list[float]:
    """Intervals as `low, high, low, high, ...`, rising; the first low is -inf where it has no end."""
    return [end for interval in sorted(intervals) for end in interval]


def unflattened(ends: Sequence[float]) -> list[Interval]:
    """The intervals that `flattened` wrote."""
    return list(zip(ends[::2], ends[1::2], strict=True))


def _covering(events: BoxEvents, pixels: int) -> list[Interval]:
    covers = areas(events.boxes) > COVERING * pixels
    return right_intervals(events.levels, covers.astype(np.float64), 1.0)
