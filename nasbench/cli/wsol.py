"""`nasbench wsol`."""

from __future__ import annotations

from nasbench.cli.running import running

wsol = running(
    "wsol",
    """Localise objects with saliency maps, and score the boxes at every threshold.

**Examples**

`nasbench wsol` : CAM on rendered scenes, bundled network

`nasbench wsol saliency=cam,layercam,centre,const_box,full_box segmenter=none,nas,slic`

`nasbench wsol model=resnet50 model.weights=FILE dataset=imagenet dataset.root=imagenet`
""",
)
