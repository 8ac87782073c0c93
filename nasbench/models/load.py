"""From a model's configuration to a Classifier."""

from __future__ import annotations

import difflib
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from nasbench.errors import UsageError, WeightsError
from nasbench.models.classifier import Classifier
from nasbench.models.weights import fit_state, load_state

# Options of timm's factory that the configuration spells otherwise, or that would fetch or unpickle alone.
_RESERVED = {
    "num_classes": "set model.num_classes",
    "img_size": "set model.input_size",
    "in_chans": "images have three channels",
    "pretrained": "set model.weights",
    "checkpoint_path": "set model.weights",
    "pretrained_cfg": "set model.weights, model.mean and model.std",
    "pretrained_cfg_overlay": "set model.weights, model.mean and model.std",
    "features_only": "a classifier needs its head",
}


def load_classifier(
    *,
    name: str,
    weights: str | None,
    num_classes: int | None = None,
    input_size: int | Sequence[int] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    stages: Sequence[int] | None = None,
    seed: int = 0,
    kwargs: Mapping[str, Any] | None = None,
) -> Classifier:
    """Build a timm network, load its weights and freeze it. The global random state is left as it was.

    Args:
        name: timm's name, such as `resnet50`.
        weights: a checkpoint file (`.safetensors`, `.pth`, `.pt`, `.bin`), `bundled`, `random`, or `hub` to
            download timm's; the network is reached in the last case only.
        num_classes: None reads it off the checkpoint's head, else timm's default.
        input_size: pixels, one number or (h, w); None is timm's default.
        mean: per channel, of images in [0, 1]; None is timm's default.
        std: per channel, positive; None is timm's default.
        stages: see `stages.choose_stages`; None follows its rule.
        seed: of the initial weights, for `random`.
        kwargs: further options of the network's constructor.

    Raises:
        UsageError: an option is wrong.
        WeightsError: the checkpoint is refused or does not fit.
    """
    cfg = _default_cfg(name)
    options = _options(kwargs)
    if weights is None:
        raise UsageError(
            "model.weights is not set: "
            "give a .safetensors or .pth file, `hub` to download timm's, or `random`"
        )
    weights = str(weights)
    size = sized(input_size, default=cfg.input_size[-2:])
    moments = {
        "mean": per_channel("mean", mean, default=cfg.mean),
        "std": per_channel("std", std, default=cfg.std),
    }
    state = None if weights in {"random", "hub"} else load_state(weights)
    classes = _classes(num_classes, state, cfg, weights)
    extra: dict[str, Any] = dict(options) if classes is None else {**options, "num_classes": classes}
    if cfg.fixed_input_size and size != tuple(cfg.input_size[-2:]) and not options.get("dynamic_img_size"):
        extra["img_size"] = size  # position embeddings and windows are laid out at construction
    module = _create(name, pretrained=weights == "hub", seed=seed, options=extra)
    if state is not None:
        fit_state(module, state, model=name, shown=weights)
    return Classifier(
        module,
        name=name,
        input_size=size,
        weights_source=source_of(weights, seed),
        stages=None if stages is None else plain(stages),
        kwargs=options,
        **moments,
    )


def _create(name: str, *, pretrained: bool, seed: int, options: dict[str, Any]) -> nn.Module:
    """A timm network, its initial weights drawn from the seed. Raises UsageError and WeightsError."""
    if pretrained:
        _check_hub(name)
    # The CPU's generator alone: torch.manual_seed would reseed accelerators, and nothing would restore them.
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Mapping deprecated model name")
        torch.default_generator.manual_seed(seed)
        try:
            module: nn.Module = timm.create_model(name, pretrained=pretrained, **options)
        except TypeError as error:
            raise UsageError(f"{name} refuses model.kwargs {options}: {first_line(error)}") from error
        except Exception as error:
            # Constructors and downloaders raise what they like; which of the two it was decides the message.
            if pretrained:
                raise WeightsError(
                    f"timm's weights of {name} could not be fetched: {first_line(error)}"
                ) from error
            raise UsageError(
                f"{name} cannot be built with model.kwargs {options}: {first_line(error)}"
            ) from error
    return module


