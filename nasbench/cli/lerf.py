"""`nasbench leRF`."""

from __future__ import annotations

from nasbench.cli.running import running

lerf = running(
    "lerf",
    """Remove what a saliency map ranks, least relevant first and most relevant first, and watch the score.

**Examples**

`nasbench leRF` : CAM on rendered scenes, bundled network, pixel by pixel

`nasbench leRF saliency=cam,gradient,random,centre segmenter=none,nas,slic imputer=dataset_mean,road`

`nasbench leRF metric=lattice saliency=cam,gradient,centre segmenter=nas segmenter.k=8`
""",
)
