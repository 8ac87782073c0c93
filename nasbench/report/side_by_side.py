"""Regions, maps and maps over regions of the same images side by side, from what the runs kept of them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench.report.comparison import STRATA, Table
from nasbench.report.draw import heat, overlay
from nasbench.report.figure_files import figure_files, figure_style
from nasbench.report.merged import Merged
from nasbench.report.pivot import Line

_IMAGES = 6
_LINES = 7
# Magnification of a picture, so that borders of regions are thin; and a tile's side in inches.
_ZOOM, _SIDE = 2, 1.7
_LETTERS = 24
# An image of one class explained, -1 for none.
_Place = tuple[str, int]


def side_by_side(merged: Merged, table: Table) -> dict[str, bytes]:
    """The figure by its suffix, always the same bytes; none where the runs kept no picture in common.

    A table's first lines, those of one cell each, on the first images that all of them kept. Raises RunError
    for a damaged file.
    """
    kept: dict[str, dict[_Place, Mapping[str, NDArray[Any]]]] = {}
    for line in table.pivot.lines:
        if len(kept) < _LINES and len(line.cells) == 1 and (found := _kept(merged, line)):
            kept[line.label] = found
    if not kept:
        return {}
    labels = list(kept)
    places = [place for place in kept[labels[0]] if all(place in found for found in kept.values())]
    title = table.title.removesuffix(f", {STRATA.get(table.stratum, '')}")  # all that was kept is shown
    return _figure(title, labels, places[:_IMAGES], kept) if places else {}


def _kept(merged: Merged, line: Line) -> dict[_Place, Mapping[str, NDArray[Any]]]:
    """What a line's cell kept: by image and class its arrays, of the first images in the runs' order."""
    keys = frozenset(line.cells[0].keys)
    units = ((run, unit.key) for run in merged.runs for unit in run.manifest.units if unit.key in keys)
    found: dict[_Place, Mapping[str, NDArray[Any]]] = {}
    for run, key in units:
        arrays = run.folder.read_artefact(key, 1)
        names = () if arrays is None else arrays["ids"]
        for i, name in enumerate(names):
            assert arrays is not None
            entry = {what: array[i] for what, array in arrays.items()}
            found.setdefault((str(name), int(entry.get("targets", -1))), entry)
        if len(found) >= _IMAGES:
            break
    return found


def _figure(
    title: str,
    labels: Sequence[str],
    places: Sequence[_Place],
    kept: Mapping[str, Mapping[_Place, Mapping[str, NDArray[Any]]]],
) -> dict[str, bytes]:
    from matplotlib.figure import Figure

    with figure_style(size=8):
        size = (_SIDE * (len(labels) + 1), _SIDE * len(places) + 0.7)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(len(places), len(labels) + 1, squeeze=False)
        for axes, name in zip(grid[0], ["image", *labels], strict=True):
            axes.set_title(textwrap.fill(name, _LETTERS), fontsize=8)
        drawers = [_drawer([kept[label][place] for place in places]) for label in labels]
        for row, place in zip(grid, places, strict=True):
            row[0].imshow(kept[labels[0]][place]["images"])
            for axes, label, draw in zip(row[1:], labels, drawers, strict=True):
                axes.imshow(draw(kept[label][place]))
            for axes in row:
                axes.set_axis_off()
        figure.suptitle(textwrap.fill(title, 100), fontsize=9)
        return figure_files(figure)


def _drawer(entries: Sequence[Mapping[str, NDArray[Any]]]) -> Any:
    """How a cell's results are drawn: one scale for all its maps, 0 in the middle if any is negative."""
    diverging = any(float(entry["maps"].min()) < 0 for entry in entries if "maps" in entry)
    return partial(_drawn, diverging=diverging)


def _drawn(entry: Mapping[str, NDArray[Any]], *, diverging: bool) -> NDArray[np.uint8]:
    image, labels = entry["images"], entry.get("labels")
    if "maps" in entry:
        picture = heat(image, entry["maps"], labels, zoom=_ZOOM, diverging=diverging)
    else:
        picture = overlay(image, entry["labels"], zoom=_ZOOM)
    return np.asarray(picture)
