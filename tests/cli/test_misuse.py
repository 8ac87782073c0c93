"""Misuse is one line and exit code 2; nothing is written."""

from __future__ import annotations

import pytest

from tests.support.cli import call, make_images, tiny

RUNS = ("segment", "wsol")


@pytest.fixture
def images(tmp_path):
    return make_images(tmp_path / "photos", 3)


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return lambda *args: call(capsys, monkeypatch, *args)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["segmnt"], "No such command 'segmnt'"),
        (["segment", "--limitt", "3"], "--limit"),
        (["segment", "--limit", "x"], "a valid integer"),
        (["segment", "--limit", "0"], "limit=0 must be at least 1"),
        (["segment", "segmenter=slik"], "did you mean slic?"),
        (["segment", "+segmenter.k=3"], "+ is not used here"),
        (["segment", "dataset=folder"], "dataset.root is not set"),
        (["segment", "dataset=folder", "dataset.root=nowhere"], "nowhere"),
        (["segment", "model=resnet50"], "model.weights is not set"),
        (["segment", "model=timm", "model.name=resnet5o", "model.weights=random"], "resnet50"),
        (["segment", "--device", "tpu"], "device=tpu"),
        (["segment", "--config", "nowhere.yaml"], "--config nowhere.yaml"),
        (["segment", "segmenter.stages=[-9]", "--limit", "1"], "the model has"),
        (["segment", "segmenter=custom", "segmenter._target_=nowhere.Method"], "cannot be imported"),
        (["segment", "segmenter=custom", "segmenter._target_=fractions.Fraction",
          "segmenter.kwargs.alpha=3"], "cannot be made from its configuration"),
        (["segment", "metric.names=[iou]"], "metric.names holds iou"),
        (["segment", "metric.names=[]"], "one name or more"),
        (["segment", "metric.names=[n_regions,n_regions]"], "each once"),
        (["segment", "view.crop_fraction=0"], "view.crop_fraction must lie in (0, 1]"),
        (["segment", "segmenter=slic", "segmenter.kwargs.zzz=1"], "segmenter.kwargs.zzz: slic takes"),
        (["segment", "segmenter=grid", "segmenter.n=interval(1,2)"], "this kind of sweep is not used here"),
        (["segment", "segmenter.seed=${nope}"], "nope"),
        (["segment", "sheet.images=40"], "sheet.images=40 must be at most 32"),
        (["segment", "experiment=foo"], "choose one of headline, nas_fig1_segments"),
        (["segment", "save=pictures"], "choose one of labels, overlays"),
        (["wsol", "metric.normalisation=softmax"], "metric.normalisation=softmax: choose one of minmax, max"),
        (["wsol", "metric.threshold=best"], "metric.threshold=best: choose one of crossfit, fixed, otsu"),
        (["wsol", "metric.space=world"], "metric.space=world: choose one of model, image"),
        (["wsol", "metric.fixed=1.5"], "metric.fixed=1.5 must lie in [0, 1]"),
        (["wsol", "metric.share=1", "metric.normalisation=ivr"], "metric.share=1 must lie in [0, 1)"),
        (["wsol", "metric.share=0.5"], "metric.share is for metric.normalisation=percentile and ivr"),
        (["wsol", "metric=maps"], "metric=maps is for nasbench explain, not for nasbench wsol"),
        (["segment", "metric=boxes"], "metric=boxes is for nasbench wsol, not for nasbench segment"),
        (["wsol", "model.label_map=nowhere.json"], "model.label_map: cannot read 'nowhere.json'"),
        (["wsol", "save=labels"], "choose one of maps, overlays"),
        (["ls", "modles"], "did you mean models?"),
        (["ls", "segmenters", "zzz*"], "nothing matches"),
    ],
)  # fmt: skip
def test_one_line_and_exit_code_two(run, args, message, tmp_path, images):
    if args[0] in RUNS and not any(a.startswith(("model=", "--config")) for a in args):
        args = [*args, "model=timm", "model.name=test_resnet", "model.weights=random", "model.input_size=64"]
    if args[0] in RUNS and not any(a.startswith(("dataset", "--config")) for a in args):
        args = [*args, "dataset=folder", f"dataset.root={images}"]
    result = run(*args)
    assert result.code == 2
    assert message in result.line
    assert not (tmp_path / "results").exists()


def test_a_cuda_device_that_is_not_there(run, images):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    assert "device=cuda is not available here; choose" in run(*tiny(images, "device=cuda")).line


def test_a_file_where_the_folder_should_be(run, images, tmp_path):
    (tmp_path / "taken").write_text("mine")
    for out in ("taken", "taken/below"):
        result = run(*tiny(images, "--out", out))
        assert result.code == 2
        assert "is a file" in result.line
    assert (tmp_path / "taken").read_text() == "mine"


