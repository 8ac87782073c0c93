"""Whether a run goes on, seen from outside and without a trace; and why rows have no value."""

from __future__ import annotations

import os
import re
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nasbench.errors import RunError
from nasbench.run.manifest import UnitRecord
from nasbench.run.reasons import Reasons, rows_without_value
from nasbench.run.state import is_held, latest_run, state_of
from nasbench.run.store import RunFolder
from tests.run.test_pace import manifest
from tests.run.test_store import row
from tests.support import tamper


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path / "run")
    with made.opened(fresh=False):
        pass
    return made


@pytest.mark.parametrize("status", ["running", "complete", "interrupted", "failed"])
def test_the_lock_and_the_manifest_together_say_what_goes_on(status):
    one = manifest([32], status=status)
    assert state_of(one, held=True) == "running"
    assert state_of(one, held=False) == ("killed" if status == "running" else status)


def test_a_folder_without_a_manifest():
    assert state_of(None, held=True) == "starting"
    assert state_of(None, held=False) == "unfinished"


def test_looking_whether_a_run_goes_on_leaves_no_trace(folder):
    before = tamper.tree(folder.path)
    assert not is_held(folder)
    assert tamper.tree(folder.path) == before
    with folder.opened(fresh=False):
        before = tamper.tree(folder.path)
        assert is_held(folder)
        assert tamper.tree(folder.path) == before
    assert not is_held(folder)


def test_looking_makes_no_lock(tmp_path):
    assert not is_held(RunFolder(tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="flock")
def test_two_that_look_do_not_take_each_other_for_a_run(folder):
    import fcntl

    handle = os.open(folder.path / ".lock", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_SH)
    try:
        assert not is_held(folder)
    finally:
        os.close(handle)


def test_looking_keeps_no_run_from_starting(folder):
    stop = threading.Event()

    def look():
        while not stop.is_set():
            is_held(folder)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for _ in range(30):
            with folder.opened(fresh=False):
                pass
    finally:
        stop.set()
        thread.join()


def test_the_latest_run_is_the_one_written_to_last(tmp_path):
    assert latest_run(tmp_path / "none") is None
    runs = [tmp_path / "wsol" / "a", tmp_path / "wsol" / "b", tmp_path / "segment" / "c"]
    for number, path in enumerate(runs):
        with RunFolder(path).opened(fresh=False):
            pass
        for place in (path, path / "rows"):
            os.utime(place, (number, number))
    assert latest_run(tmp_path) == runs[2]
    os.utime(runs[0] / "rows", (10, 10))
    assert latest_run(tmp_path) == runs[0]
    assert latest_run(tmp_path / "wsol" / "b") == runs[1]


def unit(key, cell=0):
    return UnitRecord(key, cell, 0, 2, None)


def test_reasons_by_how_often_they_are_given_errors_first(folder):
    no_mask = {"value": None, "status": "skipped", "reason": "no mask"}
    broken = {"value": None, "status": "error", "reason": "broken"}
    other = {"value": None, "status": "error", "reason": "other"}
    folder.write_rows(
        "a", [row("1", **no_mask), row("2", **no_mask, metric="y"), row("2"), row("3", **broken)]
    )
    folder.write_rows("b", [row("3", **broken), row("4", **other), row("5", **no_mask)])
    folder.write_rows("c", [row("1"), row("2")])
    found = Reasons(folder)
    found.add([unit("a"), unit("b", cell=1), unit("c", cell=2)])
    said = [
        (one.status, one.reason, one.rows, one.images, one.cells, one.example) for one in found.most_frequent
    ]
    assert said == [
        ("error", "broken", 2, 1, 2, "3"),
        ("error", "other", 1, 1, 1, "4"),
        ("skipped", "no mask", 3, 3, 2, "1"),
    ]
    assert not found.damaged
    found.add([unit("a"), unit("b", cell=1)])
    assert found.most_frequent[0].rows == 2, "read once"


def test_a_unit_in_which_all_is_ok_is_not_read(folder, monkeypatch):
    folder.write_rows("a", [row("1"), row("2")])
    folder.write_rows("b", [row("1"), row("2", value=None, status="skipped", reason="r")])
    monkeypatch.setattr(pq.ParquetFile, "read", lambda *_: pytest.fail("read"))
    assert rows_without_value(folder.rows_path("a")) == []
    with pytest.raises(pytest.fail.Exception):
        rows_without_value(folder.rows_path("b"))


def test_a_unit_without_statistics_is_read(folder):
    folder.write_rows("a", [row("1"), row("2", value=None, status="error", reason="r")])
    path = folder.rows_path("a")
    table = pq.ParquetFile(path).read()
    pq.write_table(table, path, write_statistics=False)
    assert rows_without_value(path) == [("error", "r", "2")]


def test_units_that_cannot_be_read_are_kept_apart(folder):
    folder.write_rows("a", [row("1", value=None, status="error", reason="r")])
    folder.rows_path("b").write_bytes(b"PAR1")
    pq.write_table(pa.table({"a": [1]}), folder.rows_path("c"))
    found = Reasons(folder)
    found.add([unit("a"), unit("b"), unit("c")])
    assert [one.reason for one in found.most_frequent] == ["r"]
    assert sorted(found.damaged) == ["b", "c"]
    assert re.match(r".*b\.parquet: cannot be read", found.damaged["b"])
    assert found.damaged["c"].endswith("c.parquet: has row schema none, this nasbench reads 2")


@pytest.mark.parametrize("kind", ["absent", "file", "folder"])
def test_what_is_no_run_is_named(tmp_path, kind):
    path = tmp_path / "place"
    if kind == "file":
        path.write_text("")
    if kind == "folder":
        path.mkdir()
    with pytest.raises(RunError, match="place: (there is no such|is a file|is not a run's)"):
        RunFolder(path).check_is_run()
