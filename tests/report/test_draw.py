"""Pictures: the right pixels in the right places."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from nasbench.report.draw import SheetColumn, contact_sheet, overlay

IMAGE = np.full((20, 30, 3), 128, dtype=np.uint8)
HALVES = np.repeat([[0] * 15 + [1] * 15], 20, axis=0)


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
    columns = [SheetColumn(f"cell {c}", 0, dict.fromkeys(names, (image, halves))) for c in range(cells)]
    sheet = np.asarray(Image.open(io.BytesIO(contact_sheet(columns, names, title="title"))))
    yellow = (sheet == (255, 230, 0)).all(axis=2)
    # Each tile has one boundary of 200 rows, two pixels wide, clear of the words in its corner.
    assert yellow.sum() == cells * samples * 200 * 2


def grey(sheet):
    return (np.asarray(Image.open(io.BytesIO(sheet))) == 225).all(axis=2).sum()


def test_an_image_that_failed_is_left_grey():
    columns = [SheetColumn("a", 0, {(0, "x"): (IMAGE, HALVES)}), SheetColumn("b", 0, {})]
    # x failed in b, y in both and has no picture either: four grey tiles of 60 × 60, less the words on them.
    assert grey(contact_sheet(columns, [(0, "x"), (0, "y")], title="t")) > 4 * 60 * 60 * 0.5


def test_an_image_of_another_data_set_is_not_called_failed():
    columns = [
        SheetColumn("a", 0, {(0, "x"): (IMAGE, HALVES)}),
        SheetColumn("b", 1, {(1, "x"): (IMAGE, HALVES)}),
    ]
    assert grey(contact_sheet(columns, [(0, "x"), (1, "x")], title="t")) < 50  # the edges of letters