def test_a_folder_with_other_things_in_it(run, images, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    for extra in ([], ["--fresh"]):
        result = run(*tiny(images, "--out", "thesis", *extra))
        assert result.code == 2
        assert "holds chapter.tex and is not a run's folder" in result.line
    assert [p.name for p in (tmp_path / "thesis").iterdir()] == ["chapter.tex"]


@pytest.mark.parametrize("name", ["manifest.json", "config.yaml", "rows/mine.txt", "overlays/mine.png"])
def test_a_folder_of_the_users_that_looks_like_a_run(run, images, tmp_path, name):
    path = tmp_path / "site" / name
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    for extra in ([], ["--fresh"]):
        result = run(*tiny(images, "--out", "site", *extra))
        assert result.code == 2
        assert "is not a run's folder" in result.line
    assert path.read_text() == "{}"


def test_another_data_set_of_the_same_names_is_another_run(run, images, tmp_path):
    from PIL import Image

    assert run(*tiny(images, "segmenter=grid", "--out", "run")).code == 0
    (tmp_path / "others" / "images").mkdir(parents=True)
    for path in (images / "images").iterdir():
        Image.new("RGB", (9, 9)).save(tmp_path / "others" / "images" / path.name)
    result = run(*tiny(tmp_path / "others", "segmenter=grid", "--out", "run"))
    assert result.code == 2
    assert "holds another run" in result.line


def test_a_folder_that_holds_another_run(run, images, tmp_path):
    assert run(*tiny(images, "segmenter=grid", "--out", "run")).code == 0
    before = (tmp_path / "run" / "summary.csv").read_bytes()
    result = run(*tiny(images, "segmenter=slic", "--out", "run"))
    assert result.code == 2
    assert "holds another run (segment: timm/folder/grid/regions)" in result.line
    assert (tmp_path / "run" / "summary.csv").read_bytes() == before


def test_a_folder_in_use(run, images, tmp_path):
    from filelock import FileLock

    assert run(*tiny(images, "segmenter=grid", "--out", "run")).code == 0
    with FileLock(tmp_path / "run" / ".lock"):
        result = run(*tiny(images, "segmenter=grid", "--out", "run"))
    assert result.code == 2
    assert "in use by another nasbench" in result.line


def test_config_takes_no_overrides(run, images):
    assert run(*tiny(images, "segmenter=grid", "--out", "run")).code == 0
    result = run("segment", "segmenter.n=3", "--config", "run/config.yaml")
    assert "takes no overrides (segmenter.n=3)" in result.line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is not YAML"),
        ("a: 1", "is not the config.yaml of a nasbench run"),
        ("nasbench: 99\ncommand: segment\nsettings: {}\ncells: []", "format 99"),
        ("nasbench: 1\ncommand: wsol\nsettings: {}\ncells: []", "is of nasbench wsol"),
        ("nasbench: 1\ncommand: segment\nsettings: {}\ncells: []", "no settings or no cells"),
    ],
)
def test_a_config_that_is_none(run, tmp_path, text, message):
    (tmp_path / "c.yaml").write_text(text)
    result = run("segment", "--config", "c.yaml")
    assert result.code == 2
    assert message in result.line


MANGLED = {
    "no settings": lambda r: r.update(settings=None),
    "a cell of nothing": lambda r: r.update(cells=[None]),
    "cells that are none": lambda r: r.update(cells="all"),
    "no engine": lambda r: r["settings"].update(engine=None),
    "workers in words": lambda r: r["settings"]["engine"].update(workers="two"),
    "an empty batch": lambda r: r["settings"].update(max_batch=0),
    "a limit in words": lambda r: r["settings"].update(limit="x"),
    "an unknown setting": lambda r: r["settings"].update(speed=9),
    "an unknown choice of a setting": lambda r: r["settings"].update(on_error="explode"),
    "no model": lambda r: r["cells"][0]["config"].pop("model"),
    "no target": lambda r: r["cells"][0]["config"]["segmenter"].pop("_target_"),
    "a key too many": lambda r: r["cells"][0]["config"]["segmenter"].update(zzz=1),
    "a type": lambda r: r["cells"][0]["config"].update(precision={"dtype": "float16"}),
    "a seed in words": lambda r: r["cells"][0]["config"].update(seed="abc"),
    "no choices": lambda r: r["cells"][0].update(choices={}),
    "swept that is none": lambda r: r["cells"][0].update(swept=[1]),
}


@pytest.mark.parametrize("how", sorted(MANGLED))
def test_a_mangled_config_is_one_line(run, images, tmp_path, how):
    import yaml

    record = yaml.safe_load(run(*tiny(images, "segmenter=grid"), "--cfg").out)
    MANGLED[how](record)
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(record))
    result = run("segment", "--config", "c.yaml", "--out", "out")
    assert result.code == 2
    assert result.line.startswith("nasbench: --config c.yaml: ")
    assert not (tmp_path / "out").exists()
