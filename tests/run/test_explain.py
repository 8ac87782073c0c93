"""Whole runs of `nasbench explain` in this process: rows, what is kept, regions, targets, controls."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from nasbench.models import load_classifier
from nasbench.run.store import RunFolder
from tests.support.cli import tiny_explain
from tests.support.explain import STATISTICS, TWO_CLASSES, UNLABELLED, arrays, names, rows


def test_without_overrides_rendered_scenes_are_explained(run, tmp_path):
    result = run("explain", "--limit", "2", "--out", "out")
    assert "gradcam" in result.out
    assert len(rows(tmp_path / "out", status="ok", model="rendered", saliency="gradcam")) == 2 * 4


def test_rows_can_be_read_alone(run, images, tmp_path):
    run(*tiny_explain(images, "saliency=gradcam,random", "segmenter=none,grid", "sign=abs", "--out", "out"))
    found = rows(tmp_path / "out")
    assert len(found) == 4 * 12 * len(STATISTICS)
    for row in found:
        config, conventions = json.loads(row["config"]), json.loads(row["conventions"])
        assert row["command"] == "explain"
        assert row["model"] == "timm"
        assert row["metric"] in STATISTICS
        assert config["saliency"]["_target_"].startswith("nasbench.saliency.")
        assert len(config["model"]["weights_digest"]) == 32
        assert (conventions["sign"], conventions["target"], conventions["resize"]) == (
            "abs",
            "label",
            "squash",
        )
        assert str(images) not in json.dumps(row)
        if row["sample"] == UNLABELLED:
            assert (row["status"], row["label"], row["target"], row["value"]) == ("error", None, None, None)
            assert row["n_regions"] is None
        else:
            assert (row["status"], row["reason"]) == ("ok", "")
            assert row["label"] == row["target"] == (0 if int(row["sample"][:3]) % 3 else row["target"])
            assert row["n_regions"] == (10 if row["segmenter"] == "grid" else None)
    lines = (tmp_path / "out" / "summary.csv").read_text().splitlines()
    assert lines[0] == "model,dataset,saliency,segmenter,metric,value,low,high,n,n_failed"
    assert len(lines) == 1 + 4 * len(STATISTICS)
    assert all(line.endswith(",11,1") for line in lines[1:])


def test_what_is_kept_of_a_map(run, images, tmp_path):
    more = ("target=present", "segmenter=slic", "save=[maps,overlays]", "--out", "out")
    result = run(*tiny_explain(images, "saliency=gradient", *more))
    kept = arrays(tmp_path / "out", 12)
    assert len(kept["ids"]) == 12, "11 images, of which one has two classes"
    assert kept["maps"].dtype == np.float32
    assert kept["maps"].shape == kept["labels"].shape == kept["images"].shape[:3] == (12, 64, 64)
    files = {path.name for path in (tmp_path / "out" / "maps" / "gradient").iterdir()}
    assert files == {f"{i}__{c}.npy" for i, c in zip(kept["ids"], kept["targets"], strict=True)}
    assert {f"{TWO_CLASSES}__0.npy", f"{TWO_CLASSES}__1.npy"} <= files
    drawn = {path.stem for path in (tmp_path / "out" / "overlays" / "gradient").iterdir()}
    assert {f"{name}.npy" for name in drawn} == files
    for sample, target, values_, labels in zip(
        kept["ids"], kept["targets"], kept["maps"], kept["labels"], strict=True
    ):
        written = np.load(tmp_path / "out" / "maps" / "gradient" / f"{sample}__{target}.npy")
        assert np.array_equal(written, values_)
        assert all(np.ptp(values_[labels == region]) == 0 for region in range(labels.max() + 1))
    assert "maps:     out/maps" in result.out
    assert (tmp_path / "out" / "sheet.png").stat().st_size > 1000


def test_maps_that_are_saved_later_leave_rows_alone(run, images, tmp_path):
    args = tiny_explain(images, "saliency=gradcam", "sheet.images=2", "--out", "out")
    run(*args)
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out" / "rows").iterdir()}
    assert len(arrays(tmp_path / "out", 2)["maps"]) == 2
    run(*args, "save=maps")
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out" / "rows").iterdir()} == before
    assert len(list((tmp_path / "out" / "maps" / "gradcam").iterdir())) == 11


def test_a_dry_run_tells_the_cost_and_writes_nothing(run, images, tmp_path):
    more = ("saliency=gradcam,random", "segmenter=nas,none", "target=prediction", "--dry-run")
    shown = [line.split(maxsplit=1) for line in run(*tiny_explain(images, *more)).out.splitlines()]
    assert [words[1] for words in shown if words[0] == "cell"] == [
        "gradcam nas",
        "gradcam",
        "random nas",
        "random",
    ]
    found = {words[0]: words[1] for words in shown}
    assert found["images"] == "12"
    assert found["forwards"] == "12"
    assert [words[1] for words in shown if words[0] == "map"] == [
        "gradcam: 1 forward + 1 backward",
        "random: none",
    ]
    assert not (tmp_path / "results").exists()


def test_config_repeats_a_run(run, images, tmp_path):
    more = (
        "saliency=gradcam,centre",
        "segmenter=none,slic",
        "target=present",
        "--limit",
        "4",
        "--out",
        "first",
    )
    run(*tiny_explain(images, *more))
    run("explain", "--config", "first/config.yaml", "--out", "again")
    for name in ("summary.csv", "config.yaml"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "first" / name).read_bytes()
    assert names(tmp_path / "again") == names(tmp_path / "first")
    assert "is of nasbench explain" in run("segment", "--config", "first/config.yaml", code=2).line


def test_regions_of_a_saliency_are_its_segmenter(run, images):
    alias = run(*tiny_explain(images, "saliency.regions=nas,slic,none", "saliency.regions.k=3", "--cfg")).out
    plain = run(*tiny_explain(images, "segmenter=nas,slic,none", "segmenter.k=3", "--cfg")).out
    assert alias == plain
    assert "k: 3" in plain


def test_a_map_over_several_counts_is_the_mean_of_those_over_each(run, images, tmp_path):
    for method in ("nas", "slic", "nas_tree"):
        key = "n" if method == "nas_tree" else "match"
        args = tiny_explain(images, "saliency=gradient", f"segmenter={method}", "--limit", "4")
        for count in (3, 6):
            run(*args, f"segmenter.{key}={count}", "--out", f"{method}{count}")
        run(*args, "counts=[3,6]", "--out", f"{method}both")
        maps = {n: arrays(tmp_path / f"{method}{n}", 4)["maps"] for n in (3, 6, "both")}
        np.testing.assert_allclose(maps["both"], (maps[3] + maps[6]) / 2, rtol=1e-6)
        ones = rows(tmp_path / f"{method}both", metric="map_max")
        several = [rows(tmp_path / f"{method}{n}", metric="map_max") for n in (3, 6)]
        for row, at_three, at_six in zip(ones, *several, strict=True):
            conventions = json.loads(row["conventions"])
            assert conventions["counts"] == f"{at_three['n_regions']} {at_six['n_regions']}"
            assert row["n_regions"] == at_six["n_regions"]
            met = [abs(at_three["n_regions"] - 3) <= 1, abs(at_six["n_regions"] - 6) <= 1]
            assert (conventions["match"] == "missed") is not all(met)


def test_one_region_is_no_explanation_of_places(run, images, tmp_path):
    args = tiny_explain(images, "segmenter=nas", "segmenter.k=1,3", "--limit", "3", "--out", "out")
    assert "one region only: its mean says nothing of places" in run(*args).out
    assert len(rows(tmp_path / "out", status="error")) == len(rows(tmp_path / "out", status="ok")) == 12


def test_signs_are_applied_before_regions(run, images, tmp_path):
    args = tiny_explain(images, "saliency=input_x_gradient", "segmenter=slic", "--limit", "3")
    run(*args, "sign=signed,abs,positive", "--out", "out")
    found = {
        json.loads(row["config"])["sign"]: row["value"]
        for row in rows(tmp_path / "out", metric="map_mean", sample=rows(tmp_path / "out")[0]["sample"])
    }
    assert found["abs"] == pytest.approx(2 * found["positive"] - found["signed"], rel=1e-5)
    assert found["signed"] < found["positive"] < found["abs"]


def test_which_class_is_explained(run, images, tmp_path):
    run(*tiny_explain(images, "target=label,prediction,present,3", "--out", "out"))
    found: dict[str | int, dict[str, list[int | None]]] = {}
    for row in rows(tmp_path / "out", metric="map_max"):
        asked = json.loads(row["config"])["target"]
        found.setdefault(asked, {}).setdefault(row["sample"], []).append(row["target"])
    assert found["label"][TWO_CLASSES] == [0]
    assert found["label"]["006.png"] == [1]
    assert found["label"][UNLABELLED] == found["present"][UNLABELLED] == [None]
    assert found["present"][TWO_CLASSES] == [0, 1]
    assert {tuple(classes) for classes in found[3].values()} == {(3,)}
    assert len(found["prediction"]) == 12
    classifier = load_classifier(name="test_resnet", weights="random", input_size=64)
    kept = arrays_of(tmp_path / "out", "prediction")
    x = torch.from_numpy(kept["images"]).permute(0, 3, 1, 2).float() / 255
    predicted = classifier.logits(x).argmax(dim=1).tolist()
    assert kept["targets"].tolist() == predicted
    assert [found["prediction"][name] for name in kept["ids"]] == [[c] for c in predicted]


def arrays_of(folder, target):
    """The arrays kept of the cell with this target."""
    for path in (folder / "rows").iterdir():
        row = pq.read_table(path).slice(0, 1).to_pylist()[0]
        if json.loads(row["config"])["target"] == target:
            kept = RunFolder(folder).read_artefact(path.stem, 8)
            assert kept is not None
            return kept
    raise AssertionError(target)


def test_a_class_beyond_the_models_is_a_row_that_names_it(run, images, tmp_path):
    few = ("model.num_classes=1", "--out", "out")
    result = run(*tiny_explain(images, "target=present", "saliency=gradcam,centre", *few))
    failed = rows(tmp_path / "out", status="error", metric="map_max", saliency="gradcam")
    beyond = [row for row in failed if row["sample"] != UNLABELLED]
    assert {row["reason"] for row in beyond} == {"class 1 is beyond the model's 1 classes (0 to 0)"}
    assert {row["target"] for row in beyond} == {1}
    assert TWO_CLASSES in {row["sample"] for row in beyond}
    good = rows(tmp_path / "out", status="ok", metric="map_max", saliency="gradcam")
    assert TWO_CLASSES in {row["sample"] for row in good}, "its other class is explained"
    assert len(good) + len(beyond) == 12
    assert "class 1 is beyond the model's 1 classes" in result.out
    for beyond_all in ("1", "-1"):
        said = run(*tiny_explain(images, f"target={beyond_all}", "--limit", "2", *few[:1]), code=1).err
        assert f"every image failed; the first reason: class {beyond_all} is beyond" in said


def test_an_image_without_a_label_is_a_row_that_says_what_to_do(run, images, tmp_path):
    run(*tiny_explain(images, "--out", "out"))
    (reason,) = {row["reason"] for row in rows(tmp_path / "out", status="error")}
    assert reason == "the image has no label; target=prediction explains what the model sees"
    said = run(*tiny_explain(images, "on_error=fail", "--out", "strict"), code=1).err.splitlines()[-1]
    assert f"{UNLABELLED}: the image has no label" in said


def test_randomised_weights_are_other_cells_and_other_maps(run, images, tmp_path):

    other = load_classifier(name="test_resnet", weights="random", input_size=64, seed=7)
    save_file(other.module.state_dict(), tmp_path / "weights.safetensors")
    more = (
        "model.weights=weights.safetensors",
        "randomise=0,1,2,all",
        "target=0",
        "--limit",
        "3",
        "--out",
        "out",
    )
    args = [a for a in tiny_explain(images, *more) if a != "model.weights=random"]
    run(*args)
    found: dict[int | str, list[float]] = {}
    for row in rows(tmp_path / "out", metric="map_mean", status="ok"):
        found.setdefault(json.loads(row["config"])["randomise"], []).append(row["value"])
    assert set(found) == {0, 1, 2, "all"}
    assert len({tuple(found[depth]) for depth in found}) == 4
    assert len({row["cell"] for row in rows(tmp_path / "out")}) == 4


def test_a_map_over_several_values_of_a_key_is_the_mean_of_those_at_each(run, images, tmp_path):
    args = tiny_explain(images, "saliency=gradient", "segmenter=felzenszwalb", "--limit", "4")
    for scale in (20, 60):
        run(*args, f"segmenter.scale={scale}", "--out", f"at{scale}")
    run(*args, "over.scale=[20,60]", "--out", "both")
    run(*args, "over.scale=[60,20]", "over.sigma=[0.8]", "--out", "turned")
    maps = {n: arrays(tmp_path / n, 4)["maps"] for n in ("at20", "at60", "both", "turned")}
    assert not np.array_equal(maps["at20"], maps["at60"])
    np.testing.assert_allclose(maps["both"], (maps["at20"] + maps["at60"]) / 2, rtol=1e-6)
    assert np.array_equal(maps["both"], maps["turned"])
    (first, *_) = rows(tmp_path / "both", metric="map_max")
    sample = {"metric": "map_max", "sample": first["sample"]}
    counts = [rows(tmp_path / n, **sample)[0]["n_regions"] for n in ("at20", "at60")]
    assert json.loads(first["conventions"])["counts"] == " ".join(map(str, counts))
    assert json.loads(first["config"])["over"] == {"scale": [20, 60]}
