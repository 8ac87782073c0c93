"""Defects met in public implementations of these measures, each as a test that ours passes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nasbench.faithfulness.evaluation import Job, evaluate, terms_of
from nasbench.faithfulness.imputers import IMPUTERS, DatasetMean, ImageMean, Zero
from nasbench.faithfulness.orders import patch_units, pixel_units, region_units
from nasbench.faithfulness.relevance import RelevanceCurves, RelevancePlan

SIDE = 16
NAMES = ("srg", "aopc", "irof", "road_lerf", "road_morf")


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        found = torch.nn.Sequential(
            torch.nn.Conv2d(3, 6, 3, stride=2),
            torch.nn.Tanh(),
            torch.nn.Flatten(),
            torch.nn.Linear(6 * 49, 4),
        )
    return found.eval().requires_grad_(requires_grad=False)


def images(count):
    """Some brighter than others, so that a mean over the batch is no mean of an image."""
    rng = np.random.default_rng(0)
    return [
        torch.from_numpy((rng.random((3, SIDE, SIDE)) * (i + 1) / count).astype(np.float32))
        for i in range(count)
    ]


def maps(count):
    return np.random.default_rng(1).random((count, SIDE, SIDE))


def stripes(count):
    return np.arange(SIDE)[None].repeat(SIDE, axis=0) * count // SIDE


def scored(forward, batch, values, units, imputer, *, max_batch, metric=None, targets=None, by_regions=True):
    """The measures of a batch of images, in one call of `evaluate`, as a run makes it."""
    metric = metric or RelevanceCurves(names=NAMES)
    targets = targets or [0] * len(batch)
    plans = [
        RelevancePlan.of_map(metric, one, own, str(i), by_regions=by_regions)
        for i, (one, own) in enumerate(zip(values, units, strict=True))
    ]
    jobs = [
        Job(image, str(i), targets[i], plan.masks, torch.from_numpy(units[i].labels) if by_regions else None)
        for i, (image, plan) in enumerate(zip(batch, plans, strict=True))
    ]
    whole = torch.ones((1, SIDE, SIDE), dtype=torch.bool)
    found = []
    for job, plan, terms in zip(
        jobs, plans, evaluate(forward, jobs, imputer, max_batch=max_batch), strict=True
    ):
        full = terms_of(forward(job.image[None]), job.target)[0]
        empty = terms_of(forward(imputer(job.image, whole, job.image_id)), job.target)[0]
        curves = plan.curves(metric, terms, full, empty)
        areas: dict[str, float | None] = {
            which: float(curves.areas(which).mean()) for which in ("lerf", "morf")
        }
        found.append(areas | {name: curves.measure(name, metric) for name in metric.names})
    return found


@pytest.mark.parametrize("imputer", [make() for make in IMPUTERS.values()], ids=lambda imputer: imputer.name)
def test_scores_do_not_depend_on_the_batch(network, imputer):
    """Quantus' IROF: the mean colour is that of the batch, already perturbed; 64 and 1 differ by a third."""
    units = [region_units(stripes(count)) for count in (4, 8, 5, 2)]
    found = {
        size: scored(network, images(4), maps(4), units, imputer, max_batch=size) for size in (1, 2, 3, 64)
    }
    alone = [
        scored(network, [image], [values], [own], imputer, max_batch=64)[0]
        for image, values, own in zip(images(4), maps(4), units, strict=True)
    ]
    seeded = {"uniform", "noise", "shuffle", "road"}  # by the image's id, which here is its place
    for size in (1, 2, 3):
        for mine, theirs in zip(found[size], found[64], strict=True):
            assert mine == pytest.approx(theirs, rel=1e-5, abs=1e-7)
    for place, (mine, theirs) in enumerate(zip(alone, found[64], strict=True)):
        if place == 0 or imputer.name not in seeded:
            assert mine == pytest.approx(theirs, rel=1e-5, abs=1e-7)
    assert len({round(one["lerf"], 6) for one in found[64]}) == 4


