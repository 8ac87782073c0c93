"""`nasbench verify`: what was done to a run's folder is named by file, and the folder is left as it is."""

from __future__ import annotations

import json
import re
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nasbench.run.manifest import read_manifest
from nasbench.run.recompute import pick
from nasbench.run.store import RunFolder
from tests.support import tamper
from tests.support.cli import call, make_images, tiny

SAMPLES = 34


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return make_images(tmp_path_factory.mktemp("data") / "photos", SAMPLES, size=(16, 16))


@pytest.fixture(scope="module")
def finished(photos, tmp_path_factory):
    """A run of two cells and two blocks: four units."""
    out = tmp_path_factory.mktemp("finished") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nasbench.report.run_report._write_sheet", lambda *_: out / "sheet.png")
        from nasbench.cli.app import run

        assert run(tiny(photos, "segmenter=grid", "segmenter.n=4,9", "--out", str(out))) == 0
    return out


@pytest.fixture
def folder(finished, tmp_path):
    return tamper.copy_of(finished, tmp_path / "run")


@pytest.fixture
def verify(capsys, monkeypatch):
    """Verify a folder, which must not change by it; the lines of the failures, and the result."""

    def go(folder, *args, code=1):
        before = tamper.tree(folder)
        result = call(capsys, monkeypatch, "verify", str(folder), *args)
        assert tamper.tree(folder) == before
        assert result.code == code, result.out + result.err
        assert not result.err
        return [line[2:] for line in result.out.splitlines() if line.startswith("  ")], result.out

    return go


# A whole run.


def test_a_run_that_is_what_it_says(folder, verify):
    failures, out = verify(folder, code=0)
    assert not failures
    rows = SAMPLES * 2 * 3
    assert f"4 of 4 sound, {rows} rows" in out
    assert f"4 of 4 units, {rows} rows, {rows} of them equal in every bit" in out
    assert out.splitlines()[-1].split() == ["verdict", "ok"]


def test_the_files_alone_need_neither_images_nor_torch(folder, verify, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "nasbench.run.recompute", None)
    _, out = verify(folder, "--sample", "0", code=0)
    assert "recomputed not checked" in out
    assert out.splitlines()[-1].endswith("ok, but not checked: recomputed")


def test_json_says_the_same(folder, verify):
    tamper.unit_file(folder, tamper.keys(folder)[0]).unlink()
    _, out = verify(folder, "--json", "--sample", "1")
    said = json.loads(out)
    assert not said["ok"]
    assert said["state"] == "complete"
    verdicts = {check["check"]: check["verdict"] for check in said["checks"]}
    assert verdicts == {
        "manifest": "ok",
        "units": "failed",
        "strays": "ok",
        "tables": "not checked",
        "recomputed": "ok",
    }
    (failure,) = said["checks"][1]["failures"]
    assert failure == {"file": f"rows/{tamper.keys(folder)[0]}.parquet", "reason": "is missing"}


# What can be seen in the files alone.


def flip(folder, key):
    path = tamper.unit_file(folder, key)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(folder, key):
    path = tamper.unit_file(folder, key)
    path.write_bytes(path.read_bytes()[:-20])


def other_value(folder, key):
    tamper.rewrite(folder, key, tamper.first_value(2))


def fewer(folder, key):
    tamper.rewrite(folder, key, lambda rows: [row for row in rows if row["sample"] != rows[0]["sample"]])
    tamper.sign(folder, key)


def doubled(folder, key):
    tamper.rewrite(folder, key, lambda rows: [*rows, rows[0]])
    tamper.sign(folder, key)


def renamed(folder, key):
    tamper.rewrite(
        folder, key, lambda rows: [row | {"sample": row["sample"].replace("0", "x")} for row in rows]
    )
    tamper.sign(folder, key)


def other_cell(folder, key):
    tamper.rewrite(folder, key, lambda rows: [row | {"cell": "f" * 32} for row in rows])
    tamper.sign(folder, key)


def other_config(folder, key):
    tamper.rewrite(folder, key, lambda rows: [row | {"config": "{}"} for row in rows])
    tamper.sign(folder, key)


def other_status(folder, key):
    tamper.rewrite(folder, key, lambda rows: [rows[0] | {"status": "error"}, *rows[1:]])
    tamper.sign(folder, key)


def foreign(folder, key):
    pq.write_table(pa.table({"a": [1]}), tamper.unit_file(folder, key))
    tamper.sign(folder, key)


