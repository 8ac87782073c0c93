"""A map among all orders of an image's regions: closed forms, all orders listed, ties, samples."""

from __future__ import annotations

from itertools import permutations
from math import factorial
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau

from nasbench.errors import UsageError
from nasbench.faithfulness.curves import ScoreKind
from nasbench.faithfulness.evaluation import Job, evaluate
from nasbench.faithfulness.imputers import DatasetMean, Zero
from nasbench.faithfulness.lattice import subset_masks
from nasbench.faithfulness.lattice_scores import SAMPLED, LatticeScores, Said
from nasbench.faithfulness.orders import Direction, order_of, region_units, unit_scores
from nasbench.faithfulness.sampled import visits
from tests.faithfulness import twins

HEIGHT, WIDTHS = 6, (1, 5, 2, 4, 3)
K = len(WIDTHS)
LABELS = np.repeat(np.arange(K), WIDTHS)[None].repeat(HEIGHT, axis=0)
UNITS = region_units(LABELS)
SHARES = np.array(WIDTHS) / sum(WIDTHS)
EXACT = LatticeScores(score="logit")


def painted(values):
    """A map (H, W) with these means of regions."""
    return np.asarray(values, dtype=float)[LABELS]


def terms_of_scores(scores):
    """Terms of which the logit is the score."""
    return np.stack([scores, np.zeros_like(scores)], axis=1)


def random_scores(seed=0):
    return np.random.default_rng(seed).normal(1, 0.5, 1 << K)


def values_of(said):
    return {name: one.value for name, one in said.items()}


# Closed forms.


@pytest.mark.parametrize(("imputer", "fill"), [(Zero(), 0.0), (DatasetMean(mean=(0.3, 0.3, 0.3)), 0.3)])
def test_every_number_of_a_linear_network_is_known(imputer, fill):
    rng = np.random.default_rng(1)
    image = torch.from_numpy(rng.random((3, *LABELS.shape), dtype=np.float32))
    weights = torch.from_numpy(rng.random((3, *LABELS.shape)))

    def forward(images):
        score = (images.double() * weights).sum((1, 2, 3))
        return torch.stack([score, torch.zeros_like(score)], dim=1)

    masks = subset_masks(UNITS, np.arange(1 << K))
    terms = evaluate(forward, [Job(image, "", 0, masks)], imputer, max_batch=7)[0]
    by_pixel = (weights * (image.double() - float(np.float32(fill)))).sum(dim=0).numpy()
    lost = np.array([by_pixel[r == LABELS].sum() for r in range(K)])
    full = float((weights * image.double()).sum())
    density = lost / SHARES

    def area(order):
        gone, total = 0.0, full
        for r in order:
            gone += SHARES[r]
            total -= lost[r] * (1 - gone + SHARES[r] / 2)
        return total

    everyone = np.array([area(order) for order in permutations(range(K))])
    # The best order removes what is worth least by area first (Smith 1956).
    best = area(np.argsort(density))
    assert best == pytest.approx(everyone.max())
    said = EXACT.of_subsets(terms, painted(density), UNITS)
    found = values_of(said)
    expected = {
        "auc_lerf": best,
        "auc_morf": area(np.argsort(-density)),
        "srg": best - area(np.argsort(-density)),
        "percentile_lerf": 1 - 1 / (2 * factorial(K)),
        "percentile_morf": 1 - 1 / (2 * factorial(K)),
        "percentile_srg": 1 - 1 / (2 * factorial(K)),
        "regret_lerf": 1,
        "regret_morf": 1,
        "regret_srg": 1,
        # Each region is as likely before as after the middle.
        "null_mean": full - lost.sum() / 2,
        "null_best": everyone.max(),
        "null_worst": everyone.min(),
        "shapley_tau": kendalltau(density, lost).statistic,
        "full": full,
        "empty": full - lost.sum(),
    }
    assert set(found) == {*expected, "irof"}
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-6), name
    order = np.argsort(-density)
    kept = [full - lost[order[:n]].sum() for n in range(K + 1)]
    over = 1 - twins.trapezoid([n / K for n in range(K + 1)], kept) / full
    assert found["irof"] == pytest.approx(over, abs=1e-6)
    # Rows hold the curves, the Shapley values, and the best and the worst order.
    removed = np.concatenate([[0], np.cumsum(SHARES[order])])
    upward = np.argsort(density)
    rising = np.concatenate([[0], np.cumsum(SHARES[upward])])
    held = [full - lost[upward[:n]].sum() for n in range(K + 1)]
    assert said["auc_lerf"].curve == pytest.approx(
        [x for pair in zip(rising, held, strict=True) for x in pair]
    )
    assert said["auc_morf"].curve == pytest.approx(
        [x for pair in zip(removed, kept, strict=True) for x in pair]
    )
    assert said["shapley_tau"].curve == pytest.approx(lost, abs=1e-6)
    assert np.argsort(said["null_best"].curve or []).tolist() == upward.tolist()
    assert np.argsort(said["null_worst"].curve or []).tolist() == order.tolist()
    # What a region is worth is what it loses, and a map that says so agrees with Shapley.
    assert EXACT.of_subsets(terms, painted(lost), UNITS)["shapley_tau"][0] == pytest.approx(1)
    worst = values_of(EXACT.of_subsets(terms, painted(-density), UNITS))
    assert worst["percentile_lerf"] == pytest.approx(1 / (2 * factorial(K)))
    assert worst["regret_lerf"] == pytest.approx(-1, abs=1e-6), "a linear network's null is symmetric"


