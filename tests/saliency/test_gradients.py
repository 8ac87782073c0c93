"""Gradients against closed forms, slow twins and captum; noise, paths and memory."""

from __future__ import annotations

from typing import Any

import captum.attr
import numpy as np
import pytest
import torch
from torch import Tensor

from nasbench.errors import RunError, UsageError
from nasbench.models import Classifier
from nasbench.rng import generator
from nasbench.saliency.base import Batch
from nasbench.saliency.gradients import (
    Gradient,
    InputXGradient,
    IntegratedGradients,
    Reduce,
    SmoothGrad,
    SmoothGradSquared,
    VarGrad,
    quadrature,
    reduced,
)
from nasbench.saliency.passes import halved
from tests.saliency.conftest import batch_of, linear, picked, tiny

RULES: tuple[Reduce, ...] = ("sum", "abs_sum", "abs_max", "norm")
STD = torch.tensor([0.5, 0.25, 2.0])[:, None, None]


def linear_batch(count: int = 3, **options: Any) -> Batch:
    return batch_of(count, (6, 8), classes=4, **options)


def one_gradient(classifier: Classifier, x: Tensor, target: int, score: str = "logit") -> Tensor:
    """The slow twin: one image, PyTorch's own backward."""
    leaf = x.clone().requires_grad_()
    logits = classifier.logits(leaf[None])[0]
    (logits.softmax(0) if score == "probability" else logits)[target].backward()
    assert leaf.grad is not None
    return leaf.grad


def close(a: Tensor, b: Tensor, tolerance: float = 1e-4) -> None:
    torch.testing.assert_close(a.float(), b.float(), rtol=0, atol=tolerance * float(b.abs().max()))


def test_channels_are_reduced_as_named() -> None:
    values = torch.tensor([3.0, -4.0, 0.0]).view(1, 3, 1, 1)
    found = {rule: float(reduced(values, rule)) for rule in RULES}
    assert found == {"sum": -1.0, "abs_sum": 7.0, "abs_max": 4.0, "norm": 5.0}


def test_of_a_linear_model_the_gradient_is_its_weights() -> None:
    classifier, batch = linear(), linear_batch()
    weights = classifier.module.get_parameter("weight").detach()[batch.target] / STD
    close(Gradient(reduce="sum")(classifier, batch), weights.sum(1), 1e-6)
    close(Gradient()(classifier, batch), weights.abs().amax(1), 1e-6)
    close(InputXGradient()(classifier, batch), (weights * batch.x).sum(1), 1e-6)
    # Noise does not move a constant gradient.
    close(SmoothGrad(n=3, reduce="sum")(classifier, batch), weights.sum(1), 1e-6)
    close(SmoothGradSquared(n=3)(classifier, batch), weights.square().sum(1), 1e-6)
    assert float(VarGrad(n=3)(classifier, batch).abs().max()) < 1e-10


@pytest.mark.parametrize("score", ["logit", "probability"])
def test_gradient_equals_its_slow_twin(score: Any) -> None:
    classifier, batch = tiny(), batch_of(3)
    expected = [
        one_gradient(classifier, x, int(t), score).abs().amax(0)
        for x, t in zip(batch.x, batch.target, strict=True)
    ]
    close(Gradient(score=score)(classifier, batch), torch.stack(expected), 1e-5)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_captum_agrees(name: str) -> None:
    classifier, batch = tiny(name), batch_of(2)
    x, target = batch.x.clone().requires_grad_(), batch.target
    saliency = captum.attr.Saliency(classifier.logits).attribute(x, target=target)
    close(Gradient()(classifier, batch), saliency.amax(1).detach())
    times = captum.attr.InputXGradient(classifier.logits).attribute(x, target=target)
    close(InputXGradient()(classifier, batch), times.sum(1).detach())
    path = captum.attr.IntegratedGradients(classifier.logits)
    for rule, theirs in (("midpoint", "riemann_middle"), ("gauss_legendre", "gausslegendre")):
        expected = path.attribute(batch.x, target=target, n_steps=7, method=theirs)
        ours = IntegratedGradients(steps=7, rule=rule)(classifier, batch)  # type: ignore[arg-type]
        close(ours, expected.sum(1))
    # captum's trapezoid gives each step 1 / n, not 1 / (n - 1): its weights sum to (n - 1) / n.
    expected = path.attribute(batch.x, target=target, n_steps=7, method="riemann_trapezoid")
    close(IntegratedGradients(steps=7, rule="trapezoid")(classifier, batch), expected.sum(1) * 7 / 6)


@pytest.mark.parametrize(
    ("method", "statistic"),
    [
        (SmoothGrad, lambda g: g.mean(0).abs().amax(0)),
        (SmoothGradSquared, lambda g: g.square().mean(0).sum(0)),
        (VarGrad, lambda g: g.var(0, correction=0).sum(0)),
    ],
)
def test_smoothgrad_equals_its_slow_twin(method: Any, statistic: Any) -> None:
    classifier, batch = tiny(), batch_of(3, max_batch=2)
    maps = method(n=5, sigma=0.2, seed=11)(classifier, batch)
    for i, (name, x) in enumerate(zip(batch.ids, batch.x, strict=True)):
        grads = []
        for draw in range(5):
            noise = generator(11, name, "saliency.smoothgrad", str(draw)).standard_normal(
                (3, 64, 64), dtype=np.float32
            )
            noisy = x + 0.2 * float(x.max() - x.min()) * torch.from_numpy(noise)
            grads.append(one_gradient(classifier, noisy, int(batch.target[i])))
        close(maps[i], statistic(torch.stack(grads).double()))