def other_columns(folder, key):
    path = tamper.unit_file(folder, key)
    table = pq.ParquetFile(path).read()
    pq.write_table(table.drop_columns(["curve"]), path)
    tamper.sign(folder, key)


def empty(folder, key):
    tamper.unit_file(folder, key).write_bytes(b"")
    tamper.sign(folder, key)


def delete(folder, key):
    tamper.unit_file(folder, key).unlink()


def never_there(folder, key):
    def change(manifest):
        next(unit for unit in manifest["units"] if unit["key"] == key)["digest"] = None

    tamper.unit_file(folder, key).unlink()
    tamper.edit_manifest(folder, change)


UNIT = {
    flip: "has the digest",
    cut: "has the digest .*cannot be read",
    other_value: "has the digest [0-9a-f]{32}, in the manifest [0-9a-f]{32}",
    fewer: "has 31 samples, in the manifest 32; its rows do not give the key",
    doubled: r"has more than one row of sample 0\d\d.png, target None, metric ",
    renamed: "its rows do not give the key it is named by",
    other_cell: f"has rows of cell {'f' * 32}, not [0-9a-f]{{32}}",
    other_config: "another configuration than their cell's",
    other_status: "has a row that is ok without a value, or has one and is not",
    foreign: "has row schema none, this nasbench reads 2",
    other_columns: r"has no column curve of type list<\w+: double>",
    empty: "cannot be read",
    delete: "is missing$",
    never_there: "is missing, though the run says it is complete",
}


@pytest.mark.parametrize("change", UNIT, ids=lambda change: change.__name__)
def test_a_unit_that_was_tampered_with_is_named(folder, verify, change):
    key = tamper.keys(folder, block=0)[1]
    change(folder, key)
    (line, *tables), _ = verify(folder, "--sample", "0")
    assert re.match(rf"rows/{key}\.parquet: .*{UNIT[change]}", line), line
    # A unit that can be read but has other values gives another table too.
    assert len(tables) == (change in {other_value, fewer, doubled, other_status}), tables


def test_units_that_were_swapped_are_named_by_what_they_hold(folder, verify):
    first, second = tamper.keys(folder, block=0)
    paths = [tamper.unit_file(folder, key) for key in (first, second)]
    contents = [path.read_bytes() for path in paths]
    for path, content in zip(paths, reversed(contents), strict=True):
        path.write_bytes(content)
    failures, _ = verify(folder, "--sample", "0")
    named = [line for line in failures if line.startswith("rows/")]
    assert len(named) == 2
    assert all("has the digest" in line and "has rows of cell" in line for line in named)


def test_blocks_of_a_cell_that_were_swapped(folder, verify):
    first, second = tamper.keys(folder, cell=0)
    paths = [tamper.unit_file(folder, key) for key in (first, second)]
    contents = [path.read_bytes() for path in paths]
    for path, content in zip(paths, reversed(contents), strict=True):
        path.write_bytes(content)
    failures, _ = verify(folder, "--sample", "0")
    assert f"its rows are those of {second}" in failures[0]
    assert f"its rows are those of {first}" in failures[1]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("0" * 32 + ".parquet", "copy", "is in no manifest and not named by what it holds"),
        ("mine.parquet", "foreign", "has row schema none"),
        ("mine.parquet", "text", "cannot be read"),
        ("notes.txt", "text", "is no unit's file"),
        ("other.parquet", "other run", "is a unit of another run"),
    ],
)
def test_strays_are_named(folder, verify, name, content, reason):
    path, key = folder / "rows" / name, tamper.keys(folder)[0]
    if content == "copy":
        shutil.copy2(tamper.unit_file(folder, key), path)
    elif content == "foreign":
        pq.write_table(pa.table({"a": [1]}), path)
    elif content == "other run":
        shutil.copy2(tamper.unit_file(folder, key), path)
        tamper.rewrite(folder, path.stem, lambda rows: [row | {"cell": "f" * 32} for row in rows])
    else:
        path.write_text("mine")
    (line,), _ = verify(folder, "--sample", "0")
    assert line.startswith(f"rows/{name}: {reason}"), line


def test_half_written_files_of_a_killed_process_are_counted(folder, verify):
    (folder / "rows" / ".a.parquet.1.part").write_bytes(b"half")
    _, out = verify(folder, "--sample", "0", code=0)
    assert "1 half-written, which the next run sweeps away" in out


