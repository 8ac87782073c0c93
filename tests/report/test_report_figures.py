"""Figures of a comparison: what they are made of, and that they are drawn, the same bytes each time."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from nasbench.report.comparison import compare, measure
from nasbench.report.count_plot import Series, count_plot, series_of
from nasbench.report.draw import heat, overlay
from nasbench.report.merged import merge_runs
from nasbench.report.side_by_side import side_by_side
from nasbench.run.store import RunFolder
from tests.support.runs import MadeCell, made_run, scored

IDS = [f"image-{i}" for i in range(8)]
VALUES = dict(zip(IDS, np.random.default_rng(0).random(len(IDS)), strict=True))


def regions(segmenter, shift=0.0, **more):
    swept = {key: value for key, value in more.items() if key != "segmenter.stages"}
    values = {name: value + shift for name, value in VALUES.items()}
    return MadeCell([scored(values)], command="segment", segmenter=segmenter, more=more, swept=swept)


def compared(path, *cells):
    merged = merge_runs([made_run(path, *cells)])
    return merged, compare(merged, measure(merged))


def depth_and_k():
    return [
        *(regions("nas", k / 9, **{"segmenter.k": k, "segmenter.stages": [-1]}) for k in (3, 6)),
        *(regions("nas", k / 5, **{"segmenter.k": k, "segmenter.stages": [-2, -1]}) for k in (3, 6, 12)),
        *(regions("slic", 0.1, **{"segmenter.n": n}) for n in (3, 12)),
        regions("random", **{"segmenter.n": 3}),
    ]


def test_series_differ_in_the_number_of_regions_alone(tmp_path):
    _, (table,) = compared(tmp_path / "run", *depth_and_k())
    found = series_of(table.pivot)
    assert all(isinstance(one, Series) for one in found)
    counts = {one.label: sorted(one.lines) for one in found}
    # One of a single number, as the random regions are, is no line.
    assert counts == {"nas stages=[-1]": [3, 6], "nas stages=[-2 -1]": [3, 6, 12], "slic": [3, 12]}
    for one in found:
        for count, place in one.lines.items():
            (cell,) = table.pivot.lines[place].cells
            assert count in (cell.config["segmenter"].get("k"), cell.config["segmenter"].get("n"))


def test_counts_are_drawn(tmp_path):
    _, tables = compared(tmp_path / "run", *depth_and_k())
    drawn = count_plot(tables)
    assert set(drawn) == {"svg", "png"}
    assert count_plot(tables) == drawn
    picture = np.asarray(Image.open(io.BytesIO(drawn["png"])).convert("RGB"))
    for colour in ("#0072B2", "#D55E00", "#009E73"):
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (picture == rgb).all(axis=2).sum() > 50


def test_nothing_is_drawn_where_no_count_varies(tmp_path):
    _, tables = compared(tmp_path / "run", regions("nas", **{"segmenter.k": 3}), regions("grid"))
    assert count_plot(tables) == {}


@pytest.fixture
def pictures(tmp_path):
    """A run of two cells which kept pictures: regions of three images, and of two of them."""
    cells = [regions("nas"), regions("grid", 0.1)]
    path = made_run(tmp_path / "run", *cells)
    rng = np.random.default_rng(1)
    images = rng.integers(0, 255, (3, 16, 20, 3), dtype=np.uint8)
    labels = np.indices((16, 20))[1] // 10 + np.zeros((3, 1, 1), dtype=np.int64)
    for cell, n in zip(cells, (3, 2), strict=True):
        arrays = {"ids": np.array(IDS[:n]), "images": images[:n], "labels": labels[:n]}
        RunFolder(path).write_artefact(cell.key(0), n, {**arrays, "targets": np.full(n, -1)})
    return path


def test_images_that_all_kept_stand_side_by_side(pictures, monkeypatch):
    merged = merge_runs([pictures])
    (table,) = compare(merged, measure(merged))
    shown = []

    def counted(image, labels, **how):
        shown.append(image.copy())
        return overlay(image, labels, **how)

    monkeypatch.setattr("nasbench.report.side_by_side.overlay", counted)
    drawn = side_by_side(merged, table)
    assert set(drawn) == {"svg", "png"}
    assert len(shown) == 2 * 2, "two cells on the two images of both"
    assert side_by_side(merged, table) == drawn


def test_maps_of_a_cell_are_on_one_scale(pictures, monkeypatch):
    merged = merge_runs([pictures])
    (table,) = compare(merged, measure(merged))
    for path in (pictures / "artefacts").iterdir():
        with np.load(path) as arrays:
            kept = dict(arrays)
        maps = np.ones((len(kept["ids"]), 4, 4), dtype=np.float32)
        maps[0, 0, 0] = -1  # one negative value makes 0 the middle of all
        np.savez(path, **{key: value for key, value in kept.items() if key != "maps"}, maps=maps)
    said = []

    def counted(*what, diverging, zoom):
        said.append(diverging)
        return heat(*what, diverging=diverging, zoom=zoom)

    monkeypatch.setattr("nasbench.report.side_by_side.heat", counted)
    assert side_by_side(merged, table)
    assert said == [True] * 4


def test_without_pictures_there_is_no_figure(tmp_path):
    merged, (table,) = compared(tmp_path / "run", regions("nas"), regions("grid"))
    assert side_by_side(merged, table) == {}
