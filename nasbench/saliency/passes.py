"""Passes through a network in chunks of at most `max_batch` images, smaller where memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Literal, get_args

import torch
from torch import Tensor

from nasbench.models import Classifier
from nasbench.models.memory import in_halves
from nasbench.saliency.base import Batch
from nasbench.saliency.options import check_choice

# What is explained: the target's logit, or its probability, which also falls as other classes' logits rise.
Score = Literal["logit", "probability"]


@dataclass(frozen=True)
class Point:
    """A place in input space at which a gradient is wanted.

    Attributes:
        image: position in the batch of the image it belongs to.
        target: class.
        x: (3, H, W) float32; values outside of [0, 1] are as good.
        weight: what the gradient is to be multiplied with, for the caller; a number or (3, H, W).
    """

    image: int
    target: Tensor
    x: Tensor
    weight: Tensor | float = 1.0


def check_score(score: str) -> None:
    """Raise UsageError where `target_scores` does not know the kind of score."""
    check_choice("score", score, get_args(Score))


def target_scores(logits: Tensor, target: Tensor, score: Score = "logit") -> Tensor:
    """(B,) scores of the targets (B,) from logits (B, classes); differentiable."""
    scores = logits.softmax(dim=1) if score == "probability" else logits
    return scores.gather(1, target.to(scores.device)[:, None])[:, 0]


def input_gradients(classifier: Classifier, x: Tensor, target: Tensor, score: Score = "logit") -> Tensor:
    """Gradient (B, 3, H, W) float32 of each image's score with respect to x in [0, 1]; on x's device.

    x is left alone: neither its flag nor its gradient changes.
    """
    with torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        # In evaluation mode no image sees another: the gradient of the sum holds each image's own.
        total = target_scores(classifier.logits(leaf), target, score).sum()
        (grad,) = torch.autograd.grad(total, leaf)
    return grad.float().contiguous()


def gradients_at(
    classifier: Classifier, points: Iterable[Point], *, max_batch: int, score: Score = "logit"
) -> Iterator[tuple[Point, Tensor]]:
    """Each point, in order, with the gradient (3, H, W) float32 there, on the CPU.

    Points are drawn as they are needed: no more than `max_batch` of them exist at a time. Images do not share
    a pass: rounding differs with a pass's size, and where it switches a ReLU the gradient jumps (by parts of
    a percent, in about one of a hundred passes). So an image's points see the same passes in any batch.
    """
    for _, own in groupby(points, key=lambda point: point.image):
        while chunk := list(islice(own, max_batch)):
            x, target = torch.stack([p.x for p in chunk]), torch.stack([p.target for p in chunk])
            grads = halved(lambda x, target: input_gradients(classifier, x, target, score).cpu(), x, target)
            yield from zip(chunk, grads, strict=True)


def final_of(classifier: Classifier, batch: Batch) -> Tensor:
    """(B, C, h, w) float32, what enters the pooling: as given with the batch, else from a forward pass."""
    if batch.final is not None:
        return batch.final
    return in_chunks(lambda x: classifier.features(x).final, batch.x, max_batch=batch.max_batch)


def in_chunks(run: Callable[..., Tensor], *tensors: Tensor, max_batch: int) -> Tensor:
    """`run` on consecutive chunks of the tensors' first axis, its results joined along theirs."""
    parts = zip(*(tensor.split(max_batch) for tensor in tensors), strict=True)
    return torch.cat([halved(run, *part) for part in parts])


def halved(run: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """`run` on the tensors; where memory runs out, on their halves. See `nasbench.models.memory`."""
    return in_halves(run, *tensors, join=lambda a, b: torch.cat([a, b]), what="a gradient")