def test_the_mean_colour_is_that_of_the_image_alone():
    """And of all its pixels, not of what is left after some went."""
    batch = images(3)
    seen = []

    def forward(given):
        seen.extend(given.clone())
        return given.mean((2, 3))

    masks = np.stack([stripes(4) < n for n in (1, 2, 3)])
    evaluate(forward, [Job(image, "", 0, masks) for image in batch], ImageMean(), max_batch=4)
    for place, image in enumerate(seen):
        own, mask = batch[place // 3], torch.from_numpy(masks[place % 3])
        for channel in range(3):
            mean = float(own[channel].double().mean())
            assert image[channel][mask].tolist() == pytest.approx([mean] * int(mask.sum()), abs=1e-6)
            assert torch.equal(image[channel][~mask], own[channel][~mask])


def test_tied_pixels_are_not_removed_under_the_name_of_a_few():
    """pytorch-grad-cam cuts at a percentile: of a map that is 93 % zeros, 20 % and 80 % remove everything."""
    values = np.zeros(SIDE * SIDE)
    values[: round(0.07 * SIDE * SIDE)] = np.arange(1, 19)
    units = pixel_units((SIDE, SIDE))
    metric = RelevanceCurves(steps=None, fractions=(0.05, 0.2, 0.5, 0.8), orders=("lerf", "morf"))
    plan = RelevancePlan.of_map(metric, values.reshape(SIDE, SIDE), units, "", by_regions=False)
    shares = np.asarray(plan.masks).mean(axis=(1, 2))
    zeros = 1 - 18 / 256
    assert sorted(set(np.round(shares, 9))) == pytest.approx([13 / 256, 18 / 256, zeros])
    ((_, lerf),), ((_, morf),) = plan.orders["lerf"], plan.orders["morf"]
    assert lerf.removed.tolist() == pytest.approx([0, zeros, 1])
    assert morf.removed.tolist() == pytest.approx([0, 13 / 256, 18 / 256, 1])


def test_every_image_counts_and_not_the_first_batch(network):
    """Quantus' ROAD: `custom_postprocess` reads the first element of the batch list."""
    batch = images(6)
    targets = [int(network(image[None])[0].argmax()) for image in batch]
    half_wrong = [c if i < 3 else (c + 1) % 4 for i, c in enumerate(targets)]
    units = [pixel_units((SIDE, SIDE))] * 6
    metric = RelevanceCurves(steps=10, names=("road_lerf",))
    expected = [
        scored(network, [image], [values], units[:1], Zero(), max_batch=1, metric=metric, targets=[c],
               by_regions=False)[0]["road_lerf"]
        for image, values, c in zip(batch, maps(6), half_wrong, strict=True)
    ]  # fmt: skip
    for size in (2, 3, 64):
        found = scored(
            network, batch, maps(6), units, Zero(), max_batch=size, metric=metric, targets=half_wrong,
            by_regions=False,
        )  # fmt: skip
        assert [one["road_lerf"] for one in found] == pytest.approx(expected, rel=1e-5)
    right = [
        scored(network, [image], [values], units[:1], Zero(), max_batch=1, metric=metric, targets=[c],
               by_regions=False)[0]["road_lerf"]
        for image, values, c in zip(batch, maps(6), targets, strict=True)
    ]  # fmt: skip
    assert expected[:3] == right[:3]
    assert all(a < b for a, b in zip(expected[3:], right[3:], strict=True))


@pytest.mark.parametrize("others", [(), (2,), (16,), (2, 16, 7)])
def test_segment_counts_of_the_company_do_not_matter(others):
    """Quantus' IROF pads the shorter curves with zeros: .5 or 1 for the same image of a constant model."""
    counts = (4, *others)
    logits = torch.tensor([0.3, 0.1])
    found = scored(
        lambda x: logits.expand(len(x), 2),
        images(len(counts)),
        maps(len(counts)),
        [region_units(stripes(count)) for count in counts],
        DatasetMean(),
        max_batch=64,
    )
    assert [one["irof"] for one in found] == pytest.approx([0] * len(counts), abs=1e-12)


@pytest.mark.parametrize("count", [2, 3, 5, 16])
def test_a_model_that_never_looks_scores_nothing_whatever_the_segmentation(count):
    """Off by one: n points over n - 1 steps, taken from n, give it 1; and nothing divides by n."""
    logits = torch.tensor([0.3, 0.1])
    (found,) = scored(
        lambda x: logits.expand(len(x), 2),
        images(1),
        maps(1),
        [region_units(stripes(count))],
        Zero(),
        max_batch=8,
    )
    assert found["irof"] == pytest.approx(0, abs=1e-12)
    assert found["srg"] == pytest.approx(0, abs=1e-12)
    assert found["aopc"] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("count", [2, 4, 8, 16])
def test_irof_does_not_grow_with_the_number_of_regions(count):
    """A model that loses everything with the first region scores 1 less half a step, never n."""

    def forward(x):
        untouched = (x.flatten(1) > 0).all(dim=1)
        return torch.stack([untouched.double() * 2000 - 1000, torch.zeros(len(x)).double()], dim=1)

    (image,) = images(1)
    (found,) = scored(forward, [image + 0.1], maps(1), [region_units(stripes(count))], Zero(), max_batch=8)
    assert found["irof"] == pytest.approx(1 - 0.5 / count)


def test_the_channels_of_a_pixel_go_together():
    """Quantus ranks the entries of a flattened, broadcast map: p % of H·W is p/3 % of the values."""
    (image,) = images(1)
    image = image + 0.5
    gone = []

    def forward(x):
        gone.extend((x == 0).clone())
        return torch.zeros(len(x), 2)

    units = pixel_units((SIDE, SIDE))
    plan = RelevancePlan.of_map(RelevanceCurves(steps=4), maps(1)[0], units, "", by_regions=False)
    evaluate(forward, [Job(image, "", 0, plan.masks)], Zero(), max_batch=5)
    assert len(gone) == 6
    for one, share in zip(gone, (0.25, 0.5, 0.75) * 2, strict=True):
        assert torch.equal(one[0], one[1])
        assert torch.equal(one[0], one[2])
        assert float(one[0].double().mean()) == share
    assert {float(one.double().mean()) for one in gone} == {0.25, 0.5, 0.75}


def test_one_image_of_a_single_region_does_not_take_the_others_along(network):
    """Quantus' IROF asserts more than one segment for each image of the batch."""
    units = [region_units(stripes(count)) for count in (4, 1, 8)]
    found = scored(network, images(3), maps(3), units, Zero(), max_batch=64)
    alone = scored(network, images(3)[:1], maps(3)[:1], units[:1], Zero(), max_batch=64)[0]
    assert found[0] == pytest.approx(alone, rel=1e-5)
    odd = found[1]
    assert odd["lerf"] == pytest.approx(odd["morf"])
    assert odd["srg"] == 0


def test_patches_are_ranked_by_their_mean():
    """A sum, padded with zeros at the border, ranks the patches there last."""
    values = np.full((SIDE, SIDE), 1.0)
    values[-1, -1] = 5.0
    plan = RelevancePlan.of_map(
        RelevanceCurves(steps=SIDE), values, patch_units((SIDE, SIDE), 5), "", by_regions=False
    )
    ((order, _),) = plan.orders["morf"]
    corner = order.units.labels[-1, -1]
    assert order.units.pixels[corner] == 1
    assert order.step[corner] == 0, "its mean is the highest, its sum is not"
    assert order.groups == 2, "the others are tied, of whatever size"
