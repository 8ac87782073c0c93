"""From the name of a function that builds a network, and its modules' names, to a Classifier."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nasbench.errors import UsageError
from nasbench.importing import resolve
from nasbench.models.classifier import Classifier
from nasbench.models.load import first_line, per_channel, plain, sized, source_of
from nasbench.models.split import with_stages
from nasbench.models.stages import same_ratio
from nasbench.models.weights import fit_state, load_state

_DIMS = 4


def load_by_modules(
    *,
    builder: str,
    stages: Sequence[str],
    weights: str | None,
    head: str | None = None,
    num_classes: int | None = None,
    input_size: int | Sequence[int] = 224,
    mean: Sequence[float] = (0.485, 0.456, 0.406),
    std: Sequence[float] = (0.229, 0.224, 0.225),
    seed: int = 0,
    kwargs: Mapping[str, Any] | None = None,
) -> Classifier:
    """Build a convolutional network, load its weights and freeze it; the global random state stays.

    Args:
        builder: importable name of what builds it, such as `torchvision.models.resnet50`.
        stages: names of its modules whose outputs are the stages, shallow to deep, each (B, C, h, w); the
            deepest's is what the head reads.
        weights: a checkpoint file (`.safetensors`, `.pth`, `.pt`, `.bin`), or `random`.
        head: the name of the classifier, a linear layer; None is the last linear layer.
        num_classes: given to the builder; None leaves it to the builder.
        input_size: pixels, one number or (h, w).
        mean: per channel, of images in [0, 1].
        std: per channel, positive.
        seed: of the initial weights.
        kwargs: further arguments of the builder.

    Raises:
        UsageError: an option is wrong, or the network cannot be cut into stages.
        WeightsError: the checkpoint is refused or does not fit.
    """
    if weights is None or weights == "hub" or str(weights).partition(":")[0] == "bundled":
        raise UsageError("model.weights: give a .safetensors or .pth file, or `random`")
    names = plain(stages)
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise UsageError(f"model.stages={names!r}: give the names of modules, such as [layer1, layer2]")
    if len(set(names)) < len(names):
        raise UsageError(f"model.stages={names}: a module comes twice")
    size = sized(input_size, default=(224, 224))
    moments = {"mean": per_channel("mean", mean), "std": per_channel("std", std)}
    options = {**plain(kwargs or {}), **({} if num_classes is None else {"num_classes": num_classes})}
    module = _built(builder, seed, options).eval()
    if weights != "random":
        fit_state(module, load_state(str(weights)), model=builder, shown=str(weights))
    split = with_stages(module, names, head)
    _check_maps(split, names, size)
    return Classifier(
        split,
        name=builder.rpartition(".")[2],
        input_size=size,
        weights_source=source_of(str(weights), seed),
        stages=list(range(len(names))),
        kwargs={"builder": builder, "head": head, **options},
        **moments,
    )


def _built(builder: Any, seed: int, options: Mapping[str, Any]) -> nn.Module:
    """The network, its initial weights drawn from the seed. Raises UsageError."""
    try:
        make = resolve(builder)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise UsageError(f"model.builder={builder} cannot be imported: {error}") from error
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The default weight initialization")
        torch.default_generator.manual_seed(seed)
        try:
            module: Any = make(**options)
        except Exception as error:  # a user's function may raise anything
            raise UsageError(f"model.builder={builder} refuses {options}: {first_line(error)}") from error
    if not isinstance(module, nn.Module):
        raise UsageError(f"model.builder={builder} built {type(module).__name__}, no torch.nn.Module")
    return module


@torch.no_grad()
def _check_maps(module: Any, names: Sequence[str], size: tuple[int, int]) -> None:
    """Refuse stages that are no maps: tokens, or channels in the last place. Raises UsageError."""
    height, width = size
    try:
        _, maps = module.forward_intermediates(torch.zeros(1, 3, height, width))
    except (AssertionError, RuntimeError, ValueError, TypeError) as error:
        raise UsageError(
            f"{type(module).__name__} does not accept images of {height}×{width}: {first_line(error)}"
        ) from error
    for name, found in zip(names, maps, strict=True):
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        # Channels in the place of a side have not the image's proportions.
        if not isinstance(found, Tensor) or found.ndim != _DIMS or not same_ratio(found.shape[2:], size):
            raise UsageError(f"model.stages: {name} puts out {shape}, no map (B, C, h, w) of the image")
