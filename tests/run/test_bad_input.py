"""Damaged images, checkpoints and disks: a counted row, or one line; never a traceback."""

from __future__ import annotations

import errno
import json
import os
import pickle
import zipfile

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from nasbench.segment.controls import Grid
from tests.support.cli import call, make_images, tiny


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return lambda *args: call(capsys, monkeypatch, *args)


@pytest.fixture
def photos(tmp_path):
    """Four good images and a zoo of bad and odd ones."""
    root = tmp_path / "photos"
    root.mkdir()
    gradient = np.linspace(0, 255, 40 * 30).reshape(30, 40).astype(np.uint8)
    for name in "abcd":
        Image.fromarray(np.stack([gradient, gradient.T.reshape(30, 40), gradient], axis=2)).save(
            root / f"{name}.jpg"
        )
    (root / "zero.jpg").write_bytes(b"")
    (root / "text.jpg").write_text("not an image")
    (root / "folder.jpg").mkdir()
    (root / "cut.jpg").write_bytes((root / "a.jpg").read_bytes()[:300])
    Image.new("CMYK", (20, 20), (0, 255, 255, 0)).save(root / "cmyk.jpg")
    Image.new("P", (20, 20), 3).save(root / "palette.png")
    Image.new("LA", (20, 20), (10, 128)).save(root / "alpha.png")
    Image.fromarray(gradient.astype(np.uint16) << 8).save(root / "deep.png")
    Image.new("RGB", (1, 1), "red").save(root / "one.png")
    Image.new("RGB", (1, 3000), "red").save(root / "long.png")
    Image.new("RGB", (8, 8), "red").save(root / "Übung·図.png")
    return root


BAD = {"zero.jpg", "text.jpg", "folder.jpg", "cut.jpg"}


def rows(folder):
    return [row for path in (folder / "rows").iterdir() for row in pq.read_table(path).to_pylist()]


def test_bad_images_are_counted_rows_with_their_reason(run, photos, tmp_path):
    result = run(*tiny(photos, "segmenter=nas,slic", "segmenter.k=3", "--out", "out"))
    assert result.code == 0
    found = rows(tmp_path / "out")
    failed = {row["sample"] for row in found if row["status"] == "error"}
    assert failed == BAD
    assert all(row["reason"] for row in found if row["sample"] in BAD)
    assert {row["sample"] for row in found} >= {"Übung·図.png", "one.png", "long.png", "cmyk.jpg"}
    assert len(found) == 15 * 2 * 3
    summary = (tmp_path / "out" / "summary.csv").read_text()
    assert "timm,folder,nas,n_regions" in summary
    assert ",11,4\n" in summary
    assert "empty" in result.out


def test_on_error_fail_ends_the_run_by_name(run, photos, tmp_path):
    result = run(*tiny(photos, "segmenter=grid", "on_error=fail", "--out", "out"))
    assert result.code == 1
    assert result.line.endswith("(on_error=fail)")
    assert any(name in result.line for name in BAD)
    assert list((tmp_path / "out" / "rows").iterdir()) == []
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["status"] == "failed"


def test_a_run_in_which_every_image_fails_has_failed(run, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"")
    result = run(*tiny(tmp_path / "photos", "segmenter=grid", "--out", "out"))
    assert result.code == 1
    assert "every image failed" in result.err
    assert (tmp_path / "out" / "summary.csv").is_file()


@pytest.mark.parametrize("colour", [0, 255])
def test_images_of_one_colour_have_a_documented_answer(run, tmp_path, colour):
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (30, 30), (colour,) * 3).save(tmp_path / "photos" / "flat.png")
    result = run(*tiny(tmp_path / "photos", "segmenter=nas,grid", "segmenter.n=4", "--out", "out"))
    assert result.code == 0
    by = {(row["segmenter"], row["metric"]): row for row in rows(tmp_path / "out")}
    assert by["nas", "n_regions"]["value"] >= 1
    assert by["grid", "n_regions"]["value"] == 4
    assert by["nas", "explained_variation"]["status"] == "skipped"
    assert "one colour" in by["nas", "explained_variation"]["reason"]


def test_more_clusters_than_positions(run, tmp_path):
    photos = make_images(tmp_path / "photos", 1)
    args = tiny(photos, "segmenter=nas", "segmenter.k=300", "segmenter.stages=[-1]", "--out", "out")
    args[args.index("model.input_size=64")] = "model.input_size=32"
    assert run(*args).code == 0
    (row,) = [row for row in rows(tmp_path / "out") if row["metric"] == "n_regions"]
    assert 1 <= row["value"] <= 300
    assert row["value"] == row["n_regions"]


