"""Passes that fit into memory: where one does not, its halves may."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from nasbench.errors import RunError

T = TypeVar("T")


def in_halves(run: Callable[..., T], *tensors: Tensor, join: Callable[[T, T], T], what: str) -> T:
    """`run` on the tensors; where memory runs out, on their halves along the first axis, joined again.

    Args:
        run: the pass.
        tensors: what it takes, each with the batch first.
        join: puts the results of two halves together, in their order.
        what: the pass of one image, for the message.

    Raises RunError where a single image does not fit.
    """
    try:
        return run(*tensors)
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        if len(tensors[0]) == 1:
            size = "×".join(map(str, tensors[0].shape[-2:]))
            raise RunError(f"{what} of one image of {size} does not fit into memory") from error
    # Outside the handler: the traceback keeps the failed pass's tensors alive.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    half = (len(tensors[0]) + 1) // 2
    first = in_halves(run, *(tensor[:half] for tensor in tensors), join=join, what=what)
    return join(first, in_halves(run, *(tensor[half:] for tensor in tensors), join=join, what=what))


def _is_out_of_memory(error: RuntimeError) -> bool:
    words = ("not enough memory", "can't allocate memory")
    return isinstance(error, torch.OutOfMemoryError) or any(word in str(error) for word in words)
