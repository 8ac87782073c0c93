"""The rows of a run's localisation, image by image."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from nasbench.localize.metric import BOXES, PIXELS

if TYPE_CHECKING:
    import pyarrow as pa

Floats = NDArray[np.float64]
# A sample, and the class explained in it.
Key = tuple[str, int | None]


class UnitRows(Protocol):
    """Where the rows of units are: the folder of a run, or several of them taken together."""

    def has_rows(self, key: str) -> bool:
        """Whether a unit is finished."""
        ...

    def read_rows(self, key: str) -> pa.Table:
        """A unit's rows. Raises RunError for a damaged one."""
        ...


class SaidRow(NamedTuple):
    """What a row says, but of what."""

    value: float | None
    curve: list[float] | None
    status: str
    reason: str
    conventions: str

    @property
    def said(self) -> dict[str, str]:
        """Its conventions."""
        found: dict[str, str] = json.loads(self.conventions)
        return found


def rows_by_image(folder: UnitRows, keys: Sequence[str]) -> dict[Key, dict[str, SaidRow]]:
    """The rows of a cell's finished units by metric. Raises RunError for a damaged one."""
    found: dict[Key, dict[str, SaidRow]] = {}
    for key in keys:
        if not folder.has_rows(key):
            continue
        table = folder.read_rows(key).select(["sample", "target", "metric", *SaidRow._fields])
        for sample, target, metric, *rest in zip(*(c.to_pylist() for c in table.columns), strict=True):
            found.setdefault((sample, target), {})[metric] = SaidRow(*rest)
    return found


def first_failure(rows: Mapping[str, SaidRow], titles: Iterable[str]) -> str | None:
    """Why an image cannot be scored: the reason of the first of its rows that is not ok; None if all are."""
    return next((rows[title].reason for title in titles if rows[title].status != "ok"), None)


def unit_boxes_of(rows: Mapping[str, SaidRow]) -> Floats:
    """(n, 4) the ground-truth boxes of an image, as shares of the frame's sides."""
    return np.array(rows[BOXES].curve, dtype=np.float64).reshape(-1, 4)


def histogram_of(rows: Mapping[str, SaidRow]) -> Floats | None:
    """(2, T + 1) the histogram of its pixels' scores; None without a mask."""
    curve = rows[PIXELS].curve if PIXELS in rows else None
    return None if curve is None else np.array(curve, dtype=np.float64).reshape(2, -1)
