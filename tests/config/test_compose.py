"""From overrides to cells."""

from __future__ import annotations

import inspect
import re
import shutil

import pytest
import yaml

from nasbench.config import locate
from nasbench.config.compose import _compose_cached, compose_run
from nasbench.config.locate import choices, config_dir, describe
from nasbench.config.schema import GROUPS, SCHEMAS
from nasbench.errors import UsageError
from nasbench.run.build import _import


def cells(*tokens):
    return compose_run("segment", tokens).cells


def values(found, key):
    section, _, name = key.partition(".")
    return [cell["config"][section][name] for cell in found]


def test_without_overrides_there_is_one_cell_of_plain_values():
    (cell,) = cells()
    assert cell["choices"] == {
        "model": "rendered",
        "dataset": "rendered",
        "segmenter": "nas",
        "metric": "regions",
    }
    assert cell["swept"] == {}
    assert cell["config"]["segmenter"]["k"] == 10
    assert yaml.safe_load(yaml.safe_dump(cell)) == cell


def test_settings_do_not_enter_a_cell():
    one, other = (
        compose_run("segment", ["engine.workers=0"]),
        compose_run("segment", ["engine.workers=7", "limit=3"]),
    )
    assert one.cells == other.cells
    assert other.settings["engine"]["workers"] == 7


def test_commas_and_ranges_multiply():
    found = cells("segmenter.k=2,3", "seed=range(0,3)")
    assert len(found) == 6
    assert {tuple(cell["swept"].values()) for cell in found} == {(k, s) for k in (2, 3) for s in range(3)}


def test_a_key_a_choice_lacks_is_dropped_for_that_choice_and_cells_are_merged():
    found = cells("segmenter=nas,slic,grid", "segmenter.k=5,10", "segmenter.n=20")
    assert [(c["choices"]["segmenter"], c["swept"]) for c in found] == [
        ("nas", {"segmenter.k": 5}),
        ("nas", {"segmenter.k": 10}),
        ("slic", {}),
        ("grid", {}),
    ]
    assert found[2]["config"]["segmenter"]["n"] == 20


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("segmenter.kk=3", "unknown key segmenter.kk; did you mean segmenter.k?"),
        ("segmenter.compactness=3", "segmenter=nas has no key compactness; segmenter=slic,watershed has"),
        ("sgmenter.k=3", "did you mean segmenter.k?"),
        ("foo=1", "unknown key foo; choose one of"),
        ("hydra.run.dir=x", "hydra.run.dir cannot be set"),
        ("segmenter.k=abc", "segmenter.k: Value 'abc'"),
        ("segmenter.k=3.5", "segmenter.k: Value '3.5'"),
        ("segmenter.k=null", "segmenter.k"),
        ("segmenter.stages=[a]", "segmenter.stages"),
        ("view=3", "view is a section"),
        ("view.resize=croop", "did you mean crop?"),
        ("device=gpu", "device=gpu: did you mean cpu?"),
        ("on_error=stop", "on_error=stop"),
        ("save=[picture]", "choose one of labels, overlays"),
        ("max_batch=0", "max_batch=0 must be at least 1"),
        ("limit=0", "limit=0 must be at least 1"),
        ("engine.workers=1,2", "cannot be swept"),
        ("engine.threads=0", "engine.threads=0 must be at least 1"),
        ("dataset=folder", "dataset.root is not set; add dataset.root=..."),
        ("segmenter=custom", "segmenter._target_ is not set"),
    ],
)
def test_misuse_is_one_line_that_names_the_key(token, message):
    with pytest.raises(UsageError) as caught:
        cells(token)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_kwargs_are_open_and_need_no_prefix():
    (cell,) = cells("segmenter=slic", "segmenter.kwargs.slic_zero=true", "model.kwargs.a.b=3")
    assert cell["config"]["segmenter"]["kwargs"] == {"slic_zero": True}
    assert cell["config"]["model"]["kwargs"] == {"a": {"b": 3}}
    assert values(cells("segmenter=slic", "segmenter.kwargs.sigma=1,2"), "segmenter.kwargs") == [
        {"sigma": 1},
        {"sigma": 2},
    ]


def test_a_users_class_is_taken_with_its_kwargs():
    (cell,) = cells("segmenter=custom", "segmenter._target_=pkg.Method", "segmenter.kwargs.alpha=3")
    assert cell["config"]["segmenter"] == {"_target_": "pkg.Method", "kwargs": {"alpha": 3}}


def test_mandatory_values_of_a_choice_can_be_set():
    (cell,) = cells("dataset=folder", "dataset.root=x", "model=timm", "model.name=vit_tiny_patch16_224")
    assert cell["config"]["dataset"]["root"] == "x"
    assert cell["config"]["model"]["name"] == "vit_tiny_patch16_224"


@pytest.fixture
def own_configs(tmp_path, monkeypatch):
    """A copy of the configuration that a test may add to."""
    copy = tmp_path / "configs"
    shutil.copytree(config_dir(), copy)
    (copy / "experiment").mkdir(exist_ok=True)
    for module in ("compose", "locate"):
        monkeypatch.setattr(f"nasbench.config.{module}.config_dir", lambda: copy)
    _compose_cached.cache_clear()
    yield copy
    _compose_cached.cache_clear()


