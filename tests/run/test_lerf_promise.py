"""What `nasbench leRF` promises: the same rows from any batch, layout and pool, and no forward twice."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest

from nasbench.faithfulness.orders import order_of, region_units, unit_scores
from nasbench.faithfulness.sampled import sampled_orders
from nasbench.models import Classifier
from nasbench.run.forward import bounded_logits
from nasbench.run.plan import UNIT_SAMPLES
from nasbench.run.task import run_task
from nasbench.saliency.controls import UniformRandom
from nasbench.segment.controls import grid_labels
from tests.support.explain import names, rows
from tests.support.removal import SIZE, save_maps, tiny_lerf, undrawn  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("undrawn")

REGIONS = ("segmenter=grid", "segmenter.n=4", "target=3", "metric.score=log_odds")


def files(folder, kind="rows"):
    return {path.name: path.read_bytes() for path in (folder / kind).iterdir()}


@pytest.fixture
def seen(monkeypatch):
    """How many images went through the network, by what was asked of it."""
    counts = {"features": 0, "logits": 0}

    def counting(name):
        original = getattr(Classifier, name)

        def counted(self, x, *rest):
            counts[name] += len(x)
            return original(self, x, *rest)

        monkeypatch.setattr(Classifier, name, counted)

    counting("features")
    counting("logits")
    return counts


# The same bytes.


def test_the_same_bytes_in_a_pool_after_a_kill_and_resumed(run, tmp_path, monkeypatch):
    more = ("saliency=random,cam", "metric=curves,lattice", "imputer=noise")
    args = tiny_lerf(*REGIONS, *more, n=UNIT_SAMPLES + 4)
    run(*args, "--out", "one")
    run(*args, "engine.workers=2", "--out", "pool")
    done = []

    def interrupted(task, *rest):
        done.append(task)
        if len(done) > 1:
            raise KeyboardInterrupt
        return run_task(task, *rest)

    with monkeypatch.context() as patch:
        patch.setattr("nasbench.run.engine.run_task", interrupted)
        assert "Resume with: nasbench leRF" in run(*args, "--out", "killed", code=130).line
    assert len(names(tmp_path / "killed")) == 4
    # Some cells of the first block are lost, the others of it stay.
    for lost in names(tmp_path / "killed")[::2]:
        (tmp_path / "killed" / "rows" / lost).unlink()
    assert "6 of 8 units computed" in run(*args, "--out", "killed").err
    one = files(tmp_path / "one")
    assert len(one) == 8
    for other in ("pool", "killed"):
        assert files(tmp_path / other) == one
        found = (tmp_path / other / "summary.csv").read_bytes()
        assert found == (tmp_path / "one" / "summary.csv").read_bytes()


def test_a_cell_is_the_same_bytes_in_any_company_and_order(run, tmp_path):
    more = ("target=3", "metric.steps=2", "imputer=road", "--limit", "3")
    run(*tiny_lerf("saliency=random,cam,centre", "segmenter=none,slic", *more, "--out", "many"))
    run(*tiny_lerf("saliency=centre,random", "segmenter=slic,none", *more, "--out", "turned"))
    run(*tiny_lerf("saliency=random", "segmenter=none", *more, "--out", "alone"))
    many = files(tmp_path / "many")
    assert len(many) == 6
    for other, count in (("turned", 4), ("alone", 1)):
        found = files(tmp_path / other)
        assert len(found) == count
        assert found == {name: many[name] for name in found}
    lost = sorted(many)[5]
    (tmp_path / "many" / "rows" / lost).unlink()
    args = tiny_lerf("saliency=random,cam,centre", "segmenter=none,slic", *more, "--out", "many")
    assert "1 of 6 units computed" in run(*args).err
    assert files(tmp_path / "many") == many


def test_a_lattice_cell_is_the_same_bytes_in_any_company_and_order(run, tmp_path):
    run(*tiny_lerf(*REGIONS, "metric=lattice,curves", "saliency=random,centre", "--out", "many"))
    run(*tiny_lerf(*REGIONS, "metric=lattice", "saliency=centre", "--out", "alone"))
    many, alone = files(tmp_path / "many"), files(tmp_path / "alone")
    assert len(many) == 4
    assert alone == {name: many[name] for name in alone}
    assert len(alone) == 1


# The last bits.


SCALED = ("auc_", "srg", "aopc", "irof", "full", "empty", "null_", "sampled_null")


def test_the_batch_changes_no_more_than_the_last_bits(run, tmp_path):
    # A map that is the network's is itself no more than that, and ranks pixels that it parts by less anew.
    pixel = ("saliency=random,centre", "imputer=blur", "metric.steps=4", "target=3", "metric.score=logit")
    lattice = (*REGIONS, "metric=lattice", "saliency=random,cam", "segmenter.n=4,12", "metric.samples=3")
    for kind, args in (("pixel", pixel), ("lattice", [a for a in lattice if a != "segmenter.n=4"])):
        for size in (1, 5, 16):
            run(*tiny_lerf(*args, f"max_batch={size}", "--limit", "4", "--out", f"{kind}{size}"))
        first = rows(tmp_path / f"{kind}16")
        compared = 0
        for size in (1, 5):
            assert names(tmp_path / f"{kind}{size}") == names(tmp_path / f"{kind}16"), "it is in no key"
            for row, other in zip(rows(tmp_path / f"{kind}{size}"), first, strict=True):
                assert (row["metric"], row["sample"], row["status"]) == (
                    other["metric"], other["sample"], other["status"],
                )  # fmt: skip
                if row["value"] is not None and row["metric"].startswith(SCALED):
                    assert row["value"] == pytest.approx(other["value"], rel=1e-5, abs=1e-5)
                    compared += 1
                if row["curve"]:
                    np.testing.assert_allclose(row["curve"], other["curve"], rtol=1e-5, atol=1e-5)
        assert compared > 50


def test_the_company_of_an_image_changes_no_more_either(run, tmp_path):
    more = ("saliency=random", "imputer=noise", "metric.steps=4", "target=3", "metric.score=logit")
    run(*tiny_lerf(*more, "--out", "all"))
    run(*tiny_lerf(*more, "--limit", "5", "--out", "few"))
    whole = {(row["sample"], row["metric"]): row for row in rows(tmp_path / "all", status="ok")}
    few = rows(tmp_path / "few", status="ok")
    assert len({row["sample"] for row in few}) == 5
    for row in few:
        there = whole[row["sample"], row["metric"]]
        assert row["value"] == pytest.approx(there["value"], rel=1e-5, abs=1e-5)


# No forward twice.


def test_each_image_is_forwarded_once_and_its_empty_one_and_random_orders_too(run, tmp_path, seen):
    more = ("saliency=random,centre", "metric.steps=5", "target=3", "imputer=zero,noise", "metric.draws=2")
    run(*tiny_lerf(*more, "--out", "out"))
    inner = 0
    for imputer in ("zero", "noise"):
        for saliency in ("random", "centre"):
            for which in ("lerf", "morf"):
                found = rows(tmp_path / "out", saliency=saliency, metric=f"auc_{which}")
                mine = [r for r in found if f'"imputer": "{imputer}"' in r["conventions"]]
                assert len(mine) == 12
                inner += sum(len(row["curve"]) // 2 - 2 for row in mine)
    assert seen["features"] == 12
    once_for_both_methods = 2 * 12 * (1 + 2 * 4)
    assert seen["logits"] == inner + once_for_both_methods
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["forwards"] == seen["features"] + seen["logits"]
    for sample in {row["sample"] for row in rows(tmp_path / "out")}:
        for name in ("full", "empty", "auc_random"):
            found = rows(tmp_path / "out", sample=sample, metric=name)
            by_imputer: dict[str, set[tuple[float, str]]] = {}
            for row in found:
                key = json.loads(row["conventions"])["imputer"]
                by_imputer.setdefault(key, set()).add((row["value"], str(row["curve"])))
            assert all(len(values) == 1 for values in by_imputer.values()), "one for all methods"
            if name == "full":
                assert len({value for values in by_imputer.values() for value in values}) == 1


@pytest.mark.parametrize(
    ("more", "inner"),
    [(("metric.orders=[random]", "metric.names=[]", "metric.steps=4"), 3), (("metric=lattice",), None)],
)
def test_images_and_steps_share_passes(run, monkeypatch, more, inner):
    """Twelve images, sixteen at most in a pass: as few passes as their sum allows."""
    sizes = []

    def counted(classifier, images):
        sizes.append(len(images))
        return bounded_logits(classifier, images)

    monkeypatch.setattr("nasbench.run.removal.bounded_logits", counted)
    units = () if inner else ("segmenter=grid", "segmenter.n=12", "metric.samples=3")
    run(*tiny_lerf("saliency=random", "target=3", *units, *more, "--out", "out"))
    if inner:
        assert sizes == [16, 16, 4, 12]  # three steps of twelve images, then their empty ones
    else:
        # What sampled orders pass is shared by all maps, and fills passes across images.
        first = sizes.index(next(size for size in sizes if size < 16))
        assert first >= 12


def test_a_map_that_fails_changes_nothing_for_the_others(run, tmp_path):
    """Random orders are scored for all images together, whichever of them a map explains."""

    def make(place):
        values = np.random.default_rng(place).random((7, 7))
        values[3, 3] = np.nan if place in (0, 5) else values[3, 3]
        return values

    maps = save_maps(tmp_path / "maps", make)
    both = [maps[0].replace("saliency=", "saliency=centre,"), *maps[1:]]
    args = ("target=3", "metric.steps=3", "metric.score=log_odds")
    run(*tiny_lerf("saliency=centre", *args, "--out", "alone"))
    run(*tiny_lerf(*both, *args, "--out", "both"))
    ours = {(r["sample"], r["metric"]): r for r in rows(tmp_path / "both", saliency="centre")}
    for row in rows(tmp_path / "alone"):
        assert ours[row["sample"], row["metric"]] == row
    random = {row["sample"]: row["value"] for row in rows(tmp_path / "alone", metric="auc_random")}
    others = rows(tmp_path / "both", saliency="precomputed", metric="auc_random", status="ok")
    assert len(others) == 10
    assert all(random[row["sample"]] == row["value"] for row in others)


def test_a_lattice_is_scored_once_for_all_methods(run, tmp_path, seen):
    args = tiny_lerf(*REGIONS, "metric=lattice", "saliency=random,centre,random_blur", "imputer=zero,blur")
    run(*args, "--out", "out")
    assert seen == {"features": 12, "logits": 2 * 12 * 16}
    assert len(list((tmp_path / "out" / "lattices").iterdir())) == 2 * 12
    # And never again: rows can be made anew from what is kept.
    before = files(tmp_path / "out")
    for path in (tmp_path / "out" / "rows").iterdir():
        path.unlink()
    seen.update(features=0, logits=0)
    run(*args, "--out", "out")
    assert seen == {"features": 12, "logits": 0}
    assert files(tmp_path / "out") == before


def test_sampled_orders_are_scored_once_for_all_methods(run, tmp_path, seen):
    more = ("metric=lattice", "metric.samples=5", "saliency=random,centre", "save=maps", "--limit", "3")
    run(*tiny_lerf(*REGIONS[:1], "segmenter.n=12", *REGIONS[2:], *more, "--out", "out"))
    expected = 0
    for sample in {row["sample"] for row in rows(tmp_path / "out")}:
        units = region_units(grid_labels((SIZE, SIZE), 12).numpy())
        drawn = sampled_orders(units, 5, seed=0, image=sample)
        known = passed(drawn)
        expected += len(known)
        for saliency in ("random", "centre"):
            (path,) = (tmp_path / "out" / "maps").glob(f"{saliency}*/{sample}__*.npy")
            means = unit_scores(np.load(path), units)
            ways = [order_of(means, units, which) for which in ("lerf", "morf")]
            if ways[0].groups < 12:
                ways += [
                    order_of(means, units, which, tie="seeded", image=sample) for which in ("lerf", "morf")
                ]
            expected += len(passed(ways) - known)
    assert seen == {"features": 3, "logits": expected}


def passed(orders):
    """The subsets that orders pass, both ends among them."""
    return {(order.step < end).tobytes() for order in orders for end in range(order.groups + 1)}


def test_a_method_added_later_reads_the_lattices_and_leaves_the_others_rows(run, tmp_path, seen):
    base = tiny_lerf(*REGIONS, "metric=lattice")
    grown = tmp_path / "grown"
    run(*base, "saliency=random", "--out", "grown")
    assert seen["logits"] == 12 * 16
    before, lattices = files(grown), files(grown, "lattices")
    stamps = {path: path.stat().st_mtime_ns for path in (grown / "rows").iterdir()}
    seen.update(features=0, logits=0)
    assert "1 of 2 units computed" in run(*base, "saliency=random,centre", "--out", "grown").err
    assert seen["logits"] == 0
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert files(grown, "lattices") == lattices
    assert before.items() <= files(grown).items()
    run(*base, "saliency=random,centre", "--out", "whole")
    assert files(grown) == files(tmp_path / "whole")
    for name in ("summary.csv", "relevance.csv", "relevance.md"):
        assert (grown / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_method_is_not_left_out_of_a_finished_run(run, tmp_path):
    base = tiny_lerf(*REGIONS, "metric=lattice")
    run(*base, "saliency=random,centre", "--out", "out")
    before = (tmp_path / "out" / "summary.csv").read_bytes()
    said = run(*base, "saliency=centre", "--out", "out", code=2).err
    assert "holds another run (lerf: " in said
    assert "/random/" in said
    assert (tmp_path / "out" / "summary.csv").read_bytes() == before


class Mine(UniformRandom):
    """A user's method."""