@pytest.mark.parametrize("level", [0.7, -2.0, 0.0])
def test_a_network_that_does_not_look_prefers_no_order(level):
    found = EXACT.of_subsets(terms_of_scores(np.full(1 << K, level)), painted([3, 1, 2, 5, 4]), UNITS)
    for name in ("auc_lerf", "auc_morf", "null_mean", "null_best", "null_worst", "full", "empty"):
        assert found[name][0] == pytest.approx(level, abs=1e-6)
    for name in ("percentile_lerf", "percentile_morf", "percentile_srg"):
        assert found[name][0] == 0.5
    for name in ("regret_lerf", "regret_morf", "regret_srg"):
        assert found[name] == Said(None, "all orders have the same area")
    assert found["srg"][0] == 0
    assert found["shapley_tau"] == Said(None, "all regions have one value")
    if level > 0:
        assert found["irof"][0] == pytest.approx(0, abs=1e-9)
    else:
        assert found["irof"] == Said(None, "the untouched image's score is not above 0")


# All orders, listed.


@pytest.mark.parametrize("values", [(3, 1, 2, 5, 4), (0, 0, 2, 5, 4), (0, 0, 0, 1, 1), (1, 0, 0, 0, 0)])
@pytest.mark.parametrize("seed", [0, 1])
def test_as_listing_all_orders(values, seed):
    scores = random_scores(seed)
    found = values_of(EXACT.of_subsets(terms_of_scores(scores), painted(values), UNITS))
    everyone = twins.all_areas(scores, WIDTHS)
    tolerance = 1e-6 * np.abs(scores).max()
    ranked = unit_scores(painted(values), UNITS)
    cases: list[tuple[Direction, Any]] = [("lerf", max), ("morf", min)]
    for direction, better in cases:
        step = order_of(ranked, UNITS, direction).step.tolist()
        assert found[f"auc_{direction}"] == pytest.approx(
            twins.order_area(scores, WIDTHS, twins.blocks_of(step))
        )
        share = twins.percentile(scores, WIDTHS, step, direction, tolerance)
        assert found[f"percentile_{direction}"] == pytest.approx(share, abs=1e-9)
        mine = np.mean([twins.order_area(scores, WIDTHS, blocks) for blocks in twins.untied(step)])
        mean = np.mean(everyone)
        assert found[f"regret_{direction}"] == pytest.approx((mine - mean) / (better(everyone) - mean))
    turned = scores - scores[::-1]
    step = order_of(ranked, UNITS, "lerf").step.tolist()
    share = twins.percentile(turned, WIDTHS, step, "lerf", 1e-6 * np.abs(turned).max())
    assert found["percentile_srg"] == pytest.approx(share, abs=1e-9)
    assert found["null_mean"] == pytest.approx(np.mean(everyone))
    assert found["null_best"] == pytest.approx(max(everyone))
    assert found["null_worst"] == pytest.approx(min(everyone))
    tau = kendalltau(ranked, twins.shapley(scores, K)).statistic
    assert found["shapley_tau"] == pytest.approx(tau)


