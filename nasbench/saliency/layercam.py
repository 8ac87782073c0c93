"""LayerCAM, of one layer and fused over several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasbench.errors import UsageError
from nasbench.models import Classifier
from nasbench.saliency.base import Batch, Method
from nasbench.saliency.layer import LayerMethod, ratio
from nasbench.saliency.options import check_positive, check_stages
from nasbench.saliency.passes import in_chunks, target_scores
from nasbench.segment.interpolation import axis


class LayerCam(LayerMethod):
    """Each activation times its own gradient where that is positive, which keeps shallow layers usable."""

    method: ClassVar[Method] = Method(
        name="layercam",
        title="LayerCAM",
        source="Jiang, Zhang, Hou, Cheng & Wei, LayerCAM: exploring hierarchical class activation maps for "
        "localization, IEEE TIP 2021, doi:10.1109/TIP.2021.3089943",
        formula="Σ_c max(G_c, 0) A_c",
        range="real; >= 0 where activations are",
        passes="1 forward + 1 backward",
        needs="both",
    )

    def rule(self, acts: Tensor, grads: Tensor) -> Tensor:
        """See `LayerMethod`."""
        return (grads.relu() * acts).sum(dim=1)


@dataclass(frozen=True, kw_only=True)
class FusedLayerCam:
    """LayerCAM of several stages as one map, from one pass, on the finest stage's grid.

    Each map is clipped at 0 and divided by its maximum; all but the deepest then go through tanh(γ ·), which
    lifts what a shallow stage shows faintly. They are bilinearly upsampled, and the largest counts. A stage
    that the logit does not depend on (the last block's tokens beside a class token) adds nothing.

    Attributes:
        stages: positions among the model's stages, negative from the deepest.
        gamma: the γ above; the paper's is 2.
    """

    stages: Sequence[int] = (-3, -2, -1)
    gamma: float = 2.0

    method: ClassVar[Method] = Method(
        name="layercam_fused",
        title="LayerCAM, fused",
        source=LayerCam.method.source,
        formula="max_l U_l(t_l(M_l / max M_l)), M_l = max(0, Σ_c max(G_lc, 0) A_lc); t = tanh(γ ·), the "
        "identity for the deepest",
        range="[0, 1]",
        passes="1 forward + 1 backward",
        needs="both",
    )

    def __post_init__(self) -> None:
        check_positive("gamma", self.gamma)
        check_stages("stages", self.stages)

    def unsupported(self, classifier: Classifier) -> str | None:
        """Why there is no such map: a stage that is missing, or none that the logit depends on."""
        try:
            read = [classifier.reads_grid(stage) for stage in self.stages]
        except UsageError as error:
            return str(error)
        return None if any(read) else f"the logits of {classifier.name} depend on none of these stages' grids"

    def __call__(self, classifier: Classifier, batch: Batch) -> Tensor:
        """Maps (B, h, w) float32 on the CPU, at the finest stage's resolution; see `Saliency`."""
        count = len(classifier.stage_names)

        def run(x: Tensor, target: Tensor) -> Tensor:
            with classifier.forward_graph(x, self.stages) as graph:
                grads = graph.gradients(target_scores(graph.logits, target).sum())
                by_depth = sorted(self.stages, key=lambda stage: stage % count)
                maps = [LayerCam().rule(graph.grid(stage), grads[stage]).relu() for stage in by_depth]
            return fused(maps, self.gamma).cpu()

        try:
            return in_chunks(run, batch.x, batch.target, max_batch=batch.max_batch)
        except UsageError as error:
            raise UsageError(f"saliency.stages={list(self.stages)}: {error}") from error


def fused(maps: Sequence[Tensor], gamma: float) -> Tensor:
    """One map (B, h, w) of several non-negative ones (B, h_l, w_l), shallow to deep; see `FusedLayerCam`."""
    scaled = [ratio(m, m.amax((1, 2), keepdim=True)) for m in maps]
    scaled = [*(torch.tanh(gamma * m) for m in scaled[:-1]), scaled[-1]]
    height, width = (max(m.shape[side] for m in maps) for side in (1, 2))
    upsampled = [
        axis(m.shape[1], height, m.device, m.dtype).taps
        @ m
        @ axis(m.shape[2], width, m.device, m.dtype).taps.T
        for m in scaled
    ]
    return torch.stack(upsampled).amax(dim=0)
