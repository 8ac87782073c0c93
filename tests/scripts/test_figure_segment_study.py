"""The study's figure and tables, from made-up summaries."""

from __future__ import annotations

import itertools

import pytest
import yaml

from nasbench.errors import UsageError
from tests.support.scripts import load_script

STAGES = {"{4}": "[-1]", "{3,4}": "[-2 -1]", "{2,3,4}": "[-3 -2 -1]", "{1,2,3,4}": "[-4 -3 -2 -1]"}
COLUMNS = (
    "model",
    "dataset",
    "segmenter",
    "segmenter.match",
    "segmenter.scaling",
    "segmenter.source",
    "segmenter.stages",
)
NUMBERS = ("metric", "value", "low", "high", "n", "n_failed")


@pytest.fixture(scope="module")
def study():
    return load_script("figure_segment_study")


def row(segmenter, match, metric, value, spread=0.01, *, dataset="bsds500", model="resnet50", **swept):
    choices = {"model": model, "dataset": dataset, "segmenter": segmenter, "segmenter.match": str(match)}
    low, high = ("", "") if value == "" else (value - spread, value + spread)
    numbers = {"metric": metric, "value": value, "low": low, "high": high, "n": 96, "n_failed": 0}
    return choices | {f"segmenter.{key}": text for key, text in swept.items()} | numbers


def write(folder, rows, config=None):
    folder.mkdir(parents=True, exist_ok=True)
    columns = list(dict.fromkeys((*COLUMNS, *(key for one in rows for key in one if key not in NUMBERS))))
    lines = [",".join(str(one.get(key, "")) for key in (*columns, *NUMBERS)) for one in rows]
    (folder / "summary.csv").write_text("\n".join([",".join((*columns, *NUMBERS)), *lines]) + "\n")
    if config is not None:
        (folder / "config.yaml").write_text(yaml.safe_dump({"nasbench": 1, "cells": config}))
    return str(folder)


def made_up(counts=(5, 10)):
    """Two data sets, one with boxes; NAS at four depths, a control, another scaling, SLIC and the grid."""
    metrics = ("n_regions", "achievable_segmentation_accuracy", "undersegmentation_error")
    rows = []
    for dataset, k in itertools.product(("bsds500", "imagenet"), counts):
        own = (*metrics, "object_iou_box") if dataset == "imagenet" else (*metrics, "object_iou")
        cells = [
            ("nas", {"stages": text, "scaling": "variance"}, 0.1 * i)
            for i, text in enumerate(STAGES.values())
        ]
        cells += [("nas", {"stages": "[-3 -2 -1]", "scaling": "variance", "source": "mirror"}, 0.0)]
        cells += [("nas", {"stages": "[-3 -2 -1]", "scaling": "none"}, 0.05)]
        cells += [("slic", {}, 0.305), ("grid", {}, -0.1)]
        for (segmenter, swept, score), metric in itertools.product(cells, own):
            value = float(k) if metric == "n_regions" else 0.4 + score + 0.01 * k
            value = 1 - value if metric == "undersegmentation_error" else value
            value = "" if metric == "object_iou" else value
            rows.append(row(segmenter, k, metric, value, dataset=dataset, **swept))
    return rows


def test_stage_lists_are_read_from_the_shallowest_of_four(study):
    assert {study.stage_set(text): text for text in STAGES.values()} == STAGES
    assert study.stage_set("[3, -2]") == "{3,4}"


def test_the_table_in_full(study, tmp_path):
    run = write(
        tmp_path / "run",
        [
            row("nas", 10, "object_iou_box", 0.7, stages="[-2 -1]", scaling="variance"),
            row("nas", 10, "object_iou_box", 0.6, stages="[-1]", scaling="none", source="mirror"),
            row("nas", 10, "n_regions", 10.0, 0.0, stages="[-2 -1]", scaling="variance"),
            row("slic", 10, "object_iou_box", 0.65),
            row("slic", 10, "undersegmentation_error", 0.205),
            row("grid", 10, "undersegmentation_error", 0.2),
            row("grid", 10, "boundary_recall", ""),
            row("grid", 5, "boundary_recall", 0.5),
            row("felzenszwalb", "", "boundary_recall", 0.5),
        ],
    )
    text = study.tables(study.read_runs([run]), count=10)
    _, _, table = text.partition("## bsds500 (boxes), resnet50\n")
    assert (
        table
        == """
Over 96 images.

| segmenter | object_iou ↑ | undersegmentation_error ↓ | n_regions |
|---|---|---|---|
| nas {3,4} | **0.700 [0.690, 0.710]** | – | 10.0 [10.0, 10.0] |
| nas {4}, scaling=none, source=mirror | 0.600 [0.590, 0.610] | – | – |
| slic | 0.650 [0.640, 0.660] | 0.205 [0.195, 0.215] | – |
| grid | – | 0.200 [0.190, 0.210] | – |

Left out, for want of a count (`segmenter.match`): felzenszwalb.
"""
    )