@pytest.mark.parametrize("shape", ["concave", "convex"])
def test_a_constant_map_is_worth_a_random_order_whatever_the_networks_shape(shape):
    gone = np.array([SHARES[[r for r in range(K) if s >> r & 1]].sum() for s in range(1 << K)])
    scores = 1 - gone**2 if shape == "concave" else (1 - gone) ** 2
    scores += np.random.default_rng(3).normal(0, 1e-3, 1 << K)
    found = EXACT.of_subsets(terms_of_scores(scores), painted(np.full(K, 0.1)), UNITS)
    for which in ("lerf", "morf", "srg"):
        assert found[f"percentile_{which}"][0] == pytest.approx(0.5, abs=1e-12)
        assert found[f"regret_{which}"][0] == pytest.approx(0, abs=1e-9)
    assert found["auc_lerf"][0] == pytest.approx((scores[0] + scores[-1]) / 2)
    assert found["shapley_tau"] == Said(None, "all regions have one value")


def test_the_score_that_is_watched():
    terms = np.random.default_rng(4).normal(0, 1, (1 << K, 2))
    both = np.exp(terms)
    cases: dict[ScoreKind, float] = {
        "logit": terms[0, 0],
        "log_odds": terms[0, 0] - terms[0, 1],
        "probability": both[0, 0] / both[0].sum(),
    }
    for kind, first in cases.items():
        found = LatticeScores(score=kind).of_subsets(terms, painted(range(K)), UNITS)
        assert found["full"][0] == pytest.approx(first)
    with pytest.raises(ValueError, match="NaN or infinite"):
        EXACT.of_subsets(np.full((1 << K, 2), np.nan), painted(range(K)), UNITS)


# Samples.


def sampled(metric, scores, values, image_id="an image"):
    """As the run does it, a score for each subset looked up."""

    def looked_up(visited):
        numbers = visited.subsets @ (1 << np.arange(K))
        return terms_of_scores(scores[numbers])

    drawn = visits(metric.drawn(UNITS, image_id))
    own = metric.own_orders(painted(values), UNITS, image_id)
    return metric.of_samples(drawn, looked_up(drawn), own, looked_up(own))


def test_a_sample_of_all_orders_says_what_the_lattice_says():
    scores = random_scores()
    metric = LatticeScores(score="logit", samples=6000, regions=2)
    exact = values_of(EXACT.of_subsets(terms_of_scores(scores), painted((3, 1, 2, 5, 4)), UNITS))
    found = values_of(sampled(metric, scores, (3, 1, 2, 5, 4)))
    for name in ("auc_lerf", "auc_morf", "srg", "irof", "full", "empty"):
        assert found[name] == pytest.approx(exact[name], abs=1e-12), name
    spread = exact["null_best"] - exact["null_worst"]
    assert found["sampled_null_mean"] == pytest.approx(exact["null_mean"], abs=0.02 * spread)
    assert found["sampled_percentile_lerf"] == pytest.approx(exact["percentile_lerf"], abs=0.03)
    assert found["sampled_percentile_morf"] == pytest.approx(exact["percentile_morf"], abs=0.03)
    assert set(SAMPLED) <= set(found)
    assert not set(found) & {"percentile_lerf", "null_mean", "regret_lerf"}, "they share no column"


