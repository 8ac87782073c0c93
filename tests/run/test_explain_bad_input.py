"""What a network, an image, a user's method or a user does not allow: rows with reasons, or one line."""

from __future__ import annotations

import json
import shutil

import pytest
from PIL import Image

from nasbench.errors import RunError
from nasbench.models import Classifier, load_classifier
from nasbench.saliency.controls import UniformRandom
from tests.support.cli import tiny_explain
from tests.support.explain import STATISTICS, names, rows


class Mine(UniformRandom):
    """A user's method that breaks its contract in the way it is told, in the images it is told."""

    def __init__(self, how="", image="", seed=0):
        super().__init__(seed=seed)
        self.__dict__.update(how=how, image=image)  # the base class is frozen

    def unsupported(self, _classifier):
        if self.__dict__["how"] == "unsupported raises":
            raise ValueError("line one\nline two")
        return "it does not like it" if self.__dict__["how"] == "unsupported" else None

    def __call__(self, classifier, batch):
        how, hit = self.__dict__["how"], [self.__dict__["image"] in ("", name) for name in batch.ids]
        maps = super().__call__(classifier, batch)
        if how == "raises":
            raise ValueError("line one\nline two")
        if how == "memory":
            raise RunError("a gradient does not fit into memory")
        if how in ("no number", "infinite"):
            maps[hit] = float("nan" if how == "no number" else "inf")
        return {
            "numpy": maps.numpy(),
            "whole numbers": maps.long(),
            "channels": maps[:, None],
            "too few": maps[1:],
            "no pixels": maps[:, :0],
            "a size of its own": maps[:, : 9 - len(maps)],
            "huge": maps.double() * 1e300,
        }.get(how, maps)


def mine(how="", image=""):
    more = [f"saliency.kwargs.how={how}", f"saliency.kwargs.image={image}"]
    return ["saliency=custom", f"saliency._target_={__name__}.Mine", *more]


def test_a_method_without_meaning_is_skipped_by_name_and_the_others_go_on(run, images, tmp_path):
    vit = ("model.name=test_vit", "on_error=fail", "--limit", "3", "--out", "out")
    args = [
        a
        for a in tiny_explain(images, "saliency=cam,gradcam,eigencam", *vit)
        if a != "model.name=test_resnet"
    ]
    result = run(*args)
    reason = "test_vit classifies by a class token, not by the average of a grid"
    assert {(r["status"], r["reason"]) for r in rows(tmp_path / "out", saliency="cam")} == {
        ("skipped", reason)
    }
    assert len(rows(tmp_path / "out", status="ok")) == 2 * 3 * len(STATISTICS)
    assert reason in result.out


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("layer", "9", "layer 9 is not a position from -4 to 3"),
        ("layer", "lyer4", "has no layer 'lyer4'; it has, among others: layer4"),
        ("layer", "fc", "layer 'fc' puts out no grid"),
        ("stages", "[0,9]", "layer 9 is not a position"),
    ],
)
def test_an_unknown_layer_is_an_error_and_the_others_go_on(run, images, tmp_path, key, value, reason):
    method = "saliency=layercam_fused" if key == "stages" else "saliency=gradcam,eigencam"
    args = tiny_explain(images, "--limit", "2")
    said = run(*args, method, f"saliency.{key}={value}", "--out", "alone", code=1).err
    assert "every image failed; the first reason: test_resnet" in said
    assert reason in said
    assert {row["status"] for row in rows(tmp_path / "alone")} == {"error"}
    fine = "[-2,-1]" if key == "stages" else "-1"
    run(*args, method, f"saliency.{key}={value},{fine}", "--out", "both")
    assert len(rows(tmp_path / "both", status="ok")) == len(rows(tmp_path / "both", status="error"))


class Detached(Classifier):
    """A network through which no gradient comes."""

    def _normalised(self, x):
        return super()._normalised(x.detach())


