"""Whole runs in this process: what is computed, how often, and to which bytes."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
import torch

from nasbench.models import Classifier
from nasbench.run.plan import UNIT_SAMPLES
from nasbench.run.store import RunFolder
from nasbench.segment.controls import Grid
from tests.support.cli import make_images, tiny


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return make_images(tmp_path_factory.mktemp("data") / "photos", UNIT_SAMPLES + 8)


@pytest.fixture
def forwards(monkeypatch):
    """Counts images sent through a network."""
    seen = []
    original = Classifier.features

    def counted(self, x):
        seen.append(len(x))
        return original(self, x)

    monkeypatch.setattr(Classifier, "features", counted)
    return seen


def rows(folder):
    tables = [pq.read_table(path).to_pylist() for path in sorted((folder / "rows").iterdir())]
    return sorted(
        (r for t in tables for r in t), key=lambda r: (r["segmenter"], r["config"], r["sample"], r["metric"])
    )


def test_a_sweep_forwards_each_image_once(run, images, forwards):
    run(*tiny(images, "segmenter=nas,grid,slic", "segmenter.k=2,3,4", "--out", "out"))
    assert sum(forwards) == UNIT_SAMPLES + 8
    forwards.clear()
    run(*tiny(images, "segmenter=nas", "model.seed=0,1", "--limit", "8", "--out", "two"))
    assert sum(forwards) == 16


def test_what_needs_no_activations_spends_no_forward(run, images, forwards):
    run(*tiny(images, "segmenter=grid", "--out", "out"))
    assert forwards == []


def test_rerunning_does_nothing_twice(run, images, forwards, tmp_path):
    args = tiny(images, "segmenter=nas", "segmenter.k=3", "--out", "out")
    run(*args)
    stats = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out" / "rows").iterdir()}
    summary = (tmp_path / "out" / "summary.csv").read_bytes()
    forwards.clear()
    result = run(*args)
    assert "0 of 2 units computed, the others were there already" in result.err
    assert forwards == []
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out" / "rows").iterdir()} == stats
    assert (tmp_path / "out" / "summary.csv").read_bytes() == summary


def test_only_missing_units_are_computed_and_the_summary_is_the_same(run, images, forwards, tmp_path):
    args = tiny(images, "segmenter=nas,grid", "segmenter.k=3", "--out", "out")
    run(*args)
    summary = (tmp_path / "out" / "summary.csv").read_bytes()
    units = json.loads((tmp_path / "out" / "manifest.json").read_text())["units"]
    lost = next(u for u in units if u["samples"] == 8 and u["cell"] == 0)
    path = tmp_path / "out" / "rows" / f"{lost['key']}.parquet"
    before = path.read_bytes()
    path.unlink()
    forwards.clear()
    result = run(*args)
    assert "1 of 4 units computed" in result.err
    assert sum(forwards) == 8
    assert path.read_bytes() == before
    assert (tmp_path / "out" / "summary.csv").read_bytes() == summary


def test_fresh_computes_anew(run, images, forwards):
    args = tiny(images, "segmenter=nas", "--limit", "4", "--out", "out")
    run(*args)
    forwards.clear()
    run(*args, "--fresh")
    assert sum(forwards) == 4


def test_a_longer_limit_keeps_the_shorter_ones_units(run, images, forwards):
    run(*tiny(images, "segmenter=nas", "--limit", str(UNIT_SAMPLES), "--out", "out"))
    forwards.clear()
    result = run(*tiny(images, "segmenter=nas", "--out", "out"))
    assert "1 of 2 units computed" in result.err
    assert sum(forwards) == 8


def test_the_same_bytes_in_a_pool(run, images, tmp_path):
    args = tiny(images, "segmenter=nas,slic", "segmenter.k=3")
    run(*args, "--out", "one")
    run(*args, "engine.workers=2", "--out", "pool")
    one, pool = tmp_path / "one", tmp_path / "pool"
    assert (one / "summary.csv").read_bytes() == (pool / "summary.csv").read_bytes()
    names = [p.name for p in sorted((one / "rows").iterdir())]
    assert names == [p.name for p in sorted((pool / "rows").iterdir())]
    assert all((one / "rows" / n).read_bytes() == (pool / "rows" / n).read_bytes() for n in names)


def split_name(path):
    key, _, images = path.stem.rpartition("-")
    return key, int(images)


def test_the_batch_changes_no_more_than_the_last_bits(run, images, tmp_path):
    args = tiny(images, "segmenter=nas", "segmenter.k=3", "save=[labels]")
    run(*args, "max_batch=16", "--out", "a")
    run(*args, "max_batch=5", "--out", "b")
    names = [p.name for p in sorted((tmp_path / "a" / "rows").iterdir())]
    assert names == [p.name for p in sorted((tmp_path / "b" / "rows").iterdir())], "max_batch is in the key"
    same = total = 0
    for path in (tmp_path / "a" / "artefacts").iterdir():
        one, other = (RunFolder(tmp_path / x).read_artefact(*split_name(path)) for x in "ab")
        assert one is not None
        assert other is not None
        same, total = same + int((one["labels"] == other["labels"]).sum()), total + one["labels"].size
    assert same / total >= 0.999


def test_the_order_of_files_and_their_place_do_not_matter(run, images, tmp_path):
    import shutil

    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(images, elsewhere)
    run(*tiny(images, "segmenter=grid", "--out", "here"))
    run(*tiny(elsewhere, "segmenter=grid", "--out", "there"))
    names = [sorted(p.name for p in (tmp_path / x / "rows").iterdir()) for x in ("here", "there")]
    assert names[0] == names[1]


def test_other_content_is_another_unit(run, tmp_path):
    from PIL import Image

    photos = make_images(tmp_path / "photos", 3)
    run(*tiny(photos, "segmenter=grid", "--out", "out"))
    before = rows(tmp_path / "out")
    Image.new("RGB", (40, 32), "red").save(photos / "images" / "001.png")
    result = run(*tiny(photos, "segmenter=grid", "--out", "out"))
    assert "1 of 1 units computed" in result.err
    assert len(rows(tmp_path / "out")) == 2 * len(before)


def test_rows_can_be_read_alone(run, images, tmp_path):
    run(*tiny(images, "segmenter=nas", "segmenter.k=3", "--limit", "2", "--out", "out"))
    found = rows(tmp_path / "out")
    assert len(found) == 2 * 3
    for row in found:
        config = json.loads(row["config"])
        assert config["segmenter"]["k"] == 3
        assert len(config["model"]["weights_digest"]) == 32
        assert json.loads(row["conventions"])["resize"] == "squash"
        assert row["status"] == "ok"
        assert row["n_regions"] == 3
        assert str(images) not in json.dumps(row)


def test_summary_is_long_with_a_column_per_group_and_swept_key(run, images, tmp_path):
    run(*tiny(images, "segmenter=nas,grid", "segmenter.k=2,3", "--limit", "5", "--out", "out"))
    lines = (tmp_path / "out" / "summary.csv").read_text().splitlines()
    assert lines[0] == "model,dataset,segmenter,segmenter.k,metric,value,low,high,n,n_failed"
    assert len(lines) == 1 + 3 * 3
    assert "timm,folder,grid,,n_regions,10,10,10,5,0" in lines
    assert "timm,folder,nas,2,n_regions,2,2,2,5,0" in lines
    assert str(images) not in "".join(lines)


def test_manifest_says_what_was_run(run, images, tmp_path):
    run(*tiny(images, "segmenter=nas", "--limit", "5", "--out", "out"))
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["status"] == "complete"
    assert manifest["models"][0]["weights"] == "random(seed=0)"
    assert len(manifest["models"][0]["weights_digest"]) == 32
    assert manifest["datasets"][0]["n"] == 5
    assert manifest["forwards"] == 5
    assert manifest["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert all(unit["digest"] for unit in manifest["units"])
    timings = pq.read_table(tmp_path / "out" / "timings.parquet").to_pylist()
    assert {t["step"] for t in timings} >= {"load", "forward", "regions", "scores", "write"}


def test_overlays_and_labels_on_request_leave_rows_alone(run, images, tmp_path):
    args = tiny(images, "segmenter=nas,grid", "segmenter.k=3", "--limit", "12", "--out", "out")
    run(*args)
    stats = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out" / "rows").iterdir()}
    run(*args, "save=[overlays]")
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out" / "rows").iterdir()} == stats
    drawn = sorted(
        p.relative_to(tmp_path / "out" / "overlays") for p in (tmp_path / "out").glob("overlays/*/*.png")
    )
    assert len(drawn) == 24
    assert {p.parts[0] for p in drawn} == {"nas", "grid"}


def test_precision_is_another_unit(run, images, tmp_path):
    run(*tiny(images, "segmenter=nas", "--limit", "3", "precision.dtype=float32,bfloat16", "--out", "out"))
    assert len(list((tmp_path / "out" / "rows").iterdir())) == 2
    lines = (tmp_path / "out" / "summary.csv").read_text().splitlines()
    assert lines[0].startswith("model,dataset,segmenter,precision.dtype,metric")


def test_out_of_memory_halves_the_batch(run, images, monkeypatch, tmp_path):
    original = Classifier.features
    sizes = []

    def small(self, x):
        sizes.append(len(x))
        if len(x) > 3:
            raise torch.OutOfMemoryError("no room")
        return original(self, x)

    args = tiny(images, "segmenter=nas", "segmenter.k=3", "--limit", "8")
    run(*args, "--out", "whole")
    monkeypatch.setattr(Classifier, "features", small)
    run(*args, "--out", "halved")
    assert sizes == [8, 4, 2, 2, 4, 2, 2]
    summaries = [(tmp_path / x / "summary.csv").read_text() for x in ("whole", "halved")]
    assert summaries[0].count("\n") == summaries[1].count("\n") == 4


def test_one_image_that_does_not_fit_is_one_line(run, images, monkeypatch):
    def never(_self, _x):
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(Classifier, "features", never)
    result = run(*tiny(images, "segmenter=nas", "--limit", "2", "--out", "out"), code=1)
    assert "a forward pass of test_resnet of one image of 64×64 does not fit into memory" in result.line


class Halves(Grid):
    """A user's segmenter."""

    def __init__(self, alpha: int = 2) -> None:
        super().__init__(n=alpha)