def test_noise_is_as_wide_as_it_says_and_differs_between_draws_images_and_seeds() -> None:
    batch = batch_of(2)
    points = list(SmoothGrad(n=3, sigma=0.15, seed=0)._points(batch))
    assert [p.image for p in points] == [0, 0, 0, 1, 1, 1]
    noises = [p.x - batch.x[p.image] for p in points]
    for noise, point in zip(noises, points, strict=True):
        x = batch.x[point.image]
        assert float(noise.std()) == pytest.approx(0.15 * float(x.max() - x.min()), rel=0.02)
    others = list(SmoothGrad(n=3, sigma=0.15, seed=1)._points(batch))
    kept = [*noises, *(p.x - batch.x[p.image] for p in others)]
    for i, a in enumerate(kept):
        assert not any(torch.allclose(a, b, atol=1e-3) for b in kept[:i])


@pytest.mark.parametrize("rule", ["midpoint", "trapezoid", "gauss_legendre"])
@pytest.mark.parametrize("steps", [2, 5, 32])
def test_quadratures_are_averages_and_exact_for_lines(rule: Any, steps: int) -> None:
    nodes = quadrature(rule, steps)
    assert len(nodes) == steps
    assert all(0 <= at <= 1 for at, _ in nodes)
    assert sum(w for _, w in nodes) == pytest.approx(1)
    assert sum(w * at for at, w in nodes) == pytest.approx(0.5)
    if rule == "gauss_legendre":
        assert sum(w * at**3 for at, w in nodes) == pytest.approx(0.25)
    if rule == "trapezoid":
        assert (nodes[0][0], nodes[-1][0]) == (0, 1)


BASELINES = ("zero", "mean", "black_white", "blur", "uniform")


def mean_score(classifier: Classifier, method: IntegratedGradients, batch: Batch, i: int) -> float:
    baselines = torch.stack(method._baselines(classifier, batch.ids[i], batch.x[i]))
    return float(classifier.logits(baselines)[:, batch.target[i]].mean())


@pytest.mark.parametrize("baseline", BASELINES)
def test_integrated_gradients_are_complete_for_a_linear_model_at_one_step(baseline: Any) -> None:
    classifier, batch = linear(), linear_batch()
    method = IntegratedGradients(steps=1, baseline=baseline)
    sums = method(classifier, batch).double().sum((1, 2))
    for i, total in enumerate(sums):
        score = float(classifier.logits(batch.x[i : i + 1])[0, batch.target[i]])
        assert float(total) == pytest.approx(score - mean_score(classifier, method, batch, i), rel=1e-5)


@pytest.mark.parametrize("baseline", BASELINES)
def test_integrated_gradients_are_complete(baseline: Any) -> None:
    # A smooth network (GELU), so that few steps are enough.
    classifier, batch = tiny("test_vit"), batch_of(2)
    method = IntegratedGradients(steps=24, rule="gauss_legendre", baseline=baseline, n_baselines=2)
    sums = method(classifier, batch).double().sum((1, 2))
    for i, total in enumerate(sums):
        score = float(classifier.logits(batch.x[i : i + 1])[0, batch.target[i]])
        expected = score - mean_score(classifier, method, batch, i)
        assert float(total) == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_completeness_of_a_relu_network_comes_with_the_steps() -> None:
    classifier, batch = tiny(), batch_of(1)
    ends = classifier.logits(torch.cat([batch.x, torch.zeros_like(batch.x)]))[:, batch.target[0]]
    expected = float(ends[0] - ends[1])
    maps = [IntegratedGradients(steps=n)(classifier, batch).double() for n in (4, 256)]
    # Of all that is attributed, which here is fifty times the difference it adds up to.
    gaps = [abs(float(m.sum()) - expected) / float(m.abs().sum()) for m in maps]
    assert gaps[1] < 1e-3
    assert gaps[1] < gaps[0] / 10


def test_baselines_are_what_they_are_called() -> None:
    classifier, x = tiny(), batch_of(1).x[0]

    def baselines(name: Any, **options: Any) -> list[Tensor]:
        return IntegratedGradients(baseline=name, **options)._baselines(classifier, "a", x)

    assert baselines("zero")[0].abs().max() == 0
    assert classifier._normalised(baselines("mean")[0][None]).abs().max() < 1e-6
    assert [float(b.mean()) for b in baselines("black_white")] == [0, 1]
    (blurred,) = baselines("blur")
    assert blurred.std() < 0.2 * x.std()
    torch.testing.assert_close(blurred.mean((1, 2)), x.mean((1, 2)), rtol=0.01, atol=0)
    drawn = baselines("uniform", n_baselines=3)
    assert len(drawn) == 3
    assert all(0 <= float(b.min()) < float(b.max()) <= 1 for b in drawn)
    assert not torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], baselines("uniform", seed=1)[0])


