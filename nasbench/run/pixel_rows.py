"""Rows of `nasbench wsol` that rest on no predicted box: of the truth, and of a map pixel by pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench.data import Sample
from nasbench.localize.boxes import areas, box_mask, unit_boxes
from nasbench.localize.choe import choe_thresholds
from nasbench.localize.metric import BOX_SHARE, BOXES, ON_BOXES, ON_MASK, PIXELS
from nasbench.localize.pixel_scores import (
    pointing,
    px_ap,
    relevance_mass,
    relevance_rank,
    score_histogram,
    soft_f1,
    soft_iou,
)
from nasbench.run.truth import Truth
from nasbench.segment.scores import Score

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Masks:
    """What of the truth lies where, (H, W) bool each on the grid of the map.

    Attributes:
        boxes: inside of a box.
        mask: the object; None where the image has no mask.
        ignore: pixels that count for nothing; None for none.
    """

    boxes: Mask
    mask: Mask | None
    ignore: Mask | None

    @classmethod
    def of(
        cls,
        sample: Sample,
        boxes: NDArray[np.float64],
        size: tuple[int, int],
        on_grid: Callable[[Mask], Mask],
    ) -> Masks:
        """Of a sample: its boxes (n, 4) on a grid of this size, its masks brought there by `on_grid`."""
        mask, ignore = (None if one is None else on_grid(one) for one in (sample.mask, sample.ignore))
        return cls(box_mask(boxes, size), mask, ignore)


def truth_scores(boxes: NDArray[np.float64], size: tuple[int, int]) -> list[Score]:
    """What of the truth the report needs: the boxes, as shares of the frame's sides."""
    unit = unit_boxes(boxes, size)
    return [
        Score(BOX_SHARE, float(areas(unit).max()), "", {}),
        Score(BOXES, float(len(unit)), "", {}, [float(edge) for edge in unit.ravel()]),
    ]


def pixel_scores(
    values: NDArray[np.floating], normalised: NDArray[np.floating], masks: Masks, truth: Truth
) -> list[Score]:
    """Highest point and mass against the boxes; all of the map against the mask, where there are masks."""
    ignore = masks.ignore
    on_boxes = (
        pointing(values, masks.boxes, ignore=ignore),
        relevance_mass(values, masks.boxes, ignore=ignore),
    )
    scores = [_meaningful(name, value, "boxes") for name, value in zip(ON_BOXES, on_boxes, strict=True)]
    if truth != "mask":
        return scores
    if masks.mask is None:
        return scores + [Score(name, None, "the image has no mask", {}) for name in ON_MASK]
    on_mask = (
        soft_iou(normalised, masks.mask, ignore=ignore),
        soft_f1(normalised, masks.mask, ignore=ignore),
        relevance_mass(values, masks.mask, ignore=ignore),
        relevance_rank(values, masks.mask, ignore=ignore),
    )
    named = zip([name for name in ON_MASK if name != PIXELS], on_mask, strict=True)
    scores += [_meaningful(name, value, "mask") for name, value in named]
    return [*scores, precision_score(normalised, masks.mask, ignore)]


def precision_score(normalised: NDArray[np.floating], mask: Mask, ignore: Mask | None) -> Score:
    """The average precision of the image's pixels, and their histogram, from which the data set's is made."""
    thresholds = choe_thresholds()
    said: dict[str, Any] = {"against": "mask", "thresholds": f"{len(thresholds)} from 0, and 1"}
    found = score_histogram(normalised, mask, thresholds, ignore=ignore)
    if not found.inside.any():
        return _meaningful(PIXELS, None, "mask")
    curve = [float(count) for count in np.concatenate([found.inside, found.outside])]
    return Score(PIXELS, px_ap([found]), "", said, curve)


def _meaningful(name: str, value: float | None, against: str) -> Score:
    reason = "" if value is not None else "no pixel of the object counts, or nothing of the map is positive"
    return Score(name, value, reason, {"against": against})