def test_best_goes_by_direction_and_needs_a_clear_interval(study, tmp_path):
    rows = study.read_runs([write(tmp_path / "run", made_up())])
    chosen = [r for r in rows if (r.dataset, r.count) == ("imagenet (boxes)", 10)]
    # {1,2,3,4} has 0.8 and SLIC 0.805, both ± 0.01.
    assert study.best(chosen, "object_iou") is None
    without = [r for r in chosen if r.segmenter != "slic"]
    assert study.best(without, "object_iou") == "nas {1,2,3,4}"
    assert study.best(without, "undersegmentation_error") == "nas {1,2,3,4}"
    assert study.best(without, "n_regions") is None
    assert study.best([r for r in chosen if r.segmenter == "slic"], "object_iou") is None


def test_object_scores_are_left_out_where_there_is_no_object(study, tmp_path):
    text = study.tables(study.read_runs([write(tmp_path / "run", made_up())]), count=5)
    people, boxes = text.split("## ")[1:]
    assert people.startswith("bsds500, resnet50")
    assert "object_iou" not in people
    assert boxes.startswith("imagenet (boxes), resnet50")
    assert "object_iou ↑" in boxes
    assert "_box" not in text


def test_columns_may_be_chosen(study, tmp_path):
    rows = study.read_runs([write(tmp_path / "run", made_up())])
    text = study.tables(rows, count=5, metrics=["object_iou", "n_regions"])
    assert "| segmenter | n_regions |" in text
    assert "| segmenter | object_iou ↑ | n_regions |" in text
    with pytest.raises(UsageError, match="--count 7: no cell has it; there are 5, 10"):
        study.tables(rows, count=7)


def test_lines_hold_defaults_only_and_stand_at_the_measured_count(study, tmp_path):
    where = {"dataset": "bsds500", "model": "resnet50", "metric": "boundary_recall"}
    run = write(
        tmp_path / "run",
        [
            row("slic", 5, "n_regions", 4.5),
            row("slic", 5, "boundary_recall", 0.25, 0.125),
            row("slic", 2, "boundary_recall", 0.125, 0.0),
            row("slic", 5, "boundary_recall", 0.9, compactness="1"),
            row("nas", 5, "boundary_recall", 0.9, stages="[-1]", scaling="none"),
            row("nas", 5, "boundary_recall", 0.9, stages="[-1]", source="pixels"),
            row("nas", 5, "boundary_recall", 0.5, 0.25, stages="[-1]"),
        ],
    )
    rows = study.read_runs([run])
    assert study.line(rows, **where, segmenter="slic") == [
        (2, 0.125, 0.125, 0.125),
        (4.5, 0.25, 0.125, 0.375),
    ]
    nas = study.line(rows, **where, segmenter="nas", stages="{4}", scaling="variance")
    assert nas == [(5, 0.5, 0.25, 0.75)]


def test_what_a_run_does_not_vary_is_read_from_its_config(study, tmp_path):
    def cell(k, **settings):
        return {
            "choices": {"model": "resnet50", "dataset": "bsds500", "segmenter": "nas", "metric": "regions"},
            "swept": {"segmenter.match": k, "dataset.root": f"/data/{k}"},
            "config": {
                "segmenter": {"_target_": "x", "match": k, "stages": [-2, -1], "scaling": "none"} | settings
            },
        }

    rows = [row("nas", k, "boundary_recall", k / 10) | {"dataset.root": str(k)} for k in (5, 10)]
    config = [cell(5, connected=True, seed=3), cell(10, seed=3)]
    five, ten = study.read_runs([write(tmp_path / "run", rows, config)])
    assert five.label == "nas {3,4}, scaling=none, connected=true"
    assert ten.label == "nas {3,4}, scaling=none"
    assert (ten.count, ten.dataset) == (10, "bsds500 root=10")
    with pytest.raises(UsageError, match="has no such cell"):
        study.read_runs([write(tmp_path / "run", rows, config[:1])])
    # Another network's configuration is told by the name of the source; paths only where there are several.
    other = cell(5, source="model:vgg16", source_weights="/home/me/w.pth", source_model={"name": "vgg16"})
    (five,) = study.read_runs([write(tmp_path / "run", rows[:1], [other])])
    assert five.label == "nas {3,4}, scaling=none, source=model:vgg16"
    # Without one, the defaults.
    plain, _ = study.read_runs([write(tmp_path / "other", rows)])
    assert (plain.stages, plain.scaling, plain.variant) == ("{2,3,4}", "variance", ())


