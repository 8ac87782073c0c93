"""The commands as functions, for tensors in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nasbench.arguments import (
    check_tensor,
    classifier_for,
    imputer_of,
    known_options,
    max_batch_of,
    method_of,
    said,
    targets_for,
    typed_options,
)
from nasbench.errors import SaliencyError, UsageError
from nasbench.faithfulness.evaluation import Job, evaluate, terms_of
from nasbench.faithfulness.imputers import Imputer
from nasbench.faithfulness.orders import Masks, Units, pixel_units, region_units
from nasbench.faithfulness.packed import PackedMasks
from nasbench.faithfulness.relevance import CurvesFound, RelevanceCurves, RelevancePlan
from nasbench.faithfulness.upsampled import keep_equal
from nasbench.localize.metric import upsample
from nasbench.models import Classifier
from nasbench.saliency.base import Batch, Saliency
from nasbench.saliency.passes import in_chunks
from nasbench.saliency.regions import superpixelify
from nasbench.segment.base import Views
from nasbench.segment.nas import Nas


def nas(model: Classifier | nn.Module, x: Tensor, k: int = 5, **options: Any) -> Tensor:
    """Neuro-Activated Superpixels of a batch.

    Args:
        model: a Classifier, or a timm network (which is copied, not changed; its own mean and std apply).
        x: (B, 3, H, W) float RGB in [0, 1], at the size the model reads.
        k: clusters per image.
        options: any other attribute of `nasbench.segment.nas.Nas`, e.g. `stages=[-1]`, `connected=True`, but
            for those that need more than one pass over x: `source` is `self` or `pixels`, and `average`,
            `forward_size` and `scope` are for `nasbench segment`.

    Returns:
        Labels (B, H, W) int64, contiguous from 0 in each image, on x's device.

    Raises:
        UsageError: an unknown option, one of another type, out of range or not served here, a network without
            accessible stages, or a Classifier whose module is in training mode.
        SegmentationError: activations that are NaN or infinite.
        ValueError: x is not of this shape and type (arrays are not converted), or holds NaN or values outside
            [0, 1] beyond rounding.
    """
    known_options("nas", Nas, options)
    typed = typed_options("nas", Nas, {"k": k, **options})
    _check_served(typed)
    segmenter = Nas(**typed)
    classifier = classifier_for(model, x)
    views = Views(_ids(x), x)
    features = classifier.features(x) if segmenter.uses_features else None
    return segmenter(views, features).to(x.device)


def explain(
    model: Classifier | nn.Module,
    x: Tensor,
    target: int | Sequence[int] | Tensor | None = None,
    method: str = "layercam",
    *,
    regions: Tensor | None = None,
    truth: Tensor | None = None,
    max_batch: int = 16,
    **options: Any,
) -> Tensor:
    """Raw saliency maps of a batch: where the evidence for a class is.

        maps = nasbench.explain(model, x, target=207)
        maps = nasbench.explain(model, x, method="ig", steps=64, regions=nasbench.nas(model, x, k=20))

    Args:
        model: a Classifier, or a timm network (which is copied, not changed; its own mean and std apply).
        x: (B, 3, H, W) float RGB in [0, 1], at the size the model reads.
        target: the class to be explained: one for all images, or one each; None is what the model predicts.
        method: a name as in `nasbench ls saliency`.
        regions: labels (B, H, W) int64, contiguous from 0 in each image, of which each takes the mean of the
            map in it, upsampled to their grid; None leaves the map as it is.
        truth: (B, H, W) bool, the object, on x's grid; for `oracle` alone.
        max_batch: images in one pass at most, whatever multiplies them.
        options: of the method, as in `configs/saliency/<method>.yaml`. In place of an image's id a seed goes
            with its place in x.

    Returns:
        (B, h, w) float32 at the method's own resolution, with regions (B, H, W) on their grid; on x's device.
        Nothing is clipped, scaled or upsampled.

    Raises:
        UsageError: an unknown method or option, an option out of range, a target beyond the model's classes,
            a method that has no meaning for this network, a network without accessible stages, or a
            Classifier whose module is in training mode.
        SaliencyError: an image that cannot be explained, or whose map is NaN or infinite.
        ValueError: x, targets, regions or truth are not of these shapes and types (arrays are not converted,
            targets apart), or x holds NaN or values outside [0, 1] beyond rounding.
        RunError: one image does not fit into memory.
    """
    saliency = method_of(method, options)
    max_batch = max_batch_of(max_batch)
    classifier = classifier_for(model, x)
    targets = targets_for(classifier, x, target, max_batch)
    _check_regions(regions, truth, x)
    reason = saliency.unsupported(classifier)
    if reason is not None:
        raise UsageError(f"{method}: {reason}")
    maps = _maps(saliency, classifier, Batch(_ids(x), x, targets, truth, max_batch))
    if regions is not None:
        maps = superpixelify(maps, regions)
    return maps.to(x.device)


def lerf(
    model: Classifier | nn.Module,
    x: Tensor,
    maps: Tensor,
    labels: Tensor | None = None,
    target: int | Sequence[int] | Tensor | None = None,
    *,
    imputer: str | Imputer = "dataset_mean",
    max_batch: int = 16,
    **options: Any,
) -> list[CurvesFound]:
    """Relevance curves of maps: parts of each image are removed in its map's order, the score is watched.

        maps = nasbench.explain(model, x, target=207)
        for found in nasbench.lerf(model, x, maps, nasbench.nas(model, x, k=8), target=207):
            print(found.areas("lerf"), found.areas("random"), found.curves["lerf"][0].removed)

    Args:
        model: a Classifier, or a timm network (which is copied, not changed; its own mean and std apply).
        x: (B, 3, H, W) float RGB in [0, 1], at the size the model reads.
        maps: (B, h, w) raw maps; upsampled bilinearly where they are smaller than x.
        labels: (B, H, W) int64, regions, contiguous from 0 in each image, which are removed as a whole in the
            order of their means; None removes pixels. An image of one region has curves of both ends alone,
            the same for every map; on the command line it is a row with status `error`.
        target: the class whose score is watched: one for all images, or one each; None is what the model
            predicts.
        imputer: what takes the place of what is removed: a name of `nasbench.faithfulness.imputers.IMPUTERS`
            with its defaults, or an imputer.
        max_batch: images in one pass at most, steps and images sharing passes.
        options: of `nasbench.faithfulness.relevance.RelevanceCurves`: orders, steps or fractions, score, tie,
            seeds, draws, seed. In place of an image's id a seed goes with its place in x.

    Returns:
        For each image its `curves` by kind (`lerf`, `morf`, `random`), each with `removed` and `scores`, and
        `areas(kind)`, `full` and `empty`; `measure(name, RelevanceCurves(...))` has SRG and the others.

    Raises:
        UsageError: an unknown imputer or option, the class of an imputer in place of one, an option of
            another type or out of range, a target beyond the classes, a network without accessible stages, or
            a Classifier whose module is in training mode. `measure` raises it for a name or a curve that is
            not there.
        ValueError: x, maps, labels or targets are not of these shapes and types (arrays are not converted,
            targets apart), x holds NaN or values outside [0, 1] beyond rounding, maps are not finite, or the
            network's outputs are NaN or infinite.
        RunError: an imputer of the caller's fails, or breaks the contract of `Imputer`.
    """
    metric = _metric(options)
    max_batch = max_batch_of(max_batch)
    classifier = classifier_for(model, x)
    filler = imputer_of(imputer)
    targets = targets_for(classifier, x, target, max_batch).tolist()
    images = x.detach().float().cpu()
    values = _on_grid(maps, images)
    units = _units(labels, images)
    ids = _ids(x)
    with torch.no_grad():
        logits = in_chunks(classifier.logits, images, max_batch=max_batch)
        plans = [
            [
                RelevancePlan.of_map(metric, values[i], units[i], name, by_regions=labels is not None),
                RelevancePlan.of_random(metric, units[i], name, by_regions=labels is not None),
            ]
            for i, name in enumerate(ids)
        ]
        whole: Masks | PackedMasks = np.ones((1, *images.shape[2:]), dtype=np.bool_)
        jobs = [
            Job(images[i], name, targets[i], masks, None if labels is None else labels[i].cpu())
            for i, name in enumerate(ids)
            for masks in (whole, *(plan.masks for plan in plans[i] if len(plan.masks)))
        ]
        terms = iter(evaluate(classifier.logits, jobs, filler, max_batch=max_batch))
    found = []
    for i, own in enumerate(plans):
        full, empty = terms_of(logits[i : i + 1], targets[i])[0], next(terms)[0]
        scored = [
            plan.curves(metric, next(terms) if len(plan.masks) else np.empty((0, 2)), full, empty)
            for plan in own
        ]
        found.append(scored[0].and_(scored[1]))
    return found


def _check_regions(regions: Tensor | None, truth: Tensor | None, x: Tensor) -> None:
    """Before any pass; whether regions are contiguous is seen later. Raises ValueError."""
    shape = (len(x), int(x.shape[2]), int(x.shape[3]))
    if regions is not None:
        expected = f"an int64 tensor (B, H, W) of {len(x)} images"
        check_tensor("regions are", regions, expected, shape=(len(x), None, None), dtype=torch.int64)
    if truth is not None:
        check_tensor(
            "truth is", truth, f"a bool tensor (B, H, W), here {shape}", shape=shape, dtype=torch.bool
        )


def _metric(options: dict[str, Any]) -> RelevanceCurves:
    """The metric without derived measures, which the caller takes. Raises UsageError naming the option."""
    known_options("lerf", RelevanceCurves, options, without=["names"])
    typed = typed_options("lerf", RelevanceCurves, options)
    if typed.get("fractions") is not None:
        typed = {"steps": None, **typed}
    try:
        return RelevanceCurves(names=(), **typed)
    except UsageError as error:  # in the command line's words
        said_here = str(error).replace("metric.", "").replace("null", "None")
        raise UsageError(f"lerf: {said_here}") from error


def _on_grid(maps: Tensor, images: Tensor) -> list[np.ndarray[Any, np.dtype[np.floating]]]:
    """Each map (H, W) on the images' grid. Raises ValueError."""
    shape = (len(images), None, None)
    check_tensor("maps are", maps, f"a floating-point tensor (B, h, w) of {len(images)} images", shape=shape)
    if maps.numel() == 0:
        raise ValueError(f"maps are {said(maps)}: they hold no value")
    size = (int(images.shape[2]), int(images.shape[3]))
    given = [np.asarray(one.numpy()) for one in maps.detach().float().cpu()]
    return [one if one.shape == size else keep_equal(upsample(one, size), one) for one in given]


