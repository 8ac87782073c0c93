"""What one forward pass yields."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor


@dataclass(frozen=True)
class Features:
    """Logits and activations of a batch, from one forward pass.

    Attributes:
        logits: (B, classes) float32.
        stages: one (B, C_l, h_l, w_l) tensor per stage, shallow to deep; prefix tokens dropped, token
            grids restored.
        final: (B, C, h, w), what enters the pooling before the classification head.
        tokens: whether the stages are grids of a transformer's tokens, some of which may have taken over
            other work than describing their place (Darcet et al. 2024).
    """

    logits: Tensor
    stages: tuple[Tensor, ...]
    final: Tensor
    tokens: bool = False

    def image(self, i: int) -> Features:
        """Image i alone, still as a batch of one."""
        part = slice(i, i + 1)
        stages = tuple(stage[part] for stage in self.stages)
        return replace(self, logits=self.logits[part], stages=stages, final=self.final[part])