def test_own_counts_where_nothing_is_matched(study, tmp_path):
    run = write(
        tmp_path / "run",
        [
            row("nas", "", "boundary_recall", 0.5, k=8),
            row("nas_tree", "", "boundary_recall", 0.5, n=15),
            row("nas_tree", "", "boundary_recall", 0.5, n=15, k=32),
        ],
    )
    rows = study.read_runs([run])
    assert [(r.label, r.count) for r in rows] == [
        ("nas {2,3,4}", 8),
        ("nas_tree {2,3,4}", 15),
        ("nas_tree {2,3,4}, k=32", 15),
    ]


def test_segmenters_without_a_network_are_lent_to_models_that_lack_them(study, tmp_path):
    ours = [row("nas", 10, "boundary_recall", 0.5, model=model) for model in ("resnet50", "vgg16")]
    own = row("slic", 10, "boundary_recall", 0.25, model="vgg16")
    rivals = [
        row("slic", 10, "boundary_recall", 0.125, model="rendered"),
        row("grid", 10, "boundary_recall", 0.0, model="rendered"),
        row("nas", 10, "boundary_recall", 0.3, model="rendered", source="pixels"),
    ]
    rows = study.read_runs([write(tmp_path / "ours", [*ours, own]), write(tmp_path / "rivals", rivals)])
    assert study.models(rows) == ["resnet50", "vgg16"]
    found = [(r.label, r.value) for r in study.comparable(rows, "bsds500", "vgg16")]
    assert found == [("nas {2,3,4}", 0.5), ("slic", 0.25), ("grid", 0.0), ("nas, source=pixels", 0.3)]
    text = study.tables(rows, count=10)
    assert text.count("| nas, source=pixels | 0.300") == text.count("\n## ") == 2
    where = {"dataset": "bsds500", "model": "vgg16", "metric": "boundary_recall"}
    assert [point[1] for point in study.line(rows, **where, segmenter="slic")] == [0.25]
    assert [point[1] for point in study.line(rows, **where, segmenter="grid")] == [0.0]


def test_missed_counts_are_told(study, tmp_path):
    rows = [row("slic", 10, "n_regions", 8.0) | {"n_missed": 7}, row("nas", 10, "n_regions", 10.0)]
    found = study.read_runs([write(tmp_path / "run", rows)])
    assert [r.variant for r in found] == [(), ()]
    text = study.tables(found, count=10)
    assert "Over 96 images; not within max(1, 5 %) of the count: slic on 7." in text


def test_several_runs_are_one_study(study, tmp_path):
    one = write(tmp_path / "one", [row("slic", 10, "boundary_recall", 0.5)])
    two = write(tmp_path / "two", [row("slic", 10, "boundary_recall", 0.25)])
    assert len(study.read_runs([one, one])) == 1
    assert [r.dataset for r in study.read_runs([one, f"horses={two}"])] == ["bsds500", "horses"]
    rooted = write(tmp_path / "three", [row("slic", 10, "boundary_recall", 0.25) | {"dataset.root": "a"}])
    other = write(tmp_path / "four", [row("nas", 10, "boundary_recall", 0.5) | {"dataset.root": "b"}])
    assert {r.dataset for r in study.read_runs([f"horses={rooted}", f"horses={other}"])} == {"horses"}
    assert {r.dataset for r in study.read_runs([rooted, other])} == {"bsds500 root=a", "bsds500 root=b"}
    with pytest.raises(UsageError, match="two values of boundary_recall for bsds500, resnet50, slic"):
        study.read_runs([one, two])


def test_the_command_writes_pictures_and_tables(study, tmp_path, capsys):
    run, out = write(tmp_path / "run", made_up()), tmp_path / "out"
    metrics = "achievable_segmentation_accuracy,object_iou_box,boundary_contrast"
    study.main([run, "--out", str(out), "--model", "resnet50", "--metrics", metrics])
    assert (out / "depth_and_k.png").read_bytes().startswith(b"\x89PNG")
    assert "</svg>" in (out / "depth_and_k.svg").read_text()
    assert "| nas {2,3,4}, source=mirror |" in (out / "tables.md").read_text()
    assert str(out / "tables.md") in capsys.readouterr().out
    first = (out / "depth_and_k.svg").read_bytes()
    study.main([run, "--out", str(out), "--metrics", metrics])
    assert (out / "depth_and_k.svg").read_bytes() == first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["nowhere"], "has no summary.csv"),
        (["RUN", "--model", "vgg16"], "--model vgg16: no run has it; choose from resnet50"),
        (["RUN", "--count", "7"], "--count 7"),
        (["RUN", "--scaling", "l2", "--metrics", "compactness"], "nothing to draw"),
    ],
)
def test_misuse_is_one_line(study, tmp_path, capsys, options, message):
    run = write(tmp_path / "run", made_up())
    with pytest.raises(SystemExit):
        study.main([*(run if word == "RUN" else word for word in options), "--out", str(tmp_path / "out")])
    assert message in capsys.readouterr().err
