"""Summaries: means, intervals, counts, text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from nasbench.report.labels import cell_labels
from nasbench.report.summary import SummaryRow, summarise, summary_csv
from nasbench.rng import generator
from nasbench.run.store import RunFolder
from nasbench.statistics.bootstrap import bootstrap_mean
from tests.run.test_store import row


@dataclass(frozen=True)
class Cell:
    choices: dict[str, str] = field(
        default_factory=lambda: {"model": "m", "dataset": "d", "segmenter": "s", "metric": "x"}
    )
    swept: dict[str, Any] = field(default_factory=dict)
    digest: str = "0"


@pytest.fixture
def folder(tmp_path):
    with RunFolder(tmp_path / "run").opened(fresh=False) as opened:
        yield opened


def test_means_counts_and_reasons(folder):
    folder.write_rows("a", [row("1", 0.5), row("2", 1.0), row("3", None, status="error", reason="broken")])
    folder.write_rows("b", [row("4", 0.0), row("5", None, status="skipped", reason="no mask")])
    (one,) = summarise(folder, [Cell()], [(0, "a"), (0, "b"), (0, "not there yet")])
    assert (one.value, one.n, one.n_failed) == (0.5, 3, 2)
    assert one.reasons == {"broken": 1, "no mask": 1}
    assert summary_csv([one]).splitlines()[1].startswith("m,d,s,x,0.5,")


def width(found: SummaryRow) -> float:
    assert found.low is not None
    assert found.high is not None
    return found.high - found.low


def test_classes_of_an_image_are_no_further_images(folder):
    values = {str(i): float(i % 3) for i in range(12)}
    folder.write_rows("one", [row(name, value) for name, value in values.items()])
    folder.write_rows(
        "five", [row(name, value, target=t) for name, value in values.items() for t in range(5)]
    )
    cells = [Cell(), Cell(digest="1")]
    one, five = summarise(folder, cells, [(0, "one"), (1, "five")])
    assert (one.n, five.n) == (12, 60)
    assert one.value == five.value
    spread = float(np.std(list(values.values()), ddof=1)) / 12**0.5
    assert width(five) == pytest.approx(2 * 2.2 * spread, rel=0.1)  # Student's t of 11
    assert width(five) > 0.95 * width(one)
    # One entry each keeps the numbers that committed tables hold.
    assert (one.low, one.high) == bootstrap_mean(np.array(list(values.values())), generator(0, "0", "x"))


def test_without_a_value_cells_are_empty_not_zero(folder):
    folder.write_rows("a", [row("1", None, status="skipped", reason="no mask")])
    text = summary_csv(summarise(folder, [Cell()], [(0, "a")]))
    assert text.splitlines()[1] == "m,d,s,x,,,,0,1"


def test_swept_columns_are_empty_where_a_cell_has_no_such_key(folder):
    folder.write_rows("a", [row("1", 0.5), row("2", 0.5)])
    cells = [Cell(swept={"segmenter.k": 5, "segmenter.stages": [-2, -1]}), Cell(swept={"seed": None})]
    lines = summary_csv(summarise(folder, cells, [(0, "a"), (1, "a")])).splitlines()
    assert (
        lines[0]
        == "model,dataset,segmenter,seed,segmenter.k,segmenter.stages,metric,value,low,high,n,n_failed"
    )
    assert lines[1:] == ["m,d,s,,5,[-2 -1],x,0.5,0.5,0.5,2,0", "m,d,s,null,,,x,0.5,0.5,0.5,2,0"]


def test_labels_name_what_tells_cells_apart():
    choices = [{"model": m, "segmenter": s} for m in ("a", "b") for s in ("nas", "nas")]
    swept = [{"segmenter.k": 5}, {"segmenter.k": 9}] * 2
    assert cell_labels(choices, swept) == ["a nas k=5", "a nas k=9", "b nas k=5", "b nas k=9"]
    assert cell_labels([{"segmenter": "nas"}] * 2, [{}, {}]) == ["nas #1", "nas #2"]
