"""The rows of `nasbench leRF`, cell by cell as arrays, and means of them over images and resamples."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasbench.digest import digest_value
from nasbench.faithfulness.curves import Curve
from nasbench.report.image_rows import Key, UnitRows
from nasbench.report.localisation import RESAMPLES
from nasbench.rng import generator
from nasbench.statistics.bootstrap import resample_counts

Floats = NDArray[np.float64]

# Shares removed at which curves of different images are averaged: every 100th.
GRID = np.linspace(0, 1, 101)
# Curves, by the row that holds them.
KINDS = {"auc_lerf": "lerf", "auc_morf": "morf", "auc_random": "random"}
# How many subsets were scored: no measure.
_SUBSETS = "lattice"
SAMPLED = "sampled_percentile_lerf"
# Differences within an image: by name, the areas.
DIFFERENCES = {
    "lerf_over_random": ("auc_lerf", "auc_random"),
    "morf_under_random": ("auc_random", "auc_morf"),
}
_COLUMNS = ("sample", "target", "metric", "value", "status", "reason", "n_regions", "conventions")
_AT_ONCE = 100


@dataclass(eq=False)
class Images:
    """What the rows of one cell say; an image counts once for each of its classes explained.

    Attributes:
        keys: (sample, class) of the n images that have any score, in an order of their own.
        values: by measure (n,), NaN where an image has none. A measure that no image of the cell has, because
            it means nothing here, is not there.
        curves: by kind (n, 101) float32, the scores at `GRID`; NaN where an image has none.
        regions: (n,) how many there are; NaN without.
        reasons: why others have no score at all, with numbers.
        missing: by measure and reason, how many of the n lack it; without those whose orders are sampled.
        constant: how many maps have one value everywhere.
    """

    keys: tuple[Key, ...] = ()
    values: dict[str, Floats] = field(default_factory=dict)
    curves: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    regions: Floats = field(default_factory=lambda: np.zeros(0))
    reasons: Counter[str] = field(default_factory=Counter)
    missing: Counter[tuple[str, str]] = field(default_factory=Counter)
    constant: int = 0
    _tables: dict[bytes, tuple[dict[str, int], Floats]] = field(default_factory=dict)

    @property
    def sampled(self) -> int:
        """How many have too many regions to score all subsets."""
        return int(np.isfinite(self.values[SAMPLED]).sum()) if SAMPLED in self.values else 0

    def having(self, names: Sequence[str]) -> NDArray[np.bool_]:
        """(n,) which images have all of these."""
        if any(name not in self.values for name in names):
            return np.zeros(len(self.keys), dtype=np.bool_)
        values = np.stack([self.values[name] for name in names])
        return np.asarray(np.isfinite(values).all(axis=0))

    def among(self, keys: frozenset[Key]) -> NDArray[np.bool_]:
        """(n,) which images are among these."""
        return np.array([key in keys for key in self.keys], dtype=np.bool_)

    def resampled(self, names: Sequence[str], mask: NDArray[np.bool_]) -> Floats:
        """(B, names) means in each resample of the images of a mask, all of which have these."""
        place = mask.tobytes()
        if place not in self._tables:
            held = {name: one[mask] for name, one in self.values.items() if np.isfinite(one[mask]).all()}
            where = {name: i for i, name in enumerate(held)}
            keys = tuple(key for key, there in zip(self.keys, mask, strict=True) if there)
            self._tables[place] = where, resampled_means(keys, np.column_stack(list(held.values())))
        where, means = self._tables[place]
        return means[:, [where[name] for name in names]]


class _Row(NamedTuple):
    """What is kept of a row; `curve` at `GRID`."""

    value: float
    status: str
    reason: str
    regions: float
    constant: bool
    curve: NDArray[np.float32] | None


def read_images(folder: UnitRows, keys: Sequence[str]) -> Images:
    """What a cell's finished units say. Raises RunError for a damaged one."""
    found: dict[Key, dict[str, _Row]] = {}
    for key in keys:
        if folder.has_rows(key):
            _read_unit(folder, key, found)
    images = Images()
    scored: dict[Key, dict[str, _Row]] = {}
    for place in sorted(found, key=lambda one: (one[0], str(one[1]))):
        rows = found[place]
        if any(row.status == "ok" for row in rows.values()):
            scored[place] = rows
        else:
            images.reasons[next(iter(rows.values())).reason] += 1
    images.keys = tuple(scored)
    for name in dict.fromkeys(name for rows in (scored or found).values() for name in rows):
        held = np.array([rows[name].value if name in rows else np.nan for rows in scored.values()])
        if name != _SUBSETS and (np.isfinite(held).any() or not scored):
            images.values[name] = held
    for name, (first, second) in DIFFERENCES.items():
        if first in images.values and second in images.values:
            images.values[name] = images.values[first] - images.values[second]
    _add_curves(images, scored)
    _add_notes(images, scored)
    return images


