"""Which images the gallery shows, and what is drawn of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from nasbench.digest import digest_bytes
from nasbench.localize.boxes import IOU_GRID
from nasbench.localize.metric import BoxAccuracy
from nasbench.report import gallery, localisation
from nasbench.report.gallery import changes, decisions, write_gallery
from nasbench.report.localisation_tables import localised
from nasbench.report.predicted import Drawn
from nasbench.run.gallery import Picture, Wanted
from nasbench.run.store import RunFolder
from tests.support.wsol import made_up

BOXES = {"threshold": "crossfit", "fixed": 0.5, "normalisation": "minmax", "share": None, "space": "model"}
SIDE = 40
TRUTH = np.array([[10.0, 10.0, 30.0, 30.0]])
IDS = [f"image-{i:02d}" for i in range(30)]
BLUE, WHITE = (86, 180, 233), (255, 255, 255)


@dataclass(frozen=True)
class Cell:
    segmenter: str = "none"
    saliency: str = "cam"
    metric: dict[str, Any] = field(default_factory=lambda: BOXES)
    swept: dict[str, Any] = field(default_factory=dict)

    @property
    def choices(self):
        return {"model": "m", "dataset": "d", "saliency": self.saliency, "segmenter": self.segmenter}

    @property
    def config(self):
        return {"metric": self.metric, "saliency": self.saliency, "segmenter": self.segmenter, "counts": None}


@pytest.fixture
def folder(tmp_path):
    with RunFolder(tmp_path / "run").opened(fresh=False) as opened:
        yield opened


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(localisation, "RESAMPLES", 20)


def right(count, *, low=False):
    """Right at so many of the IoUs from .50 on; `low` at all below."""
    below = sum(delta < 0.5 for delta in IOU_GRID)
    return np.array([low] * below + [i < count for i in range(len(IOU_GRID) - below)])


def test_the_images_that_change_most_by_hand():
    before = {
        ("a", 0): right(5),
        ("b", 0): right(0),
        ("c", 0): right(9),
        ("d", 0): right(3),
        ("e", 0): right(4),
    }
    after = {
        ("a", 0): right(7),
        ("b", 0): right(10),
        ("c", 0): right(2),
        ("d", 0): right(3),
        ("e", 0): right(3),
    }
    found = changes(before, after)
    assert found.gains == (("b", 0, 0, 10), ("a", 0, 5, 7))
    assert found.losses == (("c", 0, 9, 2), ("e", 0, 4, 3))
    assert (found.gained, found.lost, found.n) == (2, 2, 5)


def test_ious_below_one_half_do_not_count():
    found = changes({("a", 0): right(0)}, {("a", 0): right(0, low=True)})
    assert (found.gained, found.lost) == (0, 0)


def test_of_equal_changes_those_of_lowest_hash_whatever_the_order():
    before, after = {(name, 1): right(0) for name in IDS}, {(name, 1): right(4) for name in IDS}
    found = changes(before, after, most=6)
    expected = sorted(IDS, key=lambda name: digest_bytes(name.encode()))[:6]
    assert [one.sample for one in found.gains] == expected
    assert found.gained == 30
    assert changes(dict(reversed(before.items())), dict(reversed(after.items())), most=6) == found


def test_images_of_one_cell_alone_are_not_compared():
    found = changes({("a", 0): right(0), ("b", 0): right(3)}, {("b", 0): right(4), ("b", 1): right(9)})
    assert (found.gains, found.n) == ((("b", 0, 3, 4),), 1)


def spot(size, at=(10, 10)):
    """A map that is 1 in a square, 0.1 elsewhere: its box is the square."""
    values = np.full((SIDE, SIDE), 0.1, dtype=np.float32)
    values[at[1] : at[1] + size, at[0] : at[0] + size] = 1
    values[0, 0] = 0
    return values


class Made:
    """A run of made-up maps, by (cell, sample), scored as the metric scores them."""

    def __init__(self, folder, cells, maps):
        self.folder, self.maps, self.asked = folder, maps, []
        units = []
        for i in range(len(cells)):
            rows = []
            for name in IDS:
                found = BoxAccuracy()(maps[i, name], TRUTH)
                rows += made_up(name, right=list(found.right), boxes=TRUTH / SIDE, covers=found.covers)
            folder.write_rows(str(i), rows)
            units.append((i, str(i)))
        self.said = localised(folder, cells, units)

    def pictures(self, wanted):
        self.asked += wanted
        for one in wanted:
            yield one, Picture(np.full((SIDE, SIDE, 3), 90, np.uint8), self.maps[one[:2]], "tench")

    def write(self, pictures=None):
        return write_gallery(self.said, self.folder, pictures or self.pictures)


def sizes(cell, i):
    """The regions' box is better on the images 0 to 5, worse on 6 to 8, and as good on the others."""
    plain, regions = (14, 20) if i < 6 else (20, 15) if i < 9 else (20, 20)
    return regions if cell else plain


@pytest.fixture
def made(folder):
    cells = [Cell(), Cell("nas")]
    return Made(folder, cells, {(c, name): spot(sizes(c, i)) for c in range(2) for i, name in enumerate(IDS)})