def test_black_and_white_is_the_mean_of_both() -> None:
    classifier, batch = tiny(), batch_of(1)
    black = IntegratedGradients(steps=4)(classifier, batch)
    # White becomes black, and the image its negative, by turning the network's reading of it around.
    turned = tiny()
    turned._mean, turned._std = 1 - turned._mean, -turned._std
    negative = Batch(batch.ids, 1 - batch.x, batch.target)
    white = IntegratedGradients(steps=4)(turned, negative)
    close(IntegratedGradients(steps=4, baseline="black_white")(classifier, batch), (black + white) / 2)


@pytest.mark.parametrize(
    "method", [Gradient(), SmoothGrad(n=3), IntegratedGradients(steps=3, baseline="black_white")]
)
@pytest.mark.parametrize("most", [1, 4])
def test_no_pass_is_larger_than_max_batch(method: Any, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = tiny()
    sizes: list[int] = []
    forward = classifier.module.forward

    def spy(x: Tensor) -> Any:
        sizes.append(len(x))
        return forward(x)

    monkeypatch.setattr(classifier.module, "forward", spy)
    method(classifier, batch_of(5, max_batch=most))
    each = 1 if isinstance(method, Gradient) else 3 if isinstance(method, SmoothGrad) else 6
    # Images share a pass only where each is given one gradient.
    assert max(sizes) == min(most, 5 if each == 1 else each)
    assert sum(sizes) == 5 * each


def test_max_batch_changes_the_last_bits_only() -> None:
    # A network without kinks: where a rounding switches a ReLU, the gradient jumps.
    classifier = tiny("test_vit")
    for method in (Gradient(), SmoothGrad(n=3), IntegratedGradients(steps=3)):
        a, b = (method(classifier, batch_of(3, max_batch=m)) for m in (1, 16))
        close(a, b, 1e-5)


@pytest.mark.parametrize("method", [SmoothGrad(n=3), IntegratedGradients(steps=3, baseline="uniform")])
def test_images_do_not_share_passes_so_that_their_maps_do_not_depend_on_the_batch_at_all(method: Any) -> None:
    classifier, batch = tiny(), batch_of(5, max_batch=4)
    together = method(classifier, batch)
    assert torch.equal(method(classifier, picked(batch, [3, 1])), together[[3, 1]])


def test_where_memory_runs_out_the_batch_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    classifier, batch = tiny(), batch_of(5)
    expected = Gradient()(classifier, batch)
    forward = classifier.module.forward

    def small(x: Tensor) -> Any:
        if len(x) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(x)

    monkeypatch.setattr(classifier.module, "forward", small)
    close(Gradient()(classifier, batch), expected, 1e-5)


def test_an_image_that_does_not_fit_alone_is_an_error_in_one_line() -> None:
    def full(_: Tensor) -> Tensor:
        raise torch.OutOfMemoryError

    with pytest.raises(RunError, match="one image of 8×9 does not fit"):
        halved(full, torch.zeros(4, 3, 8, 9))


def test_bfloat16_yields_float32_maps_that_resemble() -> None:
    batch = batch_of(2)
    exact = Gradient(reduce="sum")(tiny(), batch)
    rounded = Gradient(reduce="sum")(tiny().to(dtype=torch.bfloat16), batch)
    assert rounded.dtype is torch.float32
    assert not torch.equal(exact, rounded)
    assert torch.corrcoef(torch.stack([exact.flatten(), rounded.flatten()]))[0, 1] > 0.95


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Gradient(reduce="max"), "saliency.reduce=max: choose one of sum, abs_sum, abs_max, norm"),  # type: ignore[arg-type]
        (lambda: Gradient(score="loss"), "saliency.score=loss: choose one of logit, probability"),  # type: ignore[arg-type]
        (lambda: SmoothGrad(n=0), "saliency.n=0 must be a whole number of at least 1"),
        (lambda: SmoothGrad(n=2.5), "saliency.n=2.5"),  # type: ignore[arg-type]
        (lambda: VarGrad(sigma=-1), "saliency.sigma=-1 must be a number above 0"),
        (lambda: VarGrad(sigma=float("nan")), "saliency.sigma=nan"),
        (lambda: IntegratedGradients(baseline="noise"), "saliency.baseline=noise: choose one of zero, mean"),  # type: ignore[arg-type]
        (lambda: IntegratedGradients(rule="left"), "saliency.rule=left: choose one of midpoint"),  # type: ignore[arg-type]
        (lambda: IntegratedGradients(rule="trapezoid", steps=1), "saliency.steps=1 .* at least 2"),
        (lambda: IntegratedGradients(n_baselines=0), "saliency.n_baselines=0"),
        (lambda: IntegratedGradients(blur=0), "saliency.blur=0"),
    ],
)
def test_wrong_options_are_refused_in_one_line(make: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        make()
    assert "\n" not in str(caught.value)