def detached(**_options):
    made = load_classifier(name="test_resnet", weights="random", input_size=64)
    made.__class__ = Detached
    return made


def test_a_network_without_gradients_fails_those_who_need_them_alone(run, images, tmp_path):
    more = ("saliency=gradient,ig,swag,gradcam,cam,centre", f"model._target_={__name__}.detached")
    run(*tiny_explain(images, *more, "--limit", "2", "--out", "out"))
    failed = rows(tmp_path / "out", status="error")
    assert {row["saliency"] for row in failed} == {"gradient", "ig", "swag"}
    assert all(row["reason"].startswith("the network cannot be differentiated: ") for row in failed)
    assert {row["saliency"] for row in rows(tmp_path / "out", status="ok")} == {"gradcam", "cam", "centre"}


def test_the_truth_is_an_oracle_where_there_is_one(run, images, tmp_path):

    shutil.copytree(images, tmp_path / "photos")
    (tmp_path / "photos" / "masks" / "004.png").unlink()
    Image.new("L", (40, 32)).save(tmp_path / "photos" / "masks" / "005.png")
    run(*tiny_explain(tmp_path / "photos", "saliency=oracle", "target=0", "--out", "out"))
    failed = {row["sample"]: row["reason"] for row in rows(tmp_path / "out", status="error")}
    assert failed == dict.fromkeys(("004.png", "005.png"), "the image has no mask or box")
    good = rows(tmp_path / "out", status="ok", metric="map_mean")
    assert len(good) == 10
    assert all(0.05 < row["value"] < 0.2 for row in good), "12 × 12 of 32 × 40"


@pytest.mark.parametrize("how", ["no number", "infinite", "huge"])
def test_a_map_that_is_not_finite_is_a_row_and_the_others_go_on(run, images, tmp_path, how):
    which = "" if how == "huge" else "004.png"
    run(*tiny_explain(images, *mine(how, which), "target=0", "--out", "out"), code=int(how == "huge"))
    failed = rows(tmp_path / "out", status="error", metric="map_max")
    assert {row["reason"] for row in failed} == {"the map holds NaN or infinite values"}
    assert [row["sample"] for row in failed] == ([which] if which else [f"{i:03d}.png" for i in range(12)])


def test_a_users_method_needs_no_change_to_ours(run, images, tmp_path):
    run(*tiny_explain(images, *mine(), "--limit", "2", "--out", "out"))
    found = rows(tmp_path / "out", status="ok", saliency="custom")
    assert len(found) == 2 * len(STATISTICS)
    assert "saliency" in json.loads(found[0]["config"])["sources"]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("raises", "saliency Mine failed on 001.png, 000.png...: ValueError: line one line two"),
        ("memory", "nasbench: a gradient does not fit into memory"),
        ("numpy", "saliency Mine gave ndarray; expected floating point (2, h, w)"),
        ("whole numbers", "gave torch.int64 (2, 64, 64)"),
        ("channels", "gave torch.float32 (2, 1, 64, 64)"),
        ("too few", "gave torch.float32 (1, 64, 64)"),
        ("no pixels", "gave torch.float32 (2, 0, 64)"),
        ("unsupported raises", "saliency Mine.unsupported failed: ValueError: line one line two"),
    ],
)
def test_a_users_method_is_held_to_its_contract(run, images, tmp_path, how, message):
    args = tiny_explain(images, *mine(how), "target=0", "--limit", "2", "--out", "out")
    assert message in run(*args, code=1).line
    assert names(tmp_path / "out") == []


def test_a_users_method_may_have_no_meaning_for_a_network(run, images, tmp_path):
    run(*tiny_explain(images, *mine("unsupported"), "--limit", "2", "--out", "out"), code=1)
    (said,) = {(row["status"], row["reason"]) for row in rows(tmp_path / "out")}
    assert said == ("skipped", "it does not like it")


