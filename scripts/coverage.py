"""How often the intervals of `nasbench.statistics` hold the truth, by simulation.

Run: python scripts/coverage.py [--repeats N] [--quick] [--out FILE]. Samples of 20 to 650 images are drawn
from distributions whose mean is known, and each interval is asked whether it holds that mean; nominal are
95 %. The table goes to results/benchmarks/coverage.md. Beside the intervals in use stand those that were
not taken: by entry whatever the image, percentiles, BCa, bootstrap-t.

The samples of one line share their resamples, so that all are resampled by one product of matrices; they
are fewer than in use, which costs a tenth of a point of coverage. --quick takes twenty seconds of one core,
the whole a minute and a half.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from nasbench.report.tables import markdown
from nasbench.rng import generator
from nasbench.statistics.bootstrap import percentile_ends, resample_counts, stretched_ends
from nasbench.statistics.clusters import Clustered

Floats = NDArray[np.float64]
Ends = tuple[Floats, Floats]

OUT = Path(__file__).resolve().parents[1] / "results" / "benchmarks" / "coverage.md"
IMAGES = (20, 50, 200, 650)
MODELS = (2, 3, 5, 10)
RESAMPLES = 2000
REPEATS, QUICK = 2000, 400
LOW = 93.0  # per cent; a coverage below is bold
GAINED, LOST, RARE = 0.15, 0.05, 0.1


@dataclass(frozen=True)
class Kind:
    """A distribution: what becomes of a standard normal number, and the mean of that."""

    name: str
    of_normal: Callable[[Floats], Floats]
    mean: float


def _decisions(x: Floats) -> Floats:
    """Differences of right and wrong decisions."""
    share = ndtr(x)
    return np.asarray(share > 1 - GAINED, dtype=np.float64) - np.asarray(share < LOST, dtype=np.float64)


NORMAL = Kind("normal", lambda x: x, 0.0)
SKEWED = Kind("skewed (1.75)", lambda x: np.exp(x / 2), float(np.exp(1 / 8)))
STRONGLY = Kind("strongly skewed (6.2)", np.exp, float(np.exp(1 / 2)))
DECISIONS = Kind("0/1, +15 % −5 %", _decisions, GAINED - LOST)
HALF = Kind("0/1, half", lambda x: (x > 0).astype(np.float64), 0.5)
TENTH = Kind("0/1, a tenth", lambda x: (ndtr(x) < RARE).astype(np.float64), RARE)
KINDS = (NORMAL, SKEWED, STRONGLY, DECISIONS, HALF, TENTH)
FEW_KINDS = (NORMAL, SKEWED, DECISIONS)


_ABOUT = """Python {python}, NumPy {numpy}; {repeats} samples a figure, {resamples} resamples. Per cent of the
intervals that hold the true mean, with a standard error of {error:.1f} where it is 95; bold where below
{low:.0f}. `clustered_mean` stands for `paired_difference` too, which is that of the differences; "+15 % −5 %"
are differences of right and wrong decisions. Skewness is in brackets. The last column has median widths at
the first and the last number, over that of an interval that knows the mean's standard deviation, 2 × 1.96 of
it."""
_CLASSES = """## One to five classes an image

Correlated by .6 within an image (of 0/1 the normal numbers behind). By entry, each is taken for an image."""
_MODELS = """## Five models on the same images

