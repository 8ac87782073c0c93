"""`nasbench explain`."""

from __future__ import annotations

from nasbench.cli.running import running

explain = running(
    "explain",
    """Explain a network's classes with saliency maps, and show them.

**Examples**

`nasbench explain` : Grad-CAM on rendered scenes, bundled network

`nasbench explain saliency=gradcam,layercam,ig saliency.regions=none,nas --limit 12`

`nasbench explain saliency=precomputed saliency.path=maps dataset=folder dataset.root=photos`
""",
)
