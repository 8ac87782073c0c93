"""A run's folder, and what can be done to it behind its back."""

from __future__ import annotations

import json
import shutil

from nasbench.digest import digest_file
from nasbench.run.rows import Row, encode_rows
from nasbench.run.store import RunFolder


def tree(folder):
    """By path, the content and time of every file and folder below: what must not change."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mtime_ns,
            digest_file(path) if path.is_file() else None,
        )
        for path in (folder, *folder.rglob("*"))
    }


def copy_of(folder, place):
    """A copy with the same times."""
    return shutil.copytree(folder, place, copy_function=shutil.copy2)


def edit_manifest(folder, change):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def keys(folder, **wanted):
    """The keys of a run's units that have these values."""
    units = json.loads((folder / "manifest.json").read_text())["units"]
    return [unit["key"] for unit in units if all(unit[name] == value for name, value in wanted.items())]


def unit_file(folder, key):
    return folder / "rows" / f"{key}.parquet"


def rewrite(folder, key, change):
    """A valid unit with other rows: `change` takes and gives a list of dictionaries."""
    rows = change(RunFolder(folder).read_rows(key).to_pylist())
    unit_file(folder, key).write_bytes(encode_rows([Row(**row) for row in rows]))


def sign(folder, key):
    """Give the manifest the digest of a unit's file as it is now."""

    def change(manifest):
        for unit in manifest["units"]:
            if unit["key"] == key:
                unit["digest"] = digest_file(unit_file(folder, key))

    edit_manifest(folder, change)


def first_value(by):
    """A change of the first value that is above 0, to that many times as much."""

    def change(rows):
        row = next(row for row in rows if row["value"])
        row["value"] *= by
        return rows

    return change