Of the variance .5 is the image's; the model's is 0 (alike) or .05 (differ). The mean is over all models that
there could be: without `models`, `clustered_mean` does not claim to hold it."""


@dataclass(frozen=True)
class Cover:
    """What an interval did: per cent that hold the mean, and the median width over that of a known normal."""

    per_cent: float
    width: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--repeats", type=int, default=REPEATS, help="samples a figure")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} samples a figure")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    start = time.process_time()
    text = page(QUICK if args.quick else args.repeats)
    args.out.write_text(text, encoding="utf-8")
    print(f"{args.out}: {time.process_time() - start:.0f} s of one core")


def page(repeats: int, *, images: Sequence[int] = IMAGES, models: Sequence[int] = MODELS) -> str:
    """The whole page."""
    several = {"alike": 0.0, "differ": 0.05}
    n = images[-2]
    parts = [
        "# Do 95 % intervals hold the mean in 95 of 100 samples?",
        _ABOUT.format(
            python=platform.python_version(),
            numpy=np.__version__,
            repeats=repeats,
            resamples=RESAMPLES,
            error=100 * np.sqrt(0.95 * 0.05 / repeats),
            low=LOW,
        ),
        "## One entry an image",
        _table(images, {k.name: [one_way(k, n, repeats) for n in images] for k in KINDS}),
        _CLASSES,
        _table(images, {k.name: [one_way(k, n, repeats, classes=5) for n in images] for k in FEW_KINDS}),
        _MODELS,
        _table(
            images,
            {
                f"{k.name}, {how}": [crossed(k, 5, n, repeats, share) for n in images]
                for k in FEW_KINDS
                for how, share in several.items()
            },
        ),
        f"## Two to ten models, {n} images",
        _table(
            models,
            {
                f"{NORMAL.name}, {how}": [crossed(NORMAL, m, n, repeats, share) for m in models]
                for how, share in several.items()
            },
        ),
    ]
    return "\n\n".join(parts) + "\n"


def one_way(kind: Kind, images: int, repeats: int, *, classes: int = 1) -> dict[str, Cover]:
    """By interval its coverage, of samples of so many images with 1 to `classes` entries each."""
    rng = generator(0, "coverage", kind.name, str(images), str(classes))
    sizes = 1 + np.arange(images) % classes
    image = np.repeat(np.arange(images), sizes)
    share = 0.6 if classes > 1 else 0.0
    hidden = np.sqrt(share) * rng.normal(size=(images, repeats))[image]
    hidden += np.sqrt(1 - share) * rng.normal(size=(len(image), repeats))
    values = kind.of_normal(hidden)
    sums = np.add.reduceat(values, np.cumsum(sizes) - sizes)
    drawn = resample_counts(images, RESAMPLES, rng).astype(np.float64)
    means = drawn @ sums / (drawn @ sizes)[:, None]
    found = {}
    if classes > 1:
        entries = resample_counts(len(image), RESAMPLES, rng).astype(np.float64)
        found["`bootstrap_mean` by entry"] = percentile_ends(entries @ values / len(image))
        found["percentiles by image"] = percentile_ends(means)
    else:
        found["`bootstrap_mean`"] = percentile_ends(means)
    found["`clustered_mean`"] = _stretched(sums[None], sizes[None].astype(np.float64), means)
    if classes == 1:
        found["BCa"] = bca(values, means)
        found["bootstrap-t"] = bootstrap_t(values, means, drawn @ values**2 / images)
    return _covers(found, kind.mean, values.mean(axis=0))


def crossed(kind: Kind, models: int, images: int, repeats: int, model_share: float) -> dict[str, Cover]:
    """By interval its coverage, of samples of so many models that all see the same images."""
    rng = generator(0, "coverage", kind.name, str(models), str(images), str(model_share))
    by_model = resample_counts(models, RESAMPLES, rng)
    by_image = resample_counts(images, RESAMPLES, rng).astype(np.float64)
    entries = resample_counts(models * images, RESAMPLES, rng).astype(np.float64)
    hidden = np.sqrt(model_share) * rng.normal(size=(models, 1, repeats))
    hidden = hidden + np.sqrt(0.5) * rng.normal(size=(1, images, repeats))
    hidden += np.sqrt(0.5 - model_share) * rng.normal(size=(models, images, repeats))
    values = kind.of_normal(hidden)
    sizes = np.ones((models, images))
    means = np.stack(
        [
            Clustered(one, sizes, float(one.mean())).resampled(by_model, by_image)
            for one in np.moveaxis(values, 2, 0)
        ],
        axis=1,
    )
    totals = values.sum(axis=0)
    found = {
        "`bootstrap_mean` by entry": percentile_ends(
            entries @ values.reshape(-1, repeats) / (models * images)
        ),
        "`clustered_mean`, no `models`": _stretched(
            totals[None], sizes.sum(axis=0, keepdims=True), by_image @ totals / (models * images)
        ),
        "percentiles by both": percentile_ends(means),
        "`clustered_mean`": _stretched(values, sizes, means),
    }
    return _covers(found, kind.mean, values.mean(axis=(0, 1)))


def bca(values: Floats, means: Floats) -> Ends:
    """Bias-corrected and accelerated (Efron 1987) from values (n, R) and resampled means (B, R)."""
    mean = values.mean(axis=0)
    below = (means < mean).mean(axis=0) + (means == mean).mean(axis=0) / 2
    bias = ndtri(np.clip(below, 1 / len(means), 1 - 1 / len(means)))
    centred = values - mean
    spread = np.sum(centred**2, axis=0) ** 1.5
    push = np.divide(np.sum(centred**3, axis=0), 6 * spread, out=np.zeros_like(mean), where=spread > 0)
    ordered = np.sort(means, axis=0)
    ends = []
    for z in ndtri([0.025, 0.975]):
        share = ndtr(bias + (bias + z) / (1 - push * (bias + z)))
        place = np.clip(np.rint(share * (len(means) - 1)), 0, len(means) - 1).astype(np.int64)
        ends.append(ordered[place, np.arange(len(mean))])
    return ends[0], ends[1]


def bootstrap_t(values: Floats, means: Floats, squares: Floats) -> Ends:
    """Studentised (Efron 1982) from values (n, R), resampled means (B, R) and means of squares (B, R)."""
    n = len(values)
    mean, error = values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(n)
    # A resample without spread is infinitely far off, unless it is at the mean.
    spread = np.sqrt(np.maximum(squares - means**2, 0) / (n - 1))
    off = means - mean
    far = np.where(off == 0, 0.0, np.copysign(np.inf, off))
    t = np.divide(off, spread, out=far, where=spread > 1e-9)  # noqa: PLR2004 - what rounding leaves
    low, high = np.quantile(t, [0.025, 0.975], axis=0, method="nearest")
    with np.errstate(invalid="ignore"):  # a sample without spread has the mean alone
        return mean - np.where(error > 0, high * error, 0), mean - np.where(error > 0, low * error, 0)


def _stretched(sums: Floats, sizes: Floats, means: Floats) -> Ends:
    """Of sums (M, N, R) or (1, N, R) and their resampled means (B, R)."""
    tables = (Clustered(one, sizes, float(one.sum() / sizes.sum())) for one in np.moveaxis(sums, 2, 0))
    drawn = np.ascontiguousarray(means.T)
    ends = np.array([stretched_ends(table, one) for table, one in zip(tables, drawn, strict=True)])
    return ends[:, 0], ends[:, 1]


def _covers(found: Mapping[str, Ends], mean: float, means: Floats) -> dict[str, Cover]:
    known = 2 * ndtri(0.975) * means.std()
    return {
        name: Cover(
            100 * float(np.mean((low <= mean + 1e-12) & (high >= mean - 1e-12))),
            float(np.median(np.where(np.isfinite(high - low), high - low, np.inf)) / known),
        )
        for name, (low, high) in found.items()
    }


def _table(numbers: Sequence[int], lines: Mapping[str, Sequence[Mapping[str, Cover]]]) -> str:
    """By label what was found at each number of images or models."""
    rows = []
    for label, found in lines.items():
        for name in found[0]:
            covers = [one[name] for one in found]
            widths = " … ".join(_width(covers[i].width) for i in (0, -1))
            rows.append([label, name, *(_per_cent(one.per_cent) for one in covers), widths])
    return markdown(["values", "interval", *map(str, numbers), "width"], rows)


def _per_cent(value: float) -> str:
    return f"**{value:.1f}**" if round(value, 1) < LOW else f"{value:.1f}"


def _width(value: float) -> str:
    return "no bound" if not np.isfinite(value) else f"{value:.2f}"


if __name__ == "__main__":
    main()
