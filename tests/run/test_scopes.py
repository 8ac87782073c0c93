"""Clusterings of whole classes and data sets, and activations from elsewhere, in whole runs."""

from __future__ import annotations

import csv
import io
import json

import pytest

from nasbench.run.store import RunFolder
from nasbench.segment.clustering import read_clusterings
from tests.support.cli import make_images, tiny


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    root = make_images(tmp_path_factory.mktemp("data") / "photos", 12)
    lines = [f"{i:03d}.png,{'cat' if i % 3 else 'dog'}" for i in range(11)]  # the last one has no label
    (root / "labels.csv").write_text("image,label\n" + "\n".join(lines) + "\n")
    return root


SCOPED = ("segmenter=nas", "segmenter.k=4", "segmenter.centroids=c.safetensors")


def rows_of(folder):
    return b"".join(path.read_bytes() for path in sorted((folder / "rows").iterdir()))


def test_a_class_is_fitted_once_kept_and_read_again(run, images, tmp_path):
    args = tiny(images, *SCOPED, "segmenter.scope=class", "metric=agreement")
    run(*args, "--out", "first")
    file = tmp_path / "c.safetensors"
    written = file.read_bytes()
    clusterings, _ = read_clusterings(file)
    assert {name: c.n_images for name, c in clusterings.items()} == {"0": 7, "1": 4}
    assert file.stat().st_size < 100_000
    run(*args, "--out", "second")
    assert file.read_bytes() == written
    assert rows_of(tmp_path / "first") == rows_of(tmp_path / "second")
    file.unlink()
    run(*args, "max_batch=3", "--out", "third")
    again, _ = read_clusterings(file)
    for name, c in clusterings.items():
        assert (again[name].centroids - c.centroids).abs().max() < 1e-5
    third = {p.name for p in (tmp_path / "third" / "rows").iterdir()}
    assert third == {p.name for p in (tmp_path / "first" / "rows").iterdir()}, "the batch is in no key"


def test_an_image_without_a_label_is_a_failed_row_and_the_others_go_on(run, images, tmp_path):
    result = run(*tiny(images, *SCOPED, "segmenter.scope=class"), "--out", "out")
    assert "1 × the image has no label: scope=class cannot tell its class" in result.out
    table = list(csv.DictReader(io.StringIO((tmp_path / "out" / "summary.csv").read_text())))
    assert {row["n"] for row in table} == {"11"}


def test_a_data_set_s_clusters_keep_their_meaning_and_agree_with_themselves(run, images, tmp_path):
    run(*tiny(images, *SCOPED, "segmenter.scope=dataset", "metric=agreement"), "--out", "out")
    table = list(csv.DictReader(io.StringIO((tmp_path / "out" / "summary.csv").read_text())))
    scores = {row["metric"]: float(row["value"]) for row in table}
    assert 0.05 < scores["agreement_ari"] < 0.999
    assert 0.1 < scores["agreement_iou"] < 0.999
    (clustering,) = read_clusterings(tmp_path / "c.safetensors")[0].values()
    assert clustering.n_images == 12
    assert int(clustering.counts.sum()) == 12 * 64 * 64


def test_agreement_has_no_meaning_for_what_works_image_by_image(run, images):
    result = run(*tiny(images, "segmenter=slic", "metric=agreement"), "--out", "out")
    assert "nothing to agree with" in result.out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("segmenter.scope=class",), "add segmenter.centroids=FILE"),
        (("segmenter.scope=clas", "segmenter.centroids=c"), "choose image or class or dataset"),
        (("segmenter.centroids=c",), "is for segmenter.scope=class or dataset"),
        (("segmenter.scope=class", "segmenter.centroids=c", "segmenter.match=5"), "count of a clustering"),
        (("segmenter.scope=class", "segmenter.centroids=c", "segmenter.max_iter=0"), "at least one pass"),
        (("segmenter.scope=class", "segmenter.centroids=c", "segmenter.k=3,4"), "a file of its own"),
    ],
)
def test_misuse_is_one_line(run, images, more, said):
    result = run(*tiny(images, "segmenter=nas", *more), "--out", "out", code=2)
    assert said in result.line


