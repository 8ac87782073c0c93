"""A data set whose truth is people's segments, from its files to the summary."""

from __future__ import annotations

import csv
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from scipy.io import savemat

from tests.support.cli import call, tiny


def test_each_annotator_reaches_the_scores(tmp_path, capsys, monkeypatch):
    # A grid of two regions on 64 × 64 pixels is two halves, one above the other; the view changes nothing.
    for folder in ("images/test", "groundTruth/test"):
        (tmp_path / folder).mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for name in ("1", "2"):
        Image.fromarray(noise).save(tmp_path / "images" / "test" / f"{name}.png")
    halves = np.repeat([1, 2], 32)[:, None].repeat(64, axis=1)
    cells = np.empty((1, 2), dtype=object)
    cells[0, 0], cells[0, 1] = {"Segmentation": halves}, {"Segmentation": halves.T}
    savemat(tmp_path / "groundTruth" / "test" / "1.mat", {"groundTruth": cells})

    out = tmp_path / "out"
    changes = ["segmenter=grid", "segmenter.n=2", "metric=superpixels", "--out", str(out)]
    tokens = ["dataset=bsds500" if t == "dataset=folder" else t for t in tiny(tmp_path, *changes)]
    result = call(capsys, monkeypatch, *tokens)
    assert result.code == 0, result.err
    rows = {row["metric"]: row for row in csv.DictReader((out / "summary.csv").open())}
    # One annotator agrees, the other cuts both regions in half; image 2 has no annotator.
    assert float(rows["achievable_segmentation_accuracy"]["value"]) == pytest.approx((1 + 0.5) / 2)
    assert float(rows["undersegmentation_error"]["value"]) == pytest.approx((0 + 1) / 2)
    # Of the other's 128 boundary pixels, 2 rows of 2 lie on ours.
    assert float(rows["boundary_recall"]["value"]) == pytest.approx((1 + 4 / 128) / 2)
    assert (rows["boundary_recall"]["n"], rows["boundary_recall"]["n_failed"]) == ("1", "1")
    assert (rows["object_iou"]["n"], rows["compactness"]["n"]) == ("0", "2")

    (table,) = (pq.read_table(path).to_pylist() for path in (out / "rows").glob("*.parquet"))
    found = {(row["sample"], row["metric"]): row for row in table}
    missing = found["2", "boundary_recall"]
    assert (missing["status"], missing["reason"]) == ("skipped", "no segmentation for this image")
    conventions = json.loads(found["1", "boundary_recall"]["conventions"])
    assert conventions["truth"] == "each annotator's segments; mean over the annotators"