def test_a_users_method_shares_the_lattices_of_ours(run, tmp_path, seen):
    base = tiny_lerf(*REGIONS, "metric=lattice")
    run(*base, "saliency=random", "--out", "theirs")
    (tmp_path / "mine").mkdir()
    for name in (".nasbench", "lattices"):
        (tmp_path / "theirs" / name).rename(tmp_path / "mine" / name)
    seen.update(features=0, logits=0)
    run(*base, "saliency=custom", f"saliency._target_={__name__}.Mine", "--out", "mine")
    assert seen["logits"] == 0
    assert len(rows(tmp_path / "mine", saliency="custom", metric="regret_lerf")) == 12


@pytest.mark.parametrize("how", ["damaged", "other regions", "as it is"])
def test_a_kept_lattice_is_read_where_it_is_of_these_regions(run, tmp_path, how):
    args = tiny_lerf(*REGIONS, "metric=lattice", "saliency=random", "--limit", "1", "--out", "out")
    run(*args)
    before = files(tmp_path / "out")
    (path,) = (tmp_path / "out" / "lattices").iterdir()
    kept = dict(np.load(path))
    assert sorted(kept) == ["about", "labels", "terms"]
    kept["terms"] = kept["terms"] + 1
    if how == "other regions":
        kept["labels"] = kept["labels"][::-1]
    np.savez(path, **kept)
    if how == "damaged":
        path.write_bytes(path.read_bytes()[:100])
    for unit in (tmp_path / "out" / "rows").iterdir():
        unit.unlink()
    run(*args)
    assert (files(tmp_path / "out") == before) is (how != "as it is")