def test_a_file_fitted_otherwise_is_refused_by_its_first_difference(run, images, tmp_path):
    run(*tiny(images, *SCOPED, "segmenter.scope=dataset"), "--limit", "4", "--out", "out")
    other = ["segmenter.k=5" if arg == "segmenter.k=4" else arg for arg in SCOPED]
    result = run(*tiny(images, *other, "segmenter.scope=dataset"), "--out", "other", code=2)
    assert "was fitted with segmenter.k=4, this run has 5; name another file" in result.line
    (tmp_path / "c.safetensors").write_bytes(b"not one")
    result = run(*tiny(images, *SCOPED, "segmenter.scope=dataset"), "--out", "third", code=2)
    assert "c.safetensors" in result.line


def test_no_label_at_all_is_a_failed_run(run, tmp_path):
    bare = make_images(tmp_path / "bare", 3)
    result = run(*tiny(bare, *SCOPED, "segmenter.scope=class"), "--out", "out", code=1)
    assert "no image has a label" in result.err.splitlines()[-1]
    assert not (tmp_path / "c.safetensors").exists()


def test_dry_run_names_the_fit_and_writes_nothing(run, images, tmp_path):
    result = run(*tiny(images, *SCOPED, "segmenter.scope=dataset"), "--dry-run")
    assert "fit       c.safetensors" in result.out
    assert not (tmp_path / "c.safetensors").exists()


def test_passes_are_counted_and_change_the_regions(run, images, tmp_path, monkeypatch):
    from nasbench.models import Classifier

    seen = []
    original = Classifier.features

    def counted(self, x):
        seen.append((len(x), tuple(x.shape[-2:])))
        return original(self, x)

    monkeypatch.setattr(Classifier, "features", counted)
    args = tiny(images, "segmenter=nas", "segmenter.average=[],[flip],[shift],[flip,shift]", "--limit", "2")
    assert "forwards  30" in run(*args, "--dry-run").out
    run(*args, "save=labels", "--out", "out")
    assert sum(n for n, _ in seen) == 2 * (1 + 2 + 4 + 8)
    assert len(labels_of(tmp_path / "out", 2)) == 4
    seen.clear()
    run(
        *tiny(images, "segmenter=nas", "segmenter.forward_size=96", "--limit", "2"),
        "save=labels",
        "--out",
        "fine",
    )
    assert {size for _, size in seen} == {(96, 96)}
    (fine,) = labels_of(tmp_path / "fine", 2)
    assert fine not in labels_of(tmp_path / "out", 2)


def labels_of(folder, images):
    """The labels of each cell, as bytes."""
    found = set()
    for unit in json.loads((folder / "manifest.json").read_text())["units"]:
        kept = RunFolder(folder).read_artefact(unit["key"], images)
        assert kept is not None
        assert kept["labels"].shape == (images, 64, 64), "regions stay on the model's grid"
        found.add(kept["labels"].tobytes())
    return found


def test_another_network_is_in_the_key_without_its_path(run, images, tmp_path):
    import timm
    from safetensors.torch import save_file

    state = {k: v.float() for k, v in timm.create_model("resnet18", num_classes=7).state_dict().items()}
    for name in ("a.safetensors", "b.safetensors"):
        save_file(state, tmp_path / name)
    keys = []
    for name in ("a", "b"):
        more = (
            "segmenter=nas",
            "segmenter.source=model:resnet18",
            f"segmenter.source_weights={name}.safetensors",
        )
        run(*tiny(images, *more, "--limit", "2"), "--out", name)
        keys.append({p.name for p in (tmp_path / name / "rows").iterdir()})
        assert b"a.safetensors" not in rows_of(tmp_path / name)
    assert keys[0] == keys[1]