def _check_hub(name: str) -> None:
    """Refuse what would reach the network although it is switched off. Raises WeightsError."""
    cfg = timm.get_pretrained_cfg(name)
    if not cfg.has_weights:
        raise WeightsError(f"timm has no weights of {name}: give a .safetensors or .pth file, or `random`")
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
    # The hub's own client honours the variable and serves its cache; timm's plain downloads do not know it.
    if offline and not cfg.hf_hub_id:
        raise WeightsError(f"timm's weights of {name} could not be fetched: HF_HUB_OFFLINE is set")


def _default_cfg(name: Any) -> Any:
    """What timm knows of a model by default. Raises UsageError with the nearest names."""
    # Prefixes such as hf-hub: would reach the network; they are not models by timm's own account.
    if isinstance(name, str) and timm.is_model(name):
        try:
            cfg = timm.get_pretrained_cfg(name)
        except RuntimeError as error:
            tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{name.partition('.')[0]}.*")]
            raise UsageError(f"model.name: {first_line(error)} It has: {', '.join(tags)}") from error
        if cfg is not None:
            return cfg
    near = _near_models(str(name))
    hint = f"; near: {', '.join(near)}" if near else ""
    raise UsageError(f"model.name: {name!r} is not a timm model{hint}")


def _near_models(name: str) -> list[str]:
    known = timm.list_models()
    arch = name.rpartition("/")[2].partition(".")[0].lower()
    near = difflib.get_close_matches(arch, known, n=3)
    return list(dict.fromkeys(near + [k for k in known if arch and arch in k]))[:5]


def _classes(wanted: Any, state: Mapping[str, Tensor] | None, cfg: Any, weights: str) -> int | None:
    """The number of classes: as wanted, else the rows of the checkpoint's head, else None: timm's default."""
    if wanted is not None:
        if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1:
            raise UsageError(f"model.num_classes={wanted!r} is not a positive number")
        if weights == "hub" and wanted != cfg.num_classes:
            # timm would hand out a head of random weights without a word.
            raise UsageError(f"model.num_classes={wanted}: timm's own weights have {cfg.num_classes} classes")
        return wanted
    heads = [cfg.classifier] if isinstance(cfg.classifier, str) else list(cfg.classifier or ())
    for head in heads:
        weight = (state or {}).get(f"{head}.weight")
        if weight is not None and weight.ndim > 0:
            return int(weight.shape[0])
    return None


def sized(value: Any, *, default: Sequence[int]) -> tuple[int, int]:
    """(h, w) of one number of pixels or two; None is the default. Raises UsageError."""
    sides = list(default) if value is None else list(value) if isinstance(value, Sequence) else [value] * 2
    if len(sides) != 2 or any(isinstance(s, bool) or not isinstance(s, int) or s < 1 for s in sides):  # noqa: PLR2004
        raise UsageError(f"model.input_size={value!r}: give a number of pixels, or [height, width]")
    return sides[0], sides[1]


def per_channel(key: str, value: Any, *, default: Sequence[float] = ()) -> tuple[float, ...]:
    """Three finite numbers, positive for `std`; None is the default. Raises UsageError naming the key."""
    numbers = tuple(default if value is None else value if isinstance(value, Sequence) else ())
    good = len(numbers) == 3 and all(isinstance(n, (int, float)) and math.isfinite(n) for n in numbers)  # noqa: PLR2004
    if not good or (key == "std" and min(numbers) <= 0):
        what = "positive numbers" if key == "std" else "numbers"
        raise UsageError(f"model.{key}={value!r}: give three {what}, one per channel of an image in [0, 1]")
    return tuple(float(n) for n in numbers)


def _options(kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
    options: dict[str, Any] = plain(kwargs or {})
    for key, advice in _RESERVED.items():
        if key in options:
            raise UsageError(f"model.kwargs.{key} is not taken: {advice}")
    return options


def plain(value: Any) -> Any:
    """Configuration containers as dicts and lists: timm's constructors test for these."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [plain(v) for v in value]
    return value


def source_of(weights: str, seed: int) -> str:
    """What rows say of weights: never a path."""
    if weights == "random":
        return f"random(seed={seed})"
    named = weights == "hub" or weights.partition(":")[0] == "bundled"
    return weights if named else Path(weights).name


def first_line(error: BaseException) -> str:
    """An error's message, or its kind, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
