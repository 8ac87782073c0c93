"""Rows against the same rows computed anew: equal bits, equal numbers, and what is neither."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from nasbench.run.compare_rows import TOLERANCE, compare_rows
from nasbench.run.rows import encode_rows
from tests.run.test_store import row

ROWS = [
    row("a", 0.25, metric="x", curve=[0.0, math.inf, 0.5]),
    row("a", 0.5, metric="y", target=3),
    row("b", None, metric="x", status="error", reason="broken", n_regions=None),
]


def table(rows):
    return pq.ParquetFile(io.BytesIO(encode_rows(rows))).read()


def compared(*changes, tolerance=0.0, rows=ROWS):
    """Of the rows and the same with changes, given as (row, changes)."""
    anew = [*rows]
    for place, change in changes:
        anew[place] = replace(anew[place], **change)
    return compare_rows(table(rows), table(anew), tolerance=tolerance)


def test_equal_rows():
    found = compared()
    assert (found.rows, found.equal, found.largest, found.differing, found.first) == (3, 3, 0, 0, "")


def test_the_order_of_rows_does_not_count():
    found = compare_rows(table(ROWS), table(ROWS[::-1]), tolerance=0)
    assert (found.equal, found.differing) == (3, 0)


@pytest.mark.parametrize(
    ("place", "change", "said"),
    [
        (0, {"value": 0.26}, "sample a, x: value has 0.25, computed anew 0.26"),
        (0, {"value": 0.25 + 2**-54}, "sample a, x: value has 0.25, computed anew 0.25000000000000006"),
        (0, {"value": math.nan}, "sample a, x: value has 0.25, computed anew nan"),
        (0, {"curve": [0.0, 7.0, 0.5]}, "sample a, x: curve has inf, computed anew 7.0"),
        (0, {"curve": [0.0]}, "sample a, x: curve is [0.0, inf, 0.5], computed anew [0.0]"),
        (0, {"curve": None}, "sample a, x: curve is [0.0, inf, 0.5], computed anew None"),
        (1, {"n_regions": 4}, "sample a, class 3, y: n_regions is 3, computed anew 4"),
        (2, {"reason": "late"}, "sample b, x: reason is broken, computed anew late"),
        (
            2,
            {"conventions": "{" + 70 * " " + "}"},
            "sample b, x: conventions is {}, computed anew {" + 56 * " ",
        ),
    ],
)
def test_what_differs_is_said(place, change, said):
    found = compared((place, change))
    assert (found.equal, found.differing) == (2, 1)
    assert found.first.startswith(said), found.first


def test_numbers_may_differ_by_the_tolerance_and_no_more():
    within, beyond = {"value": 0.25 * (1 + 0.9e-5)}, {"value": 0.25 * (1 + 1.1e-5)}
    found = compared((0, within), tolerance=TOLERANCE)
    assert (found.equal, found.differing) == (2, 0)
    assert found.largest == pytest.approx(0.9e-5, rel=1e-3)
    assert compared((0, beyond), tolerance=TOLERANCE).differing == 1


def test_near_zero_the_difference_counts_and_not_its_share():
    rows = [row("a", 1e-12)]
    assert compared((0, {"value": -1e-12}), rows=rows, tolerance=TOLERANCE).differing == 0
    assert compared((0, {"value": 2e-8}), rows=rows, tolerance=TOLERANCE).differing == 1


def test_rows_that_are_there_only_once():
    more, fewer = [*ROWS, row("c")], ROWS[:2]
    assert compare_rows(table(more), table(ROWS), tolerance=0).first == (
        "sample c, x: computed anew there is no such row"
    )
    assert compare_rows(table(fewer), table(ROWS), tolerance=0).first == "sample b, x: there is no such row"


def test_nan_is_equal_to_nan():
    assert compared(rows=[row("a", math.nan)]).equal == 1
