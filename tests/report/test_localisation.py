"""From made-up rows to numbers: cross-fitting, strata, baselines, intervals, paired tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from scipy import stats

from nasbench.localize.boxes import IOU_GRID
from nasbench.localize.thresholds import fold_of
from nasbench.report import localisation
from nasbench.report.localisation import Stratum, read_entries, score
from nasbench.report.localisation_tables import (
    localisation_csv,
    localisation_md,
    localisation_text,
    localised,
    paired_csv,
)
from nasbench.report.paired import bases
from nasbench.run.store import RunFolder
from tests.support.wsol import made_up

CROSSFIT = {"threshold": "crossfit", "fixed": 0.5}
ALWAYS = [(-np.inf, 1.0)]
IDS = [f"image-{i:03d}" for i in range(40)]


@dataclass(frozen=True)
class Cell:
    saliency: str = "cam"
    segmenter: str = "none"
    metric: dict[str, Any] = field(default_factory=lambda: CROSSFIT)
    swept: dict[str, Any] = field(default_factory=dict)

    @property
    def choices(self):
        return {"model": "m", "dataset": "d", "saliency": self.saliency, "segmenter": self.segmenter}

    @property
    def config(self):
        return {"metric": self.metric, "saliency": self.saliency, "segmenter": self.segmenter, "counts": None}


@pytest.fixture
def folder(tmp_path):
    with RunFolder(tmp_path / "run").opened(fresh=False) as opened:
        yield opened


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(localisation, "RESAMPLES", 200)


def scored(folder, rows, metric=CROSSFIT, *, stratum="all"):
    folder.write_rows("k", [row for found in rows for row in found])
    entries = read_entries(folder, ["k", "not there yet"])
    return score(Stratum.of(entries.kept, stratum), metric, constant=entries.constant)


def values(found, name="box_acc"):
    return np.array([found.estimates[f"{name}@{delta:.2f}"].value for delta in IOU_GRID])


def test_a_threshold_that_suits_all_is_found(folder):
    found = scored(folder, [made_up(name, right=[(0.2, 0.4)]) for name in IDS])
    assert np.array_equal(values(found), np.ones(14))
    np.testing.assert_allclose(found.thresholds, 0.3)
    mean = found.estimates["box_acc_mean"]
    assert (mean.value, mean.low, mean.high) == (1, 1, 1)
    assert found.n == 40


def test_each_fold_is_judged_at_the_threshold_of_the_others(folder):
    fold = fold_of(IDS)
    # In its own fold each image is right only where no other fold's is: what is fitted elsewhere fails here.
    rows = [
        made_up(name, right=[(f / 5, (f + 1) / 5)] if f < 3 else [(0.7, 0.8)])
        for name, f in zip(IDS, fold.tolist(), strict=True)
    ]
    found = scored(folder, rows)
    size = np.bincount(fold, minlength=5)
    right = 0
    for f in range(5):
        votes = {k: size[k] for k in range(3) if k != f} | {3: sum(size[k] for k in (3, 4) if k != f)}
        first, second = sorted(votes, key=lambda k: -votes[k])[:2]
        assert votes[first] > votes[second], "no tie in this one"
        right += size[f] if min(f, 3) == first else 0
    assert values(found)[0] == pytest.approx(right / 40)
    oracle = max(*size[:3], size[3] + size[4]) / 40
    assert found.estimates["box_acc_oracle@0.50"].value == pytest.approx(oracle)
    assert found.estimates["box_acc_oracle_mean"].value == pytest.approx(oracle)
    assert oracle > right / 40


def test_the_threshold_is_fitted_on_the_mean_over_the_upper_ious(folder):
    # Below .50 all are right at low thresholds; from .50 on at high ones: these decide.
    low, high = [(0.0, 0.2)], [(0.8, 1.0)]
    found = scored(folder, [made_up(name, right=[low] * 4 + [high] * 10) for name in IDS])
    assert np.array_equal(values(found), [0] * 4 + [1] * 10)
    assert found.estimates["box_acc_mean"].value == 1
    assert found.estimates["box_acc_oracle@0.30"].value == 1


def test_other_rules(folder):
    rows = [made_up(name, right=[(0.4, 0.6)], otsu=0.5 if i % 4 else 0.9) for i, name in enumerate(IDS)]
    at = scored(folder, rows, {"threshold": "fixed", "fixed": 0.6})
    assert values(at)[0] == 1
    assert at.thresholds.tolist() == [0.6]
    assert values(scored(folder, rows, {"threshold": "fixed", "fixed": 0.4}))[0] == 0, (
        "the low end is outside"
    )
    own = scored(folder, rows, {"threshold": "otsu", "fixed": 0.0}).estimates["box_acc@0.50"]
    assert own.value == 0.75
    assert own.low is not None
    assert own.high is not None
    assert own.low < 0.75 < own.high


def test_localisation_needs_the_class_too(folder):
    rows = [
        made_up(name, right=ALWAYS if i < 20 else [], top=(i % 4 == 0, i % 2 == 0))
        for i, name in enumerate(IDS)
    ]
    found = scored(folder, rows)
    assert values(found)[3] == 0.5
    assert values(found, "top1_loc")[3] == 5 / 40
    assert values(found, "top5_loc")[3] == 10 / 40
    assert found.estimates["top1_loc_mean"].value == 5 / 40
    low, high = (getattr(found.estimates["top1_loc@0.50"], end) for end in ("low", "high"))
    assert low < 5 / 40 < high


def test_without_labels_there_is_no_localisation_with_classes(folder):
    found = scored(folder, [made_up(name, right=ALWAYS, top=None) for name in IDS])
    assert "top1_loc@0.50" not in found.estimates
    assert values(found)[0] == 1


def test_the_share_of_boxes_that_cover_the_frame_is_at_the_threshold(folder):
    rows = [
        made_up(name, right=[(0.5, 1.0)], covers=[(-np.inf, 0.8 if i < 10 else 0.4)])
        for i, name in enumerate(IDS)
    ]
    assert scored(folder, rows).estimates["box_covers_frame"].value == 0.25


def test_a_constant_box_is_fitted_on_the_other_folds(folder):
    # Two kinds of boxes on the grid of candidates: the more frequent one is always chosen.
    many, few = (0.25, 0.25, 0.75, 0.75), (0.0, 0.5, 0.25, 1.0)
    rows = [
        made_up(name, constant=True, boxes=(few if i % 4 == 0 else many,), top=(i % 2, 1))
        for i, name in enumerate(IDS)
    ]
    found = scored(folder, rows)
    assert np.array_equal(values(found), np.full(14, 0.75))
    assert found.boxes is not None
    assert found.boxes.tolist() == [list(many)] * 5
    assert found.estimates["top1_loc@0.50"].value == 0.5
    assert found.estimates["box_covers_frame"].value == 0
    assert "box_acc_oracle@0.50" not in found.estimates
    low, high = found.estimates["box_acc_mean"].low, found.estimates["box_acc_mean"].high
    assert low is not None
    assert high is not None
    assert low < 0.75 < high


def test_strata_are_fitted_anew(folder):
    small, large = (0.0, 0.0, 0.5, 0.5), (0.0, 0.0, 1.0, 1.0)
    rows = [
        made_up(
            name, boxes=(small,) if i < 15 else (large, small), right=[(0.0, 0.3) if i < 15 else (0.6, 1.0)]
        )
        for i, name in enumerate(IDS)
    ]
    everything, few = scored(folder, rows), scored(folder, rows, stratum="small")
    assert values(everything)[0] == 25 / 40
    assert (values(few)[0], few.n) == (1, 15)
    assert scored(folder, rows, stratum="single").n == 15


def test_an_empty_stratum_has_no_numbers_and_no_zeros(folder):
    found = scored(
        folder, [made_up(name, boxes=((0, 0, 1, 1),), right=ALWAYS) for name in IDS], stratum="small"
    )
    assert found.n == 0
    assert {one.value for one in found.estimates.values()} == {None}


def test_a_union_of_regions_is_a_bound_at_every_iou(folder):
    rows = [made_up(name, right=[], union=0.625 if i < 10 else 0.3) for i, name in enumerate(IDS)]
    found = scored(folder, rows)
    assert values(found, "box_acc_union").tolist() == [1] + [0.25] * 6 + [0] * 7
    assert found.estimates["box_acc_union_mean"].value == pytest.approx(0.25 * 3 / 10)


def test_the_interval_is_that_of_a_plain_mean_where_nothing_is_to_be_fitted(folder, monkeypatch):
    monkeypatch.setattr(localisation, "RESAMPLES", 4000)
    right = np.arange(40) < 28
    found = scored(folder, [made_up(n, right=ALWAYS if r else []) for n, r in zip(IDS, right, strict=True)])
    mean = found.estimates["box_acc@0.50"]
    other = stats.bootstrap(
        (right.astype(float),), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    assert mean.value == 0.7
    assert mean.low == pytest.approx(other.low, abs=0.03)
    assert mean.high == pytest.approx(other.high, abs=0.03)


def test_images_with_several_classes_are_drawn_whole(folder):
    twice = [
        made_up(name, right=ALWAYS if i < 20 else [], target=c) for i, name in enumerate(IDS) for c in (1, 2)
    ]
    found = scored(folder, twice)
    assert found.n == 80
    entries = read_entries(folder, ["k"])
    part = Stratum.of(entries.kept, "all")
    assert np.array_equal(part.counts[:, ::2], part.counts[:, 1::2])
    assert np.array_equal(part.fold[::2], part.fold[1::2])


def test_what_cannot_be_scored_is_counted(folder):
    rows = [made_up(name, right=ALWAYS) for name in IDS[:30]]
    rows += [made_up(name, failed="the map holds NaN") for name in IDS[30:38]]
    rows += [made_up(name, right=[], fault="constant") for name in IDS[38:]]
    folder.write_rows("k", [row for found in rows for row in found])
    said = localised(folder, [Cell()], [(0, "k")])
    assert said.entries[0].reasons == {"the map holds NaN": 8}
    assert said.entries[0].faults == {"constant": 2}
    assert said.scored[0, "all"].n == 32
    for text in (localisation_text(said), localisation_md(said)):
        assert "cam: 8 × the map holds NaN" in text
        assert "cam: 2 × constant map: its box is the frame" in text
    line = next(line for line in localisation_csv(said).splitlines() if ",all,box_acc@0.50," in line)
    assert line.endswith(",32,8")


def three_cells(folder):
    """No regions, regions that gain 8 and lose 1 of 40, and another method's regions without a base."""
    plain = [i < 20 for i in range(40)]
    better = [1 <= i < 28 for i in range(40)]
    for key, right in (("a", plain), ("b", better), ("c", plain)):
        found = [made_up(n, right=ALWAYS if r else []) for n, r in zip(IDS, right, strict=True)]
        folder.write_rows(key, [row for rows in found for row in rows])
    cells = [Cell(), Cell(segmenter="nas", swept={"segmenter.k": 5}), Cell(saliency="ig", segmenter="nas")]
    return localised(folder, cells, [(0, "a"), (1, "b"), (2, "c")])


