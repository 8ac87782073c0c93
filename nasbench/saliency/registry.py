"""Every saliency method of ours by its name: once, for all that go through them or look one up.

Runs find their methods by the `_target_` of a configuration, so a user's own needs no place here. A test
holds the names and options here to those in `configs/saliency`.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from nasbench.errors import UsageError
from nasbench.saliency.activations import EigenCam, MeanActivation
from nasbench.saliency.base import Saliency
from nasbench.saliency.cams import Cam, GradCam, GradCamPlusPlus, HiResCam, XGradCam
from nasbench.saliency.controls import (
    BlurredRandom,
    CentreGaussian,
    ConstBox,
    EdgeDetector,
    FullBox,
    Oracle,
    UniformRandom,
)
from nasbench.saliency.gradients import (
    Gradient,
    InputXGradient,
    IntegratedGradients,
    SmoothGrad,
    SmoothGradSquared,
    VarGrad,
)
from nasbench.saliency.layercam import FusedLayerCam, LayerCam
from nasbench.saliency.precomputed import Precomputed
from nasbench.saliency.superpixel_gradients import GradientSuperpixels, Swag

METHODS: Mapping[str, Callable[..., Saliency]] = MappingProxyType(
    {
        "gradient": Gradient,
        "input_x_gradient": InputXGradient,
        "smoothgrad": SmoothGrad,
        "smoothgrad_squared": SmoothGradSquared,
        "vargrad": VarGrad,
        "ig": IntegratedGradients,
        "cam": Cam,
        "gradcam": GradCam,
        "gradcam++": GradCamPlusPlus,
        "xgradcam": XGradCam,
        "hirescam": HiResCam,
        "layercam": LayerCam,
        "layercam_fused": FusedLayerCam,
        "eigencam": EigenCam,
        "mean_activation": MeanActivation,
        "gradient_superpixels": GradientSuperpixels,
        "swag": Swag,
        "swag_image": partial(Swag, source="image"),
        "swag_gradients": partial(Swag, source="gradients"),
        "random": UniformRandom,
        "random_blur": BlurredRandom,
        "centre": CentreGaussian,
        "edges": EdgeDetector,
        "oracle": Oracle,
        "full_box": FullBox,
        "const_box": ConstBox,
        "precomputed": Precomputed,
    }
)
"""Name, as in `saliency=<name>`, to what makes the method from its options."""


def make_method(name: str, **options: Any) -> Saliency:
    """A method by its name, with its constructor's options.

    Raises UsageError for an unknown name or option, naming the nearest ones, and for an option out of range.
    """
    if name not in METHODS:
        near = difflib.get_close_matches(str(name), METHODS, n=3, cutoff=0.5)
        said = f"did you mean {' or '.join(near)}?" if near else f"choose one of {', '.join(METHODS)}"
        raise UsageError(f"there is no saliency method {name!r}; {said}")
    known = inspect.signature(METHODS[name]).parameters
    for option in options:
        if option not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise UsageError(f"{name} has no option {option!r}; {has}")
    for option, parameter in known.items():
        if parameter.default is inspect.Parameter.empty and option not in options:
            raise UsageError(f"{name} needs its option {option!r}")
    return METHODS[name](**options)
