"""Curves of a map by a network: closed forms, one mask at a time, and RISE's and ROAD's own code."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from pytorch_grad_cam.metrics import road as theirs

from nasbench.errors import UsageError
from nasbench.faithfulness.areas import ROAD_FRACTIONS
from nasbench.faithfulness.evaluation import Job, evaluate, terms_of
from nasbench.faithfulness.imputers import Blur, DatasetMean, Road, Zero
from nasbench.faithfulness.orders import order_of, patch_units, pixel_units, random_order, region_units
from nasbench.faithfulness.relevance import DERIVED, RelevanceCurves, RelevancePlan
from nasbench.faithfulness.upsampled import keep_equal
from tests.faithfulness.twins import nearest_ends, trapezoid

SIDE = 20
FILL = (0.485, 0.456, 0.406)


def make_image(side=SIDE, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).random((3, side, side), dtype=np.float32))


def make_network(side, classes=5):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        found = torch.nn.Sequential(
            torch.nn.Conv2d(3, 6, 3, stride=2), torch.nn.Tanh(), torch.nn.Flatten(),
            torch.nn.Linear(6 * ((side - 1) // 2) ** 2, classes),
        )  # fmt: skip
    return found.eval().requires_grad_(requires_grad=False)


def found_by(forward, image, values, units, metric, imputer, *, target=0, by_regions=False, max_batch=4):
    """What a run makes of a map, without the run."""
    plans = [
        RelevancePlan.of_map(metric, values, units, "an image", by_regions=by_regions),
        RelevancePlan.of_random(metric, units, "an image", by_regions=by_regions),
    ]
    labels = torch.from_numpy(units.labels) if by_regions else None
    jobs = [Job(image, "an image", target, plan.masks, labels) for plan in plans]
    terms = evaluate(forward, jobs, imputer, max_batch=max_batch)
    whole = torch.ones((1, *image.shape[1:]), dtype=torch.bool)
    full = terms_of(forward(image[None]), target)[0]
    empty = terms_of(forward(imputer(image, whole, "an image", labels)), target)[0]
    first, second = (plan.curves(metric, own, full, empty) for plan, own in zip(plans, terms, strict=True))
    return first.and_(second)


# Closed forms.


def linear(weights):
    def forward(images):
        score = (images.double() * weights).sum((1, 2, 3))
        return torch.stack([score, torch.zeros_like(score)], dim=1)

    return forward


WEIGHTS = torch.from_numpy(np.random.default_rng(4).standard_normal((3, SIDE, SIDE)) + 0.2)
UNEQUAL = np.repeat(np.arange(5), (1, 2, 8, 4, 5))[None].repeat(SIDE, axis=0)


def drops(image, fill, units):
    """(N,) what a linear score loses with each unit."""
    by_pixel = WEIGHTS * (image.double() - torch.tensor(fill).double()[:, None, None])
    return np.bincount(units.labels.ravel(), weights=by_pixel.sum(dim=0).numpy().ravel())


@pytest.mark.parametrize(("imputer", "fill"), [(Zero(), (0.0, 0.0, 0.0)), (DatasetMean(), FILL)])
@pytest.mark.parametrize("kind", ["pixel", "patch", "regions"])
def test_every_number_of_a_linear_network_is_known(imputer, fill, kind):
    image = make_image()
    units = {
        "pixel": pixel_units((SIDE, SIDE)),
        "patch": patch_units((SIDE, SIDE), 7),
        "regions": region_units(UNEQUAL),
    }[kind]
    values = np.random.default_rng(6).random((SIDE, SIDE))
    metric = RelevanceCurves(steps=SIDE * SIDE, score="logit", names=DERIVED, seeds=1, draws=2)
    found = found_by(linear(WEIGHTS), image, values, units, metric, imputer, by_regions=kind == "regions")
    lost, full = drops(image, fill, units), float((image.double() * WEIGHTS).sum())
    means = [values[units.labels == unit].mean() for unit in range(units.count)]
    # A unit's loss is felt from its middle to the end.
    areas = {}
    for which, order in (("lerf", np.argsort(means)), ("morf", np.argsort(means)[::-1])):
        gone, area = 0.0, full
        curve = [full]
        for unit in order:
            gone += units.areas[unit]
            area -= lost[unit] * (1 - gone + units.areas[unit] / 2)
            curve.append(curve[-1] - lost[unit])
        areas[which] = area
        np.testing.assert_allclose(found.curve(which).scores, curve, atol=1e-6)
        np.testing.assert_allclose(
            found.curve(which).removed, np.cumsum([0, *units.areas[order]]), atol=1e-12
        )
        assert found.areas(which)[0] == pytest.approx(area, abs=1e-6)
    for draw, area in enumerate(found.areas("random")):
        step = random_order(units, seed=0, image="an image", draw=draw).step
        later = np.array([units.areas[step > own].sum() for own in step])
        assert area == pytest.approx(full - (lost * (later + units.areas / 2)).sum(), abs=1e-6)
    assert found.full == pytest.approx(full, abs=1e-6)
    assert found.empty == pytest.approx(full - lost.sum(), abs=1e-6)
    assert found.measure("srg", metric) == pytest.approx(areas["lerf"] - areas["morf"], abs=1e-6)
    assert found.measure("insertion", metric) == pytest.approx(areas["lerf"], abs=1e-6)
    assert found.measure("deletion", metric) == pytest.approx(areas["morf"], abs=1e-6)
    if kind == "pixel":
        # Over equal steps the mean over L + 1 points is the trapezoid, but for the ends' other half.
        L, ends = SIDE * SIDE, (full + found.empty) / 2
        mean = {which: (L * area + ends) / (L + 1) for which, area in areas.items()}
        assert found.measure("aopc", metric) == pytest.approx(full - mean["morf"], abs=1e-6)
        assert found.measure("abpc", metric) == pytest.approx(mean["lerf"] - mean["morf"], abs=1e-6)
        assert found.measure("irof", metric) is None
    if kind == "regions":
        assert full > 0, "or IROF has no meaning"
        kept = [full - lost[order[:n]].sum() for n in range(6)]
        assert found.measure("irof", metric) == pytest.approx(
            1 - trapezoid([n / 5 for n in range(6)], kept) / full, abs=1e-6
        )


@pytest.mark.parametrize("score", ["probability", "logit", "log_odds"])
@pytest.mark.parametrize("by_regions", [True, False])
def test_a_network_that_does_not_look_has_flat_curves_and_no_gain(score, by_regions):
    units = region_units(UNEQUAL) if by_regions else patch_units((SIDE, SIDE), 3)
    metric = RelevanceCurves(steps=6, score=score, names=DERIVED, tie="seeded", seeds=2, draws=3)
    logits = torch.tensor([1.7, -0.1, 0.2])
    values = np.random.default_rng(7).random((SIDE, SIDE))
    found = found_by(
        lambda x: logits.expand(len(x), 3), make_image(), values, units, metric, Zero(), by_regions=by_regions
    )
    level = {
        "probability": float(logits.double().softmax(0)[0]),
        "logit": 1.7,
        "log_odds": 1.7 - np.log(np.exp(-0.1) + np.exp(0.2)),
    }[score]
    for which in ("lerf", "morf", "random"):
        np.testing.assert_allclose(found.areas(which), level, atol=1e-6)
        np.testing.assert_allclose(found.curve(which).scores, level, atol=1e-6)
    for name in DERIVED:
        expected = level if name in ("road_lerf", "road_morf", "insertion", "deletion") else 0
        value = found.measure(name, metric)
        if name == "irof" and not by_regions:
            assert value is None
        else:
            assert value == pytest.approx(expected, abs=1e-6), name


# The slow twin: literal loops, one mask and one forward at a time.


def slow_curve(network, image, values, labels, direction, wanted, imputer, target):
    """(shares, probabilities): units ranked by means, tied ones at once, the ends nearest what is wanted."""
    means = {}
    for unit in range(labels.max() + 1):
        places = list(zip(*np.nonzero(labels == unit), strict=True))
        means[unit] = sum(Fraction(float(values[y, x])) for y, x in places) / len(places)
    levels = sorted(set(means.values()), reverse=direction == "morf")
    masks = [np.zeros(labels.shape, dtype=bool)]
    for level in levels:
        mask = masks[-1].copy()
        for unit, mean in means.items():
            if mean == level:
                mask[labels == unit] = True
        masks.append(mask)
    removed = [int(mask.sum()) for mask in masks]
    ends = range(len(masks)) if wanted is None else nearest_ends(removed, labels.size, wanted)
    shares, scores = [], []
    for end in ends:
        changed = image
        if masks[end].any():
            changed = imputer(image, torch.from_numpy(masks[end])[None], "an image")[0]
        logits = network(changed[None])[0].double()
        scores.append(float(logits.softmax(0)[target]))
        shares.append(removed[end] / labels.size)
    return shares, scores


@pytest.mark.parametrize("imputer", [Zero(), Blur(sigma=2.0), Road()], ids=lambda imputer: imputer.name)
@pytest.mark.parametrize("kind", ["pixel", "ties", "patch", "regions"])
def test_curves_as_one_forward_for_each_mask(imputer, kind):
    image, network = make_image(), make_network(SIDE)
    rng = np.random.default_rng(8)
    values = rng.random((SIDE, SIDE))
    if kind == "ties":
        values = np.maximum(rng.integers(-6, 4, (SIDE, SIDE)), 0).astype(float)
    units = {"patch": patch_units((SIDE, SIDE), 6), "regions": region_units(UNEQUAL)}.get(
        kind, pixel_units((SIDE, SIDE))
    )
    metric = RelevanceCurves(steps=5)
    found = found_by(
        network, image, values, units, metric, imputer, target=3, by_regions=kind == "regions", max_batch=7
    )
    wanted = None if kind == "regions" else [Fraction(i, 5) for i in range(6)]
    for which in ("lerf", "morf"):
        shares, scores = slow_curve(network, image, values, units.labels, which, wanted, imputer, target=3)
        np.testing.assert_allclose(found.curve(which).removed, shares, atol=1e-12)
        np.testing.assert_allclose(found.curve(which).scores, scores, rtol=1e-5)
        assert found.areas(which)[0] == pytest.approx(trapezoid(shares, scores), rel=1e-5)
    assert np.ptp(found.curve("lerf").scores) > 0.01, "or the test could not fail"


def test_both_ends_and_repeated_masks_are_not_evaluated_again():
    units = region_units(UNEQUAL)
    values = UNEQUAL.astype(float)
    plan = RelevancePlan.of_map(RelevanceCurves(), values, units, "an image", by_regions=True)
    assert len(plan.masks) == 2 * 4
    masks = np.asarray(plan.masks)
    assert not masks.all(axis=(1, 2)).any()
    assert masks.any(axis=(1, 2)).all()
    assert len({mask.tobytes() for mask in masks}) == len(masks)
    seeds = RelevanceCurves(tie="seeded", seeds=3)
    again = RelevancePlan.of_map(seeds, values, units, "an image", by_regions=True)
    assert len(again.masks) == 2 * 4, "without ties all permutations are one"
    two = RelevancePlan.of_map(RelevanceCurves(), (values > 2) * 1.0, units, "an image", by_regions=True)
    assert len(two.masks) == 2, "one group before the other, and the other way round"
    constant = RelevancePlan.of_map(RelevanceCurves(), values * 0, units, "an image", by_regions=True)
    assert len(constant.masks) == 0
    random = RelevanceCurves(orders=("random",), names=())
    assert len(RelevancePlan.of_map(random, values, units, "an image", by_regions=True).masks) == 0
    none = RelevanceCurves(orders=("lerf", "morf"))
    assert len(RelevancePlan.of_random(none, units, "an image", by_regions=True).masks) == 0


@pytest.mark.parametrize("by_regions", [True, False])
def test_a_constant_map_has_a_curve_of_its_two_ends(by_regions):
    units = region_units(UNEQUAL) if by_regions else pixel_units((SIDE, SIDE))
    metric = RelevanceCurves(names=("srg", "aopc", "abpc"))
    found = found_by(
        linear(WEIGHTS),
        make_image(),
        np.full((SIDE, SIDE), 0.1),
        units,
        metric,
        Zero(),
        by_regions=by_regions,
    )
    for which in ("lerf", "morf"):
        curve = found.curve(which)
        assert curve.removed.tolist() == [0, 1]
        assert curve.flat() == [0, found.full, 1, found.empty]
    assert found.measure("srg", metric) == 0
    assert found.measure("abpc", metric) == 0


# Seeds and draws.


def test_seeds_part_ties_and_say_what_they_are_worth():
    units = pixel_units((SIDE, SIDE))
    values = (np.random.default_rng(9).random((SIDE, SIDE)) < 0.2).astype(float)
    metric = RelevanceCurves(
        tie="seeded", seeds=3, steps=4, seed=11, names=("srg", "road_gap"), draws=2, score="logit"
    )
    assert metric.titles() == (
        "auc_lerf", "auc_morf", "auc_random", "auc_lerf_sd", "auc_morf_sd", "srg", "road_gap",
        "full", "empty", "correct",
    )  # fmt: skip
    found = found_by(linear(WEIGHTS), make_image(), values, units, metric, Zero())
    alone = [
        found_by(
            linear(WEIGHTS),
            make_image(),
            values,
            units,
            RelevanceCurves(tie="seeded", steps=4, seed=seed, names=("srg", "road_gap"), score="logit"),
            Zero(),
        )
        for seed in (11, 12, 13)
    ]
    for which in ("lerf", "morf"):
        np.testing.assert_allclose(found.areas(which), [one.areas(which)[0] for one in alone], atol=1e-9)
        assert np.ptp(found.areas(which)) > 1e-3
    for name in ("srg", "road_gap"):
        each = [one.measure(name, RelevanceCurves(steps=4, names=())) for one in alone]
        assert found.measure(name, metric) == pytest.approx(np.mean(each), abs=1e-9)
    assert len(found.areas("random")) == 2


def test_the_curve_of_a_row_has_the_area_of_the_row():
    units = region_units(UNEQUAL)
    metric = RelevanceCurves(tie="seeded", seeds=4, draws=5)
    found = found_by(make_network(SIDE), make_image(), UNEQUAL // 3, units, metric, Zero(), by_regions=True)
    for which in ("lerf", "morf", "random"):
        assert np.ptp(found.areas(which)) > 1e-6
        flat = found.curve(which).flat()
        assert trapezoid(flat[::2], flat[1::2]) == pytest.approx(found.areas(which).mean(), rel=1e-9)
        assert (flat[0], flat[-2]) == (0, 1)


# The authors' own loops.


def blurred(image, size, sigma):
    """The image convolved with a Gaussian of size x size pixels, mirrored at its edges."""
    offsets = torch.arange(size).double() - size // 2
    kernel = torch.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(3, 1, size, size)
    padded = torch.nn.functional.pad(image.double()[None], [size // 2] * 4, mode="reflect")
    return torch.nn.functional.conv2d(padded, kernel, groups=3)[0].float()


def rise(network, image, explanation, mode, step, c):
    """RISE's CausalMetric.single_run, and its auc: the loop of its evaluation code."""
    side = image.shape[-1]
    n_steps = (side * side + step - 1) // step
    start, finish = (
        (image.clone(), torch.tensor(FILL)[:, None, None].expand_as(image).clone())
        if mode == "del"
        else (blurred(image, 11, 5.0), image.clone())
    )
    scores = np.empty(n_steps + 1)
    salient_order = np.flip(np.argsort(explanation.reshape(-1), kind="stable")).copy()
    for i in range(n_steps + 1):
        scores[i] = float(network(start[None])[0].double().softmax(0)[c])
        if i < n_steps:
            coords = salient_order[step * i : step * (i + 1)]
            start.view(3, -1)[:, coords] = finish.reshape(3, -1)[:, coords]
    return scores, (scores.sum() - scores[0] / 2 - scores[-1] / 2) / (len(scores) - 1)


