"""Areas under, over and between relevance curves, and how they are made comparable.

x is the share of the image that is removed, 0..1, so that an area is a mean score: in the scores' units, and
between the least and the highest score of its curve. Areas are trapezoids over the curve's own points. Where
a published measure is a mean over equal steps, the curve is read at these on its straight lines; a curve that
was evaluated there gives the published value exactly. `docs/metrics.md` has the formulas and their sources.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from nasbench.faithfulness.curves import Curve
from nasbench.faithfulness.orders import Floats

# A score must move by so much between the full and the empty image for its curve to say something.
SMALL_GAP = 0.05
# Rong et al. (ICML 2022) report these.
ROAD_FRACTIONS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9)


def auc(curve: Curve) -> float:
    """∫ s dx, a mean score. Of LeRF higher is better, of MoRF lower."""
    return _trapezoid(curve.removed, curve.scores)


def srg(lerf: Curve, morf: Curve) -> float:
    """Symmetric relevance gain: area of LeRF − area of MoRF; higher is better, 0 on average at random."""
    return auc(lerf) - auc(morf)


def insertion(lerf: Curve) -> float:
    """RISE's insertion, higher is better: the most relevant come back first, which is LeRF read from its end.

    The area is therefore LeRF's. It is RISE's measure where the imputer is RISE's blur.
    """
    return auc(lerf)


def deletion(morf: Curve) -> float:
    """RISE's deletion, lower is better: MoRF's area. It is RISE's where the imputer is the mean colour."""
    return auc(morf)


def aopc(curve: Curve, *, steps: int, upto: float = 1.0) -> float:
    """Area over the perturbation curve: 1/(L + 1) Σ_{k=0..L} (s(0) − s(x_k)), x_k = upto · k/L, L = steps.

    A mean drop of the score, of MoRF higher is better, of LeRF lower. `upto` is the share of the image that
    is removed after L steps. Raises ValueError: steps below 1, upto outside (0, 1].
    """
    return float(curve.full - curve.at(_grid(steps, upto)).mean())


def abpc(lerf: Curve, morf: Curve, *, steps: int, upto: float = 1.0) -> float:
    """Area between the perturbation curves: 1/(L + 1) Σ_{k=0..L} (s_LeRF(x_k) − s_MoRF(x_k)), as `aopc`.

    Signed; higher is better. Both ends, where the curves meet, are among the L + 1 points, so over the whole
    image and equal steps it is SRG · L/(L + 1).
    """
    at = _grid(steps, upto)
    return float((lerf.at(at) - morf.at(at)).mean())


def irof(curve: Curve) -> float | None:
    """IROF of a MoRF curve over regions: 1 − ∫ s/s(0) dx with x the share of the regions gone, not of pixels.

    At most 1 for scores that are not negative, 0 where the score never moves, below where it rises; higher is
    better. None where s(0) is not positive.
    """
    if curve.full <= 0:
        return None
    return 1 - _trapezoid(curve.units_axis, curve.scores / curve.full)


def road(curve: Curve, fractions: Sequence[float] = ROAD_FRACTIONS) -> float:
    """The mean score over removed fractions; of LeRF higher is better, of MoRF lower.

    ROAD where the imputer is noisy-linear; the published score is 1 where the class is the label, else 0.
    Raises ValueError: no fraction, or one outside [0, 1].
    """
    if not fractions:
        raise ValueError("ROAD needs a fraction at least")
    return float(curve.at(fractions).mean())


def road_gap(lerf: Curve, morf: Curve, fractions: Sequence[float] = ROAD_FRACTIONS) -> float:
    """(ROAD of LeRF − ROAD of MoRF) / 2, higher is better: pytorch-grad-cam's combined ROAD."""
    return (road(lerf, fractions) - road(morf, fractions)) / 2


