"""Everything a call on a network must leave as it was, as one value to compare."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from nasbench.models import Classifier

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def state_of(classifier: Classifier) -> dict[str, Any]:
    """Hooks, modes, flags, gradients, versions of all tensors, global random states and the grad mode."""
    modules = list(classifier.module.modules())
    parameters = list(classifier.module.parameters())
    numpy_state: Any = np.random.get_state(legacy=False)
    return {
        "hooks": [len(getattr(m, kind)) for m in modules for kind in _HOOKS],
        "training": [m.training for m in modules],
        "requires_grad": [p.requires_grad for p in parameters],
        "gradients": [p.grad is None for p in parameters],
        # A tensor's version counts the writes into it.
        "writes": [t._version for t in (*parameters, *classifier.module.buffers())],
        "grad mode": torch.is_grad_enabled(),
        "torch": torch.get_rng_state().tolist(),
        "python": random.getstate(),
        "numpy": (numpy_state["state"]["key"].tolist(), numpy_state["state"]["pos"]),
    }