def _read_unit(folder: UnitRows, key: str, found: dict[Key, dict[str, _Row]]) -> None:
    table = folder.read_rows(key)
    columns = (table[name].to_pylist() for name in _COLUMNS)
    for i, (sample, target, metric, value, status, reason, n, said) in enumerate(zip(*columns, strict=True)):
        # Of these alone: what the row of a lattice holds is long, and not needed.
        flat = table["curve"][i].as_py() if metric in KINDS else None
        found.setdefault((sample, target), {})[metric] = _Row(
            np.nan if value is None else value,
            status,
            reason,
            np.nan if n is None else n,
            _is_constant(said),
            None if flat is None else _on_grid(flat),
        )


@lru_cache(maxsize=64)  # a unit has a handful of different conventions
def _is_constant(conventions: str) -> bool:
    return bool(json.loads(conventions).get("fault") == "constant")


def _on_grid(flat: Sequence[float]) -> NDArray[np.float32]:
    """(101,) a curve x, s, x, s, ... at `GRID`."""
    return Curve(np.array(flat[::2]), np.array(flat[1::2])).at(GRID).astype(np.float32)


def _add_curves(images: Images, scored: Mapping[Key, Mapping[str, _Row]]) -> None:
    nowhere = np.full(len(GRID), np.nan, dtype=np.float32)
    for name, kind in KINDS.items():
        held = [rows[name].curve if name in rows else None for rows in scored.values()]
        if any(curve is not None for curve in held):
            images.curves[kind] = np.stack([nowhere if curve is None else curve for curve in held])


def _add_notes(images: Images, scored: Mapping[Key, Mapping[str, _Row]]) -> None:
    for rows in scored.values():
        images.constant += next(iter(rows.values())).constant
        if SAMPLED in rows:
            continue
        lacking = ((name, row.reason) for name, row in rows.items() if row.status != "ok")
        images.missing.update((name, reason) for name, reason in lacking if name in images.values)
    images.regions = np.array([next(iter(rows.values())).regions for rows in scored.values()])


def resampled_means(keys: tuple[Key, ...], values: NDArray[np.floating]) -> Floats:
    """(B, columns) means of values (n, columns) over images in each of B resamples."""
    counts = _counts(keys)
    means = np.empty((len(counts), values.shape[1]))
    for start in range(0, len(counts), _AT_ONCE):
        drawn = counts[start : start + _AT_ONCE].astype(np.float64)
        means[start : start + _AT_ONCE] = drawn @ values / drawn.sum(axis=1, keepdims=True)
    return means


@lru_cache(maxsize=4)
def _counts(keys: tuple[Key, ...]) -> NDArray[np.uint16]:
    """(B, n) how often each is drawn, an image with all its classes.

    They depend on the images alone: cells that have the same ones are paired.
    """
    places = {sample: i for i, sample in enumerate(dict.fromkeys(sample for sample, _ in keys))}
    place = np.array([places[sample] for sample, _ in keys], dtype=np.int64)
    rng = generator(0, "relevance", digest_value([list(key) for key in keys]))
    parts = [
        resample_counts(len(places), min(_AT_ONCE, RESAMPLES - start), rng)[:, place].astype(np.uint16)
        for start in range(0, RESAMPLES, _AT_ONCE)
    ]
    return np.concatenate(parts)
