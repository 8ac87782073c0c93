"""Whole runs of `nasbench leRF` in this process: closed forms, a slow twin, segmenters, imputers, seeds."""

from __future__ import annotations

import itertools
import json
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau

from nasbench.faithfulness.imputers import IMPUTERS, Blur
from nasbench.faithfulness.orders import patch_units, pixel_units, random_order, region_units
from tests.faithfulness.twins import scores_of, trapezoid
from tests.support.explain import arrays, rows
from tests.support.removal import (
    SCENES,
    SIZE,
    STRIPES,
    WIDTHS,
    WORTH,
    known,
    pixels,
    save_maps,
    slow_upsampled,
    stripes,
    tiny_lerf,
    tiny_network,
    undrawn,  # noqa: F401 - a fixture
    weights,
)

pytestmark = pytest.mark.usefixtures("undrawn")

LOG_ODDS = "metric.score=log_odds"


def said(folder, **wanted):
    """{(saliency, sample): {metric: row}} of a run whose cells differ in the method alone."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows(folder, **wanted):
        found.setdefault((row["saliency"], row["sample"]), {})[row["metric"]] = row
    return found


def test_without_overrides_rendered_scenes_are_taken_apart(run, tmp_path):
    result = run("leRF", "--limit", "1", "metric.steps=2", "--out", "out")
    found = {row["metric"] for row in rows(tmp_path / "out", status="ok", model="rendered", saliency="cam")}
    assert found == {"auc_lerf", "auc_morf", "auc_random", "srg", "aopc", "full", "empty", "correct"}
    assert result.out.strip()


# Closed forms.


@pytest.mark.parametrize(("imputer", "fill"), [("zero", (0, 0, 0)), ("dataset_mean", (0.485, 0.456, 0.406))])
def test_every_number_of_a_linear_network_is_known(run, tmp_path, imputer, fill):
    more = ("saliency=random", "target=0", "metric.score=logit", "metric.steps=4", f"imputer={imputer}")
    names = "metric.names=[srg,aopc,abpc,insertion,deletion,road_gap]"
    run(*tiny_lerf(*known("linear"), *more, names, "save=maps", "--limit", "3", "--out", "out"))
    for (_, sample), found in said(tmp_path / "out").items():
        image = pixels(sample).double()
        by_pixel = (weights() * (image - torch.tensor(fill)[:, None, None])).sum(dim=0).flatten().numpy()
        full = float((weights() * image).sum())
        (path,) = (tmp_path / "out" / "maps" / "random").glob(f"{sample}__*.npy")
        rising = np.argsort(np.load(path).ravel())
        curves = {}
        for which, order in (("lerf", rising), ("morf", rising[::-1])):
            lost = np.concatenate([[0], np.cumsum(by_pixel[order])])[:: SIZE * SIZE // 4]
            curves[which] = full - lost
            np.testing.assert_allclose(found[f"auc_{which}"]["curve"][::2], [0, 0.25, 0.5, 0.75, 1])
            np.testing.assert_allclose(found[f"auc_{which}"]["curve"][1::2], full - lost, atol=1e-6)
        areas = {which: np.trapezoid(scores, dx=0.25) for which, scores in curves.items()}
        at = [np.interp(x, np.linspace(0, 1, 5), curves["lerf"] - curves["morf"]) for x in
              (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9)]  # fmt: skip
        expected = {
            "auc_lerf": areas["lerf"],
            "auc_morf": areas["morf"],
            "srg": areas["lerf"] - areas["morf"],
            "aopc": full - curves["morf"].mean(),
            "abpc": (curves["lerf"] - curves["morf"]).mean(),
            "insertion": areas["lerf"],
            "deletion": areas["morf"],
            "road_gap": np.mean(at) / 2,
            "full": full,
            "empty": full - by_pixel.sum(),
        }
        for name, value in expected.items():
            assert found[name]["value"] == pytest.approx(value, abs=1e-6), name
        assert abs(expected["srg"]) > 1e-3, "or the test could not fail"


def brightness(sample):
    """What each stripe is worth to `sums` while it is there."""
    mean = pixels(sample).double().mean(dim=0)
    return np.array([w * float(mean[stripes() == r].mean()) for r, w in enumerate(WORTH)])


def test_every_number_of_a_sum_over_unequal_regions_is_known(run, tmp_path):
    base = tiny_lerf(*known("sums"), *STRIPES, "saliency=centre,random", "target=0", "imputer=zero")
    run(*base, "metric=curves,lattice", "save=maps", "--limit", "3", "--out", "out")
    shares = np.array(WIDTHS) / SIZE
    for sample in {row["sample"] for row in rows(tmp_path / "out")}:
        worth = brightness(sample)
        full = 0.02 + worth.sum()

        def area(order, worth=worth, full=full):
            later = [shares[order[i + 1 :]].sum() for i in range(len(order))]
            return full - sum(
                worth[r] * (after + shares[r] / 2) for r, after in zip(order, later, strict=True)
            )

        every = np.array([area(list(order)) for order in permutations(range(5))])
        assert area(np.argsort(worth / shares)) == pytest.approx(every.max())
        for saliency in ("centre", "random"):
            found = rows(tmp_path / "out", sample=sample, saliency=saliency)
            curves = {
                r["metric"]: r
                for r in found
                if "auc_random" in {o["metric"] for o in found if o["cell"] == r["cell"]}
            }
            lattice = {r["metric"]: r for r in found if r["cell"] != curves["auc_random"]["cell"]}
            (path,) = (tmp_path / "out" / "maps").glob(f"{saliency}_*curves*/{sample}__*.npy")
            means = [np.load(path)[stripes().numpy() == r].mean() for r in range(5)]
            lerf, morf = list(np.argsort(means)), list(np.argsort(means)[::-1])
            left = [full - worth[morf[:n]].sum() for n in range(6)]
            expected = {
                "auc_lerf": area(lerf),
                "auc_morf": area(morf),
                "srg": area(lerf) - area(morf),
                "irof": 1 - np.trapezoid(left, dx=0.2) / full,
                "full": full,
                "empty": 0.02,
            }
            for name, value in expected.items():
                assert curves[name]["value"] == pytest.approx(value, abs=1e-6), name
                assert lattice[name]["value"] == pytest.approx(value, abs=1e-6), name
            mean = (full + 0.02) / 2
            for name, mine, better in (("lerf", area(lerf), 1), ("morf", area(morf), -1)):
                below = np.mean([better * (mine - o) > 1e-6 for o in every])
                equal = np.mean([abs(mine - o) <= 1e-6 for o in every])
                assert lattice[f"percentile_{name}"]["value"] == pytest.approx(below + equal / 2)
                best = every.max() if better == 1 else every.min()
                assert lattice[f"regret_{name}"]["value"] == pytest.approx(
                    (mine - mean) / (best - mean), abs=1e-5
                )
            assert lattice["null_mean"]["value"] == pytest.approx(mean, abs=1e-6)
            assert lattice["null_best"]["value"] == pytest.approx(every.max(), abs=1e-6)
            assert lattice["null_worst"]["value"] == pytest.approx(every.min(), abs=1e-6)
            tau = kendalltau(means, worth).statistic
            assert lattice["shapley_tau"]["value"] == pytest.approx(tau)
            assert lattice["lattice"]["value"] == 32
            terms = np.reshape(lattice["lattice"]["curve"], (32, 2))
            for subset in range(32):
                left_over = 0.02 + sum(worth[r] for r in range(5) if not subset >> r & 1)
                assert scores_of(terms[subset], 0) == pytest.approx(left_over, abs=1e-6)


def test_a_network_that_does_not_look(run, tmp_path):
    names = "metric.names=[srg,aopc,abpc,irof,road_gap]"
    base = tiny_lerf(*known("constant"), *STRIPES, "saliency=random", "target=1", "--limit", "2")
    run(*base, names, "--out", "curves")
    run(*base, "metric=lattice", "--out", "lattice")
    p = float(torch.tensor([0.5, -0.25, 0.0]).double().softmax(0)[1])
    for found in said(tmp_path / "curves").values():
        for name in ("auc_lerf", "auc_morf", "auc_random", "full", "empty"):
            assert found[name]["value"] == pytest.approx(p, abs=1e-6)
        for name in ("srg", "aopc", "abpc", "irof", "road_gap"):
            assert found[name]["value"] == pytest.approx(0, abs=1e-6)
    for found in said(tmp_path / "lattice").values():
        for name in ("percentile_lerf", "percentile_morf", "percentile_srg"):
            assert found[name]["value"] == 0.5
        for name in ("regret_lerf", "regret_morf", "regret_srg"):
            assert (found[name]["status"], found[name]["reason"]) == (
                "skipped",
                "all orders have the same area",
            )


# The slow twin.


def slow_curves(network, sample, values, units, imputer, steps, target, labels=None):
    """Image by image, mask by mask, one forward each: (shares, log-odds) of each kind of curve."""
    image = pixels(sample)

    def score(mask):
        changed = image[None]
        if mask.any():
            changed = imputer(image, torch.from_numpy(mask)[None], sample, labels)
        return float(scores_of(network.logits(changed)[0].numpy(), target, "log_odds"))

    means = [float(values[units.labels == unit].mean(dtype=np.float64)) for unit in range(units.count)]
    drawn = random_order(units, seed=0, image=sample).step.tolist()
    curves = {}
    for which, ranks in (("lerf", means), ("morf", [-mean for mean in means]), ("random", drawn)):
        place = {level: i for i, level in enumerate(sorted(set(ranks)))}
        group = np.array([place[rank] for rank in ranks])
        gone = [int(units.pixels[group < end].sum()) for end in range(len(place) + 1)]
        ends = set(range(len(gone)))
        if steps is not None:
            ends = set()
            for i in range(steps + 1):
                away = [abs(steps * pixels_gone - i * SIZE * SIZE) for pixels_gone in gone]
                least = min(away)
                ends |= {end for end, distance in enumerate(away) if distance == least}
        shares = [gone[end] / (SIZE * SIZE) for end in sorted(ends)]
        curves[which] = shares, [score(group[units.labels] < end) for end in sorted(ends)]
    return curves


def expected_measures(curves, steps, regions):
    areas = {which: trapezoid(*curve) for which, curve in curves.items()}
    grid = np.linspace(0, 1, steps + 1)
    read = {which: np.interp(grid, *curve) for which, curve in curves.items()}
    road = {w: np.mean(np.interp((0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9), *c)) for w, c in curves.items()}
    full = curves["morf"][1][0]
    found = {
        **{f"auc_{which}": area for which, area in areas.items()},
        "srg": areas["lerf"] - areas["morf"],
        "aopc": np.mean(full - read["morf"]),
        "abpc": np.mean(read["lerf"] - read["morf"]),
        "road_lerf": road["lerf"],
        "road_morf": road["morf"],
        "road_gap": (road["lerf"] - road["morf"]) / 2,
        "insertion": areas["lerf"],
        "deletion": areas["morf"],
        "full": full,
        "empty": curves["morf"][1][-1],
    }
    if regions and full > 0:
        counts = np.linspace(0, 1, len(curves["morf"][1]))
        found["irof"] = 1 - trapezoid(counts, curves["morf"][1]) / full
    return found


NAMES = "metric.names=[srg,aopc,abpc,road_lerf,road_morf,road_gap,insertion,deletion,irof]"


@pytest.mark.parametrize(
    ("units", "imputer"),
    [
        ("pixel", "dataset_mean"), ("pixel", "road"), ("patch", "blur"), ("patch", "shuffle"),
        ("regions", "zero"), ("regions", "road"), ("regions", "neighbour_mean"), ("ties", "zero"),
    ],
)  # fmt: skip
def test_rows_say_what_a_slow_twin_says(run, tmp_path, units, imputer):
    more = {
        "pixel": ("saliency=cam",),
        "ties": ("saliency=cam", "sign=positive"),
        "patch": ("saliency=cam", "units=patch", "patch=12"),
        "regions": ("saliency=cam", "segmenter=slic", "segmenter.n=6"),
    }[units]
    args = (*more, f"imputer={imputer}", "metric.steps=5", LOG_ODDS, NAMES, "target=3")
    run(*tiny_lerf(*args, "save=maps", "--limit", "3", "--out", "out"))
    network, filler = tiny_network(), IMPUTERS[imputer]()
    kept = arrays(tmp_path / "out", 3)
    by_sample = {str(name): i for i, name in enumerate(kept["ids"])}
    steps = None if units == "regions" else 5
    spread = 0.0
    for (_, sample), found in said(tmp_path / "out").items():
        values = slow_upsampled(kept["maps"][by_sample[sample]])
        labels = None
        own = pixel_units((SIZE, SIZE)) if units != "patch" else patch_units((SIZE, SIZE), 12)
        if units == "regions":
            labels = torch.from_numpy(kept["labels"][by_sample[sample]].astype(np.int64))
            own = region_units(labels.numpy())
        curves = slow_curves(network, sample, values, own, filler, steps, 3, labels)
        for which, (shares, scores) in curves.items():
            row = found[f"auc_{which}"]
            np.testing.assert_allclose(row["curve"][::2], shares, atol=1e-12)
            np.testing.assert_allclose(row["curve"][1::2], scores, rtol=1e-4, atol=1e-5)
            spread = max(spread, np.ptp(scores))
        for name, value in expected_measures(curves, 5, units == "regions").items():
            assert found[name]["value"] == pytest.approx(value, rel=1e-4, abs=1e-5), name
        logits = network.logits(pixels(sample)[None])[0]
        assert found["correct"]["value"] == float(int(logits.argmax()) == 3)
        if units != "regions" or found["full"]["value"] <= 0:
            assert found["irof"]["status"] == "skipped"
    assert spread > 0.02, "or the test could not fail"


def test_lattice_rows_are_those_of_the_subsets_one_by_one(run, tmp_path):
    args = ("saliency=cam", "segmenter=grid", "segmenter.n=4", "metric=lattice", LOG_ODDS, "target=3")
    run(*tiny_lerf(*args, "imputer=blur", "save=maps", "--limit", "3", "max_batch=5", "--out", "out"))
    network, filler = tiny_network(), IMPUTERS["blur"]()
    kept = arrays(tmp_path / "out", 3)
    for i, sample in enumerate(map(str, kept["ids"])):
        image, labels = pixels(sample), kept["labels"][i].astype(int)
        found = {row["metric"]: row for row in rows(tmp_path / "out", sample=sample)}
        scores = []
        for subset in range(16):
            gone = [r for r in range(4) if subset >> r & 1]
            changed = (
                image[None]
                if not gone
                else filler(image, torch.from_numpy(np.isin(labels, gone))[None], sample)
            )
            logits = network.logits(changed)[0].detach().numpy()
            scores.append(float(scores_of(logits, 3, "log_odds")))
        terms = np.reshape(found["lattice"]["curve"], (16, 2))
        np.testing.assert_allclose(terms[:, 0] - terms[:, 1], scores, rtol=1e-4, atol=1e-5)
        assert np.ptp(scores) > 0.01
        means = [kept["maps"][i][labels == r].mean() for r in range(4)]
        order = np.argsort(means)
        gone = [0, *np.cumsum(1 << order)]
        shares = np.cumsum([0, *(np.bincount(labels.ravel())[order] / labels.size)])
        area = trapezoid(shares, [scores[s] for s in gone])
        assert found["auc_lerf"]["value"] == pytest.approx(area, rel=1e-4, abs=1e-5)
        # The row holds the curve, the Shapley values and the orders that the numbers are made of.
        curve = np.reshape(found["auc_lerf"]["curve"], (-1, 2))
        np.testing.assert_allclose(curve, np.stack([shares, [scores[s] for s in gone]], 1), atol=1e-4)
        backward = np.reshape(found["auc_morf"]["curve"], (-1, 2))
        assert len(backward) == 5
        drops = [
            np.mean([scores[before] - scores[before | 1 << r] for before in _before(r)]) for r in range(4)
        ]
        np.testing.assert_allclose(found["shapley_tau"]["curve"], drops, atol=1e-4)
        said = json.loads(found["shapley_tau"]["conventions"])
        assert said["curve"] == "Shapley value of each region"
        places = np.array(found["null_best"]["curve"])
        assert sorted(places) == [0, 1, 2, 3]
        best = np.argsort(places)
        passed = [0, *np.cumsum(1 << best)]
        along = np.cumsum([0, *(np.bincount(labels.ravel())[best] / labels.size)])
        assert found["null_best"]["value"] == pytest.approx(
            trapezoid(along, [scores[s] for s in passed]), rel=1e-4, abs=1e-5
        )
    with np.load(next((tmp_path / "out" / "lattices").iterdir())) as one:
        about = json.loads(str(one["about"]))
    assert about["sample"] in {str(name) for name in kept["ids"]}
    assert (about["target"], about["imputer"]["sigma"]) == (3, 10.0)


def _before(region):
    """The subsets that 24 orders of four regions pass just before a region, each as often as it comes."""
    return [sum(1 << r for r in order[: order.index(region)]) for order in itertools.permutations(range(4))]


# What can be chosen.


def test_all_imputers_run_and_say_what_they_did(run, tmp_path):
    every = ",".join(IMPUTERS)
    args = tiny_lerf(
        "saliency=cam", "target=3", f"imputer={every}", "metric.steps=2", LOG_ODDS, "--limit", "2"
    )
    run(*args, "--out", "out")
    found: dict[str, dict[str, float]] = {}
    for row in rows(tmp_path / "out", metric="auc_lerf"):
        conventions = json.loads(row["conventions"])
        found.setdefault(conventions["imputer"], {})[row["sample"]] = row["value"]
        assert "imputer.all_removed" in conventions
        assert (conventions["units"], conventions["wrong"], conventions["target"]) == ("pixel", "keep", "3")
        assert conventions["grid"] == "2 steps; regions: all points"
        assert row["status"] == "ok"
    network = tiny_network()
    for row in rows(tmp_path / "out", metric="empty"):
        filler = IMPUTERS[json.loads(row["conventions"])["imputer"]]()
        gone = filler(pixels(row["sample"]), torch.ones((1, SIZE, SIZE), dtype=torch.bool), row["sample"])
        logits = network.logits(gone)[0].numpy()
        assert row["value"] == pytest.approx(float(scores_of(logits, 3, "log_odds")), rel=1e-4, abs=1e-5)
    assert set(found) == set(IMPUTERS)
    assert len({tuple(values.values()) for values in found.values()}) == len(IMPUTERS), "no two are one"


def test_regions_of_every_kind_are_brought_to_equal_numbers(run, tmp_path):
    chosen = "segmenter=none,nas,slic,felzenszwalb,grid,random"
    more = (chosen, "segmenter.match=6", "segmenter.k=6", "saliency=cam", "target=3", "metric.steps=3")
    run(*tiny_lerf(*more, "--limit", "2", "--out", "out"))
    counts: dict[str, set[int | None]] = {}
    for row in rows(tmp_path / "out", metric="auc_lerf"):
        conventions = json.loads(row["conventions"])
        counts.setdefault(row["segmenter"], set()).add(row["n_regions"])
        by_regions = row["segmenter"] != "none"
        assert conventions["units"] == ("regions" if by_regions else "pixel")
        if by_regions and conventions.get("match", "met") != "missed":
            assert abs(row["n_regions"] - 6) <= 1
            assert len(row["curve"]) == 2 * (row["n_regions"] + 1), "all points, K + 1"
        assert row["status"] == "ok"
    assert set(counts) == {"none", "nas", "slic", "felzenszwalb", "grid", "random"}
    assert counts["grid"] == counts["random"] == {6}
    assert counts["none"] == {None}


def test_units_other_than_the_segmenters(run, tmp_path):
    more = ("segmenter=grid", "segmenter.n=4", "saliency=cam", "target=3", "metric.steps=100", "--limit", "2")
    run(*tiny_lerf(*more, "units=patch", "patch=20", "--out", "patch"))
    run(*tiny_lerf(*more, "units=pixel", "--out", "pixel"))
    for row in rows(tmp_path / "patch", metric="auc_random"):
        assert json.loads(row["conventions"])["units"] == "patches of 20"
        assert len(row["curve"]) == 2 * 17, "16 patches, those at the border smaller"
        assert row["n_regions"] == 4
    for row in rows(tmp_path / "pixel", metric="auc_lerf"):
        assert len(row["curve"]) == 2 * 5, "the map has four values"


def test_ties_parted_by_seeds_have_a_spread(run, tmp_path):
    maps = save_maps(tmp_path / "maps", lambda i: np.arange(64 * 64).reshape(64, 64) % (2 + i))
    seeded = ("metric.tie=seeded", "metric.seeds=3", "metric.draws=2", "metric.steps=4", LOG_ODDS, "target=3")
    run(*tiny_lerf(*maps, *seeded, "--limit", "3", "--out", "out"))
    single = [v for v in seeded if "seeds" not in v and "draws" not in v]
    for seed in (0, 1, 2):
        run(*tiny_lerf(*maps, *single, f"metric.seed={seed}", "--limit", "3", "--out", f"seed{seed}"))
    for (_, sample), found in said(tmp_path / "out").items():
        for which in ("lerf", "morf"):
            alone = [
                rows(tmp_path / f"seed{seed}", metric=f"auc_{which}", sample=sample)[0]["value"]
                for seed in (0, 1, 2)
            ]
            assert found[f"auc_{which}"]["value"] == pytest.approx(np.mean(alone), rel=1e-5)
            assert found[f"auc_{which}_sd"]["value"] == pytest.approx(np.std(alone, ddof=1), rel=1e-2)
            assert found[f"auc_{which}_sd"]["value"] > 1e-4
            curve = found[f"auc_{which}"]["curve"]
            assert trapezoid(curve[::2], curve[1::2]) == pytest.approx(found[f"auc_{which}"]["value"])
        assert json.loads(found["auc_lerf"]["conventions"])["tie"] == "seeded, 3 seeds"
        assert "auc_random_sd" not in found
    assert not rows(tmp_path / "seed0", metric="auc_lerf_sd")


def test_more_regions_than_a_lattice_holds_are_sampled_and_named_so(run, tmp_path):
    args = (
        "saliency=cam,centre",
        "target=3",
        "segmenter=grid",
        "metric=lattice",
        "metric.samples=4",
        "metric.regions=4",
        LOG_ODDS,
    )
    run(*tiny_lerf(*args, "segmenter.n=4,12", "--limit", "2", "--out", "out"))
    few = {row["metric"] for row in rows(tmp_path / "out", n_regions=4, status="ok")}
    many = {row["metric"] for row in rows(tmp_path / "out", n_regions=12, status="ok")}
    assert {"percentile_lerf", "regret_lerf", "null_mean", "shapley_tau", "lattice"} <= few
    assert {"sampled_percentile_lerf", "sampled_percentile_morf", "sampled_null_mean"} <= many
    assert not many & {"percentile_lerf", "regret_lerf", "null_mean", "shapley_tau", "lattice"}
    for row in rows(tmp_path / "out", n_regions=12, metric="auc_lerf"):
        curve = np.reshape(row["curve"], (-1, 2))
        assert trapezoid(*curve.T) == pytest.approx(row["value"], abs=1e-12)
    without = rows(tmp_path / "out", n_regions=12, metric="percentile_lerf")
    assert {(r["status"], r["reason"]) for r in without} == {
        ("skipped", "12 regions: over 4, orders are sampled")
    }
    for row in rows(tmp_path / "out", n_regions=12, metric="sampled_percentile_lerf"):
        assert row["value"] in [i / 8 for i in range(9)]
        assert json.loads(row["conventions"])["samples"] == "4"
    for sample in {row["sample"] for row in rows(tmp_path / "out")}:
        for name in ("full", "empty", "sampled_null_mean"):
            both = rows(tmp_path / "out", n_regions=12, metric=name, sample=sample)
            assert both[0]["value"] == both[1]["value"], "one for all methods"


def test_insertion_and_deletion_of_a_run_are_rises(run, tmp_path):
    """The loop of RISE's evaluation code on what a run read, 512 pixels a step."""
    maps = save_maps(tmp_path / "maps", lambda i: np.random.default_rng(i).permutation(4096).reshape(64, 64))
    args = tiny_lerf(
        *maps, "target=prediction", "metric.steps=8", "metric.names=[insertion,deletion]", "--limit", "2"
    )
    run(*args, "imputer=dataset_mean", "--out", "deletion")
    run(*args, "imputer=blur", "imputer.sigma=5", "imputer.kernel_size=11", "--out", "insertion")
    network, fill = tiny_network(), torch.tensor([0.485, 0.456, 0.406])[:, None]
    for name in ("deletion", "insertion"):
        for row in rows(tmp_path / name, metric=name):
            place = SCENES.ids().index(row["sample"])
            image = pixels(row["sample"])
            salient_order = np.flip(np.argsort(np.random.default_rng(place).permutation(4096)))
            blur = Blur(sigma=5.0, kernel_size=11).fill_for(image, "")
            start = (image if name == "deletion" else blur).clone().flatten(1)
            finish = fill.expand(3, 4096) if name == "deletion" else image.flatten(1)
            scores = np.empty(9)
            for i in range(9):
                probabilities = network.logits(start.view(1, 3, 64, 64)).double().softmax(1)
                scores[i] = float(probabilities[0, row["target"]])
                coords = salient_order[512 * i : 512 * (i + 1)].copy()
                start[:, coords] = finish[:, coords]
            auc = (scores.sum() - scores[0] / 2 - scores[-1] / 2) / (len(scores) - 1)
            assert row["value"] == pytest.approx(auc, rel=1e-5)
            assert np.ptp(scores) > 1e-3


