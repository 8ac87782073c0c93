"""From the rows of `nasbench wsol` to fair numbers: thresholds fitted on other images, in every stratum anew.

A row says at which thresholds an image is right; here one threshold per method is chosen, by cross-fitting,
and again in every resample of the bootstrap. What needs all images at once, the constant box too, is fitted
here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from nasbench.digest import digest_value
from nasbench.localize.baselines import fit_const_boxes, strata
from nasbench.localize.boxes import IOU_GRID, areas
from nasbench.localize.exact import Interval
from nasbench.localize.metric import (
    BOX_TITLES,
    BOXES,
    COVERING,
    COVERS,
    OTSU,
    TOP,
    UNION,
    unflattened,
)
from nasbench.localize.pixel_curves import PixelCurves
from nasbench.localize.thresholds import Sweep, column_names, fold_of, with_mean
from nasbench.report.image_rows import (
    Key,
    SaidRow,
    UnitRows,
    first_failure,
    histogram_of,
    rows_by_image,
    unit_boxes_of,
)
from nasbench.report.tables import NamedCell
from nasbench.rng import generator
from nasbench.statistics.bootstrap import percentile_ends, resample_counts

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
B = TypeVar("B", bound="Boxed")

STRATA = ("small", "all", "single")
# Each resample is fitted anew, so there are fewer than for a plain mean: an interval's end is then off by
# about 6 % of its width.
RESAMPLES = 1000


class LocalisedCell(NamedCell, Protocol):
    """What is to be known of a cell."""

    @property
    def config(self) -> Mapping[str, Any]:
        """Its configuration."""
        ...


@dataclass(frozen=True)
class Entry:
    """What the rows of one image and class say.

    Attributes:
        boxes: (n, 4) ground truth, as shares of the frame's sides.
        right: by IoU the intervals of thresholds at which the box is right; empty for a constant box.
        covers: those at which it covers the frame.
        values: the plain values: `top1`, `top5`, and where there are, `otsu_threshold` and `box_union_iou`.
        pixels: (2, T + 1) the histogram of its pixels' scores, object and background; None without a mask.
    """

    boxes: Floats
    right: tuple[list[Interval], ...]
    covers: list[Interval]
    values: Mapping[str, float]
    pixels: Floats | None = None


@dataclass
class Entries:
    """The rows of one cell.

    Attributes:
        kept: by (sample, class), what can be scored.
        reasons: why others cannot, with numbers of (sample, class).
        faults: maps that are scored but say nothing, likewise.
        constant: whether the cell has a constant box in place of a map's.
    """

    kept: dict[Key, Entry] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    constant: bool = False

    @property
    def without_place(self) -> bool:
        """Whether no map of the cell names a place: a constant box, or the frame each time."""
        first = (found for entry in self.kept.values() for found in entry.covers[:1])
        frames = sum(low < 0 and high >= 1 for low, high in first)
        return self.constant or frames == len(self.kept)


@dataclass(frozen=True)
class Estimate:
    """A number over images, with its 95 % bootstrap interval; None where there is none.

    `resampled` (B,) has the number in each resample, where the interval is of these.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    resampled: Floats | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Scored:
    """A cell in one stratum.

    Attributes:
        estimates: by column.
        right: (n, J) decisions about the box at the fitted thresholds.
        resampled: (B, J + 1) accuracy and mean in each resample, everything refitted.
        thresholds: (F,) fitted on the other folds, (1,) fixed, (n,) each map's own; empty where none is.
        n: images, each counted once for each of its classes.
        boxes: (F, 4) constant boxes fitted on the other folds, as shares of the frame; None elsewhere.
    """

    estimates: Mapping[str, Estimate]
    right: NDArray[np.bool_]
    resampled: Floats
    thresholds: Floats
    n: int
    boxes: Floats | None = None


def read_entries(folder: UnitRows, keys: Sequence[str]) -> Entries:
    """What a cell's finished units say. Raises RunError for a damaged one."""
    return entries_of(rows_by_image(folder, keys))


def entries_of(found: Mapping[Key, Mapping[str, SaidRow]]) -> Entries:
    """The same of a cell's rows by image."""
    entries = Entries()
    for place, rows in found.items():
        _add(entries, place, rows)
    return entries


