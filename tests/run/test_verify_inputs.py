"""`nasbench verify` where what a run was computed from has changed, and on the tables of every command."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import timm
from PIL import Image
from safetensors.torch import save_file

from tests.support import tamper
from tests.support.cli import make_images, tiny, tiny_explain
from tests.support.explain import make_labelled
from tests.support.removal import tiny_lerf
from tests.support.wsol import tiny_wsol

COUNT = 5


@pytest.fixture
def photos(tmp_path):
    return make_images(tmp_path / "photos", COUNT, size=(16, 16))


@pytest.fixture
def verify(run, tmp_path):
    """Verify the run in `out`, which must not change by it; the failures, and all that is said."""

    def go(*args, code=1):
        before = tamper.tree(tmp_path / "out")
        result = run("verify", "out", *args, code=code)
        assert tamper.tree(tmp_path / "out") == before
        assert not result.err
        return [line[2:] for line in result.out.splitlines() if line.startswith("  ")], result.out

    return go


def segmented(run, photos, *more):
    run(*tiny(photos, "segmenter=grid", *more, "--out", "out"))


def test_an_image_that_has_changed_is_named(run, photos, verify):
    segmented(run, photos)
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(photos / "images" / "003.png")
    failures, out = verify()
    assert failures == ["folder: 003.png: has changed since the run"]
    assert "0 of 1 units" in out
    verify("--sample", "0", code=0)


def test_an_image_that_is_gone_is_named(run, photos, verify):
    segmented(run, photos)
    (photos / "images" / "001.png").unlink()
    (photos / "masks" / "001.png").unlink()
    assert verify()[0] == ["folder: 001.png: is not in the data set any more"]


def test_a_mask_counts_as_the_image(run, photos, verify):
    segmented(run, photos)
    Image.fromarray(np.full((16, 16), 255, np.uint8)).save(photos / "masks" / "002.png")
    assert verify()[0] == ["folder: 002.png: has changed since the run"]


def test_many_changed_images_are_counted(run, photos, verify):
    for number in range(COUNT, 2 * COUNT):
        shutil.copy(photos / "images" / "000.png", photos / "images" / f"{number:03d}.png")
        shutil.copy(photos / "masks" / "000.png", photos / "masks" / f"{number:03d}.png")
    segmented(run, photos)
    for path in (photos / "images").iterdir():
        Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(path)
    failures, _ = verify()
    assert len(failures) == 6
    assert failures[-1] == "folder: 5 more: have changed or are gone"


def test_images_that_were_added_are_no_fault(run, photos, verify):
    segmented(run, photos)
    for name in ("images", "masks"):
        shutil.copy(photos / name / "000.png", photos / name / "new.png")
    _, out = verify(code=0)
    assert "1 of 1 units, 15 rows, 15 of them equal in every bit" in out


def test_a_data_set_that_is_gone_is_one_line(run, photos, verify):
    segmented(run, photos)
    photos.rename(photos.parent / "elsewhere")
    (line,), _ = verify()
    assert line.startswith("config.yaml: cannot recompute: ")
    assert "photos" in line


def weights(path, seed):
    import torch

    torch.manual_seed(seed)
    save_file(timm.create_model("test_resnet").state_dict(), path)
    return path


def test_weights_that_have_changed_are_named(run, photos, verify, tmp_path):
    path = weights(tmp_path / "w.safetensors", 0)
    tokens = tiny(photos, "segmenter=grid", "--out", "out")
    run(*(token.replace("weights=random", f"weights={path}") for token in tokens))
    verify(code=0)
    weights(path, 1)
    (line,), out = verify()
    assert line.startswith(f"{path}: model.weights_digest was ")
    assert "0 of 1 units" in out
    path.unlink()
    (line,), _ = verify()
    assert line.startswith("config.yaml: cannot recompute: ")
    assert str(path) in line


def test_maps_that_have_changed_are_named(run, verify, tmp_path):
    images = make_labelled(tmp_path / "labelled")
    run(*tiny_explain(images, "saliency=gradient", "save=maps", "--out", "made"))
    maps = tmp_path / "made" / "maps" / "gradient"
    run(*tiny_explain(images, "saliency=precomputed", f"saliency.path={maps}", "--out", "out"))
    _, out = verify(code=0)
    assert "1 with maps from files, whose keys only --sample can recompute" in out
    np.save(maps / "000.png__0.npy", np.ones((64, 64), np.float32))
    (line,), _ = verify()
    (key,) = tamper.keys(tmp_path / "out")
    assert line == f"{maps}: the maps behind rows/{key}.parquet have changed since the run"


def test_clusterings_that_are_gone_are_named(run, photos, verify, tmp_path):
    more = (
        "segmenter=nas",
        "segmenter.k=3",
        "segmenter.scope=dataset",
        "segmenter.centroids=fit.safetensors",
    )
    run(*tiny(photos, *more, "--out", "out"))
    verify(code=0)
    (tmp_path / "fit.safetensors").unlink()
    failures, _ = verify()
    assert "fit.safetensors: cannot recompute: the clusterings of the run are gone" in failures


def test_images_that_cannot_be_read_fail_again_in_the_same_way(run, photos, verify):
    (photos / "images" / "002.png").write_bytes(b"no image")
    segmented(run, photos)
    _, out = verify(code=0)
    assert "15 of them equal in every bit" in out


RUNS = {
    "explain": (lambda root: tiny_explain(root, "saliency=gradient,cam"), {"summary.csv"}),
    "wsol": (
        lambda _: tiny_wsol("saliency=gradcam", "segmenter=none,grid", "--limit", "4"),
        {"summary.csv", "localisation.csv", "localisation.md", "localisation_paired.csv"},
    ),
    "choe": (
        lambda _: tiny_wsol("metric=choe", "--limit", "4"),
        {"summary.csv", "localisation.csv", "localisation.md"},
    ),
    "lerf": (
        lambda _: tiny_lerf("segmenter=grid", "saliency=gradient", "metric.steps=2", n=4),
        {"summary.csv", "relevance.csv", "relevance.md"},
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_the_tables_of_every_command_follow_from_its_rows(run, verify, tmp_path, monkeypatch, name):
    make, tables = RUNS[name]
    monkeypatch.setattr("nasbench.report.run_report._write_sheet", lambda *_: tmp_path)
    monkeypatch.setattr("nasbench.report.wsol_report.write_gallery", lambda *_: (None, []))
    monkeypatch.setattr("nasbench.report.wsol_report.localisation_plots", lambda _: {})
    monkeypatch.setattr("nasbench.report.relevance_report.relevance_plots", lambda _: {})
    run(*make(make_labelled(tmp_path / "labelled")), "--out", "out")
    _, out = verify("--sample", "1", code=0)
    assert f"{', '.join(sorted(tables))}: made again from the rows" in out
    for table in tables:
        with (tmp_path / "out" / table).open("a") as file:
            file.write("mine\n")
    failures, _ = verify("--sample", "0")
    assert {line.partition(":")[0] for line in failures} == tables
    assert all("the rows give" in line for line in failures)
