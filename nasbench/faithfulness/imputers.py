"""All imputers by name: what may take the place of removed pixels.

None of them is right. A flat colour has edges that a network sees, a blur keeps what it should hide, and
what fills a hole well may bring back what was in it. Blücher et al., TMLR 2024, show how the ranking of
explanations changes with the choice. So a row names its imputer with all its options.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from nasbench.faithfulness.fills import Blur, DatasetMean, ImageMean, Noise, Shuffle, Uniform, Zero
from nasbench.faithfulness.imputer import Imputer
from nasbench.faithfulness.neighbours import NeighbourMean
from nasbench.faithfulness.road import Road
from nasbench.faithfulness.telea import Telea

__all__ = [
    "IMPUTERS",
    "Blur",
    "DatasetMean",
    "ImageMean",
    "Imputer",
    "NeighbourMean",
    "Noise",
    "Road",
    "Shuffle",
    "Telea",
    "Uniform",
    "Zero",
]

_ALL: tuple[type[Imputer], ...] = (
    Zero,
    DatasetMean,
    ImageMean,
    Uniform,
    Blur,
    Noise,
    Shuffle,
    NeighbourMean,
    Road,
    Telea,
)
IMPUTERS: Mapping[str, type[Imputer]] = MappingProxyType({imputer.name: imputer for imputer in _ALL})
