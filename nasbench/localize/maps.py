"""What a saliency map must be before it is cut at a level, and the four ways to scale it to [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

Normalisation = Literal["minmax", "max", "percentile", "ivr"]
Fault = Literal["", "constant", "not positive", "percentile at an end"]
Floats = NDArray[np.floating]


class MapError(ValueError):
    """A map that cannot be scored, for a reason that lies in the map; the message is one line.

    Attributes:
        fault: the reason in a word or two, to count by: "shape", "NaN", "infinite" or "range".
    """

    def __init__(self, fault: str, message: str) -> None:
        super().__init__(message)
        self.fault = fault


@dataclass(frozen=True)
class Normalised:
    """A map scaled to [0, 1].

    Attributes:
        values: (H, W) float64 in [0, 1], with 1 as the highest value.
        fault: why the map says nothing or less than it should; empty where nothing is wrong. A report counts
            these; the scores stand.
    """

    values: Floats
    fault: Fault


def checked_map(score_map: ArrayLike) -> Floats:
    """The map as (H, W) float32 or float64, finite.

    Raises MapError: not two-dimensional, empty, NaN or infinite values.
    """
    values = np.asarray(score_map)
    if values.ndim != 2 or values.size == 0:  # noqa: PLR2004
        raise MapError("shape", f"a map has two dimensions, not shape {values.shape}")
    if values.dtype not in (np.float32, np.float64):
        if values.dtype.kind not in "fiub":
            raise MapError("shape", f"a map holds numbers, not {values.dtype}")
        values = values.astype(np.float32 if values.dtype == np.float16 else np.float64)
    if not np.isfinite(values).all():
        found: Literal["NaN", "infinite"] = "NaN" if np.isnan(values).any() else "infinite"
        bad = np.isnan(values) if found == "NaN" else np.isinf(values)
        raise MapError(found, f"the map holds {int(bad.sum())} {found} values of {values.size}")
    return values


def normalise(
    score_map: ArrayLike, rule: Normalisation = "minmax", *, share: float | None = None
) -> Normalised:
    """Scale a map to [0, 1] by a named rule, in float64.

    - `minmax`: (m − min) / (max − min).
    - `max`: max(m, 0) / max: what is negative counts as no evidence.
    - `percentile`: min(1, (m − min) / (v − min)) with v the value at `share` of the sorted map, 0.9 if not
      given ("PaS", Bae et al., ECCV 2020).
    - `ivr`: max(m − v, 0) / (max − v) with v the value at `share` of the sorted map, 0.45 if not given
      (Kim et al., "Normalization matters in weakly supervised object localization", ICCV 2021).

    The value at share p of n sorted values is number ⌊p n⌋, counted from 0: one of the map's own, without
    interpolation. `minmax` and `max` have no share.

    A map without contrast names no place. It becomes ones, so that its box is the frame at every threshold,
    and its fault says so: "constant", or "not positive" under `max` where no value is above 0. "percentile at
    an end": the value of `percentile` is the minimum, then all above it become 1, or that of `ivr` the
    maximum, then only the maxima do; both are the rule's limits.

    Raises MapError as `checked_map`; ValueError for an unknown rule or a share outside [0, 1).
    """
    if rule not in get_args(Normalisation):
        raise ValueError(f"normalisation {rule!r} is none of {', '.join(get_args(Normalisation))}")
    if share is not None and (rule not in _SHARES or not 0 <= share < 1):
        raise ValueError(f"share={share} with {rule}: {' and '.join(_SHARES)} take one in [0, 1)")
    # Halved, so that no difference of finite values is infinite; the factor cancels.
    values = checked_map(score_map).astype(np.float64) / 2
    low, high = values.min(), values.max()
    if low == high:
        return Normalised(np.ones_like(values), "constant")
    if rule == "minmax":
        return Normalised((values - low) / (high - low), "")
    if rule == "max":
        return _positive(values, high)
    place = int((_SHARES[rule] if share is None else share) * values.size)
    standard = np.partition(values, place, axis=None)[place]
    if rule == "percentile":
        return _below_standard(values, low, standard)
    return _above_standard(values, standard, high)


def otsu_threshold(score_map: ArrayLike) -> float:
    """The level t that splits a map into {m >= t} and the rest with the highest variance between the two.

    Otsu (IEEE Trans. SMC 1979) over the map's own values instead of a histogram's bins: t is a value of the
    map, the lowest of the upper class. The higher t wins a tie; a constant map has its value as t. Raises
    MapError as `checked_map`.
    """
    values = np.sort(checked_map(score_map), axis=None).astype(np.float64)
    n = len(values)
    starts = np.flatnonzero(np.diff(values)) + 1  # where the upper class may begin
    if len(starts) == 0:
        return float(values[0])
    total = values.sum()
    below = np.cumsum(values)[starts - 1]
    between = np.square(below * n - total * starts) / (starts * (n - starts).astype(np.float64))
    best = len(starts) - 1 - int(np.argmax(between[::-1]))
    return float(values[starts[best]])


_SHARES = {"percentile": 0.9, "ivr": 0.45}


def _positive(values: Floats, high: np.floating) -> Normalised:
    if high <= 0:
        return Normalised(np.ones_like(values), "not positive")
    return Normalised(np.maximum(values, 0) / high, "")


def _below_standard(values: Floats, low: np.floating, standard: np.floating) -> Normalised:
    if standard == low:
        return Normalised((values > low).astype(np.float64), "percentile at an end")
    return Normalised(np.minimum((values - low) / (standard - low), 1), "")


def _above_standard(values: Floats, standard: np.floating, high: np.floating) -> Normalised:
    if standard == high:
        return Normalised((values == high).astype(np.float64), "percentile at an end")
    return Normalised(np.maximum(values - standard, 0) / (high - standard), "")
