"""The columns of a comparison: which are shown, what they are called, and which way is better."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from nasbench.localize.choe_metric import ChoeAccuracy
from nasbench.report.merged import MergedCell
from nasbench.report.relevance_groups import is_lattice
from nasbench.report.relevance_images import DIFFERENCES
from nasbench.report.relevance_scores import LOWER, RATIOS


class Better(IntEnum):
    """Which way a number is better."""

    LOWER = -1
    NEITHER = 0
    HIGHER = 1


@dataclass(frozen=True)
class Column:
    """One number of a table.

    Attributes:
        name: as rows and files have it.
        better: which way.
        share: whether it is told in per cent, and differences in points.
    """

    name: str
    better: Better
    share: bool

    def value(self, number: float | None, *, signed: bool = False) -> str:
        """A number as a table has it: per cent with one decimal, or three decimals."""
        if number is None:
            return "—"
        scaled, digits = (100 * number, 1) if self.share else (number, 3)
        rounded = round(scaled, digits) + 0.0  # no sign of a zero
        return f"{rounded:+.{digits}f}" if signed else f"{rounded:.{digits}f}"

    def span(self, low: float | None, high: float | None) -> str:
        """An interval likewise; empty without one."""
        return "" if low is None or high is None else f"[{self.value(low)}, {self.value(high)}]"


_BOXES = ("box_acc_mean", "box_acc@0.50", "box_acc@0.70", "box_acc@0.90")
_CHOE: tuple[str, ...] = ("max_box_acc_v2", "max_box_acc@0.50", "max_box_acc_v2@0.30", "max_box_acc_v2@0.50")
_CHOE += ("max_box_acc_v2@0.70", "px_ap")
_CURVES = ("auc_lerf", "auc_morf", "srg", "lerf_over_random")
_LATTICE = ("percentile_lerf", "regret_lerf", "percentile_morf", "regret_morf", "shapley_tau")
_REGIONS = (
    "object_iou",
    "object_iou_box",
    "undersegmentation_error",
    "undersegmentation_error_box",
    "achievable_segmentation_accuracy",
    "achievable_segmentation_accuracy_box",
    "boundary_recall",
    "boundary_recall_box",
    "boundary_precision",
    "boundary_precision_box",
    "agreement_ari",
    "agreement_iou",
    "explained_variation",
    "n_regions",
)
# What compares across what is removed: each is measured from its own random orders.
_ACROSS = ("lerf_to_full", "morf_to_empty")
_ACROSS_LATTICE = ("regret_lerf", "percentile_lerf", "regret_morf")

_LOWER = LOWER | {"undersegmentation_error", "undersegmentation_error_box"}
# Of which a higher or lower one is no merit.
_NEITHER = frozenset({
    "n_regions", "compactness", "boundary_contrast", "edge_variation", "agreement_ari", "agreement_iou",
    "map_min", "map_max", "map_mean", "map_positive",
    "box_covers_frame", "otsu_threshold", "gt_box_share", "gt_boxes", "top1", "top5",
    "auc_random", "auc_random_norm", "full", "empty", "correct", "null_mean", "null_best", "null_worst",
    "sampled_null_mean", "auc_lerf_sd", "auc_morf_sd",
})  # fmt: skip
# Bounds and oracles: what regions or the best threshold allow, which is no method's merit.
_BOUNDS = ("box_acc_oracle", "box_acc_union", "box_union_iou")
_SHARES = ("box_acc", "max_box_acc", "top1", "top5", "px_ap", "image_px_ap", "pixel_", "box_covers_frame")


def column(name: str, command: str, *, ours: bool = True) -> Column:
    """A column by its name; of a user's metric it is not known which way is better."""
    better = Better.LOWER if name in _LOWER else Better.HIGHER
    if name in _NEITHER or name.startswith(_BOUNDS) or not ours:
        better = Better.NEITHER
    return Column(name, better, command == "wsol" and name.startswith(_SHARES))


def is_ours(cell: MergedCell) -> bool:
    """Whether a cell's metric is one of the package's."""
    return str(cell.config["metric"]["_target_"]).startswith("nasbench.")


def rows_behind(names: Iterable[str], command: str) -> frozenset[str] | None:
    """The rows' metrics that columns are made of; None for localisation, where all have a part in all."""
    if command == "wsol":
        return None
    parts = {name: one.parts for name, one in RATIOS.items()} | DIFFERENCES
    return frozenset(part for name in names for part in parts.get(name, (name,)))


def default_columns(cells: Sequence[MergedCell], there: Iterable[str], *, across: bool) -> list[str]:
    """The columns that are shown if none is asked for, the leading one first; of those that are there."""
    found = list(dict.fromkeys(there))
    wanted = _wanted(cells[0], across=across)
    shown = [name for name in wanted if name in found]
    return shown or sorted(found)


def _wanted(cell: MergedCell, *, across: bool) -> Sequence[str]:
    if cell.command == "wsol":
        published = str(cell.config["metric"]["_target_"]).endswith(f".{ChoeAccuracy.__name__}")
        return _CHOE if published else _BOXES
    if cell.command == "lerf":
        if across:
            return _ACROSS_LATTICE if is_lattice(cell) else _ACROSS
        return _LATTICE if is_lattice(cell) else _CURVES
    return _REGIONS if cell.command == "segment" else ()
