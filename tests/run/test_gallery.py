"""The gallery of `nasbench wsol`: pictures made again say what the run has scored."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from skimage.measure import label

from nasbench.data.rendered import RenderedDataset
from nasbench.errors import DataError
from nasbench.localize.boxes import IOU_GRID, iou_of
from nasbench.localize.maps import normalise
from nasbench.localize.metric import upsample
from nasbench.localize.thresholds import fold_of
from nasbench.report import localisation
from nasbench.report.gallery import decisions, write_gallery
from nasbench.run.forward import activation_features
from nasbench.run.gallery import Picture, Wanted
from nasbench.statistics import bootstrap
from tests.support.wsol import tiny_wsol

# The bundled checkpoint on rendered scenes, without much of a contact sheet.
SMALL = ("sheet.images=1", "sheet.columns=1", "--limit", "15")
SWEEP = ("wsol", "saliency=cam", "segmenter=none,nas,slic", *SMALL)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(localisation, "RESAMPLES", 20)
    monkeypatch.setattr(bootstrap, "_RESAMPLES", 20)


@pytest.fixture
def seen(monkeypatch):
    """What the report has given to the gallery: what is said of the run, and who makes pictures."""
    kept = []

    def spy(said, folder, pictures):
        kept.append((said, pictures))
        return write(said, folder, pictures)

    write = write_gallery
    monkeypatch.setattr("nasbench.report.wsol_report.write_gallery", spy)
    return kept


def test_a_sweep_leaves_a_gallery_always_the_same(run, tmp_path):
    shown = run(*SWEEP, "--out", "first").out
    assert "gallery:  first/gallery.png" in shown
    assert "gallery: without" not in shown, "every picture is what was scored"
    first = tmp_path / "first" / "gallery.png"
    assert Image.open(first).height > 3 * 224
    run("wsol", "--config", "first/config.yaml", "--out", "again")
    assert (tmp_path / "again" / "gallery.png").read_bytes() == first.read_bytes()
    run(*SWEEP, "--out", "first")
    assert (tmp_path / "again" / "gallery.png").read_bytes() == first.read_bytes(), (
        "where nothing is computed"
    )


def slow_box(values, threshold):
    pieces = label(values >= threshold, connectivity=2)
    largest = np.bincount(pieces.ravel())[1:].argmax() + 1
    y, x = np.nonzero(pieces == largest)
    return np.array([x.min(), y.min(), x.max() + 1, y.max() + 1], dtype=np.float64)


def test_boxes_of_the_pictures_are_those_the_decisions_rest_on(run, seen):
    run(*SWEEP, "--out", "out")
    ((said, pictures),) = seen
    judged = [decisions(said, cell) for cell in range(3)]
    wanted = [Wanted(cell, *key) for cell in range(3) for key in judged[cell]]
    count = 0
    for one, found in pictures(wanted):
        assert isinstance(found, Picture)
        size = found.image.shape[:2]
        threshold = said.scored[one.cell, "all"].thresholds[fold_of([one.sample])[0]]
        values = normalise(upsample(found.map, size), "minmax").values
        truth = said.entries[one.cell].kept[one.sample, one.target].boxes * np.tile(size[::-1], 2)
        (iou,) = iou_of(slow_box(values, threshold), truth)
        assert np.array_equal(judged[one.cell][one.sample, one.target], iou >= np.array(IOU_GRID)), one
        count += 1
    assert count == len(wanted) == 45


def test_pictures_show_the_image_and_name_its_class(run, seen):
    run(*SWEEP, "--out", "out")
    ((said, pictures),) = seen
    scenes = RenderedDataset()
    sample, target = next(iter(decisions(said, 0)))
    ((_, found),) = pictures([Wanted(0, sample, target)])
    scene = scenes.load(sample)
    assert found.name == scenes.classes[scene.labels[0]]
    assert found.image.shape[:2] == scene.image.shape[:2]
    assert np.abs(found.image.astype(int) - scene.image).max() <= 1, "the model's grid is the image's here"


def test_an_image_is_forwarded_once_for_all_of_its_cells(run, seen, monkeypatch):
    run(*SWEEP, "--out", "out")
    ((said, pictures),) = seen
    forwarded = []

    def counted(classifier, pixels, activations):
        forwarded.append(len(pixels))
        return activation_features(classifier, pixels, activations)

    monkeypatch.setattr("nasbench.run.graph.activation_features", counted)
    keys = list(decisions(said, 0))[:3]
    assert len(list(pictures([Wanted(cell, *key) for cell in range(3) for key in keys]))) == 9
    assert forwarded == [1, 1, 1]


def test_a_run_without_a_base_has_none(run, tmp_path):
    shown = run(*tiny_wsol("saliency=cam", "segmenter=grid,slic", "--out", "out")).out
    assert "gallery" not in shown
    assert not (tmp_path / "out" / "gallery.png").exists()


def test_baselines_and_boxes_in_image_pixels_are_named(run, tmp_path):
    more = ("saliency=centre,full_box", "segmenter=none,grid", "metric.space=image")
    shown = run(*tiny_wsol(*more, "--out", "out")).out
    assert "gallery: without centre grid: boxes are drawn with metric.space=model only" in shown
    assert "gallery: without full_box grid: its map names no place" in shown
    assert not (tmp_path / "out" / "gallery.png").exists()


@pytest.mark.parametrize("error", [DataError("cannot be read"), KeyError("of a user's class")])
def test_an_image_that_can_no_longer_be_read_leaves_a_note(run, tmp_path, monkeypatch, error):
    run(*SWEEP, "--out", "out")
    before = Image.open(tmp_path / "out" / "gallery.png").size
    load = RenderedDataset.load
    asked = []

    def failing(self, sample_id):
        asked.append(sample_id)
        if sample_id == asked[0]:
            raise error
        return load(self, sample_id)

    monkeypatch.setattr(RenderedDataset, "load", failing)
    shown = run(*SWEEP, "--out", "out")
    assert "0 of 3 units computed" in shown.err
    said = str(error) if isinstance(error, DataError) else f"KeyError: {error}"
    assert shown.out.count("gallery: without") == 1
    assert f"gallery: without {asked[0]}: {said}" in shown.out
    assert Image.open(tmp_path / "out" / "gallery.png").width == before[0]
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["status"] == "complete"


def test_it_can_be_interrupted(run, tmp_path, monkeypatch):
    run(*SWEEP, "--out", "out")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(RenderedDataset, "load", interrupted)
    assert "interrupted; what is finished is kept" in run(*SWEEP, "--out", "out", code=130).err
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["status"] == "interrupted"
