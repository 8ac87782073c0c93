"""What the methods share that make a map of one layer's output, and of its gradient if they take any.

The published methods clip their maps at 0; here the raw sum is handed out, and `relu=true` clips it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasbench.errors import UsageError
from nasbench.models import Classifier
from nasbench.models.graph import FINAL
from nasbench.saliency.base import Batch, Method
from nasbench.saliency.passes import final_of, in_chunks, target_scores


@dataclass(frozen=True, kw_only=True)
class LayerMethod(ABC):
    """A rule that makes one map of a layer's output and its gradient.

    Attributes:
        layer: `auto`, `final` (what enters the pooling), a position among the model's stages (negative from
            the deepest), or a module's name. `auto` is `final` where the head reads its grid. Where it reads
            a class token, no gradient reaches the other tokens there, and `auto` is the deepest of timm's
            maps whose tokens the logit still depends on: the output of the second-to-last block.
        relu: clip the map at 0.
    """

    layer: int | str = "auto"
    relu: bool = False

    method: ClassVar[Method]
    uses_gradients: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if isinstance(self.layer, bool) or not isinstance(self.layer, (int, str)):
            raise UsageError(
                f"saliency.layer={self.layer}: choose auto, final, a stage's position, or a module's name"
            )

    def unsupported(self, classifier: Classifier) -> str | None:
        """Why there is no such map: no such layer, or none that the logit depends on."""
        try:
            layer = self._layer(classifier)
            read = classifier.reads_grid(layer)
        except UsageError as error:
            return str(error)
        if self.uses_gradients and not read:
            return f"the logits of {classifier.name} do not depend on the grid of layer {layer}"
        return None

    def reads_final(self, classifier: Classifier) -> bool:
        """Whether `Batch.final` is all it needs: a linear head's gradients there are its weights."""
        try:
            on_final = self._layer(classifier) == FINAL
        except UsageError:
            return False
        return on_final and (not self.uses_gradients or classifier.head_weights() is not None)

    def __call__(self, classifier: Classifier, batch: Batch) -> Tensor:
        """Maps (B, h, w) float32 on the CPU, at the layer's resolution; see `Saliency`."""
        if self.reads_final(classifier):
            return self._clipped(self._of_final(classifier, batch))
        layer = self._layer(classifier)

        def run(x: Tensor, target: Tensor) -> Tensor:
            with classifier.forward_graph(x, [layer]) as graph:
                grads = graph.grid(layer)  # where there are none, the rule does not read them
                if self.uses_gradients:
                    grads = graph.gradients(target_scores(graph.logits, target).sum())[layer]
                return self._clipped(self.rule(graph.grid(layer), grads))

        try:
            return in_chunks(run, batch.x, batch.target, max_batch=batch.max_batch)
        except UsageError as error:
            raise UsageError(f"saliency.layer={self.layer}: {error}") from error

    def _of_final(self, classifier: Classifier, batch: Batch) -> Tensor:
        acts = grads = final_of(classifier, batch)
        if self.uses_gradients:
            weights = classifier.head_weights()
            assert weights is not None
            of_mean = weights[batch.target.to(weights.device)] / (acts.shape[2] * acts.shape[3])
            grads = of_mean[:, :, None, None].expand_as(acts)
        return self.rule(acts, grads)

    def _clipped(self, maps: Tensor) -> Tensor:
        return (maps.relu() if self.relu else maps).float().cpu()

    @abstractmethod
    def rule(self, acts: Tensor, grads: Tensor) -> Tensor:
        """Maps (B, h, w) from A and G, each (B, C, h, w)."""

    def _layer(self, classifier: Classifier) -> int | str:
        if self.layer != "auto":
            return self.layer
        if classifier.deepest_layer is None:
            raise UsageError(
                f"no layer of {classifier.name} is known to reach its logits: set saliency.layer"
            )
        return classifier.deepest_layer


def weighted(weights: Tensor, acts: Tensor) -> Tensor:
    """Σ_c w_c A_c: (B, h, w) from (B, C) and (B, C, h, w)."""
    return torch.einsum("bc,bchw->bhw", weights, acts)


def ratio(top: Tensor, bottom: Tensor) -> Tensor:
    """The quotient of both, and 0 where bottom is 0."""
    return torch.where(bottom != 0, top / torch.where(bottom != 0, bottom, 1), 0)