def test_weights_that_give_nan_are_counted_rows(run, tmp_path):
    import timm
    from safetensors.torch import save_file

    photos = make_images(tmp_path / "photos", 2)
    state = timm.create_model("test_resnet").state_dict()
    state["layer4.0.conv1.weight"].fill_(float("nan"))
    save_file(state, tmp_path / "nan.safetensors")
    args = tiny(photos, "segmenter=nas,grid", "--out", "out")
    args[args.index("model.weights=random")] = f"model.weights={tmp_path / 'nan.safetensors'}"
    result = run(*args)
    assert result.code == 0
    by = {(r["segmenter"], r["sample"], r["metric"]): r for r in rows(tmp_path / "out")}
    assert by["nas", "000.png", "object_iou"]["status"] == "error"
    assert "NaN" in by["nas", "000.png", "object_iou"]["reason"]
    assert by["grid", "000.png", "object_iou"]["status"] == "ok"


class FailsOn(Grid):
    """A segmenter that cannot do one image."""

    def __call__(self, views, features):
        from nasbench.errors import SegmentationError

        if "001.png" in views.ids:
            raise SegmentationError("cannot do this one")
        return super().__call__(views, features)


def test_one_image_that_cannot_be_segmented_does_not_take_the_others_along(run, tmp_path):
    photos = make_images(tmp_path / "photos", 4)
    target = f"segmenter._target_={__name__}.FailsOn"
    assert run(*tiny(photos, "segmenter=custom", target, "--out", "out")).code == 0
    status = {row["sample"]: (row["status"], row["reason"]) for row in rows(tmp_path / "out")}
    assert status.pop("001.png") == ("error", "cannot do this one")
    assert set(status.values()) == {("ok", "")}


class Bomb:
    """Pickled code: were it run, a file would appear."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("container", ["plain", "torch"])
def test_a_checkpoint_with_code_in_it_is_refused_and_the_code_not_run(run, tmp_path, container):
    photos = make_images(tmp_path / "photos", 1)
    trap, path = tmp_path / "trap", tmp_path / "evil.pth"
    if container == "plain":
        path.write_bytes(pickle.dumps({"state_dict": Bomb(trap)}))
    else:
        torch.save({"state_dict": Bomb(trap)}, path)
    args = tiny(photos, "--out", "out")
    args[args.index("model.weights=random")] = f"model.weights={path}"
    result = run(*args)
    assert result.code in (1, 2)
    assert len(result.err.strip().splitlines()) <= 3
    assert "evil.pth" in result.err
    assert "open" in result.err
    assert not trap.exists()


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".xyz"])
def test_other_formats_are_refused(run, tmp_path, suffix):
    photos = make_images(tmp_path / "photos", 1)
    path = tmp_path / f"weights{suffix}"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"")
    args = tiny(photos)
    args[args.index("model.weights=random")] = f"model.weights={path}"
    result = run(*args)
    assert result.code in (1, 2)
    assert "safetensors" in result.line


def test_a_full_disk_is_one_line_and_what_was_finished_stays(run, tmp_path, monkeypatch):
    photos = make_images(tmp_path / "photos", 40, size=(8, 8))
    args = tiny(photos, "segmenter=grid", "--out", "out")
    original = os.fsync
    written = []

    def full(handle):
        written.append(handle)
        # config.yaml, manifest.json, first artefact and first unit fit, each with its folder.
        if len(written) > 8:
            raise OSError(errno.ENOSPC, "No space left on device")
        original(handle)

    monkeypatch.setattr(os, "fsync", full)
    result = run(*args)
    assert result.code == 1
    assert "No space left on device" in result.line
    assert not list((tmp_path / "out").rglob("*.part"))
    kept = list((tmp_path / "out" / "rows").iterdir())
    assert len(kept) == 1
    pq.read_table(kept[0])
    monkeypatch.setattr(os, "fsync", original)
    assert "1 of 2 units computed" in run(*args).err


def test_a_damaged_unit_is_named(run, tmp_path):
    photos = make_images(tmp_path / "photos", 2)
    args = tiny(photos, "segmenter=grid", "--out", "out")
    assert run(*args).code == 0
    (path,) = (tmp_path / "out" / "rows").iterdir()
    path.write_bytes(path.read_bytes()[:100])
    result = run(*args)
    assert result.code == 1
    assert path.name in result.err
    assert "delete it and run again" in result.err


def test_a_folder_that_cannot_be_made(run, tmp_path, monkeypatch):
    photos = make_images(tmp_path / "photos", 1)

    def refused(*_args, **_kwargs):
        raise PermissionError(errno.EACCES, "Permission denied", "out")

    monkeypatch.setattr("pathlib.Path.mkdir", refused)
    result = run(*tiny(photos, "segmenter=grid", "--out", "out"))
    assert result.code == 1
    assert result.line == "nasbench: out: Permission denied"
