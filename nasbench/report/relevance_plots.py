"""Mean curves of a run of `nasbench leRF`, or the places of its orders among all, as SVG and PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench.report.figure_files import figure_files, figure_style
from nasbench.report.relevance_groups import Group
from nasbench.report.relevance_images import GRID, SAMPLED
from nasbench.report.relevance_scores import Band
from nasbench.report.relevance_tables import Relevant, group_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

# Told apart by the colour-blind too (Okabe & Ito 2008).
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
_GREY = "#888888"
_GROUPS = 6
_METHODS = len(_COLOURS)
# More dots of single images would hide one another.
_DOTS = 200
_WATCHED = {"probability": "probability of the class", "logit": "logit of the class", "log_odds": "log-odds"}
_ORDERS = {
    "lerf": "least relevant first (LeRF): up is good",
    "morf": "most relevant first (MoRF): down is good",
}
_PLACES = {"lerf": "share of all orders that LeRF is better than", "morf": "the same of MoRF"}


def relevance_plots(said: Relevant) -> dict[str, bytes]:
    """The figure by its suffix, always the same bytes; none where no image has a score."""
    from matplotlib.figure import Figure

    there = [group for group in said.groups if _members(said, group)]
    shown = there[:_GROUPS]
    if not shown:
        return {}
    heights = [_height(said, group) for group in shown]
    left = _left_out(said, shown, len(there) - len(shown))
    colours = _colours(said, shown)
    with figure_style(size=9):
        figure = Figure(figsize=(11, sum(heights) + 0.3 * bool(left)), layout="constrained")
        parts = figure.subfigures(len(shown), 1, height_ratios=heights, squeeze=False).ravel()
        for part, group in zip(parts, shown, strict=True):
            _draw_group(said, group, part, colours)
        if left:
            figure.supxlabel(left, fontsize=8, color="#555555")
        return figure_files(figure)


def _members(said: Relevant, group: Group) -> list[int]:
    """The cells of a group that have images, best first."""
    return [i for i in said.ranking(group) if said.scored[i].images.keys]


def _height(said: Relevant, group: Group) -> float:
    members = min(len(_members(said, group)), _METHODS)
    return 1.1 + 0.28 * members if group.lattice else max(2.6, 0.8 + 0.2 * members)


def _left_out(said: Relevant, shown: Sequence[Group], groups: int) -> str:
    methods = sum(max(0, len(_members(said, group)) - _METHODS) for group in shown)
    words = [f"cells beyond the {_METHODS} best of a panel ({methods})"] if methods else []
    words += [f"groups beyond the first {_GROUPS} ({groups})"] if groups else []
    return f"Not drawn: {' and '.join(words)}; relevance.csv has them." if words else ""


def _colours(said: Relevant, shown: Sequence[Group]) -> dict[str, str]:
    """A colour for each name, the same in all panels as long as there are enough."""
    names = dict.fromkeys(
        group.labels[i] for group in shown for i in group.labels if i in _members(said, group)[:_METHODS]
    )
    return {name: _COLOURS[place % len(_COLOURS)] for place, name in enumerate(names)}


def _draw_group(said: Relevant, group: Group, part: Figure | SubFigure, colours: Mapping[str, str]) -> None:
    part.suptitle(group_title(said, group), x=0.01, ha="left", fontsize=10, fontweight="bold")
    members = _members(said, group)[:_METHODS]
    draw = _draw_places if group.lattice else _draw_curves
    bands = [said.scored[i].bands for i in members]
    whiches = [which for which in _ORDERS if group.lattice or any(which in one for one in bands)]
    panels = part.subplots(1, max(len(whiches), 1), sharey=True, squeeze=False).ravel()
    for which, axes in zip(whiches or ["random"], panels, strict=True):
        draw(said, group, members, axes, which, colours)
    if not group.lattice:
        panels[0].set_ylabel(_WATCHED.get(group.score, group.score))
        handles, labels = panels[0].get_legend_handles_labels()
        panels[-1].legend(handles, labels, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)


def _draw_curves(
    said: Relevant,
    group: Group,
    members: Sequence[int],
    axes: Axes,
    which: str,
    colours: Mapping[str, str],
) -> None:
    random = [said.scored[i].bands["random"] for i in members if "random" in said.scored[i].bands]
    for i in members:
        band = said.scored[i].bands.get(which)
        if band is not None and which != "random":
            _draw_band(axes, band, group.labels[i], colours[group.labels[i]])
    if random:
        _draw_band(axes, random[0], "a random order", _GREY, linestyle="--")
    axes.set_title(_ORDERS.get(which, ""), fontsize=9)
    axes.set_xlabel("share of the image removed")
    axes.set_xlim(0, 1)
    if group.score == "probability":
        axes.set_ylim(0, 1.02)
    _dress(axes, "both")


def _draw_band(axes: Axes, band: Band, label: str, colour: str, linestyle: str = "-") -> None:
    axes.plot(GRID, band.mean, color=colour, linewidth=1.6, linestyle=linestyle, label=label)
    if band.low is not None and band.high is not None:
        axes.fill_between(GRID, band.low, band.high, color=colour, alpha=0.12, linewidth=0)


def _draw_places(
    said: Relevant,
    group: Group,
    members: Sequence[int],
    axes: Axes,
    which: str,
    colours: Mapping[str, str],
) -> None:
    exact = any(f"percentile_{which}" in said.scored[i].numbers for i in members)
    column = f"percentile_{which}" if exact else SAMPLED.replace("lerf", which)
    for place, i in enumerate(members):
        number = said.scored[i].numbers.get(column)
        if number is None or number.value is None:
            continue
        colour = colours[group.labels[i]]
        values = said.scored[i].images.values[column]
        dots = values[np.isfinite(values)][:_DOTS]
        # Apart enough to be seen, and always at the same places.
        apart = ((np.arange(len(dots)) * 0.618) % 1 - 0.5) * 0.5
        axes.plot(dots, place + apart, "o", color=colour, markersize=3, alpha=0.35, markeredgewidth=0)
        if number.low is not None and number.high is not None:
            axes.plot([number.low, number.high], [place, place], color=colour, linewidth=3, alpha=0.8)
        axes.plot([number.value], [place], "o", color=colour, markersize=7, markeredgecolor="white")
    axes.axvline(0.5, color=_GREY, linestyle="--", linewidth=1, zorder=0)
    axes.set_yticks(range(len(members)), [group.labels[i] for i in members])
    axes.set_ylim(len(members) - 0.5, -0.5)
    axes.set_xlim(-0.02, 1.02)
    axes.set_title(_PLACES[which] if exact else f"{_PLACES[which]}, orders sampled", fontsize=9)
    axes.set_xlabel("percentile; dashed: a random order")
    _dress(axes, "x")


def _dress(axes: Axes, grid: Any) -> None:
    axes.grid(visible=True, axis=grid, color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