def _add(entries: Entries, place: Key, rows: Mapping[str, SaidRow]) -> None:
    said = rows[BOXES].said
    constant = said.get("box") == "constant"
    reason = first_failure(rows, (BOXES,) if constant else (BOXES, *BOX_TITLES))
    if reason is not None:
        entries.reasons[reason] += 1
        return
    entries.constant |= constant
    if "fault" in said:
        entries.faults[said["fault"]] += 1
    titles = () if constant else BOX_TITLES
    entries.kept[place] = Entry(
        unit_boxes_of(rows),
        tuple(unflattened(rows[title].curve or ()) for title in titles),
        [] if constant else unflattened(rows[COVERS].curve or ()),
        _values(rows),
        histogram_of(rows),
    )


def _values(rows: Mapping[str, SaidRow]) -> dict[str, float]:
    found = {name: rows[name].value for name in (*TOP, OTSU, UNION) if name in rows}
    return {name: value for name, value in found.items() if value is not None}


class Boxed(Protocol):
    """What is said of an image with boxes."""

    @property
    def boxes(self) -> Floats:
        """(n, 4) ground truth, as shares of the frame's sides."""
        ...


@dataclass(frozen=True)
class Stratum(Generic[B]):
    """Some of a cell's images, and how they are dealt and drawn.

    Attributes:
        keys: (sample, class) of each.
        entries: what their rows say.
    """

    keys: tuple[Key, ...]
    entries: tuple[B, ...]

    @classmethod
    def of(cls, images: Mapping[Key, B], name: str, *, among: frozenset[Key] | None = None) -> Stratum[B]:
        """A stratum of a cell's images by its name, of some of them if said; in an order of its own."""
        keys = sorted(images if among is None else among, key=lambda key: (key[0], str(key[1])))
        if not keys:
            return cls((), ())
        inside = strata([images[key].boxes for key in keys])[name]
        kept = [key for key, there in zip(keys, inside, strict=True) if there]
        return cls(tuple(kept), tuple(images[key] for key in kept))

    @cached_property
    def _place(self) -> Ints:
        """(n,) the image of each entry."""
        places = {sample: i for i, sample in enumerate(dict.fromkeys(sample for sample, _ in self.keys))}
        return np.array([places[sample] for sample, _ in self.keys], dtype=np.int64)

    @cached_property
    def fold(self) -> Ints:
        """(n,) the fold of each entry: that of its image."""
        return fold_of(list(dict.fromkeys(sample for sample, _ in self.keys)))[self._place]

    @cached_property
    def counts(self) -> Ints:
        """(B, n) how often each is drawn: the same for all cells that have these images, which pairs them."""
        rng = generator(0, "localisation", digest_value([list(key) for key in self.keys]))
        return resample_counts(int(self._place.max(initial=-1)) + 1, RESAMPLES, rng)[:, self._place]


def score(stratum: Stratum[Entry], metric: Mapping[str, Any], *, constant: bool) -> Scored:
    """A cell's numbers in a stratum; `metric` is its configuration of that group."""
    n = len(stratum.entries)
    if n == 0:
        none = {name: Estimate(None) for name in column_names()}
        return Scored(none, np.zeros((0, len(IOU_GRID)), bool), np.zeros((0, 0)), np.zeros(0), 0)
    scored = _constant(stratum) if constant else _swept(stratum, metric)
    scored = replace(scored, estimates={**scored.estimates, **_pixels(stratum)})
    unions = [entry.values.get(UNION) for entry in stratum.entries]
    if None not in unions:
        reached = np.array(unions, dtype=np.float64)[:, None] >= np.array(IOU_GRID)
        names = column_names(name="box_acc_union")
        more = estimates_of(names, with_mean(reached.mean(axis=0), IOU_GRID), _resampled(stratum, reached))
        return replace(scored, estimates={**scored.estimates, **more})
    return scored


def _swept(stratum: Stratum[Entry], metric: Mapping[str, Any]) -> Scored:
    """Boxes of maps. What depends on the threshold is a column of one sweep, so that it is refitted too."""
    entries = stratum.entries
    tops = [name for name in TOP if all(name in entry.values for entry in entries)]
    # Accuracy at an IoU goes by that number; what no threshold is fitted to goes by numbers beyond 1.
    numbers = [*IOU_GRID]
    for place, _ in enumerate(tops, start=1):
        numbers += [round(place + delta, 2) for delta in IOU_GRID]
    columns = [[*entry.right, *_if_top(entry, tops), entry.covers] for entry in entries]
    sweep = Sweep(columns, [*numbers, len(tops) + 1.0])
    thresholds, right, resampled = _judged(sweep, stratum, metric)
    J = len(IOU_GRID)
    estimates: dict[str, Estimate] = {}
    for place, name in enumerate(("box_acc", *(f"{top}_loc" for top in tops))):
        part = slice(place * J, (place + 1) * J)
        means = with_mean(right[:, part].mean(axis=0), IOU_GRID)
        estimates |= estimates_of(column_names(name=name), means, with_mean(resampled[:, part], IOU_GRID))
    estimates |= estimates_of([COVERS], right[:, -1:].mean(axis=0), resampled[:, -1:])
    oracle = Sweep([entry.right for entry in entries]).oracle()
    names = column_names(name="box_acc_oracle")
    estimates |= {name: Estimate(float(value)) for name, value in zip(names, oracle, strict=True)}
    return Scored(estimates, right[:, :J], with_mean(resampled[:, :J], IOU_GRID), thresholds, len(entries))


