"""What a comparison says of lines of several cells or networks, and of metrics that it does not know."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from nasbench.errors import RunError
from nasbench.report import relevance_images
from nasbench.report.columns import Better, column, is_ours
from nasbench.report.comparison import compare, measure
from nasbench.report.comparison_text import comparison_text
from nasbench.report.line_numbers import LineNumber, difference_of, interval_of, needed
from nasbench.report.merged import merge_runs
from nasbench.report.verdict import verdict
from tests.support.lerf import LATTICE, lattice_rows
from tests.support.runs import MadeCell, made_run, scored

IDS = [f"image-{i:02d}" for i in range(24)]
NOISE = np.random.default_rng(0).normal(0, 0.05, len(IDS))


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(relevance_images, "RESAMPLES", 100)


def compared(path, **how):
    merged = merge_runs([path])
    return merged, compare(merged, measure(merged), **how)


def refitted(by_model, models, digest="d", n=200):
    names = tuple(f"image-{i:03d}" for i in range(n))
    return LineNumber(float(by_model.mean()), names, models, None, by_model, digest)


@pytest.mark.parametrize(("networks", "most"), [(2, 0.16), (3, 0.12), (5, 0.12)])
def test_networks_that_differ_by_chance_are_seldom_told_apart(networks, most):
    """Percentiles of two networks drawn anew lie between the two: nearly half of these would exclude 0."""
    rng = np.random.default_rng(networks)
    names = tuple("abcde"[:networks])
    told = 0
    for _ in range(150):
        effects = rng.normal(0, 0.05, networks)
        drawn = effects[:, None] + rng.normal(0, 0.003, (networks, 400))
        told += interval_of(refitted(drawn, names), "box_acc_mean").excludes_zero
    assert told / 150 <= most


def test_lines_of_the_same_networks_differ_network_by_network():
    rng = np.random.default_rng(0)
    base = np.array([0.2, 0.5, 0.8])[:, None] + rng.normal(0, 0.01, (3, 400))
    first, second = refitted(base + 0.1, ("a", "b", "c"), "e"), refitted(base, ("a", "b", "c"))
    found = difference_of(first, second, "box_acc_mean")
    assert (found.value, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))
    # Of other networks there are no pairs: only images are drawn, and both lines are what they are.
    third = refitted(base, ("x", "y", "z"))
    apart = difference_of(first, third, "box_acc_mean")
    assert apart.value == pytest.approx(0.1)
    assert apart.high is not None
    assert apart.low is not None
    assert apart.high - apart.low < 0.05


def test_more_images_do_not_tell_networks_apart():
    parts = np.stack([NOISE, NOISE + 0.3])
    first = LineNumber(0.2, tuple(IDS), ("a", "b"), parts + 0.1, None, "e")
    second = LineNumber(0.1, tuple(IDS), ("a", "b"), parts, None, "d")
    assert needed(first, second) is None
    one = [
        LineNumber(0.1, tuple(IDS), ("a",), np.stack([v]), None, d)
        for v, d in ((NOISE, "d"), (0 * NOISE, "e"))
    ]
    assert needed(*one) is not None


def test_n95_never_contradicts_the_interval(tmp_path):
    """Where the lead is not told apart on n images, fewer are never said to be enough."""
    rng = np.random.default_rng(1)
    for trial in range(12):
        cells = [
            MadeCell([scored(dict(zip(IDS, rng.random(24), strict=True)))], command="segment", segmenter=name)
            for name in ("nas", "slic")
        ]
        _, (table,) = compared(made_run(tmp_path / str(trial), *cells))
        if not table.lead.lead.excludes_zero:
            assert table.lead.n95 is None or table.lead.n95 > table.lead.n
            assert verdict(table)


def segmented(segmenter, shift, *, failed=False, **more):
    rows = scored({name: 0.5 + shift + noise for name, noise in zip(IDS, NOISE, strict=True)})
    if failed:
        rows = [replace(row, value=None, status="error", reason="broken") for row in rows]
    return MadeCell([rows], command="segment", segmenter=segmenter, more=more, swept=more)


def test_a_line_one_of_whose_cells_has_nothing_has_no_number(tmp_path):
    cells = [
        segmented("nas", 0.1, **{"segmenter.k": 5}),
        segmented("nas", 0.3, failed=True, **{"segmenter.k": 10}),
        segmented("slic", 0.0, **{"segmenter.k": 5}),
        segmented("slic", 0.0, **{"segmenter.k": 10}),
    ]
    merged, (table,) = compared(made_run(tmp_path / "run", *cells), by=["segmenter"])
    (place,) = [i for i, line in enumerate(table.pivot.lines) if line.label == "nas"]
    assert (place, "object_iou") not in table.numbers
    assert table.missed[place] == 24
    assert "—" in comparison_text(merged, [table])


def lattices(saliency, *, tie, sampled=False):
    rows = [
        replace(row, conventions=json.dumps({"tie": tie}))
        for name in IDS[:8]
        for row in lattice_rows(name, 0.8, 0.6, sampled=sampled)
    ]
    return MadeCell(
        [rows], command="lerf", saliency=saliency, segmenter="nas", more={"metric": dict(LATTICE)}
    )


def test_conventions_of_rows_that_are_not_shown_are_no_bar(tmp_path):
    """Exact and sampled lattices tie differently, in areas that the table by percentiles does not have."""
    path = made_run(tmp_path / "run", lattices("cam", tie="a"), lattices("ig", tie="b", sampled=True))
    compared(path, metrics=["percentile_lerf"])
    with pytest.raises(RunError, match=r"the convention tie \(a, b\) of auc_lerf"):
        compared(path, metrics=["auc_lerf"])


def test_of_a_users_metric_nothing_is_best(tmp_path):
    assert column("object_iou", "segment").better is Better.HIGHER
    assert column("my_loss", "segment", ours=False).better is Better.NEITHER
    cells = [
        replace(segmented(name, shift), more={"metric": {"_target_": "mine.Loss", "names": ["my_loss"]}})
        for name, shift in (("nas", 0.0), ("slic", 0.2))
    ]
    merged, (table,) = compared(made_run(tmp_path / "run", *cells))
    assert not any(is_ours(cell) for cell in merged.cells)
    assert table.lead is None
    assert "neither high nor low is better" in verdict(table)
