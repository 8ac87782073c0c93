"""Runs taken together: what is one cell, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nasbench.errors import RunError
from nasbench.report.merged import merge_runs
from nasbench.run.rows import arrow_schema
from tests.support.runs import SCHEMAS, MadeCell, made_run, scored

A = scored({"a": 0.1, "b": 0.2})
B = scored({"c": 0.3})
CELL = MadeCell([A], command="segment")


def refused(*paths):
    with pytest.raises(RunError) as error:
        merge_runs(paths)
    said = str(error.value)
    assert "\n" not in said
    return said


def test_cells_of_one_configuration_are_one(tmp_path):
    first = made_run(tmp_path / "a", CELL)
    second = made_run(tmp_path / "b", MadeCell([B], command="segment"))
    third = made_run(tmp_path / "c", MadeCell([A], command="segment", segmenter="slic"))
    merged = merge_runs([third, second, first])
    assert [cell.choices["segmenter"] for cell in merged.cells] == ["none", "slic"]
    one, other = merged.cells
    assert one.runs == (str(first), str(second))
    assert set(one.samples) == {"a", "b", "c"}
    assert set(other.samples) == {"a", "b"}


def test_a_unit_in_two_runs_counts_once(tmp_path):
    paths = [made_run(tmp_path / name, CELL) for name in "ab"]
    (cell,) = merge_runs(paths).cells
    assert len(cell.keys) == 1
    assert merge_runs([paths[0], paths[0], tmp_path / "b" / ".." / "a"]).runs[0].name == str(paths[0])


def test_images_that_come_in_two_units_count_once(tmp_path):
    # As with another --limit: the key is of all samples of the unit.
    first = made_run(tmp_path / "a", CELL)
    second = made_run(tmp_path / "b", MadeCell([[*A, *B]], command="segment"))
    (cell,) = merge_runs([first, second]).cells
    assert len(cell.keys) == 2
    assert set(cell.samples) == {"a", "b", "c"}


def test_a_key_with_different_rows_names_both_files(tmp_path):
    first = made_run(tmp_path / "a", CELL)
    # The same key, for it is of the configuration and the samples.
    second = made_run(tmp_path / "b", MadeCell([[A[0], replace(A[1], value=0.25)]], command="segment"))
    key = CELL.key(0)
    said = refused(first, second)
    assert f"{first}/rows/{key}.parquet and {second}/rows/{key}.parquet" in said
    assert "object_iou of image b" in said


def test_an_image_with_different_rows_names_both_files(tmp_path):
    first = made_run(tmp_path / "a", CELL)
    second = made_run(tmp_path / "b", MadeCell([[replace(A[1], value=0.25), *B]], command="segment"))
    said = refused(first, second)
    assert f"{first}/rows/" in said
    assert f"{second}/rows/" in said
    assert "image b" in said


def test_equal_nans_are_equal(tmp_path):
    rows = [replace(A[0], curve=[float("nan"), 1.0])]
    paths = [made_run(tmp_path / name, MadeCell([rows], command="segment")) for name in "ab"]
    assert len(merge_runs(paths).cells) == 1


def test_what_is_no_run(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    made_run(tmp_path / "runs" / "one", CELL)
    assert refused(tmp_path / "no") == f"{tmp_path}/no: is no run's folder; there is no such folder"
    assert "it is a file" in refused(tmp_path / "file")
    assert refused(tmp_path / "empty").startswith(f"{tmp_path}/empty: is no run's folder")
    assert f"it holds runs, name them: {tmp_path}/runs/one" in refused(tmp_path / "runs")


def test_half_written(tmp_path):
    path = made_run(tmp_path / "a", CELL)
    (path / "manifest.json").unlink()
    assert refused(path) == f"{path}: is half-written, manifest.json is missing; run it again or leave it out"
    bare = made_run(tmp_path / "b", MadeCell([None, None], command="segment"), status="running")
    assert refused(bare).startswith(f"{bare}: has no finished unit (status running)")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read"),
        ("[]", "is not a manifest"),
        ('{"datasets": []}', "is not a run's manifest (it lacks cells)"),
    ],
)
def test_a_foreign_manifest(tmp_path, text, said):
    path = made_run(tmp_path / "a", CELL)
    (path / "manifest.json").write_text(text)
    assert f"{path}/manifest.json: {said}" in refused(path)


@pytest.mark.parametrize(
    "changed",
    [
        {"cells": [1]},
        {"cells": [{"digest": "x"}]},
        {"units": {"key": 1}},
        {"units": [{"key": "k", "cell": 7}]},
        {"versions": []},
        {"schemas": {"rows": "two"}},
    ],
)
def test_a_manifest_of_other_shapes(tmp_path, changed):
    path = made_run(tmp_path / "a", CELL, **changed)
    assert f"{path}/manifest.json: is not a run's manifest" in refused(path)


def test_a_command_of_another_nasbench(tmp_path):
    path = made_run(tmp_path / "a", CELL, command="audit")
    assert refused(path) == f"{path}/manifest.json: is of audit, which this nasbench does not report"


def test_foreign_schemas(tmp_path):
    path = made_run(tmp_path / "a", CELL, schemas=SCHEMAS | {"rows": 1})
    assert refused(path) == f"{path}/manifest.json: has row schema 1, this nasbench reads 2"
    path = made_run(tmp_path / "b", CELL)
    file = path / "rows" / f"{CELL.key(0)}.parquet"
    table = pq.read_table(file)
    pq.write_table(table.replace_schema_metadata({b"nasbench_rows": b"1"}), file)
    assert refused(path) == f"{file}: has row schema 1, this nasbench reads 2"
    pq.write_table(table.drop(["curve"]), file)
    assert refused(path).startswith(f"{file}: has other columns")
    pq.write_table(arrow_schema().empty_table(), file)
    assert refused(path).startswith(f"{file}: has no rows")


def test_damaged_files(tmp_path):
    path = made_run(tmp_path / "a", CELL)
    file = path / "rows" / f"{CELL.key(0)}.parquet"
    whole = file.read_bytes()
    for data in (b"", b"PAR1", whole[: len(whole) // 2], b"x" * 200):
        file.write_bytes(data)
        assert refused(path).startswith(f"{file}: cannot be read")


def test_rows_of_another_cell(tmp_path):
    path = made_run(tmp_path / "a", CELL)
    other = MadeCell([A], command="segment", segmenter="slic")
    file = path / "rows" / f"{CELL.key(0)}.parquet"
    theirs = made_run(tmp_path / "b", other) / "rows" / f"{other.key(0)}.parquet"
    file.write_bytes(theirs.read_bytes())
    assert refused(path) == f"{file}: its rows are of cell {other.digest}, manifest.json says {CELL.digest}"


def test_a_configuration_that_is_none(tmp_path):
    path = made_run(tmp_path / "a", CELL)
    file = path / "rows" / f"{CELL.key(0)}.parquet"
    rows = pq.read_table(file).to_pylist()
    for text, said in (("{", "cannot be read"), ("[]", "is none")):
        table = pa.Table.from_pylist([row | {"config": text} for row in rows], schema=arrow_schema())
        pq.write_table(table, file)
        assert f"{file}: its configuration {said}" in refused(path)


def test_nothing_is_changed(tmp_path):
    path = made_run(tmp_path / "a", CELL)
    before = {file: file.stat().st_mtime_ns for file in path.rglob("*")}
    merge_runs([path])
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*")} == before
    assert json.loads((path / "manifest.json").read_text())["command"] == "segment"
