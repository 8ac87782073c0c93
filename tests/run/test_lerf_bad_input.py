"""What a map, an image, a network or a user does not allow: rows with reasons, or one line."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from tests.support.cli import tiny_explain
from tests.support.explain import UNLABELLED, names, rows
from tests.support.removal import (
    SCENES,
    STRIPES,
    WIDTHS,
    known,
    pixels,
    save_maps,
    tiny_lerf,
    tiny_network,
    undrawn,  # noqa: F401 - a fixture
)
from tests.support.wsol import tiny_wsol

pytestmark = pytest.mark.usefixtures("undrawn")

QUICK = ("metric.steps=2", "metric.orders=[lerf,morf]", "metric.names=[srg]")


# Maps.


@pytest.mark.parametrize(("value", "side"), [(0.1, 7), (0.7, 3), (-0.3, 64), (0.0, 5)])
def test_a_constant_map_has_a_curve_of_two_points(run, tmp_path, value, side):
    maps = save_maps(tmp_path / "maps", lambda _: np.full((side, side), value))
    run(*tiny_lerf(*maps, "target=3", "metric.names=[srg,abpc]", "--limit", "2", "--out", "out"))
    found = rows(tmp_path / "out", status="ok")
    for row in found:
        if row["metric"] in ("auc_lerf", "auc_morf"):
            assert row["curve"][::2] == [0, 1]
            assert row["value"] == pytest.approx((row["curve"][1] + row["curve"][3]) / 2)
        if row["metric"] in ("srg", "abpc"):
            assert row["value"] == 0
        assert json.loads(row["conventions"])["fault"] == "constant"
    assert {row["metric"] for row in found} >= {"auc_lerf", "srg", "abpc", "auc_random"}


@pytest.mark.parametrize("n", [4, 12])
def test_a_constant_map_is_worth_a_random_order_of_regions(run, tmp_path, n):
    maps = save_maps(tmp_path / "maps", lambda _: np.full((7, 7), 0.1))
    args = ("segmenter=grid", f"segmenter.n={n}", "metric=lattice", "metric.samples=3", "target=3")
    run(*tiny_lerf(*maps, *args, "--limit", "3", "--out", "out"))
    prefix = "" if n == 4 else "sampled_"
    for which in ("lerf", "morf"):
        percentiles = rows(tmp_path / "out", metric=f"{prefix}percentile_{which}")
        assert [row["value"] for row in percentiles] == [0.5] * 3
        if n == 4:
            regrets = [row["value"] for row in rows(tmp_path / "out", metric=f"regret_{which}")]
            assert regrets == pytest.approx([0] * 3, abs=1e-6)
    if n == 4:
        (reason,) = {row["reason"] for row in rows(tmp_path / "out", metric="shapley_tau")}
        assert reason == "all regions have one value"


def test_a_map_with_one_value_that_is_no_number_fails_its_image_alone(run, tmp_path):
    def make(place):
        values = np.random.default_rng(place).random((7, 7))
        values[3, 3] = np.nan if place == 4 else values[3, 3]
        return values

    maps = save_maps(tmp_path / "maps", make)
    (tmp_path / "maps" / f"{SCENES.ids()[2]}.npy").unlink()
    run(*tiny_lerf(*maps, "target=3", *QUICK, "--out", "out"))
    failed = {row["sample"]: row["reason"] for row in rows(tmp_path / "out", status="error")}
    assert set(failed) == {SCENES.ids()[4], SCENES.ids()[2]}
    assert "NaN" in failed[SCENES.ids()[4]]
    assert len(rows(tmp_path / "out", status="ok", metric="auc_lerf")) == 10
    titles = {row["metric"] for row in rows(tmp_path / "out", status="error")}
    assert titles == {"auc_lerf", "auc_morf", "srg", "full", "empty", "correct"}
    said = run(*tiny_lerf(*maps, "target=3", *QUICK, "on_error=fail", "--out", "strict"), code=1).err
    assert "(on_error=fail)" in said.splitlines()[-1]


# Regions.


def test_an_image_of_one_region_is_a_row_and_the_others_are_as_without_it(run, tmp_path):
    odd = SCENES.ids()[3]
    for metric in ("curves", "lattice"):
        base = tiny_lerf(*STRIPES, f"metric={metric}", "saliency=random", "target=3")
        run(*base, "--out", f"{metric}_all")
        run(*base, f"segmenter.kwargs.whole={odd}", "--out", f"{metric}_odd")
        failed = rows(tmp_path / f"{metric}_odd", status="error")
        assert {(row["sample"], row["reason"]) for row in failed} == {
            (odd, "one region only: its mean says nothing of places")
        }
        good = {
            (r["sample"], r["metric"]): r["value"]
            for r in rows(tmp_path / f"{metric}_all", status="ok")
            if r["sample"] != odd
        }
        found = {
            (r["sample"], r["metric"]): r["value"] for r in rows(tmp_path / f"{metric}_odd", status="ok")
        }
        assert found == pytest.approx(good, rel=1e-5, abs=1e-7)
        assert len({sample for sample, _ in found}) == 11


def test_only_images_of_one_region_is_a_failed_run(run):
    args = tiny_lerf("segmenter=grid", "segmenter.n=1", "target=3", "saliency=random", "--limit", "2")
    assert "every image failed; the first reason: one region only" in run(*args, "--out", "out", code=1).err


def test_numbers_of_regions_may_differ_from_image_to_image(run, tmp_path):
    args = tiny_lerf(
        "segmenter=felzenszwalb", "segmenter.scale=40", "saliency=random", "target=3", "--limit", "5"
    )
    run(*args, "--out", "out")
    found = rows(tmp_path / "out", metric="auc_lerf", status="ok")
    assert len({row["n_regions"] for row in found}) > 1, "or the test could not fail"
    for row in found:
        assert len(row["curve"]) == 2 * (row["n_regions"] + 1)


# Classes.


def test_a_class_beyond_the_models_is_a_row(run, tmp_path):
    for target in ("12", "-1"):
        said = run(*tiny_lerf(f"target={target}", "--limit", "2", *QUICK, "--out", target), code=1).err
        assert f"class {target} is beyond the model's 12 classes (0 to 11)" in said
        assert {row["status"] for row in rows(tmp_path / target)} == {"error"}


@pytest.mark.parametrize("more", [("metric.steps=3",), ("metric=lattice", *STRIPES, "metric.regions=3")])
def test_labels_beyond_the_models_classes_are_rows_and_the_others_as_ever(run, tmp_path, more):
    """A data set of more classes than the network has."""
    few = [arg.replace("num_classes=12", "num_classes=5") for arg in tiny_lerf("saliency=centre", *more)]
    run(*few, "--out", "out")
    failed, fine = (
        rows(tmp_path / "out", status="error"),
        rows(tmp_path / "out", metric="auc_lerf", status="ok"),
    )
    assert {row["target"] for row in fine} <= set(range(5))
    assert min(row["target"] for row in failed) >= 5
    assert len({row["sample"] for row in [*failed, *fine]}) == 12
    assert all("beyond the model's 5 classes" in row["reason"] for row in failed)


def test_an_image_without_a_label_is_a_row(run, images, tmp_path):
    run("leRF", *tiny_explain(images, *QUICK, "saliency=random", "--out", "out")[1:])
    failed = rows(tmp_path / "out", status="error")
    assert {row["sample"] for row in failed} == {UNLABELLED}
    run("leRF", *tiny_explain(images, *QUICK, "saliency=random", "target=present", "--out", "present")[1:])
    both = rows(tmp_path / "present", metric="auc_lerf", sample="003.png", status="ok")
    assert [row["target"] for row in both] == [0, 1]
    assert both[0]["value"] != both[1]["value"]


def guesses():
    network = tiny_network()
    with torch.no_grad():
        return {name: int(network.logits(pixels(name)[None])[0].argmax()) for name in SCENES.ids()}


def test_images_that_the_model_gets_wrong(run, tmp_path):
    guessed = guesses()
    asked = max(set(guessed.values()), key=list(guessed.values()).count)
    right = {name for name, c in guessed.items() if c == asked}
    assert 0 < len(right) < 12, "or the test could not fail"
    for wrong in ("keep", "skip", "prediction"):
        args = tiny_lerf(f"target={asked}", "saliency=random", f"wrong={wrong}", *QUICK, "max_batch=5")
        result = run(*args, "--out", wrong)
        correct = {r["sample"]: r for r in rows(tmp_path / wrong, metric="correct")}
        areas = {r["sample"]: r for r in rows(tmp_path / wrong, metric="auc_lerf")}
        assert set(correct) == set(guessed)
        for name, c in guessed.items():
            if wrong == "skip" and name not in right:
                said = ("skipped", "the model gets the image wrong (wrong=skip)", None)
                assert (areas[name]["status"], areas[name]["reason"], areas[name]["value"]) == said
                continue
            assert areas[name]["status"] == "ok"
            assert areas[name]["target"] == (c if wrong == "prediction" else asked)
            assert correct[name]["value"] == (name in right or wrong == "prediction")
            assert json.loads(areas[name]["conventions"])["wrong"] == wrong
        if wrong == "skip":
            assert f"{12 - len(right)} × the model gets the image wrong" in result.out or (
                "gets the image wrong" in (tmp_path / wrong / "summary.csv").read_text()
            )
            summary = (tmp_path / wrong / "summary.csv").read_text().splitlines()
            (line,) = (line for line in summary if ",auc_lerf," in line)
            assert line.endswith(f",{len(right)},{12 - len(right)}"), "counted"
    # Where the model is right it is one whichever is chosen; beside others in a batch but for the last bits.
    for name in right:
        value = rows(tmp_path / "keep", metric="auc_lerf", sample=name)[0]["value"]
        for wrong in ("skip", "prediction"):
            other = rows(tmp_path / wrong, metric="auc_lerf", sample=name)[0]["value"]
            assert other == pytest.approx(value, rel=1e-5)


def test_none_that_the_model_gets_right_is_a_failed_run(run):
    missing = next(c for c in range(12) if c not in guesses().values())
    args = tiny_lerf(f"target={missing}", "saliency=random", "wrong=skip", *QUICK, "--out", "out")
    assert "every image failed; the first reason: the model gets the image wrong" in run(*args, code=1).err


# Networks.


def test_a_network_that_puts_out_no_numbers_is_rows_and_a_failed_run(run, tmp_path):
    for metric in ("curves", "lattice"):
        args = tiny_lerf(*known("broken"), *STRIPES, f"metric={metric}", "saliency=random", "target=3")
        said = run(*args, "--limit", "2", "--out", metric, code=1).err
        assert "every image failed; the first reason: the network's outputs are NaN or infinite" in said
        assert {row["status"] for row in rows(tmp_path / metric)} == {"error"}


@pytest.mark.parametrize(
    "more", [("metric=curves",), ("metric=lattice",), ("metric=lattice", "metric.regions=2")]
)
def test_a_network_that_breaks_on_what_is_left_is_rows_too(run, tmp_path, more):
    args = tiny_lerf(
        *known("broken_on_black"), *STRIPES, *more, "saliency=random", "target=3", "--limit", "2"
    )
    said = run(*args, "imputer=zero", "--out", "out", code=1).err
    assert "every image failed; the first reason: the network's outputs are NaN or infinite" in said
    assert {row["status"] for row in rows(tmp_path / "out")} == {"error"}
    run(*args, "imputer=dataset_mean", "--out", "other")
    assert {row["status"] for row in rows(tmp_path / "other", metric="auc_lerf")} == {"ok"}


def test_ctrl_c_keeps_what_is_finished(run, tmp_path, monkeypatch):
    args = tiny_lerf("saliency=random", "target=3", *QUICK, "--limit", "3", "--out", "out")

    def interrupted(*_args, **_more):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("nasbench.run.removal.evaluate", interrupted)
        assert "Resume with: nasbench leRF" in run(*args, code=130).line
    assert names(tmp_path / "out") == []
    run(*args)
    assert len(rows(tmp_path / "out", metric="auc_lerf", status="ok")) == 3


# Users.


REFUSED = [
    (["units=regions"], "units=regions: segmenter=none has no regions to remove; choose a segmenter"),
    (["metric=lattice"], "metric=lattice: segmenter=none has no regions to remove"),
    (["metric=lattice", "segmenter=none,slic"], "segmenter=none has no regions to remove"),
    (["metric=lattice", "segmenter=slic", "units=pixel"], "metric=lattice removes regions, not units=pixel"),
    (["metric=lattice", "segmenter=slic", "units=patch"], "metric=lattice removes regions, not units=patch"),
    (["segmenter=slic", "counts=[3,6]"], "to remove regions, give one"),
    (["segmenter=felzenszwalb", "over.scale=[50,100]"], "to remove regions, give one"),
    (["counts=[3,6]"], "counts=[3, 6]: segmenter=none has no regions to average over"),
    (["metric.orders=[lerf,best]"], "metric.orders=best: choose of lerf, morf, random"),
    (["metric.orders=[]"], "metric.orders=[]: choose of"),
    (["metric.orders=lerf,morf"], "metric.orders: is a list; write it in brackets"),
    (["metric.orders=[lerf]"], "metric.names: srg needs morf among metric.orders"),
    (["metric.names=[auc]"], "metric.names=auc: choose of srg"),
    (["metric.score=accuracy"], "metric.score=accuracy: choose of probability, logit, log_odds"),
    (["metric.tie=first"], "metric.tie=first: choose of block, seeded"),
    (["metric.fractions=[0.1]"], "metric.steps and metric.fractions: give one, and null for the other"),
    (["metric.steps=null"], "metric.steps and metric.fractions: give one"),
    (["metric.steps=1"], "metric.steps=1: gives no point between the ends, at which maps could differ"),
    (["metric.steps=1", "units=patch", "patch=8"], "metric.steps=1: gives no point between the ends"),
    (["metric.steps=1", "segmenter=grid"], "metric.steps=1: gives no point between the ends"),
    (["metric.steps=null", "metric.fractions=[]"], "metric.fractions=[]: gives no point between the ends"),
    (["metric.steps=null", "metric.fractions=[0,1]"], "metric.fractions=[0, 1]: gives no point between"),
    (["metric.steps=null", "metric.fractions=[0.5,2]"], "the fraction 2.0 is outside [0, 1]"),
    (["metric.steps=null", "metric.fractions=[nan]"], "must be a finite number"),
    (["metric.seeds=3"], "metric.seeds=3 is for metric.tie=seeded"),
    (["metric.step=3"], "metric=curves has no key step"),
    (["metric=lattice", "segmenter=slic", "metric.regions=11"], "metric.regions=11 must lie between 1"),
    (["metric=lattice", "segmenter=slic", "metric.samples=0"], "metric.samples=0 must be at least 1"),
    (["metric=curvs"], "no such metric; did you mean curves"),
    (["metric=boxes"], "metric=boxes is for nasbench wsol, not for nasbench lerf"),
    (["units=patch", "patch=0"], "patch=0 must be at least 1"),
    (["units=patch", "patch=64"], "patch=64: one patch would cover the whole image of 64×64"),
    (["units=patch", "patch=500"], "patch=500: one patch would cover the whole image of 64×64"),
    (["units=pixels"], "units=pixels: did you mean pixel"),
    (["wrong=drop"], "wrong=drop: choose one of keep, prediction, skip"),
    (["imputer=blurr"], "no such imputer; did you mean blur"),
    (["imputer=blur", "imputer.sigma=0"], "imputer.sigma=0.0 must be a number above 0"),
    (["imputer=blur", "imputer.kernel_size=4"], "imputer.kernel_size=4 must be an odd number"),
    (["imputer.mean=[0.5]"], "imputer.mean=[0.5]: give three numbers in [0, 1]"),
    (["imputer.sd=1"], "imputer.sd"),
    (["imputer._target_=fractions.Fraction"], "imputer: fractions.Fraction"),
    (["imputer=custom"], "imputer._target_ is not set"),
    (["imputer=custom", "imputer._target_=nowhere.Mine"], "cannot be imported"),
    (["imputer=custom", "imputer._target_=fractions.Fraction"], "it has no __call__ (nasbench.faithfulness"),
    (["target=cat"], "target=cat: choose label, prediction, present or a class index"),
    (["save=labels"], "save=labels: choose one of maps, overlays"),
]  # fmt: skip


@pytest.mark.parametrize(("args", "message"), REFUSED, ids=[" ".join(args) for args, _ in REFUSED])
def test_misuse_is_one_line_and_exit_code_two(run, tmp_path, args, message):
    assert message in run(*tiny_lerf(*args), code=2).line
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("metric", ["curves", "lattice"])
@pytest.mark.parametrize("command", ["wsol", "explain", "segment"])
def test_its_metrics_are_no_other_commands(run, tmp_path, command, metric):
    args = [a for a in tiny_wsol(f"metric={metric}", "segmenter=grid") if a != "wsol"]
    said = run(command, *args, code=2).line
    assert f"metric={metric} is for nasbench lerf, not for nasbench {command}" in said
    assert "imputer: nasbench" in run(command, *args, "imputer=blur", code=2).line
    assert not (tmp_path / "results").exists()


def test_a_patch_may_be_longer_than_one_side(run, tmp_path):
    args = tiny_lerf(
        "units=patch", "patch=40", "saliency=random", "target=3", "metric.steps=9", "--limit", "1"
    )
    run(*args, "--out", "out")
    for row in rows(tmp_path / "out", metric="auc_random"):
        assert row["curve"][::2] == sorted(row["curve"][::2])
        areas = {round(b - a, 9) for a, b in zip(row["curve"][:-2:2], row["curve"][2::2], strict=True)}
        assert areas <= {0.390625, 0.234375, 0.140625}
    assert sum(WIDTHS) == 64
