"""Figures are found where a suite says they stand, or it is said why not."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from nasbench.config.suite import Digest, Figure, TableCell
from nasbench.errors import RunError
from nasbench.regress.figures import read_figure, read_figures
from nasbench.run.store import RunFolder
from tests.support.regress import close, exact, suite_of

TABLE = """\
saliency,segmenter,segmenter.k,exact,stratum,value
cam,none,,true,all,0.25
cam,nas,5,true,all,0.5
cam,nas,10,true,all,0.75
cam,nas,10,true,small,
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "localisation.csv").write_text(TABLE, encoding="utf-8")
    return tmp_path


def cell(folder, read="value", table="localisation.csv", **where):
    where = {key.replace("__", "."): value for key, value in where.items()}
    figure = Figure("a", "wsol", TableCell(table, where, read), "close", 0, "")
    return read_figure(figure, folder)


def test_a_cell_by_the_values_of_other_columns(folder):
    assert cell(folder, segmenter="none").value == "0.25"
    assert cell(folder, segmenter="nas", segmenter__k=5).value == "0.5"
    assert cell(folder, segmenter__k=10, stratum="all", exact=True).value == "0.75"
    assert cell(folder, segmenter="none", read="stratum").value == "all"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"segmenter": "slic"}, "localisation.csv has no line with segmenter=slic"),
        ({"segmenter": "nas"}, "has 3 lines with segmenter=nas; name more columns"),
        ({}, "has 4 lines with no condition"),
        ({"segmentr": "nas"}, "has no column segmentr; did you mean segmenter?"),
        ({"segmenter": "none", "read": "valu"}, "has no column valu; did you mean value?"),
        ({"stratum": "small"}, "has an empty value there"),
        ({"table": "relevance.csv"}, "the run has written no relevance.csv"),
    ],
)
def test_what_is_not_there_is_missing_and_it_is_said_why(folder, options, problem):
    found = cell(folder, **options)
    assert found.value is None
    assert problem in found.problem


def test_an_empty_table_lacks_the_column(folder):
    (folder / "localisation.csv").write_text("")
    assert "has no column segmenter" in cell(folder, segmenter="nas").problem


def test_the_digest_of_a_file_is_of_its_bytes(folder):
    figure = exact("a", "localisation.csv")
    expected = hashlib.sha256(TABLE.encode()).hexdigest()
    assert read_figure(figure, folder).value == f"sha256:{expected}"
    (folder / "localisation.csv").write_text(TABLE.replace("0.75", "0.750000001"))
    assert read_figure(figure, folder).value != f"sha256:{expected}"
    assert "no summary.csv" in read_figure(exact("a"), folder).problem


def kept(path, labels, *, cells=("nas", "slic"), ids=("x", "y")):
    """A run's folder that keeps labels (cells, images, h, w)."""
    run = RunFolder(path)
    with run.opened(fresh=False):
        units = []
        for i, of_cell in enumerate(labels):
            arrays = {"ids": np.array(ids), "images": np.zeros((2, 1, 1, 3), np.uint8), "labels": of_cell}
            run.write_artefact(f"k{i}", len(ids), arrays)
            units.append({"key": f"k{i}", "cell": i, "block": 0, "samples": len(ids)})
        records = [{"choices": {"segmenter": name}, "swept": {"segmenter.k": 4}} for name in cells]
        run.write_text("manifest.json", json.dumps({"cells": records, "units": units}))
    return path


def digest_of(folder, of="labels", **where):
    where = {key.replace("__", "."): value for key, value in where.items()}
    return read_figure(Figure("a", "cut", Digest(of, where), "exact", 0, ""), folder)


def test_the_digest_of_labels_is_of_the_cells_meant(tmp_path):
    labels = np.arange(2 * 2 * 3 * 3).reshape(2, 2, 3, 3)
    first = kept(tmp_path / "a", labels)
    changed = labels.copy()
    changed[1, 0, 0, 0] += 1  # of the second cell
    second = kept(tmp_path / "b", changed)
    assert digest_of(first).value != digest_of(second).value
    assert digest_of(first, segmenter="nas").value == digest_of(second, segmenter="nas").value
    assert digest_of(first, segmenter="slic").value != digest_of(second, segmenter="slic").value
    assert digest_of(first, segmenter="nas", segmenter__k=4).value == digest_of(first, segmenter="nas").value


def test_it_is_also_of_type_shape_and_ids(tmp_path):
    labels = np.arange(2 * 2 * 2 * 3).reshape(2, 2, 2, 3)
    variants = [
        kept(tmp_path / "a", labels),
        kept(tmp_path / "b", labels.astype(np.int32)),
        kept(tmp_path / "c", labels.reshape(2, 2, 3, 2)),
        kept(tmp_path / "d", labels, ids=("x", "z")),
    ]
    assert len({digest_of(folder).value for folder in variants}) == 4


def test_arrays_that_are_not_kept(tmp_path):
    folder = kept(tmp_path / "a", np.zeros((2, 2, 3, 3), int))
    assert digest_of(folder, of="maps").problem == "the run has kept no maps; the step needs save=maps"
    assert "no cell with {'segmenter': 'grid'}" in digest_of(folder, segmenter="grid").problem
    for path in (folder / "artefacts").iterdir():
        path.unlink()
    assert "needs save=labels" in digest_of(folder).problem
    assert "no cell" in digest_of(tmp_path / "empty").problem


def test_a_damaged_artefact_is_named(tmp_path):
    folder = kept(tmp_path / "a", np.zeros((2, 2, 3, 3), int))
    (folder / "artefacts" / "k1-2.npz").write_bytes(b"PK damaged")
    with pytest.raises(RunError, match=r"k1-2\.npz: cannot be read"):
        digest_of(folder)


def test_all_figures_of_a_suite(folder):
    (folder / "summary.csv").write_text("metric,value\na,1\nb,2\n")
    found = read_figures(suite_of(close("a"), close("b"), close("c")), {"cut": folder})
    assert {name: reading.value for name, reading in found.items()} == {"a": "1", "b": "2", "c": None}
