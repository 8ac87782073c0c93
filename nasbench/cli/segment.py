"""`nasbench segment`."""

from __future__ import annotations

from nasbench.cli.running import running

segment = running(
    "segment",
    """Cut images into regions and measure the regions.

**Examples**

`nasbench segment` : rendered scenes, bundled network

`nasbench segment dataset=folder dataset.root=photos model=resnet50 model.weights=resnet50.safetensors`

`nasbench segment segmenter=nas,slic,grid segmenter.k=5,10,20 --limit 64`
""",
)