# The command.


def test_both_spellings_and_the_help(run, tmp_path):
    one = run(*tiny_lerf("saliency=centre", "target=3", "--limit", "2", "metric.steps=2", "--out", "one"))
    two = run(
        "lerf",
        *tiny_lerf("saliency=centre", "target=3", "--limit", "2", "metric.steps=2")[1:],
        "--out",
        "two",
    )
    assert one.out.replace("one/", "two/") == two.out
    files = {p.name: p.read_bytes() for p in (tmp_path / "one" / "rows").iterdir()}
    assert {p.name: p.read_bytes() for p in (tmp_path / "two" / "rows").iterdir()} == files
    listed = run("--help").out
    assert "leRF" in listed
    assert "lerf" not in listed
    assert "least relevant first" in run("leRF", "--help").out


def test_a_configuration_repeats_a_run(run, tmp_path):
    args = tiny_lerf(
        "saliency=cam,centre", "segmenter=none,slic", "imputer=blur", "target=3", "metric.steps=2"
    )
    run(*args, "--limit", "2", "--out", "first")
    run("leRF", "--config", "first/config.yaml", "--out", "again")
    for folder in ("rows",):
        first = {p.name: p.read_bytes() for p in (tmp_path / "first" / folder).iterdir()}
        assert {p.name: p.read_bytes() for p in (tmp_path / "again" / folder).iterdir()} == first
        assert len(first) == 4
    assert (tmp_path / "first" / "summary.csv").read_bytes() == (
        tmp_path / "again" / "summary.csv"
    ).read_bytes()
    shown = run(*args, "--cfg").out
    for line in ("units: auto", "patch: 16", "wrong: keep", "steps: 2"):
        assert line in shown