def test_maps_of_several_sizes_in_a_cell_are_one_line(run, images):
    more = (*mine("a size of its own"), "target=0", "max_batch=3", "--limit", "5", "--out", "out")
    assert "gave maps of several sizes, (6, 64) and (7, 64)" in run(*tiny_explain(images, *more), code=1).line


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["explain", "randomise=99"], "randomise=99: choose all or 0 to 6 (from the top: head, layer4, "),
        (["explain", "randomise=most"], "randomise=most: choose all or 0 to 6"),
        (["explain", "target=cat"], "target=cat: choose label, prediction, present or a class index"),
        (["explain", "target=true"], "target=True: choose"),
        (["explain", "saliency=centre", "saliency.sigma=nan"], "saliency.sigma=nan must be a finite number"),
        (["explain", "sign=both"], "sign=both: choose one of abs, positive, signed"),
        (["explain", "counts=[3,6]"], "counts=[3, 6]: segmenter=none has no regions to average over"),
        (["explain", "over.n=[3,6]"], "over.n: segmenter=none has no regions"),
        (["explain", "segmenter=slic", "over.m=[3]"], "over.m: segmenter=slic has no such key; it has n,"),
        (["explain", "segmenter=slic", "over.n=3"], "over.n=3: give its values in brackets"),
        (["explain", "segmenter=slic", "over.n=[]"], "over.n=[]: give its values in brackets"),
        (["explain", "segmenter=slic", "over.match=[3]"], "over.match: maps are not averaged over this key"),
        (["explain", "segmenter=nas", "over.k=[0]"], "segmenter.k=0"),
        (["explain", "counts=3,6", "segmenter=slic"], "counts: is a list; write it in brackets"),
        (["explain", "counts=[0]", "segmenter=slic"], "counts=[0]: give numbers of regions, at least 1 each"),
        (["explain", "counts=[]", "segmenter=slic"], "counts=[]: give numbers of regions"),
        (["explain", "save=labels"], "save=labels: choose one of maps, overlays"),
        (["explain", "saliency=gradcm"], "no such saliency; did you mean gradcam?"),
        (["explain", "saliency.steps=3"], "saliency=gradcam has no key steps; saliency=ig has"),
        (["explain", "saliency.layer=[1]"], "saliency.layer=[1]: choose auto, final"),
        (["explain", "saliency=ig", "saliency.steps=0"], "saliency.steps=0 must be a whole number"),
        (["explain", "saliency=ig", "saliency.baseline=grey"], "saliency.baseline=grey: choose one of zero"),
        (["explain", "saliency=custom"], "saliency._target_ is not set"),
        (["explain", "saliency=custom", "saliency._target_=nowhere.Mine"], "cannot be imported"),
        (["explain", "saliency=custom", "saliency._target_=fractions.Fraction"], "it has no __call__"),
        (["explain", "saliency=precomputed"], "saliency.path is not set"),
        (["explain", "saliency=precomputed", "saliency.path=nowhere"], "no such folder"),
        (["explain", "saliency.regions=nas", "segmenter=slic"], "saliency.regions is another name of it"),
        (["explain", "saliency.regions=sllic"], "segmenter=sllic: no such segmenter; did you mean slic?"),
        (["segment", "saliency=gradcam"], "saliency: nasbench segment has no saliency to choose"),
        (["segment", "saliency.layer=1"], "saliency.layer: nasbench segment has no saliency to choose"),
        (["segment", "saliency.regions=slic"], "saliency.regions: nasbench segment has no"),
        (["segment", "segmenter=none"], "segmenter=none cuts nothing; choose a segmenter"),
        (["segment", "target=3"], "unknown key target"),
    ],
)  # fmt: skip
def test_misuse_is_one_line_and_exit_code_two(run, images, tmp_path, args, message):
    command, *more = args
    assert message in run(command, *tiny_explain(images, *more)[1:], code=2).line
    assert not (tmp_path / "results").exists()
