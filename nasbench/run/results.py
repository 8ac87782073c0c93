"""What a cell says of one image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from nasbench.segment.scores import Score


@dataclass(frozen=True)
class Result:
    """What a cell says of one image, or of one class in it.

    Attributes:
        scores: one per metric; empty where nothing could be measured.
        n_regions: regions the consumer saw, None where there are none.
        target: the class explained, None where none is.
        failed: why there are no scores, one line; empty where there are.
        without_meaning: whether that is no failure: the cell means nothing for this network or image.
        arrays: what is kept of the result on request, by name.
        conventions: what all its scores rest on.
    """

    scores: Sequence[Score] = ()
    n_regions: int | None = None
    target: int | None = None
    failed: str = ""
    without_meaning: bool = False
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    conventions: Mapping[str, str] = field(default_factory=dict)