def test_the_gallery_asks_for_the_images_it_shows_in_both_cells(made):
    path, notes = made.write()
    assert notes == []
    assert path == made.folder.path / "gallery.png"
    gains, losses = ([one for one in made.asked if one.sample in group] for group in (IDS[:6], IDS[6:9]))
    assert (len(gains), len(losses), len(made.asked)) == (8, 6, 14)
    assert {one.cell for one in gains} == {0, 1}
    sheet = np.asarray(Image.open(path))
    assert (sheet == BLUE).all(axis=2).any()


def test_the_same_bytes_twice(made):
    path, _ = made.write()
    first = path.read_bytes()
    assert made.write()[0].read_bytes() == first


def test_a_map_that_comes_out_otherwise_is_not_drawn(made):
    sample = IDS[6]

    def pictures(wanted):
        for one, found in made.pictures(wanted):
            yield one, replace(found, map=spot(19)) if one == Wanted(1, sample, 0) else found

    whole = Image.open(made.write()[0]).size
    path, notes = made.write(pictures)
    assert notes == [f"gallery: without {sample}: made again, the map gives another box than the scored one"]
    assert Image.open(path).size == whole, "the gains still are four rows"


def test_images_that_cannot_be_read_are_named_and_an_old_gallery_goes(made):
    path, _ = made.write()
    found, notes = made.write(lambda wanted: ((one, "gone") for one in wanted))
    assert found is None
    assert not path.exists()
    assert len(notes) == 5
    assert notes[0].endswith(": gone")
    assert notes[-1] == "gallery: without 3 more images"


def test_without_a_base_there_is_none_and_nobody_is_asked(folder):
    made = Made(folder, [Cell("nas"), Cell("slic")], {(c, name): spot(20) for c in range(2) for name in IDS})
    assert made.write() == (None, [])
    assert made.asked == []


@pytest.mark.parametrize(
    ("metric", "plain", "regions", "reason"),
    [
        (BOXES | {"space": "image"}, 20, 14, "boxes are drawn with metric.space=model only"),
        (BOXES, SIDE, 14, "its map names no place, for regions to change"),
        (BOXES, 20, 20, "no image gains or loses"),
    ],
)
def test_cells_that_are_not_drawn_are_named(folder, metric, plain, regions, reason):
    maps = {(c, name): spot(size, (0, 0)) for c, size in enumerate((plain, regions)) for name in IDS}
    for name in IDS if plain == SIDE else ():
        maps[0, name] = np.ones((SIDE, SIDE), np.float32)
    made = Made(folder, [Cell(metric=metric), Cell("nas", metric=metric)], maps)
    assert made.write() == (None, [f"gallery: without cam nas: {reason}"])
    assert made.asked == []


def test_there_are_six_cells_at_most_and_the_others_are_named(folder):
    cells = [Cell(), *(Cell("nas", swept={"segmenter.k": k}) for k in range(8))]
    maps = {(c, name): spot(sizes(c, i)) for c in range(9) for i, name in enumerate(IDS)}
    made = Made(folder, cells, maps)
    path, notes = made.write()
    assert notes == ["gallery: without cam nas k=6, cam nas k=7: no more than 6 cells are drawn"]
    assert {one.cell for one in made.asked} == set(range(7))
    assert Image.open(path).height > 6 * 4 * 224


def test_decisions_are_those_of_the_report(made):
    found = decisions(made.said, 1)
    assert sorted(found) == [(name, 0) for name in IDS]
    assert np.array_equal(found[IDS[7], 0], [delta <= 0.5625 for delta in IOU_GRID])


def test_boxes_are_drawn_where_they_are():
    canvas = Image.new("RGB", (60, 50), (90, 90, 90))
    gallery._draw_found(ImageDraw.Draw(canvas), (10, 5, 40, 45))
    drawn = np.asarray(canvas)
    changed = np.argwhere((drawn != 90).any(axis=2))
    assert changed.min(axis=0).tolist() == [5, 10]
    assert changed.max(axis=0).tolist() == [44, 39]
    assert (drawn[6:9, 12:38] == BLUE).all(), "solid"
    canvas = Image.new("RGB", (60, 50), (90, 90, 90))
    gallery._draw_truth(ImageDraw.Draw(canvas), (10, 5, 40, 45))
    drawn = np.asarray(canvas)
    changed = np.argwhere((drawn != 90).any(axis=2))
    assert changed.min(axis=0).tolist() == [5, 10]
    assert changed.max(axis=0).tolist() == [44, 39]
    white = (drawn[6, 14:36] == WHITE).all(axis=1)
    assert white.any()
    assert (drawn[6, 14:36] == 90).all(axis=1).any(), "dashed"


@pytest.mark.parametrize("size", [(40, 40), (300, 200), (100, 500), (1, 40)])
def test_pictures_of_any_size_fit_a_tile(size):
    height, width = size
    drawn = Drawn(np.array([[0.0, 0.0, width, height]]), None, 0.0)
    shown = gallery._Shown(np.zeros((*size, 3), np.uint8), np.eye(7, dtype=np.float32), drawn, "x")
    assert max(gallery._with_boxes(shown).size) == 224


def test_words_are_cut_and_are_one_line():
    canvas = Image.new("RGB", (200, 40), "white")
    end = gallery._write(ImageDraw.Draw(canvas), (5, 5), "a very\nlong name " * 9, 120, 16)
    assert 60 < end <= 125
    assert (np.asarray(canvas)[:, 130:] == 255).all()
