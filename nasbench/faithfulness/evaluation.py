"""The network on images with pixels removed: many masks of many images, in batches of one size.

What is kept of the logits is two numbers, from which every score of a class follows: its logit, and the
log-sum-exp of the others'. A batch is filled across images, so that the last few masks of one share a pass
with the first of the next; which images share it is decided by the order of the jobs alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nasbench.faithfulness.curves import ScoreKind
from nasbench.faithfulness.imputer import Imputer
from nasbench.faithfulness.orders import Floats, Masks
from nasbench.faithfulness.packed import PackedMasks

Forward = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Job:
    """Masks of one image.

    Attributes:
        image: (3, H, W) float32 in [0, 1].
        image_id: decides the imputer's noise.
        target: the class whose score is watched.
        masks: (M, H, W) bool, True where removed, packed or not.
        labels: (H, W) int64, the regions that are removed as a whole; None without.
    """

    image: Tensor
    image_id: str
    target: int
    masks: Masks | PackedMasks
    labels: Tensor | None = None


def terms_of(logits: Tensor, target: int) -> Floats:
    """(B, 2) of logits (B, C): the class's own, and the log-sum-exp of the others', −inf without any."""
    wide = logits.detach().cpu().double()
    others = torch.cat([wide[:, :target], wide[:, target + 1 :]], dim=1)
    found: Floats = torch.stack([wide[:, target], torch.logsumexp(others, dim=1)], dim=1).numpy()
    return found


def scores_of_terms(terms: Floats, kind: ScoreKind) -> Floats:
    """(...) scores of terms (..., 2), as `terms_of` gives them.

    `probability` is the softmax's, in 0..1; `logit` the class's own; `log_odds` log p / (1 − p), which is the
    logit minus the log-sum-exp of the others' and neither saturates nor moves with a constant in all logits.

    Raises ValueError: NaN or infinite logits, or log-odds of the only class.
    """
    own, others = terms[..., 0], terms[..., 1]
    if not np.isfinite(own).all() or np.isnan(others).any() or np.isposinf(others).any():
        raise ValueError("the network's outputs are NaN or infinite")
    if kind == "logit":
        return own
    if kind == "log_odds":
        if np.isneginf(others).any():
            raise ValueError("the only class there is has no log-odds; metric.score=logit has a meaning")
        found: Floats = own - others
        return found
    high = np.maximum(own, others)
    total = np.exp(own - high) + np.exp(others - high)
    probability: Floats = np.exp(own - high) / total
    return probability


def evaluate(forward: Forward, jobs: Sequence[Job], imputer: Imputer, *, max_batch: int) -> list[Floats]:
    """For each job (M, 2) terms of its target with each mask removed.

    Args:
        forward: logits (B, C) of images (B, 3, H, W).
        jobs: of images of one size; one without masks is passed over.
        imputer: what takes the removed pixels' place.
        max_batch: images in one forward at most.
    """
    found = [np.full((len(job.masks), 2), np.nan) for job in jobs]
    images = torch.empty(0)
    held: list[tuple[int, int]] = []
    for place, which, image in _imputed(jobs, imputer, max_batch):
        if len(images) != max_batch:
            images = image.new_empty((max_batch, *image.shape))
        images[len(held)] = image
        held.append((place, which))
        if len(held) == max_batch:
            _put(found, jobs, held, forward(images))
            held = []
    if held:
        _put(found, jobs, held, forward(images[: len(held)]))
    return found


def _imputed(jobs: Sequence[Job], imputer: Imputer, max_batch: int) -> Iterator[tuple[int, int, Tensor]]:
    """Image by image: the job, the mask, and the image (3, H, W) with the mask removed."""
    for place, job in enumerate(jobs):
        if len(job.masks) == 0:
            continue
        fill = imputer.fill_for(job.image, job.image_id)
        for start in range(0, len(job.masks), max_batch):
            masks = torch.from_numpy(job.masks[start : start + max_batch]).to(job.image.device)
            if fill is not None:
                changed = torch.where(masks[:, None], fill, job.image)
            else:
                changed = imputer(job.image, masks, job.image_id, job.labels)
            for offset, image in enumerate(changed):
                yield place, start + offset, image


def _put(found: list[Floats], jobs: Sequence[Job], held: Sequence[tuple[int, int]], logits: Tensor) -> None:
    for (place, which), row in zip(held, logits.detach().cpu(), strict=True):
        found[place][which] = terms_of(row[None], jobs[place].target)[0]
