"""What a network's head reads of its last grid, found out on one random image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nasbench.errors import UsageError
from nasbench.models.graph import FINAL, Layer

if TYPE_CHECKING:
    from nasbench.models.classifier import Classifier

# Of the largest logit: far above the rounding of a type, far below what a norm or a class token makes.
_TOLERANCE = 1e-3
_ROUNDED_TOLERANCE = 2e-2


def head_weights(classifier: Classifier) -> Tensor | None:
    """The final linear layer's weights (classes, C) float32; None where it has other weights, or several."""
    weight = getattr(_last_layer(classifier), "weight", None)
    if not isinstance(weight, Tensor) or weight.ndim < 2 or len(weight) != classifier.num_classes:  # noqa: PLR2004
        return None
    return weight.detach().float().flatten(1)  # a 1 × 1 convolution is as good


def is_linear_on_average(classifier: Classifier) -> bool:
    """Whether the logits are the final linear layer on the average of `final`."""
    weights = head_weights(classifier)
    features = classifier.features(_image(classifier))
    pooled = features.final.mean((2, 3))
    if weights is None or weights.shape[1] != pooled.shape[1]:
        return False
    bias = getattr(_last_layer(classifier), "bias", None)
    expected = pooled @ weights.T + (0 if bias is None else bias.detach().float())
    far = float((expected - features.logits).abs().max())
    rounded = _last_layer(classifier).weight.dtype is torch.bfloat16
    tolerance = _ROUNDED_TOLERANCE if rounded else _TOLERANCE
    return far <= tolerance * float(features.logits.abs().max())


def reads_grid(classifier: Classifier, layer: Layer) -> bool:
    """Whether the logits depend on a layer's grid: the tokens before it do not count.

    Raises UsageError where there is no such layer or it puts out no grid.
    """
    with classifier.forward_graph(_image(classifier), [layer]) as graph:
        # A random mixture of the logits: their plain sum may be constant.
        mixture = torch.randn(graph.logits.shape, generator=torch.Generator().manual_seed(1))
        grads = graph.gradients((graph.logits * mixture.to(graph.logits.device)).sum())
    return bool((grads[layer] != 0).any())


def deepest_layer(classifier: Classifier) -> Layer | None:
    """`final`, else the deepest of timm's maps whose grid the logits depend on; None where there is none."""
    if reads_grid(classifier, FINAL):
        return FINAL
    for name in reversed(classifier.map_names):
        try:
            if reads_grid(classifier, name):
                return name
        except UsageError:
            continue
    return None


def _image(classifier: Classifier) -> Tensor:
    return torch.rand(1, 3, *classifier.input_size, generator=torch.Generator().manual_seed(0))


def classifier_modules(module: nn.Module) -> tuple[nn.Module, ...]:
    """What timm calls the classifier: a module, two of a distilled transformer; none where it is not said."""
    get: Any = getattr(module, "get_classifier", None)
    wanted = None if get is None else get()
    heads = wanted if isinstance(wanted, tuple | list) else [wanted]
    return tuple(head for head in heads if isinstance(head, nn.Module))


def _last_layer(classifier: Classifier) -> Any:
    heads = classifier_modules(classifier.module)
    return heads[0] if len(heads) == 1 else None
