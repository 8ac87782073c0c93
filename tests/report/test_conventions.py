"""What may share a table, and what is refused by the name of the key."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from nasbench.errors import RunError
from nasbench.report import localisation
from nasbench.report.comparison import compare, measure
from nasbench.report.merged import merge_runs
from tests.support.lerf import curve_rows
from tests.support.runs import SCHEMAS, MadeCell, made_run, scored
from tests.support.wsol import made_up

SCORES = {f"i{n}": n / 10 for n in range(8)}


def boxes(**more):
    return MadeCell([[row for name in SCORES for row in made_up(name, right=[(0.2, 0.6)])]], **more)


def curves(**more):
    return MadeCell([[row for name in SCORES for row in curve_rows(name)]], command="lerf", **more)


def tables(paths, **how):
    merged = merge_runs(paths)
    return compare(merged, measure(merged), **how)


def refused(paths, **how):
    with pytest.raises(RunError) as error:
        tables(paths, **how)
    said = str(error.value)
    assert "\n" not in said
    return said


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(localisation, "RESAMPLES", 20)


@pytest.fixture
def pair(tmp_path):
    def write(first, second, **manifest):
        return [made_run(tmp_path / "a", first), made_run(tmp_path / "b", second, **manifest)]

    return write


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("metric.normalisation", "max, minmax"),
        ("view.resize", "crop, squash"),
        ("precision.dtype", "bfloat16, float32"),
        ("dataset.split", "test, val"),
        ("target", "label, prediction"),
        ("metric.space", "image, none"),
    ],
)
def test_each_part_of_the_protocol_is_named(pair, key, values):
    other = next(
        value
        for value in values.split(", ")
        if value not in {"squash", "float32", "test", "label", "minmax", "none"}
    )
    a, b = paths = pair(boxes(), boxes(saliency="layercam", more={key: other}))
    first, second = (b, a) if values.startswith(other) else (a, b)
    wanted = f"{first} and {second} differ in {key} ({values}): their rows do not share a table"
    assert refused(paths) == f"{wanted}; name it in --by to compare wsol across it"
    (_, whole) = tables(paths, by=["saliency", key])
    assert len(whole.pivot.lines) == 2


def test_of_relevance_curves_too(pair):
    paths = pair(curves(), curves(saliency="gradient", more={"imputer.sigma": 5, "wrong": "skip"}))
    assert "differ in imputer.sigma (5, none)" in refused(paths)
    paths = pair(curves(), curves(saliency="gradient", more={"metric.score": "logit"}))
    assert "differ in metric.score (logit, probability)" in refused(paths)


def test_one_run_that_swept_its_protocol(tmp_path):
    swept = {"metric.normalisation": "max"}
    path = made_run(tmp_path / "a", boxes(), boxes(more=swept, swept=swept))
    assert refused([path]).startswith(f"{path} holds cells that differ in metric.normalisation (max, minmax)")


@pytest.mark.parametrize(
    "more",
    [
        {"segmenter.k": 5},
        {"saliency.alpha": 2},
        {"model.input_size": [64, 64]},
        {"sign": "abs"},
        {"counts": [5, 10]},
        {"over": {"scale": [1, 2]}},
        {"randomise": "all"},
        {"seed": 1, "segmenter.seed": 1},
        {"sources": {"saliency": "0f"}},
    ],
)
def test_what_is_compared_may_differ(pair, more):
    small, whole = tables(pair(boxes(), boxes(more=more)))
    assert len(whole.pivot.lines) == len(small.pivot.lines) == 2


def test_a_seed_of_its_own_is_protocol_where_it_is_the_metrics(pair):
    first = curves(more={"metric.seed": 0})
    # The run's seed, followed by that of its metric: the same thing repeated.
    assert len(tables(pair(first, curves(more={"seed": 1, "metric.seed": 1})))[0].pivot.lines) == 2
    paths = pair(first, curves(saliency="gradient", more={"metric.seed": 5}))
    assert "differ in metric.seed (5, none)" in refused(paths)


def test_which_scores_are_made_is_no_convention(pair):
    first = MadeCell([scored(SCORES)], command="segment")
    second = MadeCell([scored(SCORES)], command="segment", segmenter="nas", more={"metric.names": ["x"]})
    (table,) = tables(pair(first, second))
    assert len(table.pivot.lines) == 2


def said(cell, **conventions):
    rows = [replace(row, conventions=json.dumps(conventions)) for row in cell.blocks[0]]
    return replace(cell, blocks=[rows])


def test_conventions_of_rows(pair):
    first = MadeCell([scored(SCORES)], command="segment")
    second = MadeCell([scored(SCORES)], command="segment", segmenter="nas")
    a, b = paths = pair(said(first, target="mask"), said(second, target="union of all boxes"))
    wanted = f"{a} and {b} differ in the convention target (mask, union of all boxes) of object_iou"
    assert refused(paths) == f"{wanted}: these rows do not share a table"
    # What varies with the image, and what follows from what is compared.
    tables(pair(said(first, match="missed"), said(second, match="within max(1, 5 %)")))
    tables(pair(said(first, fault="constant"), said(second)))
    tables(pair(said(first, sign="abs"), said(second, sign="signed")))


def test_a_constant_box_shares_the_table_of_maps(pair):
    constant = [row for name in SCORES for row in made_up(name, constant=True)]
    small, _ = tables(pair(boxes(), MadeCell([constant], saliency="const_box")))
    assert {line.label for line in small.pivot.lines} == {"cam", "const_box"}


def test_rooms_whose_results_changed(pair):
    a, b = paths = pair(boxes(), boxes(saliency="layercam"), schemas=SCHEMAS | {"localize": 3})
    assert refused(paths).startswith(f"{a} and {b} differ in the schema of localize (2, 3)")
    # A room that the command does not use.
    tables(pair(boxes(), boxes(saliency="layercam"), schemas=SCHEMAS | {"faithfulness": 9}))


def test_images_of_another_content(pair):
    other = [replace(row, sample_digest="1") for row in boxes().blocks[0]]
    a, b = paths = pair(boxes(), MadeCell([other], saliency="layercam"))
    assert refused(paths).startswith(f"{a} and {b}: image i0 has another content in each")


def test_no_common_images(pair):
    elsewhere = [row for name in ("x", "y") for row in made_up(name, right=[(0.2, 0.6)])]
    a, b = paths = pair(boxes(), MadeCell([elsewhere], saliency="layercam"))
    assert refused(paths) == f"{a} and {b}: their wsol rows have no images in common, nothing compares"


def test_other_data_sets_metrics_and_commands_have_other_tables(tmp_path):
    runs = [
        made_run(tmp_path / "a", boxes()),
        made_run(tmp_path / "b", boxes(dataset="cub", saliency="layercam")),
        made_run(tmp_path / "c", MadeCell([scored(SCORES)], command="segment")),
        made_run(tmp_path / "d", curves(imputer="blur", more={"imputer.sigma": 5})),
        made_run(tmp_path / "e", curves(imputer="road")),
    ]
    found = [table.title for table in tables(runs)]
    assert found == [
        "localisation, cub, largest box under half the frame",
        "localisation, cub, all images",
        "localisation, d, largest box under half the frame",
        "localisation, d, all images",
        "relevance curves, d, imputer blur, pixels removed",
        "relevance curves, d, imputer road, pixels removed",
        "segmentation, d",
    ]


def test_relevance_curves_share_a_table_only_with_what_removes_the_same(tmp_path):
    cells = [
        curves(),
        curves(segmenter="nas", more={"segmenter.k": 5}),
        curves(segmenter="nas", more={"segmenter.k": 9}),
        curves(more={"units": "patch"}),
        curves(model="n"),
    ]
    path = made_run(tmp_path / "a", *cells)
    found = [table.title.removeprefix("relevance curves, d, imputer i, ") for table in tables([path])]
    assert found == [
        "model m, regions of nas removed, k=5",
        "model m, regions of nas removed, k=9",
        "model m, pixels removed",
        "model m, patches of 16 × 16 pixels removed",
        "model n, pixels removed",
        "across what is removed, each from its own random orders",
    ]
