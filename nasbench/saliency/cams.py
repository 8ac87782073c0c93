"""Class activation maps: sums over the channels of one layer, at that layer's resolution.

A is the layer's output (C, h, w), S the target's logit and G = ∂S/∂A, both of one image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasbench.errors import UsageError
from nasbench.models import Classifier
from nasbench.saliency.base import Batch, Method
from nasbench.saliency.layer import LayerMethod, ratio, weighted
from nasbench.saliency.passes import final_of


@dataclass(frozen=True, kw_only=True)
class Cam:
    """The target's weights in the head, position by position; the map's mean is the logit, bias apart.

    Attributes:
        relu: clip the map at 0.
    """

    relu: bool = False

    method: ClassVar[Method] = Method(
        name="cam",
        title="CAM",
        source="Zhou, Khosla, Lapedriza, Oliva & Torralba, Learning deep features for discriminative "
        "localization, CVPR 2016, arXiv:1512.04150",
        formula="Σ_c w_c A_c, w the target's row of the head's matrix, A what enters the pooling",
        range="real",
        passes="1 forward",
        needs="activations",
    )

    def unsupported(self, classifier: Classifier) -> str | None:
        """Why the head has no weights that make such a map."""
        if classifier.head_weights() is not None:
            return None
        if classifier.reads_class_token:
            return f"{classifier.name} classifies by a class token, not by the average of a grid"
        return f"the head of {classifier.name} is not one linear layer on the average of a grid"

    def reads_final(self, classifier: Classifier) -> bool:
        """Whether `Batch.final` is all it needs of a pass."""
        return classifier.head_weights() is not None

    def __call__(self, classifier: Classifier, batch: Batch) -> Tensor:
        """Maps (B, h, w) float32 on the CPU, at the resolution of `final`; see `Saliency`."""
        weights = classifier.head_weights()
        if weights is None:
            raise UsageError(f"saliency=cam: {self.unsupported(classifier)}")
        maps = weighted(weights[batch.target.to(weights.device)], final_of(classifier, batch))
        return (maps.relu() if self.relu else maps).cpu()


class GradCam(LayerMethod):
    """Channels weighted by their mean gradient.

    On `final`, where the head is one linear layer on its average, it is CAM over the number of positions.
    """

    method: ClassVar[Method] = Method(
        name="gradcam",
        title="Grad-CAM",
        source="Selvaraju, Cogswell, Das, Vedantam, Parikh & Batra, Grad-CAM: visual explanations from deep "
        "networks via gradient-based localization, ICCV 2017, arXiv:1610.02391",
        formula="Σ_c mean_p(G_cp) A_c",
        range="real",
        passes="1 forward + 1 backward",
        needs="both",
    )

    def rule(self, acts: Tensor, grads: Tensor) -> Tensor:
        """See `LayerMethod`."""
        return weighted(grads.mean((2, 3)), acts)


class GradCamPlusPlus(LayerMethod):
    """Channels weighted by their positive gradients; derivatives of exp(S) weigh the positions.

    The common factor exp(S) of the published weights is left out: it scales a map as a whole, and overflows.
    Made for activations that are not negative: where they are, a denominator may come close to 0, and one
    channel rules the map. XGrad-CAM shares this.
    """

    method: ClassVar[Method] = Method(
        name="gradcam++",
        title="Grad-CAM++",
        source="Chattopadhay, Sarkar, Howlader & Balasubramanian, Grad-CAM++: generalized gradient-based "
        "visual explanations for deep convolutional networks, WACV 2018, arXiv:1710.11063",
        formula="Σ_c (Σ_p α_cp max(G_cp, 0)) A_c, α_cp = G_cp² / (2 G_cp² + G_cp³ Σ_q A_cq)",
        range="real",
        passes="1 forward + 1 backward",
        needs="both",
    )

    def rule(self, acts: Tensor, grads: Tensor) -> Tensor:
        """See `LayerMethod`."""
        # α divided through by G²: no square of a small gradient underflows. Where G = 0 its factor is 0 too.
        # Activations of both signs may cancel: what is left decides, so the sum adds no rounding of its own.
        wide = acts.double()
        alpha = ratio(torch.ones_like(wide), 2 + grads * wide.sum((2, 3), keepdim=True))
        return weighted((alpha * grads.relu()).sum((2, 3)), wide)


class XGradCam(LayerMethod):
    """Channels weighted by their mean gradient, in which a position counts by its share in the activation."""

    method: ClassVar[Method] = Method(
        name="xgradcam",
        title="XGrad-CAM",
        source="Fu, Hu, Dong, Guo, Gao & Li, Axiom-based Grad-CAM: towards accurate visualization and "
        "explanation of CNNs, BMVC 2020, arXiv:2008.02312",
        formula="Σ_c (Σ_p G_cp A_cp / Σ_q A_cq) A_c; a channel that sums to 0 counts 0",
        range="real",
        passes="1 forward + 1 backward",
        needs="both",
    )

    def rule(self, acts: Tensor, grads: Tensor) -> Tensor:
        """See `LayerMethod`."""
        wide = acts.double()
        weights = ratio((grads * wide).sum((2, 3)), wide.sum((2, 3)))
        return weighted(weights, wide)


class HiResCam(LayerMethod):
    """Each activation times its own gradient: what Grad-CAM would be without averaging the gradients."""

    method: ClassVar[Method] = Method(
        name="hirescam",
        title="HiResCAM",
        source="Draelos & Carin, Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional "
        "neural networks, 2020, arXiv:2011.08891",
        formula="Σ_c G_c A_c",
        range="real",
        passes="1 forward + 1 backward",
        needs="both",
    )

    def rule(self, acts: Tensor, grads: Tensor) -> Tensor:
        """See `LayerMethod`."""
        return (grads * acts).sum(dim=1)