def _if_top(entry: Entry, tops: Sequence[str]) -> list[list[Interval]]:
    """The intervals in which the box is right, once for each of `tops`, none where the class is wrong."""
    return [found if entry.values[top] else [] for top in tops for found in entry.right]


def _judged(
    sweep: Sweep, stratum: Stratum[Entry], metric: Mapping[str, Any]
) -> tuple[Floats, NDArray[np.bool_], Floats]:
    """Thresholds, decisions (n, columns) at them, and means of the columns in each resample."""
    if metric["threshold"] == "crossfit":
        fit = sweep.cross_fit(stratum.fold)
        return fit.thresholds, fit.right, sweep.bootstrap(stratum.fold, stratum.counts)[:, :-1]
    if metric["threshold"] == "fixed":
        at = np.array([float(metric["fixed"])])
    else:
        at = np.array([entry.values[OTSU] for entry in stratum.entries])
    right = sweep.right_at(at)
    drawn = stratum.counts
    return at, right, (drawn @ right) / drawn.sum(axis=1, keepdims=True)


def _constant(stratum: Stratum[Entry]) -> Scored:
    """The best constant box of the other folds; an oracle would be fitted on the images themselves."""
    entries = stratum.entries
    fitted = fit_const_boxes([entry.boxes for entry in entries], stratum.fold)
    right, resampled = fitted.right(), fitted.bootstrap(stratum.counts)
    estimates = estimates_of(column_names(), with_mean(right.mean(axis=0), IOU_GRID), resampled)
    for top in TOP:
        if all(top in entry.values for entry in entries):
            also = right & np.array([bool(entry.values[top]) for entry in entries])[:, None]
            means = with_mean(also.mean(axis=0), IOU_GRID)
            # Of the boxes as fitted: resamples that choose others do not say which images they meet.
            estimates |= estimates_of(column_names(name=f"{top}_loc"), means, _resampled(stratum, also))
    covers = (areas(fitted.boxes) > COVERING)[stratum.fold]
    estimates |= estimates_of([COVERS], covers.mean(keepdims=True), np.zeros((0, 1)))
    return Scored(estimates, right, resampled, np.zeros(0), len(entries), fitted.boxes)


def _pixels(stratum: Stratum[Entry]) -> dict[str, Estimate]:
    """PxAP over all pixels, and IoU and F1 of {map >= t} with masks, t fitted as for boxes."""
    histograms = [entry.pixels for entry in stratum.entries if entry.pixels is not None]
    if len(histograms) < len(stratum.entries):
        return {}
    curves = PixelCurves.of(histograms)
    drawn = np.concatenate([np.ones((1, len(histograms)), dtype=np.int64), stratum.counts])
    found = np.column_stack([curves.px_ap(drawn), curves.cross_fitted(stratum.fold, drawn)])
    return estimates_of(["px_ap", "pixel_iou", "pixel_f1"], found[0], found[1:])


def _resampled(stratum: Stratum[Entry], decisions: NDArray[np.bool_]) -> Floats:
    """(B, J + 1) means of decisions (n, J) in each resample, nothing refitted."""
    drawn = stratum.counts
    return with_mean((drawn @ decisions) / drawn.sum(axis=1, keepdims=True), IOU_GRID)


def estimates_of(names: Sequence[str], values: Floats, resampled: Floats) -> dict[str, Estimate]:
    """By name the values (columns,) with the interval of their resamples (B, columns), none where B is 0."""
    if len(resampled) == 0:
        return {name: Estimate(float(value)) for name, value in zip(names, values, strict=True)}
    low, high = percentile_ends(resampled)
    return {
        name: Estimate(float(value), float(a), float(b), drawn)
        for name, value, a, b, drawn in zip(names, values, low, high, resampled.T, strict=True)
    }