def test_insertion_and_deletion_are_rises():
    side, step = 32, 32
    image, network = make_image(side), make_network(side)
    explanation = np.random.default_rng(10).random((side, side))
    c = int(network(image[None])[0].argmax())
    metric = RelevanceCurves(steps=side * side // step, names=("insertion", "deletion"))
    units = pixel_units((side, side))
    for mode, imputer, which, name in (
        ("del", DatasetMean(), "morf", "deletion"),
        ("ins", Blur(sigma=5.0, kernel_size=11), "lerf", "insertion"),
    ):
        scores, area = rise(network, image, explanation, mode, step, c)
        found = found_by(network, image, explanation, units, metric, imputer, target=c)
        mine = found.curve(which).scores
        np.testing.assert_allclose(mine if mode == "del" else mine[::-1], scores, rtol=1e-5)
        assert found.measure(name, metric) == pytest.approx(area, rel=1e-5)
        assert np.ptp(scores) > 0.01, "or the test could not fail"


@pytest.fixture
def no_noise(monkeypatch):
    """pytorch-grad-cam's imputer adds noise, drawn anew each time; here none."""
    monkeypatch.setattr(theirs.torch, "randn_like", torch.zeros_like)


def without_noise(test):
    quiet = pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")
    return pytest.mark.usefixtures("no_noise")(quiet(test))


@without_noise
@pytest.mark.parametrize("which", ["lerf", "morf"])
def test_imputed_images_are_roads(which):
    image, network = make_image(), make_network(SIDE)
    ranks = np.random.default_rng(11).permutation(SIDE * SIDE).reshape(SIDE, SIDE) / (SIDE * SIDE)
    plan = RelevancePlan.of_map(
        RelevanceCurves(steps=None, fractions=ROAD_FRACTIONS, orders=(which,), names=()),
        ranks, pixel_units((SIDE, SIDE)), "an image", by_regions=False,
    )  # fmt: skip
    assert len(plan.masks) == len(ROAD_FRACTIONS)
    own = []

    def forward(images):
        own.extend(images.clone())
        return network(images)

    terms = evaluate(forward, [Job(image, "an image", 2, plan.masks)], Road(sd=0.0), max_batch=3)[0]
    for fraction, imputed, (logit, _) in zip(ROAD_FRACTIONS, own, terms, strict=True):
        percentile = round(100 * (1 - fraction))
        kind = theirs.ROADMostRelevantFirst if which == "morf" else theirs.ROADLeastRelevantFirst
        change, picture = kind(percentile)(
            image[None], ranks[None], [lambda output: output[2]], network, return_visualization=True
        )
        np.testing.assert_allclose(imputed, picture[0], atol=5e-5)
        assert not np.allclose(image, picture[0], atol=0.05)
        assert logit - float(network(image[None])[0, 2]) == pytest.approx(float(change[0]), abs=2e-4)


@without_noise
def test_the_combined_score_is_pytorch_grad_cams_where_nothing_is_tied():
    image, network = make_image(), make_network(SIDE)
    ranks = np.random.default_rng(11).permutation(SIDE * SIDE).reshape(SIDE, SIDE) / (SIDE * SIDE)
    percentiles = [round(100 * (1 - fraction)) for fraction in ROAD_FRACTIONS]
    expected = theirs.ROADCombined(percentiles)(
        image[None], ranks[None], [lambda output: output.softmax(0)[2]], network
    )
    names = ("road_gap", "road_lerf", "road_morf")
    metric = RelevanceCurves(steps=None, fractions=ROAD_FRACTIONS, names=names)
    found = found_by(network, image, ranks, pixel_units((SIDE, SIDE)), metric, Road(sd=0.0), target=2)
    assert found.measure("road_gap", metric) == pytest.approx(float(expected[0]), abs=2e-5)
    assert abs(float(expected[0])) > 1e-3
    literal = {}
    for which in ("lerf", "morf"):
        flat = found.curve(which).flat()
        literal[which] = np.mean([np.interp(f, flat[::2], flat[1::2]) for f in ROAD_FRACTIONS])
        assert found.measure(f"road_{which}", metric) == pytest.approx(literal[which])


# Flat parts of a coarse map.


@pytest.mark.parametrize("native", [(1, 1), (2, 2), (3, 5), (7, 7), (64, 64), (90, 70)])
def test_upsampling_leaves_equal_what_is_equal(native):
    rng = np.random.default_rng(12)
    for value in rng.random(40, dtype=np.float32):
        large = keep_equal(upsampled(np.full(native, value)), np.full(native, value))
        assert np.unique(large).tolist() == [value]
    varied = rng.standard_normal(native).astype(np.float32)
    np.testing.assert_allclose(keep_equal(upsampled(varied), varied), upsampled(varied), rtol=1e-5, atol=1e-6)


def upsampled(values):
    given = torch.from_numpy(values.astype(np.float32))[None, None]
    large = torch.nn.functional.interpolate(given, (64, 64), mode="bilinear", align_corners=False)
    return large[0, 0].numpy()


def test_flat_parts_are_tied_and_the_rest_is_not():
    native = np.full((7, 7), 0.1, dtype=np.float32)
    native[2:, 3] = np.float32(0.7)
    large = keep_equal(upsampled(native), native)
    order = order_of(large.ravel(), pixel_units((64, 64)), "lerf")
    ends = [float(share) for share in np.diff(order.removed)]
    # The columns from the centre of the fifth native one on, and all above the second row's centre.
    expected = np.mean([[slow_bilinear(native, y, x) == 0.1 for x in range(64)] for y in range(64)])
    assert ends[0] == pytest.approx(expected)
    assert expected > 0.5


def slow_bilinear(native, y, x):
    """What lies at a pixel, exactly: 0.1 where all around it is 0.1."""
    corners = set()
    for row in around(y):
        for column in around(x):
            corners.add(float(native[row, column]))
    return 0.1 if corners == {float(np.float32(0.1))} else 0.5


def around(place):
    """The native pixels, of 7 on 64, between whose centres a pixel's centre lies."""
    centre = Fraction(2 * place + 1, 2) * Fraction(7, 64) - Fraction(1, 2)
    low = centre.numerator // centre.denominator
    return {min(max(low, 0), 6), min(max(low + 1, 0), 6)}


# What is refused, and what is said.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"orders": ()}, "metric.orders=[]: choose of lerf, morf, random"),
        ({"orders": ("lerf", "best")}, "metric.orders=best: choose of lerf, morf, random"),
        ({"orders": ("lerf", "lerf")}, "metric.orders=['lerf', 'lerf']: one comes twice"),
        ({"names": ("auc",)}, "metric.names=auc: choose of srg, abpc"),
        ({"names": ("srg", "srg")}, "one comes twice"),
        ({"orders": ("lerf",), "names": ("srg",)}, "metric.names: srg needs morf among metric.orders"),
        ({"orders": ("morf",), "names": ("insertion",)}, "insertion needs lerf"),
        ({"score": "accuracy"}, "metric.score=accuracy: choose of probability, logit, log_odds"),
        ({"tie": "first"}, "metric.tie=first: choose of block, seeded"),
        ({"fractions": (0.1,)}, "metric.steps and metric.fractions: give one"),
        ({"steps": None}, "metric.steps and metric.fractions: give one"),
        ({"steps": 0}, "metric.steps=0: gives no point between the ends"),
        ({"steps": 1}, "metric.steps=1: gives no point between the ends, at which maps could differ"),
        ({"steps": None, "fractions": ()}, "metric.fractions=[]: gives no point between the ends"),
        ({"steps": None, "fractions": (0, 1.0)}, "metric.fractions=[0, 1]: gives no point between the ends"),
        ({"steps": None, "fractions": (1,)}, "metric.fractions=[1]: gives no point between the ends"),
        ({"steps": None, "fractions": (0.5, 1.5)}, "metric: the fraction 1.5 is outside [0, 1]"),
        ({"steps": None, "fractions": (0.5, 0.5)}, "metric: a fraction comes twice"),
        ({"seeds": 3}, "metric.seeds=3 is for metric.tie=seeded"),
        ({"seeds": 0, "tie": "seeded"}, "metric.seeds=0 must be at least 1"),
        ({"draws": 0}, "metric.draws=0 must be at least 1"),
    ],
)  # fmt: skip
def test_options_that_make_no_sense_are_one_line(options, message):
    with pytest.raises(UsageError) as said:
        RelevanceCurves(**options)
    assert message in str(said.value)
    assert "\n" not in str(said.value)


