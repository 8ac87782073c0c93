"""What the functions of `nasbench.api` ask of their arguments, checked in one place.

Tensors of another type or shape raise ValueError, everything else UsageError, both in one line.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from functools import partial
from inspect import formatannotation
from numbers import Integral, Real
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import torch
from torch import Tensor, nn

from nasbench.errors import UsageError
from nasbench.faithfulness.guarded import guarded
from nasbench.faithfulness.imputer import CONTRACT
from nasbench.faithfulness.imputers import IMPUTERS, Imputer
from nasbench.models import Classifier
from nasbench.saliency.base import Saliency
from nasbench.saliency.passes import in_chunks
from nasbench.saliency.registry import METHODS, make_method

# How far beyond [0, 1] rounding may take a pixel, as resizing in half precision does.
_ROUNDING = 1e-3


def classifier_for(model: Classifier | nn.Module, x: Any) -> Classifier:
    """The model as a Classifier that reads x; a network is copied, not changed.

    Raises:
        ValueError: x is no batch (B, 3, H, W) of floating point in [0, 1], or not of the model's size.
        UsageError: the model is neither, has no stages, or is in training mode.
    """
    check_tensor("x is", x, "a floating-point tensor (B, 3, H, W) in [0, 1]", shape=(None, 3, None, None))
    if x.numel() == 0:
        raise ValueError("x holds no image")
    _check_range(x)
    if not isinstance(model, (Classifier, nn.Module)):
        raise UsageError(f"model is {type(model).__name__}; expected a Classifier or a timm network")
    classifier = model if isinstance(model, Classifier) else _wrapped(model, x)
    if tuple(x.shape[2:]) != tuple(classifier.input_size):
        sizes = [f"{h}×{w}" for h, w in (x.shape[2:], classifier.input_size)]
        raise ValueError(f"x is of {sizes[0]} pixels; {classifier.name} reads {sizes[1]}")
    # Batch norms would mix the images of a batch and drift with every call.
    if any(module.training for module in classifier.module.modules()):
        raise UsageError(f"{classifier.name} is in training mode; call .module.eval() on the Classifier")
    return classifier


def targets_for(
    classifier: Classifier, x: Tensor, target: int | Sequence[int] | Tensor | None, max_batch: int
) -> Tensor:
    """(B,) int64 on the CPU. Raises UsageError for a class beyond the model's, ValueError for others."""
    if target is None:
        with torch.no_grad():
            return in_chunks(classifier.logits, x, max_batch=max_batch).argmax(dim=1).cpu()
    try:
        given = torch.as_tensor(target).cpu()
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise ValueError(
            f"targets are {said(target)}; expected classes of the model, whole numbers"
        ) from error
    if given.is_floating_point() or given.is_complex() or given.dtype is torch.bool:
        raise ValueError(f"targets are {given.dtype}; expected whole numbers")
    if given.ndim > 1 or (given.ndim == 1 and len(given) != len(x)):
        raise ValueError(
            f"targets have shape {tuple(given.shape)}; expected one, or one for each of {len(x)}"
        )
    targets = given.to(torch.int64).expand(len(x)).contiguous()
    classes = classifier.num_classes
    for i, c in enumerate(targets.tolist()):
        if not 0 <= c < classes:
            raise UsageError(
                f"target {c} of image {i} is beyond the model's {classes} classes (0 to {classes - 1})"
            )
    return targets


def imputer_of(given: str | Imputer) -> Imputer:
    """The imputer of a name, or the caller's, held to its contract. Raises UsageError."""
    if isinstance(given, str):
        if given not in IMPUTERS:
            raise UsageError(f"imputer={given}: choose of {', '.join(IMPUTERS)}")
        return IMPUTERS[given]()
    if isinstance(given, type):
        raise UsageError(f"imputer={given.__name__} is a class; give an instance, {given.__name__}()")
    for name in CONTRACT:
        if not callable(getattr(given, name, None)):
            raise UsageError(
                f"imputer={said(given)} is no imputer: it has no {name} (nasbench.faithfulness.imputer)"
            )
    return guarded(given)


def max_batch_of(given: Any) -> int:
    """A whole number of at least 1, of any library. Raises UsageError."""
    if not _fits(given, int):
        raise UsageError(f"max_batch={said(given)} must be a whole number of at least 1")
    if given < 1:
        raise UsageError(f"max_batch={given} must be at least 1")
    return int(given)


