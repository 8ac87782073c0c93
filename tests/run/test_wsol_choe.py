"""Whole runs of `nasbench wsol metric=choe`: rows and tables against the protocol, image by image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nasbench.data.rendered import RenderedDataset
from nasbench.localize.choe import choe_decisions, choe_gt_boxes, choe_thresholds, choe_upsample
from nasbench.localize.pixel_scores import px_ap, score_histogram
from tests.support.explain import rows
from tests.support.wsol import table, tiny_wsol

SCENES = RenderedDataset(n=12, size=64)
THRESHOLDS = choe_thresholds(0.01)
CHOE = ("metric=choe", "metric.step=0.01")


@pytest.fixture
def raw_maps(run, tmp_path):
    run(*tiny_wsol(*CHOE, "saliency=gradcam", "save=maps", "--out", "out"))
    found = {}
    for sample in SCENES.ids():
        (path,) = (tmp_path / "out" / "maps" / "gradcam").glob(f"{sample}__*.npy")
        found[sample] = np.load(path)
    return found


def gt_boxes(sample):
    return choe_gt_boxes(SCENES.load(sample).boxes - [0, 0, 1, 1], (64, 64), 64)


def test_rows_and_table_are_the_protocols(raw_maps, tmp_path):
    kinds: dict[Any, list[Any]] = {"largest": [], "all": []}
    histograms = []
    said = {(row["sample"], row["metric"]): row for row in rows(tmp_path / "out")}
    for sample, raw in raw_maps.items():
        values = choe_upsample(raw, 64)
        for kind, own in kinds.items():
            right = choe_decisions(values, gt_boxes(sample), THRESHOLDS, contours=kind)
            own.append(right)
            for delta, one in zip(("0.30", "0.50", "0.70"), right, strict=True):
                row = said[sample, f"choe_{kind}@{delta}"]
                assert row["value"] == pytest.approx(one.mean())
                for threshold, expected in zip(THRESHOLDS, one, strict=True):
                    ends = np.reshape(row["curve"], (-1, 2))
                    assert any(low < threshold <= high for low, high in ends) == expected
        mask = SCENES.load(sample).mask
        assert mask is not None
        histograms.append(score_histogram(values, mask, choe_thresholds()))
    said_of = {line["column"]: float(line["value"]) for line in table(tmp_path / "out", stratum="all")}
    for kind, name in (("largest", "max_box_acc"), ("all", "max_box_acc_v2")):
        best = np.mean(kinds[kind], axis=0).max(axis=1)
        for delta, value in zip(("0.30", "0.50", "0.70"), best, strict=True):
            assert said_of[f"{name}@{delta}"] == pytest.approx(value)
    assert said_of["max_box_acc_v2"] == pytest.approx(np.mean(kinds["all"], axis=0).max(axis=1).mean())
    assert said_of["px_ap"] == pytest.approx(px_ap(histograms))


def test_intervals_hold_the_value_and_the_best_threshold_is_taken_in_each_resample(raw_maps, tmp_path):
    del raw_maps
    for line in table(tmp_path / "out", stratum="all"):
        low, value, high = (float(line[key]) for key in ("low", "value", "high"))
        assert low <= high
        assert low <= value + 0.05
        assert value <= high + 1e-9, "resamples may choose another threshold, never a worse one"


def test_baselines_and_regions_stand_in_the_table(run, tmp_path):
    more = ("saliency=cam,centre,full_box,const_box", "segmenter=none,slic", "--out", "out")
    result = run(*tiny_wsol(*CHOE, *more))
    assert "MaxBoxAcc" in result.out
    assert "# Localisation by the published protocol" in (tmp_path / "out" / "localisation.md").read_text()
    wanted = {"stratum": "all", "segmenter": "none", "column": "max_box_acc_v2@0.50"}
    found = {line["saliency"]: float(line["value"]) for line in table(tmp_path / "out", **wanted)}
    assert set(found) == {"cam", "centre", "full_box", "const_box"}
    size = 64 * 64
    areas = [np.prod(gt_boxes(s)[0, 2:] - gt_boxes(s)[0, :2] + 1) for s in SCENES.ids()]
    assert found["full_box"] == pytest.approx(np.mean(np.array(areas) / size >= 0.5))
    assert 0 <= found["const_box"] <= 1


def test_a_second_run_writes_the_same_bytes(run, tmp_path):
    for name in ("one", "two"):
        run(*tiny_wsol(*CHOE, "saliency=cam", "--limit", "4", "--out", name))
    for file in ("summary.csv", "localisation.csv", "localisation.md", "sheet.png"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("metric=boxes,choe",), "metric=boxes,choe: two protocols are two runs"),
        (("metric=choe", "view.resize=crop"), "metric=choe needs view.resize=squash, not crop"),
        (("metric=choe", "metric.corner=left"), "metric.corner=left: choose one of inclusive, outside"),
        (("metric=choe", "metric.space=image"), "metric.space"),
    ],
)
def test_misuse_is_one_line(run, more, message):
    assert message in run(*tiny_wsol(*more), code=2).line


def test_the_protocol_needs_squares(run):
    args = [token for token in tiny_wsol("metric=choe", "--limit", "2") if "input_size" not in token]
    result = run(*args, "model.input_size=[64,96]", code=1)
    assert "needs a model that reads squares" in result.out + result.err