@pytest.mark.parametrize("options", [{"steps": 2}, {"steps": None, "fractions": (0.5,)}])
def test_one_point_between_the_ends_tells_maps_apart(options):
    metric = RelevanceCurves(**options, names=("srg",), orders=("lerf", "morf"))
    network, image = make_network(SIDE), make_image()
    maps = np.random.default_rng(0).standard_normal((2, SIDE, SIDE))
    found = [found_by(network, image, one, pixel_units((SIDE, SIDE)), metric, Zero()) for one in maps]
    assert found[0].areas("lerf")[0] != found[1].areas("lerf")[0]
    assert all(one.measure("srg", metric) != 0 for one in found)


def test_conventions_say_what_numbers_rest_on():
    said = RelevanceCurves(steps=None, fractions=(0.3, 0.1), tie="seeded", seeds=4).conventions()
    assert said["grid"] == "0 0.1 0.3 1; regions: all points"
    assert said["tie"] == "seeded, 4 seeds"
    assert RelevanceCurves(score="log_odds").conventions()["score"] == "log_odds"


def test_shares_rise_in_every_curve():
    metric = RelevanceCurves(steps=3, draws=3)
    found = found_by(
        make_network(SIDE), make_image(), np.eye(SIDE), pixel_units((SIDE, SIDE)), metric, Zero()
    )
    for curves in found.curves.values():
        for curve in curves:
            assert all(b > a for a, b in pairwise(curve.removed))
            assert curve.scores[0] == found.full
            assert curve.scores[-1] == found.empty
