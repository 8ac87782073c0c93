"""docs/results.md against what is written: every column of a row, every file of a folder, every metric."""

from __future__ import annotations

import dataclasses
import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nasbench.localize.metric import BoxAccuracy
from nasbench.run import store
from nasbench.run.rows import ROW_SCHEMA, Row, arrow_schema
from nasbench.saliency.statistics import _STATISTICS
from nasbench.segment.scores import _SCORES
from tests.support.blocks import REPO
from tests.support.cli import call

PAGE = (REPO / "docs" / "results.md").read_text(encoding="utf-8")
TYPES = {
    "text": pa.dictionary(pa.int32(), pa.string()),
    "int32": pa.int32(),
    "float64": pa.float64(),
    "list of float64": pa.list_(pa.float64()),
}


def section(title):
    found = re.search(rf"^##+ {re.escape(title)}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[1]


def table(text):
    """Cells of a section's tables, line by line, without heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def names(cell):
    return re.findall(r"`([^`]+)`", cell)


def test_every_column_of_a_row_is_there_with_its_type_in_order():
    found = [(name, cells[1]) for cells in table(section("rows")) for name in names(cells[0])]
    assert [name for name, _ in found] == [field.name for field in dataclasses.fields(Row)]
    for name, said in found:
        wanted = TYPES[said.partition(",")[0]]
        kind = arrow_schema().field(name).type
        assert kind in (wanted, pa.string()) if said.startswith("text") else kind == wanted, name
    assert f"`nasbench_rows` holds the schema's number, {ROW_SCHEMA}" in PAGE


def test_every_file_of_a_folder_is_there():
    listed = [name for cells in table(PAGE[: PAGE.index("## ")]) for name in names(cells[0])]
    patterns = [re.sub(r"<\w+>|__", "*", name) for name in listed]
    documented = {
        *patterns,
        *(f"{patterns[i - 1].rpartition('.')[0]}{p}" for i, p in enumerate(patterns) if p[0] == "."),
    }
    assert set(store._DERIVED_FILES) <= documented
    assert {store.MARKER, store.LOCK} <= documented
    for pattern in store._PATTERNS:
        folder, suffix = pattern.partition("/")[0], pattern.rpartition(".")[2]
        assert any(one.startswith(f"{folder}/") and one.endswith(f".{suffix}") for one in documented), pattern


@pytest.mark.parametrize(
    ("title", "metrics"),
    [
        ("The metrics of `nasbench segment`", _SCORES),
        ("The metrics of `nasbench explain`", _STATISTICS),
        ("The metrics of `nasbench wsol`", BoxAccuracy().titles("mask")),
    ],
)
def test_every_metric_is_defined(title, metrics):
    listed = {name for cells in table(section(title)) for name in names(cells[0])}
    ranges = {name.partition("@")[0] for name in listed if "@" in name}
    missing = [name for name in metrics if name not in listed and name.partition("@")[0] not in ranges]
    assert not missing


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("run")


def test_what_a_run_says_of_itself_is_there_field_by_field(capsys, monkeypatch, folder):
    assert (
        call(capsys, monkeypatch, "segment", "segmenter=grid", "--limit", "2", "--out", str(folder)).code == 0
    )
    manifest = json.loads((folder / "manifest.json").read_text())
    listed = {name for cells in table(section("manifest.json")) for cell in cells for name in names(cell)}
    inner = {key for part in ("models", "datasets", "cells", "units") for key in manifest[part][0]}
    assert set(manifest) | inner <= listed
    documented = {name for cells in table(section("timings.parquet")) for name in names(cells[0])}
    assert set(pq.read_schema(folder / "timings.parquet").names) == documented
    header = (folder / "summary.csv").read_text().splitlines()[0].split(",")
    documented = {name for cells in table(section("summary.csv")) for name in names(cells[0])}
    assert set(header) <= documented
