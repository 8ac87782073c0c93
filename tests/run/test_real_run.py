"""The issue's real run, on a few of its images."""

from __future__ import annotations

import csv
import io

import pytest

from tests.support.cli import call
from tests.support.realdata import realdata


@pytest.mark.realdata
@pytest.mark.slow
def test_resnet50_on_imagenet(capsys, monkeypatch, tmp_path):
    root = realdata()
    result = call(
        capsys,
        monkeypatch,
        "segment",
        "model=resnet50",
        f"model.weights={root}/weights/resnet50.safetensors",
        "dataset=imagenet",
        f"dataset.root={root}/imagenet",
        "segmenter=nas,slic,grid",
        "--limit",
        "24",
        "--out",
        str(tmp_path / "out"),
    )
    assert result.code == 0, result.err
    table = list(csv.DictReader(io.StringIO((tmp_path / "out" / "summary.csv").read_text())))
    found = {(row["segmenter"], row["metric"]): row for row in table}
    assert {row["n"] for row in table} == {"24"}
    assert float(found["nas", "n_regions"]["value"]) == 10
    # On all 650 images NAS holds the boxes better than rectangles do; 24 images are enough to see it.
    assert float(found["nas", "object_iou_box"]["value"]) > float(found["grid", "object_iou_box"]["value"])
    assert float(found["nas", "object_iou_box"]["low"]) > 0.5
    assert (tmp_path / "out" / "sheet.png").stat().st_size > 100_000


@pytest.mark.realdata
def test_masks_of_horses(capsys, monkeypatch, tmp_path):
    root = realdata()
    result = call(
        capsys,
        monkeypatch,
        "segment",
        "model=mobilenetv2_100",
        f"model.weights={root}/weights/mobilenetv2_100.safetensors",
        "dataset=folder",
        f"dataset.root={root}/horses",
        "--limit",
        "8",
        "--out",
        str(tmp_path / "out"),
    )
    assert result.code == 0, result.err
    assert "object_iou " in result.out
    assert "object_iou_box" not in result.out
