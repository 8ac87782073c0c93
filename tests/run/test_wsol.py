"""Whole runs of `nasbench wsol` in this process: rows against a slow twin, baselines, classes, tables."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from skimage.measure import label

from nasbench.data import ViewSpec, make_view
from nasbench.data.rendered import RenderedDataset
from nasbench.localize.boxes import IOU_GRID
from nasbench.models import load_classifier
from nasbench.run.published import FITTED_LATER
from nasbench.segment.tree import NasTree
from tests.support.cli import tiny
from tests.support.explain import rows
from tests.support.wsol import table, tiny_wsol

SCENES = RenderedDataset(n=12, size=64)
BOXES = [f"box@{delta:.2f}" for delta in IOU_GRID]


def test_without_overrides_rendered_scenes_are_localised(run, tmp_path):
    result = run("wsol", "--limit", "3", "--out", "out")
    assert "largest box under half the frame" in result.out
    for name in ("summary.csv", "localisation.csv", "localisation.md", "sheet.png"):
        assert (tmp_path / "out" / name).stat().st_size > 100
    assert not (tmp_path / "out" / "localisation_paired.csv").exists()
    assert {line["saliency"] for line in table(tmp_path / "out")} == {"cam"}


def slow_box(values, threshold):
    """The half-open box of the largest 8-connected piece, the straightforward way."""
    pieces = label(values >= threshold, connectivity=2)
    if pieces.max() == 0:
        return None
    sizes = np.bincount(pieces.ravel())[1:]
    assert (sizes == sizes.max()).sum() == 1, "no tie in these"
    y, x = np.nonzero(pieces == 1 + sizes.argmax())
    return np.array([x.min(), y.min(), x.max() + 1, y.max() + 1])


def slow_iou(a, b):
    shared = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
    return shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared)


def is_right(curve, threshold):
    return any(low < threshold <= high for low, high in zip(curve[::2], curve[1::2], strict=True))


@pytest.mark.parametrize(("space", "size"), [("model", 64), ("image", 96)])
def test_rows_say_what_a_slow_twin_says_at_every_threshold(run, tmp_path, space, size):
    args = ("saliency=gradcam", f"metric.space={space}", "save=maps", "--limit", "4", "--out", "out")
    run(*tiny_wsol(*args, size=size))
    scenes = RenderedDataset(n=12, size=size)
    found = rows(tmp_path / "out")
    for sample in {row["sample"] for row in found}:
        scene = scenes.load(sample)
        grid = 64 if space == "model" else size
        (box,) = scene.boxes * (grid / size)
        (path,) = (tmp_path / "out" / "maps" / "gradcam").glob(f"{sample}__*.npy")
        raw = torch.from_numpy(np.load(path))[None, None].double()
        large = torch.nn.functional.interpolate(raw, (grid, grid), mode="bilinear", align_corners=False)
        values = large[0, 0].numpy()
        values = (values - values.min()) / (values.max() - values.min())
        said = {row["metric"]: row for row in found if row["sample"] == sample}
        for threshold in np.linspace(0.013, 0.987, 40):
            predicted = slow_box(values, threshold)
            iou = slow_iou(predicted, box)
            for delta, name in zip(IOU_GRID, BOXES, strict=True):
                assert is_right(said[name]["curve"], threshold) is bool(iou >= delta), (sample, threshold)
            covers = np.prod(predicted[2:] - predicted[:2]) > 0.95 * grid * grid
            assert is_right(said["box_covers_frame"]["curve"], threshold) is bool(covers)
        np.testing.assert_allclose(said["gt_boxes"]["curve"], box / grid)
        assert said["gt_boxes"]["value"] == 1
        lengths = np.diff(np.clip(np.reshape(said["box@0.30"]["curve"], (-1, 2)), 0, 1)).sum()
        assert said["box@0.30"]["value"] == pytest.approx(lengths)


def test_rows_can_be_read_alone(run, tmp_path):
    run(*tiny_wsol("saliency=cam,centre", "segmenter=none,grid", "metric.threshold=otsu", "--out", "out"))
    found = rows(tmp_path / "out")
    conventions = json.loads(found[0]["conventions"])
    assert conventions["normalisation"] == "minmax"
    assert conventions["threshold"] == "otsu"
    assert conventions["box"].startswith("largest 8-connected piece")
    by_image = [r["metric"] for r in found if r["sample"] == found[0]["sample"] and r["saliency"] == "cam"]
    assert set(by_image) == {
        *BOXES, "box_covers_frame", "gt_box_share", "gt_boxes", "top1", "top5", "pointing", "energy",
        "soft_iou", "soft_f1", "relevance_mass", "relevance_rank", "image_px_ap", "otsu_threshold",
        "box_union_iou",
    }  # fmt: skip
    unions = [row["segmenter"] for row in found if row["metric"] == "box_union_iou"]
    assert set(unions) == {"grid"}
    assert {row["command"] for row in found} == {"wsol"}


def test_the_best_union_of_regions_bounds_every_map_over_them(run, tmp_path):
    run(*tiny_wsol("saliency=cam,random_blur", "segmenter=slic", "--out", "out"))
    for saliency in ("cam", "random_blur"):
        found = rows(tmp_path / "out", saliency=saliency)
        bound = {row["sample"]: row["value"] for row in found if row["metric"] == "box_union_iou"}
        reached = {
            row["sample"]: float(row["metric"][4:])
            for row in sorted(found, key=lambda row: str(row["metric"]))
            if row["metric"] in BOXES and row["curve"]
        }
        assert reached
        assert all(delta <= bound[sample] for sample, delta in reached.items())
    (line,) = table(tmp_path / "out", saliency="cam", stratum="all", column="box_acc_union@0.50")
    assert float(line["value"]) == pytest.approx(np.mean([value >= 0.5 for value in bound.values()]))


def test_baselines(run, tmp_path):
    run(*tiny_wsol("saliency=full_box,const_box", "--out", "out"))
    assert not (tmp_path / "out" / "localisation_paired.csv").exists()
    ids = SCENES.ids()
    iou = {i: slow_iou(np.array([0, 0, 64, 64]), SCENES.load(i).boxes[0]) for i in ids}
    for delta in (0.3, 0.5, 0.7):
        (line,) = table(tmp_path / "out", saliency="full_box", stratum="all", column=f"box_acc@{delta:.2f}")
        assert float(line["value"]) == pytest.approx(np.mean([iou[i] >= delta for i in ids]))
    (line,) = table(tmp_path / "out", saliency="full_box", stratum="all", column="box_covers_frame")
    assert float(line["value"]) == 1
    fitted = rows(tmp_path / "out", saliency="const_box", metric="box@0.50")
    assert {(row["status"], row["reason"]) for row in fitted} == {("skipped", FITTED_LATER)}
    (line,) = table(tmp_path / "out", saliency="const_box", stratum="all", column="box_acc@0.30")
    assert float(line["value"]) > 0
    assert "constant map" not in (tmp_path / "out" / "localisation.md").read_text()


def test_classes_among_the_first_guesses(run, tmp_path):
    run(*tiny_wsol("saliency=centre", "target=0", "model.num_classes=12", "--out", "out"))
    classifier = load_classifier(name="test_resnet", weights="random", input_size=64, num_classes=12)
    spec = ViewSpec(size=(64, 64), resize="squash", interpolation="bicubic")
    for sample in SCENES.ids():
        scene = SCENES.load(sample)
        x = torch.from_numpy(make_view(scene.image, spec).pixels)[None]
        best = classifier.logits(x)[0].topk(5).indices.tolist()
        found = {row["metric"]: row["value"] for row in rows(tmp_path / "out", sample=sample)}
        assert found["top1"] == (scene.labels[0] == best[0])
        assert found["top5"] == (scene.labels[0] in best)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["forwards"] == 12, "the network is asked, though the map needs none"


def write_map(path, mapping):
    path.write_text(json.dumps(mapping))
    return path


def test_labels_go_through_the_label_map(run, tmp_path):
    names = list(SCENES.classes)
    write_map(tmp_path / "map.json", {names[i]: 500 + i for i in range(8)} | {"8": 20})
    key = f"model.label_map={tmp_path / 'map.json'}"
    result = run(*tiny_wsol("saliency=gradient", key, "--out", "out"))
    found = rows(tmp_path / "out", metric="box@0.50")
    for row in found:
        known = row["label"] < 9
        assert row["target"] == ((20 if row["label"] == 8 else 500 + row["label"]) if known else None)
        assert row["status"] == ("ok" if known else "skipped")
        if not known:
            name = names[row["label"]]
            assert row["reason"] == f"class {row['label']} ({name}) has no counterpart in model.label_map"
    assert sum(row["status"] == "ok" for row in found) == 9
    assert result.out.count("has no counterpart in model.label_map") == 3
    assert {line["n"] for line in table(tmp_path / "out", stratum="all")} == {"9"}
    assert {line["n_failed"] for line in table(tmp_path / "out")} == {"3"}
    assert {row["value"] for row in rows(tmp_path / "out", metric="top1", status="ok")} <= {0.0, 1.0}
    run(*tiny_wsol("saliency=gradient", "target=0", key, "--out", "asked"))
    assert {row["target"] for row in rows(tmp_path / "asked")} == {0}, "a number is the model's class"


def test_what_a_label_map_says_is_in_the_key(run, tmp_path):
    def units(name, mapping):
        write_map(tmp_path / f"{name}.json", mapping)
        run(*tiny_wsol("--limit", "2", f"model.label_map={name}.json", "--out", name))
        assert name not in rows(tmp_path / name)[0]["config"]
        return {path.name for path in (tmp_path / name / "rows").iterdir()}

    every = {str(i): i for i in range(12)}
    first = units("first", every)
    assert units("second", dict(reversed(every.items()))) == first
    assert units("third", every | {"11": 10}) != first


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "maps no class"),
        ('{"0": 5000}', "the model has the classes 0 to 999, not 5000"),
        ('{"dragon": 1}', "no class of the data set"),
    ],
)
def test_a_label_map_that_is_wrong_is_one_line_before_the_run(run, tmp_path, content, message):
    (tmp_path / "map.json").write_text(content)
    for command in ("wsol", "explain"):
        args = [command, *tiny_wsol("model.label_map=map.json")[1:]]
        assert message in run(*args, code=2).line
    assert not (tmp_path / "results").exists()


def test_images_without_boxes_are_skipped_and_counted(run, images, tmp_path):
    args = ["wsol", *tiny(images, "target=prediction", "--out", "out")[1:]]
    assert "every image failed; the first reason: the image has no box" in run(*args, code=1).err
    found = rows(tmp_path / "out")
    assert {(row["status"], row["reason"]) for row in found} == {("skipped", "the image has no box")}
    (line,) = table(tmp_path / "out", stratum="all", column="box_acc@0.50")
    assert (line["value"], line["n"], line["n_failed"]) == ("", "0", "12")


def test_differences_from_the_map_without_regions(run, tmp_path):
    run(*tiny_wsol("saliency=cam,centre,full_box", "segmenter=none,nas,grid", "--out", "out"))
    found = table(tmp_path / "out", "localisation_paired.csv", stratum="all")
    assert {(line["saliency"], line["segmenter"]) for line in found} == {
        (s, r) for s in ("cam", "centre") for r in ("nas", "grid")
    }, "regions change nothing of a full frame"
    for line in found:
        if line["column"] == "box_acc_mean":
            continue
        values = [
            float(other["value"])
            for regions in (line["segmenter"], "none")
            for other in table(
                tmp_path / "out",
                saliency=line["saliency"],
                segmenter=regions,
                stratum="all",
                column=line["column"],
            )
        ]
        assert float(line["difference"]) == pytest.approx(values[0] - values[1], abs=1e-9)
        assert float(line["difference"]) == pytest.approx((int(line["gained"]) - int(line["lost"])) / 12)
        assert float(line["p"]) <= float(line["p_holm"]) <= 1
    assert "Against the same maps without regions" in (tmp_path / "out" / "localisation.md").read_text()


def test_the_same_run_gives_the_same_bytes(run, tmp_path):
    more = ("saliency=cam,const_box", "segmenter=none,slic", "target=prediction")
    run(*tiny_wsol(*more, "--out", "first"))
    run("wsol", "--config", "first/config.yaml", "--out", "again")
    run(*tiny_wsol(*more, "--limit", "5", "--out", "grown"))
    run(*tiny_wsol(*more, "max_batch=5", "--out", "grown"))
    for name in (
        "localisation.csv",
        "localisation_paired.csv",
        "localisation.md",
        "summary.csv",
        "sheet.png",
    ):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "first" / name).read_bytes()
    for name in ("localisation.csv", "localisation_paired.csv", "localisation.md"):
        assert (tmp_path / "grown" / name).read_bytes() == (tmp_path / "first" / name).read_bytes()
    run(*tiny_wsol(*more, "--fresh", "--out", "first", "--limit", "2"))
    assert {line["n"] for line in table(tmp_path / "first", stratum="all")} == {"2"}


def test_a_dry_run_counts_the_forward_that_asks_for_the_class(run):
    shown = run(*tiny_wsol("saliency=centre,full_box", "--dry-run")).out
    assert "forwards  12" in shown


def test_unit_files_hold_the_intervals(run, tmp_path):
    run(*tiny_wsol("saliency=full_box", "--limit", "2", "--out", "out"))
    (path,) = (tmp_path / "out" / "rows").iterdir()
    curves = [row["curve"] for row in pq.read_table(path).to_pylist() if row["metric"] == "box_covers_frame"]
    assert curves == [[-np.inf, 1.0]] * 2


def test_trees_are_grown_once_for_all_their_cuts(run, tmp_path, monkeypatch):
    grown = []
    grow = NasTree.trees

    def counted(self, views, features):
        grown.append(self.n)
        return grow(self, views, features)

    monkeypatch.setattr(NasTree, "trees", counted)
    cells = ("segmenter=nas_tree", "saliency=cam,centre", "--limit", "4")
    run(*tiny_wsol(*cells, "segmenter.n=3,6", "--out", "both"))
    assert len(grown) == 1
    run(*tiny_wsol(*cells, "segmenter.n=6", "--out", "alone"))
    both = {
        (row["saliency"], row["sample"], row["metric"], row["n_regions"]): row
        for row in rows(tmp_path / "both")
    }
    assert {row["n_regions"] for row in both.values()} == {3, 6}
    for row in rows(tmp_path / "alone"):
        again = both[row["saliency"], row["sample"], row["metric"], 6]
        assert (again["value"], again["curve"]) == (row["value"], row["curve"])