def test_an_experiment_needs_no_plus_and_overrides_win_over_it(own_configs):
    (own_configs / "experiment" / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /segmenter: slic\nsegmenter:\n  n: 33\nseed: 4\n"
    )
    (cell,) = cells("experiment=mine")
    assert (cell["choices"]["segmenter"], cell["config"]["segmenter"]["n"], cell["config"]["seed"]) == (
        "slic",
        33,
        4,
    )
    (cell,) = cells("experiment=mine", "segmenter.n=5")
    assert cell["config"]["segmenter"]["n"] == 5
    (cell,) = cells("experiment=mine", "segmenter=grid")
    assert cell["choices"]["segmenter"] == "grid"


def test_an_experiments_cells_are_each_composed_alone(own_configs):
    (own_configs / "experiment" / "several.yaml").write_text(
        "# @package _global_\ncells:\n"
        "  - [segmenter=nas, segmenter.k=4]\n"
        "  - [segmenter=nas, 'segmenter.k=8,16']\n"
        "  - [segmenter=grid]\n"
    )
    found = cells("experiment=several")
    assert [(c["choices"]["segmenter"], c["swept"]) for c in found] == [
        ("nas", {"segmenter.k": 4}),
        ("nas", {"segmenter.k": 8}),
        ("nas", {"segmenter.k": 16}),
        ("grid", {}),
    ]
    assert values(cells("experiment=several", "seed=7"), "segmenter._target_") == values(
        found, "segmenter._target_"
    )
    assert {cell["config"]["seed"] for cell in cells("experiment=several", "seed=7")} == {7}


def test_an_experiment_with_wrong_cells_is_named(own_configs):
    (own_configs / "experiment" / "bad.yaml").write_text("# @package _global_\ncells: [segmenter=nas]\n")
    with pytest.raises(UsageError, match="experiment=bad: cells must be a list of lists"):
        cells("experiment=bad")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# @package _global_\ncells: []\n", "cells must be a list of lists"),
        ("# @package _global_\ncells:\n  - [engine.workers=2]\n", "holds for a whole run"),
        ("segmenter:\n  k: 7\n", "must be # @package _global_"),
        ("# @package _global_\nsegmenter: [", "experiment=bad: "),
    ],
)
def test_experiments_that_would_be_misread_are_named(own_configs, text, message):
    (own_configs / "experiment" / "bad.yaml").write_text(text)
    with pytest.raises(UsageError) as caught:
        cells("experiment=bad")
    assert message in str(caught.value)


def test_unknown_experiment_is_named():
    with pytest.raises(UsageError, match="no such experiment"):
        cells("experiment=nothing")


def test_null_is_no_experiment():
    assert cells("experiment=null") == cells()


@pytest.mark.parametrize("group", [g for g in GROUPS if g not in ("experiment", "engine")])
def test_schemas_yaml_and_constructors_agree(group):
    """Every choice's keys are its constructor's, and its schema's, with the same defaults."""
    for choice in choices(group):
        node = yaml.safe_load((config_dir() / group / f"{choice}.yaml").read_text())
        target = node.pop("_target_")
        assert describe(group, choice), f"{group}/{choice}.yaml must begin with a comment that describes it"
        if choice == "custom":
            continue
        schema = SCHEMAS[target]
        parameters = inspect.signature(_import(group, target)).parameters
        fields = {name: f for name, f in schema.__dataclass_fields__.items() if name != "_target_"}
        assert set(node) == set(fields), f"{group}/{choice}"
        if group == "segmenter":
            assert node.pop("match", None) is None, "matching is asked for, never the default"
            assert node.pop("source_weights", None) is None, "composing makes source_model of it"
        if group == "model":
            assert node.pop("label_map") is None, "a run maps classes, the network knows nothing of it"
        assert set(node) == set(parameters), f"{group}/{choice}"


def test_config_dir_of_an_installed_package_comes_first(tmp_path, monkeypatch):
    package = tmp_path / "nasbench"
    (package / "config").mkdir(parents=True)
    (package / "configs").mkdir()
    (package / "configs" / "segment.yaml").touch()
    monkeypatch.setattr(locate, "__file__", str(package / "config" / "locate.py"))
    assert locate.config_dir() == package / "configs"


def test_another_network_as_a_source_is_composed_like_a_model():
    cell = cells("segmenter.source=model:resnet18", "segmenter.source_weights=some.safetensors")[0]
    source = cell["config"]["segmenter"]["source_model"]
    assert (source["name"], source["weights"], source["input_size"]) == ("resnet18", "some.safetensors", 224)
    swept = cells("segmenter.source=self,model:rendered")
    assert [c["config"]["segmenter"]["source_model"] is None for c in swept] == [True, False]


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (["segmenter.source=model:resnet81"], "no such model; did you mean resnet18?"),
        (["segmenter.source_weights=a.pth"], "is for segmenter.source=model:<name>"),
    ],
)
def test_what_is_wrong_with_another_network_is_said(tokens, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        cells(*tokens)


def test_only_what_an_experiment_varies_counts_as_swept():
    composed = cells("experiment=segment_study_rivals", "segmenter.seed=3")
    assert {tuple(cell["swept"]) for cell in composed} >= {("segmenter.match",)}
    assert not any("segmenter.seed" in cell["swept"] for cell in composed)


def test_the_study_has_all_its_cells():
    study = cells("experiment=segment_study")
    assert len(study) == 4 * 8 * 2 + 2 * 8 + 3 * 8
    assert len(cells("experiment=segment_study_rivals")) == 7 * 8
