"""Maps that are written by one run, or another tool, and read by the next."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.support.cli import make_images, tiny_explain
from tests.support.explain import STATISTICS, arrays, names, rows, values


@pytest.mark.parametrize(
    "method",
    [("saliency=gradient",), ("saliency=ig", "saliency.steps=2"), ("saliency=gradcam", "segmenter=slic")],
)
def test_maps_written_and_read_back_have_the_same_statistics(run, images, tmp_path, method):
    run(*tiny_explain(images, *method, "target=present", "save=maps", "--out", "made"))
    (folder,) = (tmp_path / "made" / "maps").iterdir()
    run(
        *tiny_explain(
            images, "saliency=precomputed", f"saliency.path={folder}", "target=present", "--out", "read"
        )
    )
    made, read = values(tmp_path / "made", status="ok"), values(tmp_path / "read", status="ok")
    assert made == read
    assert len(made) == 12 * len(STATISTICS)


def test_a_coarse_map_is_read_back_upsampled(run, images, tmp_path):
    run(*tiny_explain(images, "saliency=gradcam", "save=maps", "--out", "made"))
    more = ("saliency=precomputed", "saliency.path=made/maps/gradcam", "--out", "read")
    run(*tiny_explain(images, *more))
    assert arrays(tmp_path / "made", 8)["maps"].shape[1:] == (2, 2)
    assert arrays(tmp_path / "read", 8)["maps"].shape[1:] == (64, 64)
    made, read = values(tmp_path / "made", status="ok"), values(tmp_path / "read", status="ok")
    for key, value in made.items():
        if key[2] != "map_positive":
            assert read[key] == pytest.approx(value, rel=1e-6, abs=1e-9)


def test_maps_of_cropped_views_are_read_back_on_them(run, images, tmp_path):
    crop = ("view.resize=crop", "view.crop_fraction=0.875")
    run(*tiny_explain(images, "saliency=gradient", *crop, "save=maps", "--out", "made"))
    more = (
        "saliency=precomputed",
        "saliency.path=made/maps/gradient",
        "saliency.space=crop",
        "--out",
        "read",
    )
    run(*tiny_explain(images, *crop, *more))
    made, read = values(tmp_path / "made", status="ok"), values(tmp_path / "read", status="ok")
    assert read == pytest.approx(made, rel=1e-5, abs=1e-9)


@pytest.fixture
def stored(tmp_path):
    """A folder of maps with one of every kind of mistake."""
    folder = tmp_path / "maps"
    folder.mkdir()
    gen = np.random.default_rng(0)
    for i in range(2, 11):
        np.save(folder / f"{i:03d}.npy", gen.random((5, 7)))
    np.save(folder / "000.png__1.npy", gen.random((1, 9, 9)))
    np.save(folder / "010__0.npy", gen.random((5, 7)))
    np.save(folder / "stray.npy", gen.random((5, 7)))
    (folder / "009.npy").write_bytes(b"no array")
    np.save(folder / "008.npy", np.full((5, 7), np.nan))
    return folder


def test_the_inventory_is_printed_first_and_mistakes_are_rows(run, images, tmp_path, stored):
    args = tiny_explain(images, "saliency=precomputed", f"saliency.path={stored}")
    shown = run(*args, "--out", "out").err.splitlines()
    assert shown[0] == "precomputed maps: 9 of 12 images have one"
    assert shown[1:4] == [
        "  shapes: 2 (5×7 (7), 1×9×9 (1))",
        "  images without a map: 2 (001.png, 011.png)",
        "  images with several maps: 1 (010.png: 010.npy and 010__0.npy)",
    ]
    assert shown[4].startswith("  files that cannot be read: 1 (009.npy: 009.npy: not a readable NumPy file")
    assert shown[5] == "  files of no image: 1 (stray.npy)"
    assert shown[-1] == "1 of 1 units computed"
    reasons = {row["sample"]: row["reason"] for row in rows(tmp_path / "out", status="error")}
    assert set(reasons) == {"001.png", "008.png", "009.png", "010.png", "011.png"}
    assert reasons["001.png"] == "no map: neither '001.png.npy' nor '001.png__0.npy'"
    assert reasons["010.png"] == "several maps: '010.npy', '010__0.npy'; keep one for each class"
    assert reasons["009.png"].startswith("009.npy: not a readable NumPy file")
    assert reasons["008.png"] == "008.npy: holds NaN, infinite or too large values"
    assert len(rows(tmp_path / "out", status="ok")) == 7 * len(STATISTICS)
    assert "precomputed maps: 9 of 12" in run(*args, "--dry-run").err


def test_files_are_in_the_key_by_content_and_not_by_place(run, images, tmp_path, stored):
    def keys(folder, out):
        more = ("saliency=precomputed", f"saliency.path={folder}", "--limit", "4", "--out", out)
        run(*tiny_explain(images, *more))
        assert str(folder) not in json.dumps(rows(tmp_path / out))
        return names(tmp_path / out)

    first = keys(stored, "first")
    stored.rename(tmp_path / "elsewhere")
    assert keys(tmp_path / "elsewhere", "moved") == first
    np.save(tmp_path / "elsewhere" / "007.npy", np.ones((5, 7)))
    np.save(tmp_path / "elsewhere" / "006.npy", np.ones((5, 7)))
    np.save(tmp_path / "elsewhere" / "000.png__1.npy", np.ones((5, 7)))
    assert keys(tmp_path / "elsewhere", "changed") != first


def test_a_file_that_fits_two_images_is_misuse(run, tmp_path):
    photos = make_images(tmp_path / "photos", 2)
    (photos / "images" / "000.png").rename(photos / "images" / "001.bmp")
    (photos / "masks" / "000.png").unlink()
    (tmp_path / "maps").mkdir()
    np.save(tmp_path / "maps" / "001.npy", np.ones((4, 4)))
    more = ("saliency=precomputed", "saliency.path=maps", "target=1")
    said = run(*tiny_explain(photos, *more), code=2).line
    assert "saliency.path: 001.npy fits 001.png and another image" in said


def test_a_longer_limit_keeps_the_units_of_a_shorter_one(run, images, tmp_path):
    run(*tiny_explain(images, "saliency=edges", "save=maps", "target=0", "--out", "made"))
    args = tiny_explain(images, "saliency=precomputed", "saliency.path=made/maps/edges", "target=0")
    run(*args, "--limit", "3", "--out", "out")
    run(*args, "--limit", "4", "--out", "out")
    (cell,) = json.loads((tmp_path / "out" / "manifest.json").read_text())["cells"]
    assert cell


def test_fresh_refuses_to_clear_what_the_run_reads(run, images, tmp_path):
    run(*tiny_explain(images, "saliency=edges", "save=maps", "target=0", "--out", "made"))
    args = tiny_explain(images, "saliency=precomputed", "saliency.path=made/maps/edges", "target=0")
    result = run(*args, "--out", "made", "--fresh", code=2)
    assert "--fresh would clear made, where saliency.path lies" in result.err.splitlines()[-1]
    assert list((tmp_path / "made" / "maps" / "edges").iterdir())
