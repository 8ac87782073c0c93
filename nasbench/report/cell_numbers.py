"""What a cell measured, column by column, on any of its images: one shape for all commands.

A number is a mean over images, which is resampled as such, or something fitted to images, which is fitted
anew in every resample (localisation) or is a ratio of means (relevance). In the second case cells with the
same images are drawn alike, which pairs them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nasbench.localize.boxes import IOU_GRID
from nasbench.localize.choe_metric import ALL, LARGEST
from nasbench.localize.metric import BOX_TITLES, COVERS
from nasbench.localize.thresholds import column_names, with_mean
from nasbench.report.image_rows import Key, SaidRow, UnitRows, rows_by_image
from nasbench.report.localisation import Entries, Stratum, entries_of, score
from nasbench.report.merged import MergedCell
from nasbench.report.published import Image, decided_published, images_of, is_published, score_published
from nasbench.report.relevance_images import Images, read_images
from nasbench.report.relevance_scores import RATIOS

Floats = NDArray[np.float64]

# Rows whose value is no number of its own: lengths of intervals of thresholds, a count of subsets.
_NO_MEANS = frozenset({*BOX_TITLES, COVERS, *LARGEST, *ALL, "lattice"})


@dataclass(frozen=True)
class Measured:
    """A number of one cell on certain images.

    Attributes:
        value: the number.
        parts: (n,) what each image adds: their mean is the value; None where there is no such thing.
        resampled: (B,) the number in each resample; None where `parts` is resampled.
    """

    value: float
    parts: Floats | None
    resampled: Floats | None = None


class CellNumbers(Protocol):
    """The numbers of one cell."""

    @property
    def columns(self) -> Sequence[str]:
        """Their names."""
        ...

    def images(self, column: str) -> frozenset[Key]:
        """The images that have a number, by sample and class."""
        ...

    def measured(self, column: str, images: frozenset[Key]) -> Measured | None:
        """The number on these images, which all have it, sorted; None where it is not defined."""
        ...


def in_order(images: Iterable[Key]) -> list[Key]:
    """Images in the one order in which all cells' are taken."""
    return sorted(images, key=lambda key: (key[0], str(key[1])))


@dataclass(frozen=True)
class Means:
    """Plain means over images: by column, each image's value."""

    values: Mapping[str, Mapping[Key, float]]

    @property
    def columns(self) -> Sequence[str]:
        """See `CellNumbers`."""
        return list(self.values)

    def images(self, column: str) -> frozenset[Key]:
        """See `CellNumbers`."""
        return frozenset(self.values.get(column, {}))

    def measured(self, column: str, images: frozenset[Key]) -> Measured | None:
        """See `CellNumbers`."""
        parts = np.array([self.values[column][key] for key in in_order(images)], dtype=np.float64)
        return Measured(float(parts.mean()), parts) if len(parts) else None


@dataclass(frozen=True)
class Fitted:
    """Localisation in one stratum, at thresholds fitted to the very images asked for.

    Attributes:
        cell: the cell.
        found: what its rows say, of either protocol.
        stratum: the stratum's name.
        plain: means over the stratum's images.
    """

    cell: MergedCell
    found: Entries | Mapping[Key, Image]
    stratum: str
    plain: Means
    _known: dict[frozenset[Key], dict[str, Measured]] = field(default_factory=dict)

    @property
    def columns(self) -> Sequence[str]:
        """See `CellNumbers`."""
        return [*self._numbers(self._inside), *self.plain.columns]

    @cached_property
    def _inside(self) -> frozenset[Key]:
        kept = self.found.kept if isinstance(self.found, Entries) else self.found
        return frozenset(Stratum.of(kept, self.stratum).keys)

    def images(self, column: str) -> frozenset[Key]:
        """See `CellNumbers`."""
        if column in self.plain.values:
            return self.plain.images(column)
        return self._inside if column in self._numbers(self._inside) else frozenset()

    def measured(self, column: str, images: frozenset[Key]) -> Measured | None:
        """See `CellNumbers`."""
        if column in self.plain.values:
            return self.plain.measured(column, images)
        return self._numbers(images).get(column)

    def _numbers(self, images: frozenset[Key]) -> dict[str, Measured]:
        if images not in self._known:
            self._known[images] = self._scored(images)
        return self._known[images]

    def _scored(self, images: frozenset[Key]) -> dict[str, Measured]:
        if not images:
            return {}
        if isinstance(self.found, Entries):
            part = Stratum.of(self.found.kept, self.stratum, among=images)
            scored = score(part, self.cell.config["metric"], constant=self.found.constant)
            estimates = scored.estimates
            decided = with_mean(scored.right.astype(np.float64), IOU_GRID)
            parts = dict(zip(column_names(), decided.T, strict=True))
        else:
            shown = Stratum.of(self.found, self.stratum, among=images)
            estimates, parts = score_published(shown), decided_published(shown)
        return {
            name: Measured(one.value, parts.get(name), one.resampled)
            for name, one in estimates.items()
            if one.value is not None
        }


@dataclass(frozen=True)
class Relevance:
    """Relevance curves: means over images, and ratios of such means."""

    found: Images

    @property
    def columns(self) -> Sequence[str]:
        """See `CellNumbers`."""
        ratios = [name for name, one in RATIOS.items() if all(p in self.found.values for p in one.parts)]
        return [*self.found.values, *ratios]

    def images(self, column: str) -> frozenset[Key]:
        """See `CellNumbers`."""
        mask = self.found.having(_parts(column))
        return frozenset(key for key, there in zip(self.found.keys, mask, strict=True) if there)

    def measured(self, column: str, images: frozenset[Key]) -> Measured | None:
        """See `CellNumbers`."""
        mask = self.found.among(images)
        if not mask.any():
            return None
        values = [self.found.values[part][mask] for part in _parts(column)]
        if column not in RATIOS:
            return Measured(float(values[0].mean()), values[0])
        value = RATIOS[column].of_images(values)
        if value is None:
            return None
        means = self.found.resampled(_parts(column), mask)
        return Measured(value, None, RATIOS[column].of_means(means))


def numbers_of(rows: UnitRows, cell: MergedCell, strata: Sequence[str]) -> dict[str, CellNumbers]:
    """A cell's numbers by stratum, of which commands without boxes have one, the empty name.

    Raises RunError for a damaged unit.
    """
    if cell.command == "lerf":
        images = read_images(rows, cell.keys)
        images.curves.clear()
        return {"": Relevance(images)}
    found = rows_by_image(rows, cell.keys)
    if cell.command != "wsol":
        return {"": _means(found)}
    read: Entries | Mapping[Key, Image] = (
        images_of(found, cell).kept if is_published(cell) else entries_of(found)
    )
    kept = read.kept if isinstance(read, Entries) else read
    by_stratum: dict[str, CellNumbers] = {}
    for name in strata:
        inside = frozenset(Stratum.of(kept, name).keys)
        plain = _means({key: found[key] for key in in_order(inside)})
        by_stratum[name] = Fitted(cell, read, name, plain)
    return by_stratum


def _means(found: Mapping[Key, Mapping[str, SaidRow]]) -> Means:
    values: dict[str, dict[Key, float]] = {}
    for key, rows in found.items():
        for metric, row in rows.items():
            if row.value is not None and metric not in _NO_MEANS:
                values.setdefault(metric, {})[key] = row.value
    return Means(values)


def _parts(column: str) -> tuple[str, ...]:
    return RATIOS[column].parts if column in RATIOS else (column,)
