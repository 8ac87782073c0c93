"""Cascading randomisation of weights: what an explanation shows when the network has unlearnt.

From the head down, block after block takes the weights of an untrained network of the same architecture
(Adebayo, Gilmer, Muelly, Goodfellow, Hardt & Kim, "Sanity checks for saliency maps", NeurIPS 2018, arXiv
1810.03292, where the initial values are re-drawn). An explanation that stays as it was does not depend on
what the network has learnt. A layer's running statistics and other buffers go with its weights.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from nasbench.errors import UsageError
from nasbench.models import Classifier
from nasbench.models.head import classifier_modules
from nasbench.models.weights import state_digest

Depth = int | Literal["all"]


def blocks(classifier: Classifier) -> dict[str, tuple[str, ...]]:
    """The network's blocks, from the head down: name -> keys of the state dict.

    `head` is what timm calls the classifier. A stage begins after the one before it and ends with the module
    that yields its map; what follows the deepest, but for the head, is part of it. `stem` is what comes
    before the first stage. The order is that in which modules are registered. A block without parameters and
    buffers, such as a first stage that is no more than an activation layer, is left out.

    Raises:
        UsageError: a stage is no module of the network, or the network has no head.
    """
    module = classifier.module
    order = {name: i for i, (name, _) in enumerate(module.named_modules())}
    missing = [name for name in classifier.stage_names if name not in order]
    if missing:
        raise UsageError(f"{classifier.name} cannot be randomised block by block: no module {missing[0]!r}")
    heads = _heads(module)
    if not heads:
        raise UsageError(f"{classifier.name} cannot be randomised block by block: it has no classifier")
    # Registration order is depth first, so that a module and all below it are neighbours.
    starts = [order[name] for name in classifier.stage_names]
    ends = [max(i for other, i in order.items() if _below(other, name)) for name in classifier.stage_names]
    found: dict[str, list[str]] = {name: [] for name in ("head", *reversed(classifier.stage_names), "stem")}
    for key in module.state_dict():
        owner = key.rpartition(".")[0]
        found[_block(owner, order[owner], heads, classifier.stage_names, starts[0], ends)].append(key)
    return {name: tuple(keys) for name, keys in found.items() if keys}


def cascade(classifier: Classifier, depth: Depth) -> set[str]:
    """Keys of the state dict that are random at a depth: the first `depth` of `blocks`.

    Args:
        classifier: the network; its weights do not matter.
        depth: 0 nothing, 1 the head alone, then the stages from the deepest and the stem; `all` everything.

    Raises:
        UsageError: there are not so many blocks.
    """
    found = blocks(classifier)
    count: Any = len(found) if depth == "all" else depth  # whatever a configuration holds
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= len(found):
        names = ", ".join(found)
        raise UsageError(f"randomise={depth}: choose all or 0 to {len(found)} (from the top: {names})")
    return {key for keys in list(found.values())[:count] for key in keys}


@torch.no_grad()
def apply_cascade(trained: Classifier, random: Classifier, depth: Depth) -> Classifier:
    """Put the random network's weights into the first blocks of the trained one, in place, and return it.

    Its digest and the source of its weights follow, so that nothing computed with it is taken for the trained
    network's.

    Raises:
        UsageError: there are not so many blocks.
        ValueError: the networks differ in their architecture.
    """
    keys = cascade(trained, depth)
    ours, theirs = trained.module.state_dict(), random.module.state_dict()
    if _layout(ours) != _layout(theirs):
        raise ValueError(f"{trained.name} and {random.name} differ in their parameters")
    for key in keys:
        ours[key].copy_(theirs[key])  # the state dict's tensors are the module's own
    if keys:
        trained.weights_source = f"{trained.weights_source}, depth {depth} of {random.weights_source}"
        trained.weights_digest = state_digest(trained.module.state_dict())
    return trained


def _heads(module: nn.Module) -> tuple[str, ...]:
    heads = classifier_modules(module)
    return tuple(name for name, layer in module.named_modules() if any(layer is head for head in heads))


def _block(
    owner: str, place: int, heads: tuple[str, ...], stages: tuple[str, ...], start: int, ends: list[int]
) -> str:
    """The block of a module by its name and place in the order of registration."""
    if any(_below(owner, head) for head in heads):
        return "head"
    if place < start:
        return "stem"
    return next((name for name, end in zip(stages, ends, strict=True) if place <= end), stages[-1])


def _below(name: str, root: str) -> bool:
    return name == root or name.startswith(f"{root}.")


def _layout(state: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(tensor.shape) for key, tensor in state.items()}
