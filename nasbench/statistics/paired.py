"""Tests of paired yes/no decisions, and their adjustment where there are many.

Holm's adjustment is our own five lines: statsmodels has it, but takes half a second and pandas to load. It is
what the tests compare with.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def mcnemar(gained: int, lost: int) -> float:
    """Two-sided p of McNemar's exact test: by chance each wins half of the images on which they differ."""
    from scipy.stats import binomtest

    return float(binomtest(gained, gained + lost, 0.5).pvalue) if gained + lost else 1.0


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (Scand. J. Stat. 1979) of p-values: at most 1, in the order given."""
    values: NDArray[np.float64] = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(stepped, 1)
    return [float(value) for value in adjusted]