def test_units_that_a_longer_limit_left_behind_are_no_fault(photos, run, verify, tmp_path):
    for limit in ("3", "5"):
        run(*tiny(photos, "segmenter=grid", "--limit", limit, "--out", "out"))
    _, out = verify(tmp_path / "out", code=0)
    assert "1 units of earlier samples or versions" in out
    assert "1 of 1 sound" in out


@pytest.mark.parametrize("end", ["edit", "cut", "delete"])
def test_a_table_that_was_changed_is_named_by_its_first_line(folder, verify, end):
    path = folder / "summary.csv"
    lines = path.read_text().splitlines(keepends=True)
    if end == "delete":
        path.unlink()
    else:
        lines[2:3] = ["timm,folder,mine\n"] if end == "edit" else []
        path.write_text("".join(lines))
    (line,), _ = verify(folder, "--sample", "0")
    said = "cannot be read (No such file or directory)" if end == "delete" else "line 3 has '"
    assert line.startswith(f"summary.csv: {said}"), line


def drop_unit(manifest):
    manifest["units"].pop()


def drop_block(manifest):
    manifest["units"] = [unit for unit in manifest["units"] if unit["block"] == 0]


def other_plan(manifest):
    manifest["plan"] = "0" * 32


def other_data(manifest):
    manifest["datasets"][0]["digest"] = "0" * 32


def odd_status(manifest):
    manifest["status"] = "splendid"


def other_sample(manifest):
    manifest["samples"][0][1] = "0" * 32


MANIFEST = {
    drop_unit: "its units are not those of its plan",
    drop_block: "cell 0 has 1 units of 32 samples in all; its data set has 34",
    other_plan: "its units are not those of its plan",
    other_data: "its digest of the data set folder is not that of the samples in the units",
    odd_status: "has the status 'splendid'",
    other_sample: "its samples of folder are not those of rows/",
}


@pytest.mark.parametrize("change", MANIFEST, ids=lambda change: change.__name__)
def test_a_manifest_that_was_tampered_with_is_named(folder, verify, change):
    tamper.edit_manifest(folder, change)
    failures, _ = verify(folder, "--sample", "0")
    assert any(line.startswith(f"manifest.json: {MANIFEST[change]}") for line in failures), failures


@pytest.mark.parametrize("text", ["", "nasbench: 1", "nasbench: [", "other"])
def test_a_config_that_cannot_be_used_is_named(folder, verify, text):
    if text == "other":
        config = (folder / "config.yaml").read_text()
        text = config.replace("segmenter: grid", "segmenter: slic")
    (folder / "config.yaml").write_text(text)
    (line,), out = verify(folder)
    assert line.startswith("config.yaml: ")
    assert "FAILED: 1 in all" in out


def lacking(key):
    return lambda manifest: manifest.pop(key)


def of_no_cell(manifest):
    manifest["units"][0]["cell"] = 7


def no_date(manifest):
    manifest["started"] = "yesterday"


@pytest.mark.parametrize(
    "damage",
    ["", "{", "[]", "{}", lacking("units"), lacking("started"), lacking("cells"), of_no_cell, no_date],
)
def test_a_damaged_manifest_is_one_line(folder, capsys, monkeypatch, damage):
    if isinstance(damage, str):
        (folder / "manifest.json").write_text(damage)
    else:
        tamper.edit_manifest(folder, damage)
    before = tamper.tree(folder)
    for command in ("verify", "status"):
        result = call(capsys, monkeypatch, command, str(folder))
        assert result.code == 1
        assert not result.out
        assert re.match(r"nasbench: .*manifest\.json: (is|cannot be read)", result.line)
    assert tamper.tree(folder) == before


@pytest.mark.parametrize("kind", ["absent", "file", "other", "empty", "half"])
def test_a_folder_that_is_no_run_is_one_line(folder, capsys, monkeypatch, tmp_path, kind):
    path = tmp_path / "place"
    if kind == "file":
        path.write_text("mine")
    elif kind == "half":  # killed before a plan was written
        path = folder
        (path / "manifest.json").unlink()
    elif kind != "absent":
        path.mkdir()
        (path / ("manifest.json" if kind == "other" else "notes")).write_text("{}")
    before = tamper.tree(tmp_path)
    result = call(capsys, monkeypatch, "verify", str(path))
    assert result.code == 1
    said = {
        "absent": "there is no such folder",
        "file": "is a file, not a run's folder",
        "half": "has no manifest.json, the run was stopped before it began; run it again",
    }
    assert result.line == f"nasbench: {path}: " + said.get(
        kind, "is not a run's folder (it has no .nasbench)"
    )
    assert tamper.tree(tmp_path) == before


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--sample", "-1"), "--sample -1: below 0"),
        (("--all", "--sample", "2"), "--sample and --all exclude each other"),
        (("--sample", "many"), "Invalid value for '--sample'"),
    ],
)
def test_misuse(folder, capsys, monkeypatch, args, said):
    result = call(capsys, monkeypatch, "verify", str(folder), *args)
    assert result.code == 2
    assert said in result.line