def test_a_users_segmenter_needs_no_change_to_ours(run, images, tmp_path):
    target = f"segmenter._target_={__name__}.Halves"
    run(*tiny(images, "segmenter=custom", target, "segmenter.kwargs.alpha=6", "--limit", "2", "--out", "out"))
    found = rows(tmp_path / "out")
    assert {row["n_regions"] for row in found} == {6}
    assert "segmenter" in json.loads(found[0]["config"])["sources"]


class Contrary(Grid):
    """A segmenter that breaks its contract in the way it is told."""

    def __init__(self, how: str = "") -> None:
        super().__init__(n=2)
        self.__dict__["how"] = how  # the base class is frozen
        if how == "constructor":
            raise ValueError("line one\nline two")

    def __call__(self, views, features):
        labels = super().__call__(views, features).clone()
        how = self.__dict__["how"]
        if how == "raises":
            raise ValueError("line one\nline two")
        return {
            "gap": labels * 7,
            "negative": labels - 1,
            "float": labels.float(),
            "shape": labels[:, :-1],
            "numpy": labels.numpy(),
        }[how]


@pytest.mark.parametrize(
    ("how", "message", "code"),
    [
        ("constructor", "cannot be made from its configuration: ValueError: line one line two", 2),
        ("raises", "segmenter Contrary failed on", 1),
        ("gap", "not contiguous from 0", 1),
        ("negative", "not contiguous from 0", 1),
        ("float", "gave torch.float32", 1),
        ("shape", "expected an integer tensor", 1),
        ("numpy", "gave ndarray", 1),
    ],
)
def test_a_users_segmenter_is_held_to_its_contract(run, images, how, message, code):
    target = f"segmenter._target_={__name__}.Contrary"
    more = ["segmenter=custom", target, f"segmenter.kwargs.how={how}", "--limit", "2", "--out", "out"]
    assert message in run(*tiny(images, *more), code=code).line