# What it will cost.


@pytest.mark.parametrize(
    "more",
    [
        ("metric=curves", "segmenter=grid", "segmenter.n=5"),
        ("metric=lattice", "segmenter=grid", "segmenter.n=5"),
        ("metric=curves", "metric.steps=4", "metric.orders=[lerf,morf]"),
        ("metric=curves", "metric.steps=4", "units=patch", "patch=8"),
        ("metric=curves", "metric.steps=null", "metric.fractions=[0.1,0.5]", "metric.names=[]"),
        ("metric=curves,lattice", "segmenter=grid", "segmenter.match=5"),
    ],
)
def test_a_dry_run_says_what_the_run_will_cost(run, tmp_path, more):
    args = tiny_lerf("saliency=random,random_blur", "target=3", "imputer=zero,shuffle", *more, "--limit", "3")
    shown = run(*args, "--dry-run").out.splitlines()
    (cost,) = (int(line.split()[1]) for line in shown if line.startswith("forwards"))
    assert not (tmp_path / "results").exists()
    run(*args, "--out", "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert cost == manifest["forwards"]


def test_a_sampled_lattice_and_parted_ties_cost_at_most_what_is_said(run, tmp_path):
    for name, more in (
        ("sampled", ("metric=lattice", "segmenter=grid", "segmenter.n=12", "metric.samples=3")),
        ("seeds", ("metric.tie=seeded", "metric.seeds=3", "metric.steps=4")),
        ("draws", ("segmenter=grid", "segmenter.n=5", "metric.draws=3")),
    ):
        args = tiny_lerf("saliency=random,random_blur", "target=3", *more, "--limit", "3")
        shown = run(*args, "--dry-run").out.splitlines()
        (cost,) = (int(line.split()[1]) for line in shown if line.startswith("forwards"))
        run(*args, "--out", name)
        spent = json.loads((tmp_path / name / "manifest.json").read_text())["forwards"]
        assert spent <= cost * 1.1


def test_curves_of_an_image_share_their_ends_to_the_last_bit(run, tmp_path):
    more = ("saliency=random,cam,centre", "segmenter=none,grid,slic", "metric.steps=3", "target=3")
    run(*tiny_lerf(*more, "--limit", "2", "--out", "out"))
    for sample in {row["sample"] for row in rows(tmp_path / "out")}:
        curves = [row["curve"] for row in rows(tmp_path / "out", sample=sample) if row["curve"]]
        assert len(curves) == 3 * 3 * 3
        assert len({(curve[1], curve[-1]) for curve in curves}) == 1
        for curve in curves:
            assert (curve[0], curve[-2]) == (0, 1)
            assert all(b > a for a, b in pairwise(curve[::2]))