def test_a_file_replaced_in_the_middle_leaves_no_rows(run, images, tmp_path, monkeypatch):
    run(*tiny(images, *SCOPED, "segmenter.scope=dataset"), "--limit", "3", "--out", "other")
    other = (tmp_path / "c.safetensors").read_bytes()
    (tmp_path / "c.safetensors").unlink()
    from nasbench.run import task

    loaded = task._loaded

    def replacing(*args):
        (tmp_path / "c.safetensors").write_bytes(other)
        return loaded(*args)

    monkeypatch.setattr(task, "_loaded", replacing)
    result = run(*tiny(images, *SCOPED, "segmenter.scope=dataset"), "--out", "out", code=1)
    assert "has been replaced by another run; name another file" in result.err.splitlines()[-1]
    assert not list((tmp_path / "out" / "rows").iterdir())


def test_a_fit_made_by_another_run_meanwhile_is_not_overwritten(run, images, tmp_path, monkeypatch):
    args = tiny(images, *SCOPED, "segmenter.scope=dataset")
    run(*args, "--limit", "3", "--out", "other")
    other = (tmp_path / "c.safetensors").read_bytes()
    (tmp_path / "c.safetensors").unlink()
    from nasbench.cli import execute

    original = execute._run

    def late(*given):
        (tmp_path / "c.safetensors").write_bytes(other)  # after planning, before fitting
        return original(*given)

    monkeypatch.setattr(execute, "_run", late)
    result = run(*args, "--out", "out", code=1)
    assert "has been replaced by another run" in result.err.splitlines()[-1]
    assert (tmp_path / "c.safetensors").read_bytes() == other


def test_a_place_that_cannot_be_written_is_found_before_the_passes(run, images, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    forwards = []
    from nasbench.models import Classifier

    monkeypatch.setattr(Classifier, "features", lambda *a: forwards.append(a))
    args = tiny(images, "segmenter=nas", "segmenter.scope=dataset", "segmenter.centroids=file/c.st")
    result = run(*args, "--out", "out", code=1)
    assert "segmenter.centroids=file/c.st cannot be written" in result.err.splitlines()[-1]
    assert not forwards


def test_a_clustering_of_other_classes_is_refused(run, images, tmp_path):
    run(*tiny(images, *SCOPED, "segmenter.scope=class"), "--out", "out")
    assert (
        "2 clusterings of 11 images" in run(*tiny(images, *SCOPED, "segmenter.scope=class"), "--dry-run").err
    )
    other = make_images(tmp_path / "other", 2)
    (other / "labels.csv").write_text("image,label\n000.png,boat\n001.png,car\n")
    result = run(*tiny(other, *SCOPED, "segmenter.scope=class"), "--out", "out2", code=2)
    assert "was fitted with dataset.classes=" in result.line


def test_a_file_written_by_hand_is_refused_in_one_line(run, images, tmp_path):
    from nasbench.segment.clustering import write_clusterings

    run(*tiny(images, *SCOPED, "segmenter.scope=dataset"), "--out", "out")
    found, _ = read_clusterings(tmp_path / "c.safetensors")
    write_clusterings(tmp_path / "c.safetensors", found)
    result = run(*tiny(images, *SCOPED, "segmenter.scope=dataset"), "--out", "out2", code=2)
    assert "was not written by nasbench segment" in result.line


def test_another_network_without_weights_is_said_to_lack_them(run, images):
    result = run(*tiny(images, "segmenter=nas", "segmenter.source=model:resnet18"), "--out", "out", code=2)
    assert (
        "segmenter.source=model:resnet18, segmenter.source_weights: model.weights is not set" in result.line
    )


def test_what_is_no_segmenter_is_refused_before_the_run(run, images):
    for target in ("builtins.dict", "builtins.print"):
        result = run(
            *tiny(images, "segmenter=custom", f"segmenter._target_={target}"), "--out", "out", code=2
        )
        assert "is no segmenter" in result.line
