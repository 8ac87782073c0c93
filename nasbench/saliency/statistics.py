"""What a raw map looks like in numbers; whether it is right is another question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class MapStatistics:
    """Statistics of one map.

    Attributes:
        names: which, out of map_min, map_max, map_mean and map_positive (the share of positive values).
    """

    names: Sequence[str] = ("map_min", "map_max", "map_mean", "map_positive")

    def __post_init__(self) -> None:
        if not self.names or len(set(self.names)) < len(self.names):
            raise UsageError(
                f"metric.names must hold one name or more, each once; choose from {', '.join(_STATISTICS)}"
            )
        for name in self.names:
            if name not in _STATISTICS:
                raise UsageError(f"metric.names holds {name}; choose from {', '.join(_STATISTICS)}")

    def __call__(self, values: NDArray[Any]) -> list[float]:
        """One number per name, of a map of finite values of any shape."""
        return [_STATISTICS[name](values) for name in self.names]


_STATISTICS: dict[str, Callable[[NDArray[Any]], float]] = {
    "map_min": lambda values: float(values.min()),
    "map_max": lambda values: float(values.max()),
    "map_mean": lambda values: float(values.mean(dtype=np.float64)),
    "map_positive": lambda values: float((values > 0).mean()),
}
