"""The store: units are written once and whole, whatever happens."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest

from nasbench.atomic import write_atomic
from nasbench.errors import RunError, UsageError
from nasbench.run.rows import Row, encode_rows
from nasbench.run.store import RunFolder


def row(sample="a", value=1.0, **changes):
    parts = {
        "command": "segment", "cell": "c", "model": "m", "dataset": "d", "segmenter": "s", "config": "{}",
        "sample": sample, "sample_digest": "0", "label": None,
        "target": None, "saliency": "", "metric": "x", "value": value, "curve": None,
        "n_regions": 3, "status": "ok", "reason": "", "conventions": "{}",
    }  # fmt: skip
    return Row(**(parts | changes))


@pytest.fixture
def folder(tmp_path):
    with RunFolder(tmp_path / "run").opened(fresh=False) as opened:
        yield opened


def test_rows_come_back_as_they_went(folder):
    rows = [row("a", 0.25), row("b", None, status="error", reason="broken", n_regions=None, label=4)]
    folder.write_rows("k", rows)
    table = folder.read_rows("k").to_pylist()
    assert [r["value"] for r in table] == [0.25, None]
    assert table[1]["reason"] == "broken"
    assert table[1]["label"] == 4


def test_equal_rows_are_equal_bytes():
    assert encode_rows([row(), row("b")]) == encode_rows([row(), row("b")])


def test_a_finished_unit_is_never_rewritten(folder):
    folder.write_rows("k", [row(value=1.0)])
    before = (folder.path / "rows" / "k.parquet").stat()
    folder.write_rows("k", [row(value=2.0)])
    after = (folder.path / "rows" / "k.parquet").stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)
    assert folder.read_rows("k")["value"].to_pylist() == [1.0]


def full_disk(*_args):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_nothing_half_written(folder, monkeypatch, step):
    if step == "fsync":
        monkeypatch.setattr(os, "fsync", full_disk)
    else:
        monkeypatch.setattr("pathlib.Path.replace", full_disk)
    with pytest.raises(OSError, match="No space left"):
        folder.write_rows("k", [row()])
    assert list((folder.path / "rows").iterdir()) == []


def test_an_interrupted_overwrite_keeps_the_old_file(tmp_path, monkeypatch):
    write_atomic(tmp_path / "f", b"old")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_atomic(tmp_path / "f", b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["f"]
    assert (tmp_path / "f").read_bytes() == b"old"


def test_leftovers_of_a_killed_run_are_swept_away(tmp_path):
    run = RunFolder(tmp_path / "run")
    with run.opened(fresh=False):
        stale = run.path / "rows" / ".k.parquet.123.part"
        stale.write_bytes(b"half")
    with run.opened(fresh=False):
        assert not stale.exists()


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"not parquet at all"])
def test_a_damaged_unit_is_named(folder, damage):
    folder.write_rows("k", [row()])
    (folder.path / "rows" / "k.parquet").write_bytes(damage)
    with pytest.raises(RunError, match=r"k\.parquet: cannot be read .*delete it and run again"):
        folder.read_rows("k")


def test_foreign_schemas_are_named(folder):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": [1]}), folder.path / "rows" / "k.parquet")
    with pytest.raises(RunError, match="has row schema none, this nasbench reads 2"):
        folder.read_rows("k")


def test_artefacts_hold_no_pickles(folder):
    arrays = {
        "ids": np.array(["ä"]),
        "images": np.zeros((1, 2, 2, 3)),
        "labels": np.zeros((1, 2, 2), np.uint16),
    }
    folder.write_artefact("k", 4, arrays)
    for wanted in (1, 4):
        found = folder.read_artefact("k", wanted)
        assert found is not None
        assert found["ids"].tolist() == ["ä"]
    assert folder.read_artefact("k", 5) is None
    assert folder.read_artefact("none", 1) is None
    np.savez(folder.path / "artefacts" / "bad-1.npz", ids=np.array([{}], dtype=object))
    (folder.path / "artefacts" / "cut-1.npz").write_bytes(
        (folder.path / "artefacts" / "k-4.npz").read_bytes()[:99]
    )
    for name in ("bad", "cut"):
        with pytest.raises(RunError, match=rf"{name}-1\.npz: cannot be read"):
            folder.read_artefact(name, 1)


def test_fresh_forgets_the_run_and_nothing_else(tmp_path):
    run = RunFolder(tmp_path / "run")
    with run.opened(fresh=False):
        run.write_rows("k", [row()])
        run.write_text("manifest.json", "{}")
        (run.path / "notes.txt").write_text("mine")
    with run.opened(fresh=True):
        assert not run.has_rows("k")
        assert (run.path / "notes.txt").read_text() == "mine"


def test_two_processes_do_not_share_a_folder(tmp_path):
    run = RunFolder(tmp_path / "run")
    with (
        run.opened(fresh=False),
        pytest.raises(UsageError, match="in use"),
        RunFolder(run.path).opened(fresh=False),
    ):
        pass


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_damaged_manifest_is_named(folder, text):
    folder.write_text("manifest.json", text)
    with pytest.raises(RunError, match=r"manifest\.json"):
        folder.read_manifest()
