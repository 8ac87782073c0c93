"""The study of relevance curves from made-up rows: rankings that agree, disagree, and where they stand."""

from __future__ import annotations

import numpy as np
import pytest

from nasbench.report import relevance_images
from tests.support.lerf import curve_rows, lattice_rows
from tests.support.runs import MadeCell, made_run
from tests.support.scripts import load_script

IDS = [f"image-{i}" for i in range(10)]
LEVELS = {"gradcam": 0.8, "edges": 0.6, "random": 0.3}


@pytest.fixture(scope="module")
def script():
    return load_script("study_lerf")


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(relevance_images, "RESAMPLES", 50)


def curves(saliency, level, imputer, ids=IDS, segmenter="none"):
    rows = [row for name in ids for row in curve_rows(name, level, 1 - level)]
    return MadeCell([rows], saliency=saliency, imputer=imputer, segmenter=segmenter, command="lerf")


def made_study(script, tmp_path):
    mean = [curves(name, level, "dataset_mean") for name, level in LEVELS.items()]
    # ROAD reverses them, on eight of the images.
    road = [curves(name, 1 - level, "road", IDS[:8]) for name, level in LEVELS.items()]
    runs = [made_run(tmp_path / "mean", *mean), made_run(tmp_path / "road", *road)]
    (found,) = script.read(runs)
    return found


def test_cells_of_several_runs_are_one_study_on_the_images_of_all(script, tmp_path):
    found = made_study(script, tmp_path)
    assert found.settings == [("pixels", "mean"), ("pixels", "ROAD")]
    assert [sample for sample, _ in found.keys] == IDS[:8]
    assert found.methods(("pixels", "mean")) == ["gradcam", "edges", "random"]


def test_rankings_that_are_reversed_have_a_tau_of_minus_one(script, tmp_path):
    found = made_study(script, tmp_path)
    mean, road = ("pixels", "mean"), ("pixels", "ROAD")
    value, drawn = script.taus(found, (mean, "LeRF"), (road, "LeRF"))
    assert value == -1
    assert (drawn == -1).all()
    # A lower area is the better one of MoRF, and these mirror each other.
    assert script.taus(found, (mean, "LeRF"), (mean, "MoRF"))[0] == 1
    assert script.taus(found, (road, "SRG"), (road, "SRG"))[0] == 1


def test_the_tables_have_ranks_and_intervals(script, tmp_path):
    text = script.report(made_study(script, tmp_path))
    lines = [line for line in text.splitlines() if line.startswith("| gradcam")]
    lerf, morf, _ = lines
    assert "(1)" in lerf.split("|")[2]
    assert "(3)" in lerf.split("|")[3]
    assert "(1)" in morf.split("|")[2]
    assert "| LeRF | pixels: mean or ROAD | -1.00 [-1.00, -1.00] |" in text
    assert "| LeRF or MoRF | pixels, mean | 1.00 [1.00, 1.00] |" in text
    # All images rank the methods alike.
    assert "| LeRF | 1.00 | 1.00 |" in text


def test_lattices_have_a_table_of_their_own(script, tmp_path):
    cells = []
    for name, level in LEVELS.items():
        rows = [
            row for i, image in enumerate(IDS) for row in lattice_rows(image, level, level / 2, 0.1 * (i % 2))
        ]
        cells.append(MadeCell([rows], saliency=name, imputer="dataset_mean", segmenter="nas", command="lerf"))
    (found,) = script.read([made_run(tmp_path / "run", *cells)])
    (line,) = [line for line in script.orders(found, ("NAS", "mean")).splitlines() if "gradcam" in line]
    assert line.startswith("| gradcam | 0.80 [0.80, 0.80] | 0.40 [0.40, 0.40] | 0.80")
    assert np.isfinite(found.table(("NAS", "mean"), "auc_lerf")).all()


def test_the_figure(script, tmp_path):
    script.draw([made_study(script, tmp_path)], tmp_path / "figure.svg")
    first = (tmp_path / "figure.svg").read_bytes(), (tmp_path / "figure.png").read_bytes()
    assert first[1].startswith(b"\x89PNG")
    script.draw([made_study(script, tmp_path / "again")], tmp_path / "figure.svg")
    assert ((tmp_path / "figure.svg").read_bytes(), (tmp_path / "figure.png").read_bytes()) == first


def test_what_rounding_tells_apart_shares_a_rank(script):
    values = np.array([0.5, 0.2, 0.5 + 4e-6, 0.9, 0.2 - 4e-6, 0.1])
    assert script.levels(values).tolist() == [2, 1, 2, 3, 1, 0]
    assert script.ranks_of(values) == [2, 4, 2, 1, 4, 6]
    both = np.stack([values, -values])
    assert script.levels(both).tolist() == [script.levels(row).tolist() for row in both]
    assert script.ranks_of(np.array([3.0, 1.0, 2.0])) == [1, 3, 2]


def test_the_images_are_counted_and_regions_held_against_pixels(script, tmp_path):
    cells = []
    for segmenter, n in (("none", None), ("nas", 8), ("slic", 7)):
        for imputer in ("dataset_mean", "road"):
            for name, level in LEVELS.items():
                # By pixel ROAD reverses the ranking, by region it does not.
                turned = 1 - level if (segmenter, imputer) == ("none", "road") else level
                rows = [
                    row
                    for i, image in enumerate(IDS)
                    for row in curve_rows(
                        image, turned, 1 - turned, full=1.0, empty=0.97 if i < 2 else 0.0, correct=i > 2,
                        regions=n,
                    )
                ]  # fmt: skip
                cells.append(
                    MadeCell([rows], saliency=name, imputer=imputer, segmenter=segmenter, command="lerf")
                )
    (found,) = script.read([made_run(tmp_path / "run", *cells)])
    about = script.about_images(found)
    assert "| pixels, mean | 3 of 10 | 2 of 10 |  |" in about
    assert "| NAS, ROAD | 3 of 10 | 2 of 10 | 8 (10) |" in about
    assert "| SLIC, mean | 3 of 10 | 2 of 10 | 7 (10) |" in about
    more = script.by_region(found)
    assert "| LeRF: mean or ROAD | +2.00 [2.00, 2.00] | +2.00 [2.00, 2.00] |" in more
    assert "| LeRF or MoRF, mean | +0.00 [0.00, 0.00] | +0.00 [0.00, 0.00] |" in more