@dataclass(frozen=True)
class Normalised:
    """Areas of many images in units of the gap between their full and empty images.

    Attributes:
        value: (mean area − mean empty) / (mean full − mean empty): 1 where scores stay as they are with
            nothing removed, 0 where they are as with all removed. None with a reason.
        gap: mean full − mean empty.
        images: how many, or the sum of their weights.
        small_gaps: of these, where |full − empty| < SMALL_GAP. They are in the means like the others.
        reason: why there is no value; empty where there is.
    """

    value: float | None
    gap: float | None
    images: float
    small_gaps: float
    reason: str


def ratio_of_means(
    areas: ArrayLike, full: ArrayLike, empty: ArrayLike, *, weights: ArrayLike | None = None
) -> Normalised:
    """Areas (n,) normalised by the means, over images, of the scores (n,) of full and empty images.

    A ratio of means, not a mean of ratios: an image whose score hardly moves would have a ratio of any size,
    and decide the mean. It is the area under (mean curve − mean end) / (mean start − mean end). A difference
    of areas, as SRG, is the difference of its normalised parts. Weights (n,) are those of a bootstrap.

    Raises ValueError: shapes that differ, values that are not finite, negative weights.
    """
    rows = [np.asarray(part, dtype=np.float64) for part in (areas, full, empty)]
    weight = np.ones(rows[0].shape) if weights is None else np.asarray(weights, dtype=np.float64)
    shapes = {part.shape for part in (*rows, weight)}
    if len(shapes) > 1 or rows[0].ndim != 1:
        raise ValueError(f"areas, full, empty and weights are all (n,), not {sorted(shapes)}")
    if not np.isfinite([*rows, weight]).all() or (weight < 0).any():
        raise ValueError("areas, scores or weights are NaN or infinite, or a weight is negative")
    images = float(weight.sum())
    small = float(weight[np.abs(rows[1] - rows[2]) < SMALL_GAP].sum())
    if images == 0:
        return Normalised(None, None, images, small, "no image")
    area, start, end = (float((weight * part).sum() / images) for part in rows)
    gap = start - end
    if gap <= _rounding(start, end):
        return Normalised(None, gap, images, small, "full images do not score higher than empty ones")
    return Normalised((area - end) / gap, gap, images, small, "")


@dataclass(frozen=True)
class Regret:
    """An area on the scale of its own null.

    Attributes:
        value: (area − mean of the null) / (best − mean of the null): 1 is the best order, 0 a random one,
            negative is worse than random. None with a reason.
        reason: why there is no value; empty where there is.
    """

    value: float | None
    reason: str = ""


def regret(area: float, *, null_mean: float, best: float, tolerance: float = 0.0) -> Regret:
    """An area against the mean over random orders and the best there is.

    Areas of pixels, patches and regions of several counts have other nulls, so they share a ranking only
    after this. `best` is the highest area for LeRF and the lowest for MoRF; the scale needs no direction. For
    regions both come exactly from `nasbench.faithfulness.lattice`. For pixels the mean is that over random
    orders, and no order is known to be best: a bound such as the score of the full image gives a number that
    is to be named for it. None where |best − null_mean| <= tolerance: no order is better than any other.

    Raises ValueError: NaN or infinite numbers.
    """
    if not (math.isfinite(area) and math.isfinite(null_mean) and math.isfinite(best)):
        raise ValueError(f"area {area}, mean {null_mean} and best {best} must be finite")
    room = best - null_mean
    if abs(room) <= max(tolerance, _rounding(best, null_mean)):
        return Regret(None, "all orders have the same area")
    return Regret((area - null_mean) / room)


def _rounding(*values: float) -> float:
    """What may come of rounding in a mean of numbers like these."""
    return 1e-12 * max(map(abs, values))


def _grid(steps: int, upto: float) -> Floats:
    if steps < 1:
        raise ValueError(f"steps={steps} must be at least 1")
    if not 0 < upto <= 1:
        raise ValueError(f"upto={upto} must lie in (0, 1]")
    return np.linspace(0, upto, steps + 1)


def _trapezoid(x: Floats, y: Floats) -> float:
    return float((np.diff(x) * (y[1:] + y[:-1])).sum() / 2)
