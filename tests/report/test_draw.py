"""Pictures: the right pixels in the right places."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from nasbench.report.draw import SheetColumn, Tile, contact_sheet, heat, overlay

IMAGE = np.full((20, 30, 3), 128, dtype=np.uint8)
HALVES = np.repeat([[0] * 15 + [1] * 15], 20, axis=0)


def tile(image, labels):
    """A tile of regions, as segment makes it."""
    return Tile(image, f"{labels.max() + 1} regions", lambda zoom: overlay(image, labels, zoom=zoom))


def test_the_overlay_draws_boundaries_and_nothing_else():
    drawn = np.asarray(overlay(IMAGE, HALVES))
    assert drawn.shape == (40, 60, 3)
    yellow = (drawn == (255, 230, 0)).all(axis=2)
    assert set(np.nonzero(yellow)[1]) <= {29, 30}
    assert yellow.any(axis=1).all()
    assert (drawn[:, :25] == 128).all()


def test_one_region_has_no_boundary():
    assert (np.asarray(overlay(IMAGE, np.zeros((20, 30), dtype=int))) == 128).all()


@pytest.mark.parametrize(("cells", "samples"), [(1, 1), (1, 8), (3, 8), (9, 2), (2, 5)])
def test_the_sheet_has_a_place_for_every_image_and_cell(cells, samples):
    names = [(0, f"image-{i}") for i in range(samples)]
    image, halves = np.full((100, 100, 3), 128, dtype=np.uint8), np.repeat([[0] * 70 + [1] * 30], 100, axis=0)
    columns = [SheetColumn(f"cell {c}", 0, dict.fromkeys(names, tile(image, halves))) for c in range(cells)]
    sheet = np.asarray(Image.open(io.BytesIO(contact_sheet(columns, names, title="title"))))
    yellow = (sheet == (255, 230, 0)).all(axis=2)
    # Each tile has one boundary of all its rows, two pixels wide, clear of the words in its corner.
    assert yellow.sum() == cells * samples * 100 * 2 * 2


def test_large_tiles_are_shown_smaller_where_there_are_many_cells_and_titles_are_cut():
    image = np.zeros((200, 200, 3), dtype=np.uint8)
    column = SheetColumn("a very long name " * 9, 0, {(0, "x"): tile(image, np.zeros((200, 200), dtype=int))})
    few = Image.open(io.BytesIO(contact_sheet([column] * 2, [(0, "x")], title="t")))
    many = Image.open(io.BytesIO(contact_sheet([column] * 9, [(0, "x")], title="t")))
    assert few.height > 400 > many.height
    gaps = np.asarray(many)[50:80, 8 + 200 + 2 : 8 + 200 + 6]
    assert (gaps == 255).all(), "no title runs into the next"


def grey(sheet):
    return (np.asarray(Image.open(io.BytesIO(sheet))) == 225).all(axis=2).sum()


def test_an_image_that_failed_is_left_grey():
    columns = [SheetColumn("a", 0, {(0, "x"): tile(IMAGE, HALVES)}), SheetColumn("b", 0, {})]
    # x failed in b, y in both and has no picture either: four grey tiles of 60 × 60, less the words on them.
    assert grey(contact_sheet(columns, [(0, "x"), (0, "y")], title="t")) > 4 * 60 * 60 * 0.5


def test_an_image_of_another_data_set_is_not_called_failed():
    columns = [
        SheetColumn("a", 0, {(0, "x"): tile(IMAGE, HALVES)}),
        SheetColumn("b", 1, {(1, "x"): tile(IMAGE, HALVES)}),
    ]
    assert grey(contact_sheet(columns, [(0, "x"), (1, "x")], title="t")) < 50  # the edges of letters


def test_heat_goes_from_dark_to_bright_and_a_diverging_map_has_zero_in_the_middle():
    image = np.zeros((20, 30, 3), dtype=np.uint8)
    ramp = np.linspace(0, 1, 30)[None].repeat(20, axis=0)
    bright = np.asarray(heat(image, ramp, zoom=1)).sum(axis=2).mean(axis=0)
    assert bright.shape == (30,)
    assert (np.diff(bright) >= 0).all()
    assert bright[-1] > bright[0] + 200
    both = np.asarray(heat(image, ramp - 0.5, diverging=True, zoom=1)).astype(int)
    assert both[10, 0, 2] > both[10, 0, 0], "blue below 0"
    assert both[10, -1, 0] > both[10, -1, 2], "red above"
    assert abs(both[10, 15, 0] - both[10, 15, 2]) < 15


@pytest.mark.parametrize("value", [0.0, -2.0, 1e30])
def test_a_constant_map_can_be_drawn(value):
    for diverging in (False, True):
        assert heat(IMAGE, np.full((3, 3), value), HALVES, diverging=diverging).size == (60, 40)


def test_one_bright_pixel_leaves_the_rest_visible():
    values = np.linspace(0, 1, 600).reshape(20, 30)
    values[0, 0] = 1000
    drawn = np.asarray(heat(IMAGE, values, zoom=1)).astype(int).sum(axis=2)
    assert drawn[-1].mean() > drawn[1].mean() + 100