def test_sampled_percentiles_are_counted():
    scores = random_scores(2)
    metric = LatticeScores(score="logit", samples=7, seed=3)
    areas = []
    for order in metric.drawn(UNITS, "an image"):
        blocks = twins.blocks_of(order.step.tolist())
        assert len(blocks) == K, "one by one"
        areas.append(twins.order_area(scores, WIDTHS, blocks))
    found = values_of(sampled(metric, scores, (3, 1, 2, 5, 4)))
    assert found["sampled_null_mean"] == pytest.approx(np.mean(areas))
    lower = np.mean([area < found["auc_lerf"] for area in areas])
    assert found["sampled_percentile_lerf"] == pytest.approx(lower)
    assert 0 < lower < 1, "or the test could not fail"
    assert found["sampled_percentile_morf"] == pytest.approx(np.mean([a > found["auc_morf"] for a in areas]))
    other = values_of(sampled(metric, scores, (3, 1, 2, 5, 4), image_id="another"))
    assert other["sampled_null_mean"] != found["sampled_null_mean"]


@pytest.mark.parametrize("shape", ["concave", "convex"])
def test_ties_are_placed_among_the_sample_as_orders_that_break_them(shape):
    """The block's own straight step would lie below all orders of a concave score, above of a convex one."""
    gone = np.array([SHARES[[r for r in range(K) if s >> r & 1]].sum() for s in range(1 << K)])
    scores = 1 - gone**2 if shape == "concave" else (1 - gone) ** 2
    scores += np.random.default_rng(3).normal(0, 1e-3, 1 << K)
    metric = LatticeScores(score="logit", samples=200)
    constant = values_of(sampled(metric, scores, [0.1] * K))
    assert constant["sampled_percentile_lerf"] == constant["sampled_percentile_morf"] == 0.5
    assert constant["auc_lerf"] == pytest.approx((scores[0] + scores[-1]) / 2)
    block = (0, 0, 0, 0, 1)
    own = metric.own_orders(painted(block), UNITS, "an image")
    assert [order.groups for order in own.orders] == [2, 2, K, K]
    curves = own.curves(scores[own.subsets @ (1 << np.arange(K))])
    areas = [
        twins.order_area(scores, WIDTHS, twins.blocks_of(order.step.tolist()))
        for order in metric.drawn(UNITS, "an image")
    ]
    found = values_of(sampled(metric, scores, block))
    parted = twins.trapezoid(curves[2].removed, curves[2].scores)
    worse = np.mean([(area < parted - 1e-6) + (abs(area - parted) <= 1e-6) / 2 for area in areas])
    assert found["sampled_percentile_lerf"] == pytest.approx(worse)
    assert found["auc_lerf"] == pytest.approx(twins.trapezoid(curves[0].removed, curves[0].scores))
    assert abs(found["auc_lerf"] - parted) > 0.01
    # MoRF is LeRF read from its end, ties included.
    assert (own.orders[3].step == K - 1 - own.orders[2].step).all()
    exact = values_of(EXACT.of_subsets(terms_of_scores(scores), painted(block), UNITS))
    means = [
        values_of(sampled(metric, scores, block, image_id=f"image {i}"))["sampled_percentile_lerf"]
        for i in range(60)
    ]
    assert np.mean(means) == pytest.approx(exact["percentile_lerf"], abs=0.08), "on average what is exact"


def test_without_ties_nothing_more_is_removed():
    own = EXACT.own_orders(painted((3, 1, 2, 5, 4)), UNITS, "an image")
    assert len(own.orders) == 2
    assert len(own.subsets) == 2 * (K - 1) + 2
    assert len(EXACT.own_orders(painted([1] * K), UNITS, "an image").subsets) == 2


# What is refused, and what is said.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"regions": 11}, "metric.regions=11 must lie between 1 and 10"),
        ({"regions": 0}, "metric.regions=0 must lie between 1 and 10"),
        ({"samples": 0}, "metric.samples=0 must be at least 1"),
        ({"score": "accuracy"}, "metric.score=accuracy: choose of probability, logit, log_odds"),
    ],
)
def test_options_that_make_no_sense_are_one_line(options, message):
    with pytest.raises(UsageError) as said:
        LatticeScores(**options)
    assert message in str(said.value)


def test_titles_name_every_score_once():
    titles = EXACT.titles()
    assert len(set(titles)) == len(titles)
    found = EXACT.of_subsets(terms_of_scores(random_scores()), painted(range(K)), UNITS)
    assert set(titles) == {*found, "lattice", "correct"}
    assert EXACT.conventions()["score"] == "logit"