def test_differences_are_paired(folder):
    said = three_cells(folder)
    assert bases(said.cells) == {1: 0}
    mine = {one.column: one for one in said.paired if one.stratum == "all"}
    assert len(mine) == 15
    half = mine["box_acc@0.50"]
    assert (half.gained, half.lost, half.n) == (8, 1, 40)
    assert half.value == pytest.approx(7 / 40)
    assert half.p == pytest.approx(2 * (1 + 9) / 2**9)
    assert half.p_holm == pytest.approx(14 * 2 * (1 + 9) / 2**9)
    mean = mine["box_acc_mean"]
    assert (mean.value, mean.p, mean.gained) == (pytest.approx(7 / 40), None, None)
    # Paired, the interval is far narrower than that of two independent samples.
    sample = np.array([1] * 8 + [-1] + [0] * 31)
    assert mean.high - mean.low == pytest.approx(2 * 1.96 * sample.std() / np.sqrt(40), rel=0.25)


def test_tables_name_cells_by_their_choices(folder):
    said = three_cells(folder)
    header, *lines = paired_csv(said).splitlines()
    assert header.startswith(
        "model,dataset,saliency,segmenter,segmenter.k,stratum,column,difference,low,high,gained"
    )
    assert len(lines) == 3 * 15
    assert all(line.startswith("m,d,cam,nas,5,") for line in lines)
    assert lines == sorted(lines)
    text = localisation_text(said)
    assert text.index("largest box under half the frame (n = 40)") < text.index("all images (n = 40)")
    assert "67.5" in text
    assert "| cam nas k=5 | cam | +17.5 |" in localisation_md(said)


def test_pairs_are_of_the_images_that_both_have(folder):
    rows = [made_up(name, right=ALWAYS) for name in IDS]
    folder.write_rows("a", [row for found in rows for row in found])
    less = [made_up(name, right=[]) for name in IDS[:30]] + [made_up(n, failed="no") for n in IDS[30:]]
    folder.write_rows("b", [row for found in less for row in found])
    said = localised(folder, [Cell(), Cell(segmenter="nas")], [(0, "a"), (1, "b")])
    (one,) = [one for one in said.paired if (one.stratum, one.column) == ("all", "box_acc@0.50")]
    assert (one.n, one.lost, one.value) == (30, 30, -1)