def check_tensor(
    what: str, value: Any, expected: str, *, shape: Sequence[int | None], dtype: torch.dtype | None = None
) -> None:
    """Refuse what is no tensor of this shape and type; None is any length, or any floating-point type.

    Arrays are not converted: the caller should see where their type or axes are not a tensor's.

    Args:
        what: the argument and its verb, as in "maps are".
        value: the argument.
        expected: type and shape in words.
        shape: see above.
        dtype: see above.

    Raises ValueError saying what is given and what is expected.
    """
    if isinstance(value, Tensor) and (value.layout is not torch.strided or value.is_meta):
        kind = "a meta tensor" if value.is_meta else str(value.layout).removeprefix("torch.")
        raise ValueError(f"{what} {kind}; expected {expected}, dense")
    if isinstance(value, Tensor):
        typed = value.is_floating_point() if dtype is None else value.dtype == dtype
        lengths = zip(value.shape, shape, strict=False)
        if typed and value.ndim == len(shape) and all(wanted in (None, n) for n, wanted in lengths):
            return
    given = said(value) if isinstance(value, Tensor) else type(value).__name__
    raise ValueError(f"{what} {given}; expected {expected}")


def method_of(name: str, options: dict[str, Any]) -> Saliency:
    """The saliency method of a name, with its options. Raises UsageError."""
    if not isinstance(name, str):
        raise UsageError(f"method={said(name)}: give a name as in `nasbench ls saliency`")
    maker = METHODS.get(name)
    kind = maker.func if isinstance(maker, partial) else maker
    typed = typed_options(name, kind, options) if isinstance(kind, type) and is_dataclass(kind) else options
    return make_method(name, **typed)


def known_options(function: str, kind: type, options: dict[str, Any], *, without: Sequence[str] = ()) -> None:
    """Refuse options that a dataclass does not have, or that are not served. Raises UsageError."""
    known = {field.name for field in fields(kind)} - set(without)
    for key in options:
        if key not in known:
            raise UsageError(f"{function}: unknown option {key}; choose of {', '.join(sorted(known))}")


def typed_options(function: str, kind: type, options: dict[str, Any]) -> dict[str, Any]:
    """The options with arrays as lists, each of the type of its field in a dataclass.

    Which of several names is known, and what is in range, the class itself says. Unknown options pass.

    Raises UsageError naming the option and its type.
    """
    hints = get_type_hints(kind)
    taken = {}
    for key, given in options.items():
        value = given.tolist() if isinstance(given, np.ndarray) else given
        if key in hints and not _fits(value, hints[key]):
            wanted = re.sub(r"\b(collections\.abc|typing)\.", "", formatannotation(hints[key]))
            raise UsageError(f"{function}: {key}={said(given)} is not of type {wanted}")
        taken[key] = value
    return taken


def said(value: Any) -> str:
    """A value in a message: type and shape of a tensor, type of an array, else itself, cut to one line."""
    if isinstance(value, Tensor):
        return f"{value.dtype} {tuple(value.shape)}"
    if isinstance(value, np.ndarray):
        return "ndarray"
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004


def _check_range(x: Tensor) -> None:
    """Refuse images that are not in [0, 1]. Raises ValueError saying what came."""
    images = x.detach().float()
    low, high = (float(end) for end in images.aminmax())  # NaN where there is one
    if not (np.isfinite(low) and np.isfinite(high)):
        image = next(i for i, one in enumerate(images) if not bool(torch.isfinite(one).all()))
        raise ValueError(f"x holds NaN or infinite values, first in image {image}")
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        raise ValueError(
            f"x lies in [{low:.4g}, {high:.4g}]; expected RGB in [0, 1], to which the network's own mean and "
            "std are applied inside"
        )


def _wrapped(module: nn.Module, x: Tensor) -> Classifier:
    cfg = getattr(module, "pretrained_cfg", {}) or {}
    held = next((one for tensors in (module.parameters(), module.buffers()) for one in tensors), None)
    size = (int(x.shape[-2]), int(x.shape[-1]))
    classifier = Classifier(
        copy.deepcopy(module).cpu().float(),
        name=type(module).__name__,
        input_size=size,
        mean=cfg.get("mean", (0.0, 0.0, 0.0)),
        std=cfg.get("std", (1.0, 1.0, 1.0)),
        weights_source="in memory",
    )
    return classifier if held is None else classifier.to(held.device)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a field's type; a number of any library is, a bool is no number."""
    if get_origin(hint) in (Union, UnionType):
        return any(_fits(value, one) for one in get_args(hint))
    if get_origin(hint) is Sequence:
        listed = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
        return listed and all(_fits(one, get_args(hint)[0]) for one in value)
    if get_origin(hint) is Literal:
        return type(value) in {type(one) for one in get_args(hint)}
    if hint in (int, float):
        return isinstance(value, Integral if hint is int else Real) and not isinstance(value, bool)
    if hint is bool:
        return isinstance(value, (bool, np.bool_))
    return isinstance(value, hint) if hint in (str, type(None)) else True
