"""Tokens that no longer describe their place.

Large vision transformers use some background tokens as scratch space; these carry norms far above the rest
(Darcet et al. 2024, "Vision transformers need registers") and would each become a cluster of its own.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d


def mend_outlier_tokens(stage: Tensor, factor: float) -> Tensor:
    """Replace tokens of outlying norm by the mean of their sound neighbours, image by image.

    Args:
        stage: (B, C, h, w) token grid.
        factor: a token whose norm exceeds `factor` times the median norm of its image is an outlier; above 1.

    Returns:
        The grid, mended from the rim of each outlying patch inwards; the very same tensor where nothing is
        to be mended. An image cannot be all outliers: the median token is none.
    """
    norms = torch.linalg.vector_norm(stage, dim=1, keepdim=True)
    median = norms.flatten(1).median(dim=1).values[:, None, None, None]
    sound = (norms <= factor * median).to(stage.dtype)
    mended = stage
    while bool((sound == 0).any()):
        # Sums over 3 × 3 windows, of sound tokens only.
        near = avg_pool2d(sound, 3, stride=1, padding=1, divisor_override=1)
        sums = avg_pool2d(mended * sound, 3, stride=1, padding=1, divisor_override=1)
        fill = (sound == 0) & (near > 0)
        mended = torch.where(fill, sums / near.clamp(min=1), mended)
        sound = torch.where(fill, torch.ones_like(sound), sound)
    return mended
