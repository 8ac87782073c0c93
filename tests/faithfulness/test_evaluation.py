"""Many masks of many images in few passes: against one forward a mask, and against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nasbench.faithfulness.evaluation import Job, evaluate, scores_of_terms, terms_of
from nasbench.faithfulness.imputers import DatasetMean, NeighbourMean, Road, Shuffle, Zero
from tests.faithfulness.twins import scores_of

SIDE = 12
IMPUTERS = (Zero(), DatasetMean(), Shuffle(seed=3), NeighbourMean(), Road())


@pytest.fixture(scope="module")
def network():
    """A small network with kinks and seven classes."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        found = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(8 * 100, 7)
        )
    return found.eval().requires_grad_(requires_grad=False)


def make_jobs(counts=(3, 0, 5, 1, 7)):
    rng = np.random.default_rng(1)
    found = []
    for i, count in enumerate(counts):
        image = torch.from_numpy(rng.random((3, SIDE, SIDE), dtype=np.float32))
        masks = rng.random((count, SIDE, SIDE)) < 0.4
        labels = torch.from_numpy(np.arange(SIDE * SIDE).reshape(SIDE, SIDE) // (7 * SIDE))
        found.append(Job(image, f"image {i}", (2 * i) % 7, masks, labels if i % 2 else None))
    return found


def slow_terms(network, jobs, imputer):
    """Image by image, mask by mask, a forward each; logit and log-sum-exp written out."""
    found = []
    for job in jobs:
        rows = []
        for mask in job.masks:
            image = imputer(job.image, torch.from_numpy(mask)[None], job.image_id, job.labels)
            logits = network(image)[0].double().tolist()
            others = [value for c, value in enumerate(logits) if c != job.target]
            rows.append((logits[job.target], np.log(sum(np.exp(value) for value in others))))
        found.append(np.array(rows).reshape(-1, 2))
    return found


@pytest.mark.parametrize("imputer", IMPUTERS, ids=lambda imputer: imputer.name)
@pytest.mark.parametrize("max_batch", [1, 3, 4, 100])
def test_as_one_forward_for_each_mask(network, imputer, max_batch):
    jobs = make_jobs()
    sizes = []

    def forward(images):
        sizes.append(len(images))
        return network(images)

    found = evaluate(forward, jobs, imputer, max_batch=max_batch)
    expected = slow_terms(network, jobs, imputer)
    assert [len(terms) for terms in found] == [3, 0, 5, 1, 7]
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)
    assert np.ptp(expected[2][:, 0]) > 0.01, "or the test could not fail"
    whole, rest = divmod(16, max_batch)
    assert sizes == [max_batch] * whole + [rest] * (rest > 0), "all full but the last"


def test_nothing_to_remove_is_nothing_to_do(network):
    def forward(_images):
        raise AssertionError("asked for nothing")

    found = evaluate(forward, make_jobs((0, 0)), Zero(), max_batch=4)
    assert [terms.shape for terms in found] == [(0, 2), (0, 2)]
    assert evaluate(forward, [], Zero(), max_batch=4) == []
    one, two = make_jobs((2, 3))
    alone = evaluate(network, [two], Zero(), max_batch=100)[0]
    np.testing.assert_allclose(evaluate(network, [one, two], Zero(), max_batch=2)[1], alone, rtol=1e-5)


def test_images_and_masks_are_left_alone(network):
    jobs = make_jobs()
    before = [(job.image.clone(), job.masks.copy()) for job in jobs]
    evaluate(network, jobs, Road(), max_batch=3)
    for job, (image, masks) in zip(jobs, before, strict=True):
        assert torch.equal(job.image, image)
        assert np.array_equal(job.masks, masks)


@pytest.mark.parametrize(("imputer", "fill"), [(Zero(), (0, 0, 0)), (DatasetMean(), (0.485, 0.456, 0.406))])
@pytest.mark.parametrize("max_batch", [1, 5])
def test_a_linear_network_loses_what_is_removed_and_nothing_else(imputer, fill, max_batch):
    weights = torch.from_numpy(np.random.default_rng(2).standard_normal((3, SIDE, SIDE)))
    jobs = [Job(job.image, job.image_id, 0, job.masks) for job in make_jobs()]

    def forward(images):
        score = (images.double() * weights).sum((1, 2, 3))
        return torch.stack([score, torch.zeros_like(score)], dim=1)

    for job, terms in zip(jobs, evaluate(forward, jobs, imputer, max_batch=max_batch), strict=True):
        full = float((job.image.double() * weights).sum())
        drop = weights * (job.image.double() - torch.tensor(fill, dtype=torch.float64)[:, None, None])
        for mask, (own, others) in zip(np.asarray(job.masks), terms, strict=True):
            lost = sum(float(drop[:, y, x].sum()) for y, x in np.argwhere(mask))
            assert own == pytest.approx(full - lost, abs=1e-6)
            assert others == 0


def test_scores_are_those_of_the_logits():
    logits = np.random.default_rng(3).normal(0, 8, (5, 4))
    for target in range(4):
        terms = terms_of(torch.from_numpy(logits), target)
        for kind in ("probability", "logit", "log_odds"):
            np.testing.assert_allclose(
                scores_of_terms(terms, kind), scores_of(logits, target, kind), rtol=1e-12, atol=1e-300
            )


def test_scores_far_out_are_neither_nan_nor_lost():
    terms = terms_of(torch.tensor([[2000.0, 0.0], [-2000.0, 0.0], [0.0, -1e30]]), 0)
    assert scores_of_terms(terms, "probability").tolist() == [1, 0, 1]
    assert scores_of_terms(terms, "log_odds")[:2].tolist() == [2000, -2000]


def test_a_single_class_is_certain_and_has_no_odds():
    terms = terms_of(torch.tensor([[3.0]]), 0)
    assert terms.tolist() == [[3.0, -np.inf]]
    assert scores_of_terms(terms, "probability").tolist() == [1]
    assert scores_of_terms(terms, "logit").tolist() == [3]
    with pytest.raises(ValueError, match="the only class there is has no log-odds"):
        scores_of_terms(terms, "log_odds")


@pytest.mark.parametrize("kind", ["probability", "logit", "log_odds"])
@pytest.mark.parametrize("logits", [[np.nan, 0], [0, np.nan], [np.inf, 0], [0, np.inf], [-np.inf, 0]])
def test_outputs_that_are_no_numbers_are_refused(kind, logits):
    with pytest.raises(ValueError, match="NaN or infinite"):
        scores_of_terms(terms_of(torch.tensor([logits]), 0), kind)
