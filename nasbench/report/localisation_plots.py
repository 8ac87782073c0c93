"""Accuracy over IoU, and over the threshold: two curves for each cell, as SVG and PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench.localize.boxes import IOU_GRID, MEAN_IOU
from nasbench.localize.thresholds import Sweep
from nasbench.report.figure_files import figure_files, figure_style
from nasbench.report.localisation import Stratum
from nasbench.report.localisation_tables import TITLES, Localised

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Told apart by the colour-blind too (Okabe & Ito 2008); dashes repeat them.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("-", "--", ":", "-.")
# More curves cannot be told apart.
_MOST = len(_COLOURS) * len(_DASHES)
_THRESHOLDS = np.linspace(0, 1, 401)
_MARKED = np.array([delta in MEAN_IOU for delta in IOU_GRID])


def localisation_plots(said: Localised, stratum: str = "small") -> dict[str, bytes]:
    """The figure of a stratum by its suffix, always the same bytes; none without images in it."""
    from matplotlib.figure import Figure

    shown = [i for i in range(len(said.cells)) if said.scored[i, stratum].n][:_MOST]
    if not shown:
        return {}
    with figure_style(size=9):
        figure = Figure(figsize=(11, 4.2 + 0.14 * max(len(shown) - 12, 0)), layout="constrained")
        over_iou, over_threshold = figure.subplots(1, 2)
        for place, i in enumerate(shown):
            style = {
                "color": _COLOURS[place % len(_COLOURS)],
                "linestyle": _DASHES[place // len(_COLOURS)],
                "linewidth": 1.4,
            }
            _draw_cell(said, i, stratum, over_iou, over_threshold, style)
        _dress(over_iou, "IoU", f"box accuracy, {TITLES[stratum]}")
        _dress(over_threshold, "threshold, one for all images", "mean box accuracy over IoU .50 to .95")
        figure.legend(*over_iou.get_legend_handles_labels(), loc="outside right upper", frameon=False)
        return figure_files(figure)


def _draw_cell(
    said: Localised, i: int, stratum: str, over_iou: Axes, over_threshold: Axes, style: Mapping[str, Any]
) -> None:
    scored = said.scored[i, stratum]
    accuracies = scored.right.mean(axis=0)
    over_iou.plot(IOU_GRID, 100 * accuracies, label=said.labels[i], marker="o", markersize=2.5, **style)
    if said.entries[i].constant:  # whose box knows no threshold
        over_threshold.axhline(100 * accuracies[_MARKED].mean(), **style)
        return
    entries = Stratum.of(said.entries[i].kept, stratum).entries
    curves = Sweep([entry.right for entry in entries]).accuracy_curves(_THRESHOLDS)
    over_threshold.plot(_THRESHOLDS, 100 * curves[_MARKED].mean(axis=0), **style)
    if said.cells[i].config["metric"]["threshold"] == "crossfit":
        at: Sequence[float] = scored.thresholds.tolist()
        level = np.interp(at, _THRESHOLDS, 100 * curves[_MARKED].mean(axis=0))
        over_threshold.plot(at, level, linestyle="none", marker="o", markersize=3, color=style["color"])


def _dress(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(f"{y} (%)")
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