def test_a_users_class_in_the_current_folder_is_found(run, images, tmp_path):
    (tmp_path / "besides.py").write_text(
        "from nasbench.segment.controls import Grid\nclass Mine(Grid):\n    pass\n"
    )
    run(*tiny(images, "segmenter=custom", "segmenter._target_=besides.Mine", "--limit", "2", "--out", "out"))


def test_cells_that_differ_in_the_data_set_alone_are_told_apart(run, tmp_path):
    run("segment", "segmenter=grid", "dataset.n=4", "dataset.difficulty=0,3", "--out", "out")
    found = rows(tmp_path / "out")
    assert {json.loads(row["config"])["dataset"]["difficulty"] for row in found} == {0, 3}
    assert len({row["cell"] for row in found}) == 2


def test_swept_paths_are_shown_by_what_tells_them_apart(run, images, tmp_path):
    import shutil

    other = tmp_path / "elsewhere" / "photos"
    shutil.copytree(images, other)
    args = tiny(images, "segmenter=grid", "--limit", "4", "--out", "out")
    args[args.index(f"dataset.root={images}")] = f"dataset.root={images},{other}"
    run(*args)
    table = (tmp_path / "out" / "summary.csv").read_text()
    assert "elsewhere/photos" in table
    assert str(tmp_path) not in table