# Only computing again tells.


def quietly(folder, by):
    """Another value in one unit, signed; of a run that was interrupted, so that no table gives it away."""
    key = tamper.keys(folder, block=1)[1]
    tamper.rewrite(folder, key, tamper.first_value(by))
    tamper.sign(folder, key)
    tamper.edit_manifest(folder, lambda manifest: manifest.update(status="interrupted"))
    return key


def test_a_signed_change_is_found_by_computing_again(folder, verify):
    key = quietly(folder, 2)
    verify(folder, "--sample", "0", code=0)
    (line,), out = verify(folder, "--all")
    said = r"1 of 6 rows differ from what is computed now; sample \d+\.png, n_regions: value has 18.0"
    assert re.fullmatch(rf"rows/{key}\.parquet: {said}, computed anew 9\.0", line)
    assert "tables     not checked" in out
    assert f"{SAMPLES * 2 * 3 - 1} of them equal in every bit" in out


def test_a_sample_finds_it_if_it_covers_it(folder, verify):
    key = quietly(folder, 2)
    manifest = read_manifest(RunFolder(folder))
    assert manifest is not None
    covering = [key in {unit.key for unit in pick(manifest.units, 1, seed)} for seed in range(20)]
    assert {True, False} == set(covering)
    hit, miss = str(covering.index(True)), str(covering.index(False))
    assert len(verify(folder, "--sample", "1", "--seed", hit)[0]) == 1
    assert not verify(folder, "--sample", "1", "--seed", miss, code=0)[0]


def test_a_sample_takes_as_many_units_as_asked_whatever_their_order(folder):
    manifest = read_manifest(RunFolder(folder))
    assert manifest is not None
    units = list(manifest.units)
    chosen = pick(units, 3, 5)
    assert chosen == pick(units[::-1], 3, 5)
    assert len({unit.key for unit in chosen}) == 3
    assert len(pick(units, 9, 0)) == 4
    assert pick(units, None, 0) == units


@pytest.mark.parametrize(("conditions", "code"), [("same", 1), ("other", 0)])
def test_last_bits_count_only_where_they_must_agree(folder, verify, conditions, code):
    quietly(folder, 1 + 1e-7)
    if conditions == "other":
        tamper.edit_manifest(folder, lambda manifest: manifest["computed_on"][0].update(threads=4))
    _, out = verify(folder, "--all", code=code)
    assert re.search(r"largest relative difference \de-0[78]", out)
    assert ("allowed is 1e-05 (computed with threads 4, here 1)" in out) == (conditions == "other")


def test_a_run_in_progress_is_verified_as_far_as_it_is(folder, verify):
    key = tamper.keys(folder, block=1)[0]

    def change(manifest):
        manifest["status"] = "running"
        for unit in manifest["units"]:
            unit["digest"] = None

    tamper.edit_manifest(folder, change)
    tamper.unit_file(folder, key).unlink()
    with RunFolder(folder).opened(fresh=False):
        _, out = verify(folder, "--sample", "1", code=0)
    assert "(running)" in out
    assert "3 of 3 sound" in out
    assert "1 not computed yet; 3 newer than the manifest" in out
    assert "tables     not checked they are written when a run ends, this one is running" in out
    assert "(killed)" in verify(folder, "--sample", "0", code=0)[1]


def test_a_manifest_from_before_conditions_were_kept(folder, verify):
    def age(manifest):
        manifest.pop("computed_on")
        manifest["platform"].pop("processor")
        manifest["platform"].pop("kernels")
        for cell in manifest["cells"]:
            cell.pop("data")
        manifest["datasets"][0].pop("truth")

    tamper.edit_manifest(folder, age)
    _, out = verify(folder, code=0)
    assert "4 of 4 sound" in out
    assert 'allowed is 1e-05 (computed with platform.kernels null, here "' in out