def _units(labels: Tensor | None, images: Tensor) -> list[Units]:
    """What is removed of each image. Raises ValueError."""
    size = (int(images.shape[2]), int(images.shape[3]))
    if labels is None:
        return [pixel_units(size)] * len(images)
    shape = (len(images), *size)
    check_tensor(
        "labels are", labels, f"an int64 tensor (B, H, W), here {shape}", shape=shape, dtype=torch.int64
    )
    # A stray number must not ask for as many regions.
    if int(labels.max()) >= size[0] * size[1]:
        raise ValueError(f"labels reach {int(labels.max())}; an image has {size[0] * size[1]} pixels")
    return [region_units(one.cpu().numpy()) for one in labels]


def _maps(saliency: Saliency, classifier: Classifier, batch: Batch) -> Tensor:
    maps = saliency(classifier, batch)
    broken = [i for i, one in enumerate(maps) if not bool(torch.isfinite(one).all())]
    if broken:
        raise SaliencyError(
            f"{saliency.method.name}: the map of image {broken[0]} holds NaN or infinite values"
        )
    return maps


def _check_served(options: dict[str, Any]) -> None:
    """Refuse what `Nas` leaves to a run: other networks, other sizes, other images. Raises UsageError."""
    source = options.get("source", "self")
    if source not in ("self", "pixels"):
        raise UsageError(
            f"nas(source={source!r}): choose self or pixels; the others are for nasbench segment"
        )
    asked = {name: options.get(name) for name in ("forward_size", "average", "scope")}
    for name, value in asked.items():
        if value and value != "image":  # the scope of an image alone
            raise UsageError(f"nas({name}={value!r}) needs more than one pass over x: use nasbench segment")


def _ids(x: Tensor) -> tuple[str, ...]:
    return tuple(str(i) for i in range(len(x)))