def test_two_data_sets_share_the_sheet(run, images, tmp_path):
    run(
        "segment",
        "segmenter=grid",
        "dataset=rendered,folder",
        "dataset.n=4",
        f"dataset.root={images}",
        "--out",
        "out",
    )
    assert (tmp_path / "out" / "sheet.png").is_file()


def test_a_larger_artefact_serves_a_smaller_wish(run, images, forwards):
    args = tiny(images, "segmenter=nas", "segmenter.k=3", "--limit", "12", "--out", "out")
    run(*args, "save=labels")
    forwards.clear()
    assert "0 of 1 units computed" in run(*args, "sheet.images=3").err
    assert forwards == []


def test_on_error_fail_sees_the_failures_of_an_earlier_run(run, tmp_path):
    photos = make_images(tmp_path / "photos", 3)
    (photos / "images" / "bad.jpg").write_bytes(b"")
    args = tiny(photos, "segmenter=grid", "--out", "out")
    run(*args)
    result = run(*args, "on_error=fail", code=1)
    assert "bad.jpg" in result.line
    assert "kept from an earlier run" in result.line


def test_large_k_does_not_fill_the_memory(run, images, tmp_path):
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run(
        *tiny(
            images, "segmenter=nas", "segmenter.k=700", "segmenter.max_iter=2", "--limit", "1", "--out", "out"
        )
    )
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000, "kilobytes"
    assert rows(tmp_path / "out")[0]["n_regions"] <= 700


def test_controls_cluster_other_activations(run, images, forwards, tmp_path):
    sources = "self,random_weights,mirror,pixels"
    args = tiny(images, "segmenter=nas", "segmenter.k=4", f"segmenter.source={sources}", "--limit", "4")
    args[args.index("model.weights=random")] = f"model.weights={saved_weights(tmp_path)}"
    run(*args, "save=labels", "--out", "out")
    assert sum(forwards) == 3 * 4, "one forward each but for the pixels"
    labels = {}
    for unit in json.loads((tmp_path / "out" / "manifest.json").read_text())["units"]:
        found = RunFolder(tmp_path / "out").read_artefact(unit["key"], 4)
        assert found is not None
        labels[unit["cell"]] = found["labels"]
    assert len({found.tobytes() for found in labels.values()}) == 4


def test_the_seed_of_the_untrained_control_is_in_the_key(run, images, tmp_path):
    args = tiny(images, "segmenter=nas", "segmenter.source=random_weights", "model.seed=0,1", "--limit", "2")
    args[args.index("model.weights=random")] = f"model.weights={saved_weights(tmp_path)}"
    run(*args, "--out", "out")
    assert len(list((tmp_path / "out" / "rows").iterdir())) == 2


def saved_weights(tmp_path):
    """A checkpoint that is not the random start."""
    import timm
    from safetensors.torch import save_file

    state = timm.create_model("test_resnet").state_dict()
    path = tmp_path / "some.safetensors"
    save_file({name: value.float() * 1.5 for name, value in state.items()}, path)
    return path
