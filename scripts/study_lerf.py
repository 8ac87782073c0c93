"""The study of relevance curves as tables and a figure.

Run: python scripts/study_lerf.py RUN [RUN ...] [--out FILE.md] [--figure FILE.svg]

RUN is a folder of `nasbench leRF experiment=lerf_study`, or of some of its cells; of each network only the
images that all its cells have are read. Areas are ratios of means, (area − empty) / (full − empty). Two
settings, what is removed and what stands in its place, agree as far as they rank the methods alike:
Kendall's tau-b of their mean areas, taken again in every resample of the images. A run that is not finished
is read as far as it is.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nasbench.faithfulness.areas import SMALL_GAP
from nasbench.report.figure_files import figure_files, figure_style
from nasbench.report.image_rows import Key
from nasbench.report.relevance_images import Images, read_images, resampled_means
from nasbench.report.relevance_scores import RATIOS
from nasbench.report.run_folders import read_runs
from nasbench.report.tables import markdown
from nasbench.statistics.agreement import kendall_tau_b, krippendorff_alpha

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
# A column of a table: what is removed, and what stands in its place.
Setting = tuple[str, str]

METHODS = (
    "gradcam", "layercam", "cam", "ig", "gradient", "smoothgrad", "edges", "centre", "random",
)  # fmt: skip
CONTROLS = frozenset({"edges", "centre", "random"})
UNITS = {"none": "pixels", "nas": "NAS", "slic": "SLIC"}
FILLS = {"dataset_mean": "mean", "road": "ROAD"}
# Of each measure the area, and whether more is better.
MEASURES = {
    "LeRF": ("auc_lerf", 1),
    "MoRF": ("auc_morf", -1),
    "SRG": ("srg", 1),
}
NORMALISED = {"LeRF": "auc_lerf_norm", "MoRF": "auc_morf_norm", "SRG": "srg_norm"}
PLACES = ("percentile_lerf", "regret_lerf", "percentile_morf", "percentile_srg", "shapley_tau")
_TAIL = 2.5
# Areas nearer than this are equal: what other batches and devices may change.
ROUNDING = 1e-5
# Okabe & Ito's colours and a grey; markers say it again, and controls are dashed.
STYLES = {
    "gradcam": ("#0072B2", "o"),
    "layercam": ("#56B4E9", "s"),
    "cam": ("#009E73", "D"),
    "ig": ("#D55E00", "^"),
    "gradient": ("#E69F00", "v"),
    "smoothgrad": ("#CC79A7", "P"),
    "edges": ("#000000", "x"),
    "centre": ("#555555", "+"),
    "random": ("#999999", "*"),
}


@dataclass(frozen=True, eq=False)
class Study:
    """One network's cells, on the images that all of them have.

    Attributes:
        model: the network.
        keys: the images, with the class explained in each.
        values: by setting, method and measure (n,), NaN where an image has none.
        regions: by setting (n,) how many regions an image has; NaN of pixels.
    """

    model: str
    keys: tuple[Key, ...]
    values: Mapping[Setting, Mapping[str, Mapping[str, Floats]]]
    regions: Mapping[Setting, Floats]

    @property
    def settings(self) -> list[Setting]:
        """What there is, pixels first."""
        known = [(units, fill) for units in UNITS.values() for fill in FILLS.values()]
        return [one for one in known if one in self.values]

    def methods(self, setting: Setting) -> list[str]:
        """The methods of a setting, in the order of all tables."""
        return [name for name in METHODS if name in self.values[setting]]

    def table(self, setting: Setting, measure: str) -> Floats:
        """(n, methods) a measure of every image."""
        held = self.values[setting]
        return np.column_stack([held[name][measure] for name in self.methods(setting)])


def main() -> None:
    """Read the runs, write the tables and the figure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--figure", type=Path)
    args = parser.parse_args()
    studies = read(args.runs)
    text = "\n\n".join([_ABOUT, *(report(study) for study in studies)])
    if args.out is None:
        print(text)
    else:
        args.out.write_text(text + "\n", encoding="utf-8")
    if args.figure is not None:
        draw(studies, args.figure)


_ABOUT = """# Relevance curves: the study's tables

Areas in per cent of the way from the empty image's score to the full one's, with 95 % bootstrap intervals
over images. Rank in brackets, 1 the best; equal areas share one. Made by `scripts/study_lerf.py` from
`nasbench leRF experiment=lerf_study`."""


def read(runs: Sequence[Path]) -> list[Study]:
    """The studies of runs, one for each network, of all its cells wherever they are."""
    found: dict[str, list[tuple[Setting, str, Images]]] = defaultdict(list)
    for path in runs:
        (run,) = read_runs([path])
        units: dict[int, list[str]] = defaultdict(list)
        for unit in run.manifest.units:
            units[unit.cell].append(unit.key)
        for i, about in enumerate(run.manifest.cells):
            chosen = about.choices
            setting = (UNITS[chosen["segmenter"]], FILLS[chosen["imputer"]])
            images = read_images(run.folder, units[i])
            if images.keys:
                found[chosen["model"]].append((setting, chosen["saliency"], images))
    return [_study(model, cells) for model, cells in found.items()]


def _study(model: str, cells: Sequence[tuple[Setting, str, Images]]) -> Study:
    keys = tuple(sorted(set.intersection(*(set(images.keys) for *_, images in cells)), key=str))
    values: dict[Setting, dict[str, dict[str, Floats]]] = defaultdict(dict)
    regions = {}
    for setting, method, images in cells:
        place = {key: i for i, key in enumerate(images.keys)}
        kept = [place[key] for key in keys]
        values[setting][method] = {name: held[kept] for name, held in images.values.items()}
        regions[setting] = images.regions[kept]
    return Study(model.removeprefix("imagenet_"), keys, values, regions)


def report(study: Study) -> str:
    """A network's tables in Markdown."""
    parts = [f"## {study.model}, {len(study.keys)} images", about_images(study)]
    for name, column in NORMALISED.items():
        parts += [f"### {name}, by what is removed and what stands in its place", areas(study, name, column)]
    places = [setting for setting in study.settings if _has(study, setting, PLACES[0])]
    if places:
        parts += ["### Among all orders of the regions"]
        parts += [f"{units}, {fill}:\n\n{orders(study, (units, fill))}" for units, fill in places]
    parts += ["### Whether settings rank the methods alike", agreement(study)]
    more = by_region(study)
    if more:
        parts += ["### Whether they do so more by region than by pixel", more]
    parts += ["### Whether images do", reliability(study)]
    return "\n\n".join(parts)


def about_images(study: Study) -> str:
    """What is to be known of the images: wrong ones, scores that hardly move, how many regions there are."""
    n, first = len(study.keys), {s: next(iter(held.values())) for s, held in study.values.items()}
    lines = []
    for setting in study.settings:
        held = first[setting]
        wrong = int((held["correct"] == 0).sum()) if "correct" in held else 0
        small = int((np.abs(held["full"] - held["empty"]) < SMALL_GAP).sum())
        counts, times = np.unique(study.regions[setting], return_counts=True)
        each = ", ".join(f"{c:.0f} ({t})" for c, t in zip(counts, times, strict=True) if np.isfinite(c))
        lines.append([", ".join(setting), f"{wrong} of {n}", f"{small} of {n}", each])
    head = ["removed, replaced by", "wrong", f"full and empty within {SMALL_GAP:g}", "regions (images)"]
    return markdown(head, lines)


def areas(study: Study, name: str, column: str) -> str:
    """A measure of all methods in all settings."""
    settings = study.settings
    cells: dict[str, list[str]] = {
        method: [f"*{method}*" if method in CONTROLS else method] for method in METHODS
    }
    for setting in settings:
        methods = study.methods(setting)
        found = [_ratio(study, study.values[setting][method], column) for method in methods]
        rank = ranks_of(np.array([MEASURES[name][1] * value for value, _, _ in found]))
        for method, (value, low, high), place in zip(methods, found, rank, strict=True):
            cells[method].append(f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}] ({place})")
    head = ["map", *(f"{units}, {fill}" for units, fill in settings)]
    return markdown(head, [line for line in cells.values() if len(line) == len(head)])


def _ratio(study: Study, held: Mapping[str, Floats], column: str) -> tuple[float, float, float]:
    ratio = RATIOS[column]
    table = np.column_stack([held[part] for part in ratio.parts])
    drawn = ratio.of_means(resampled_means(study.keys, table))
    value = float(ratio.of_means(table.mean(axis=0)[None])[0])
    low, high = np.percentile(drawn, [_TAIL, 100 - _TAIL])
    return value, float(low), float(high)


def orders(study: Study, setting: Setting) -> str:
    """Where the maps' orders stand among all."""
    lines = []
    for method in study.methods(setting):
        held = study.values[setting][method]
        line = [f"*{method}*" if method in CONTROLS else method]
        lines.append([*line, *(_mean(study, held[name]) if name in held else "" for name in PLACES)])
    return markdown(["map", *PLACES], lines)


def _mean(study: Study, values: Floats) -> str:
    there = np.isfinite(values)
    keys = tuple(key for key, kept in zip(study.keys, there, strict=True) if kept)
    drawn = resampled_means(keys, values[there][:, None])[:, 0]
    low, high = np.percentile(drawn, [_TAIL, 100 - _TAIL])
    return f"{values[there].mean():.2f} [{low:.2f}, {high:.2f}]"


def agreement(study: Study) -> str:
    """Kendall's tau-b of every two rankings worth comparing, with its interval."""
    lines = []
    for name in MEASURES:
        for one, other in combinations(study.settings, 2):
            if (one[0] == other[0]) != (one[1] == other[1]):  # one thing changed
                changed = f"{one[0]}: {one[1]} or {other[1]}" if one[0] == other[0] else None
                title = changed or f"{one[0]} or {other[0]}, {one[1]}"
                lines.append([name, title, _tau(study, (one, name), (other, name))])
    for setting in study.settings:
        title = f"{setting[0]}, {setting[1]}"
        lines.append(["LeRF or MoRF", title, _tau(study, (setting, "LeRF"), (setting, "MoRF"))])
    return markdown(["ranked by", "settings", "tau-b"], lines)


def _tau(study: Study, first: tuple[Setting, str], second: tuple[Setting, str]) -> str:
    value, drawn = taus(study, first, second)
    low, high = np.percentile(drawn, [_TAIL, 100 - _TAIL])
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"


def by_region(study: Study) -> str:
    """Tau-b between two settings by region less that by pixel, on the same resamples."""
    lines = []
    pairs = [(f"{name}: mean or ROAD", ("mean", name), ("ROAD", name)) for name in MEASURES]
    pairs += [(f"LeRF or MoRF, {fill}", (fill, "LeRF"), (fill, "MoRF")) for fill in FILLS.values()]
    for title, (fill, name), (other, second) in pairs:
        line = [title]
        for units in ("NAS", "SLIC"):
            wanted = [(unit, one) for unit in (units, "pixels") for one in (fill, other)]
            if not all(setting in study.values for setting in wanted):
                continue
            (ours, drawn), (theirs, beside) = (
                taus(study, ((unit, fill), name), ((unit, other), second)) for unit in (units, "pixels")
            )
            low, high = np.percentile(drawn - beside, [_TAIL, 100 - _TAIL])
            line.append(f"{ours - theirs:+.2f} [{low:.2f}, {high:.2f}]")
        if len(line) == 3:  # noqa: PLR2004 - both kinds of regions
            lines.append(line)
    return markdown(["tau-b between", "NAS − pixels", "SLIC − pixels"], lines) if lines else ""


def taus(study: Study, first: tuple[Setting, str], second: tuple[Setting, str]) -> tuple[float, Floats]:
    """Tau-b of two rankings of the methods by mean areas, and (B,) the same in every resample."""
    means, drawn = [], []
    for setting, name in (first, second):
        area, sign = MEASURES[name]
        table = sign * study.table(setting, area)
        means.append(table.mean(axis=0))
        drawn.append(resampled_means(study.keys, table))
    value = kendall_tau_b(*map(levels, means))
    found = [kendall_tau_b(a, b) for a, b in zip(*map(levels, drawn), strict=True)]
    return _number(value), np.array([_number(one) for one in found])


def reliability(study: Study) -> str:
    """Krippendorff's alpha, ordinal: images are raters of the methods (Tomsett et al. 2020)."""
    head = ["ranked by", *(f"{units}, {fill}" for units, fill in study.settings)]
    lines = []
    for name, (area, sign) in MEASURES.items():
        found = [krippendorff_alpha(_ranks(sign * study.table(s, area))) for s in study.settings]
        lines.append([name, *(f"{_number(value):.2f}" for value in found)])
    return markdown(head, lines)


def _ranks(table: Floats) -> Floats:
    """Each image's ranks of the methods: ratings of different images are on scales of their own."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(levels(table), axis=1))


def levels(values: Floats) -> Floats:
    """(..., methods) the values' places from the lowest, 0, up; what rounding alone tells apart shares one.

    CAM and Grad-CAM are one map where the head is linear on an average: their pixel curves differ by what
    other batches round.
    """
    order = values.argsort(axis=-1, kind="stable")
    steps = np.diff(np.take_along_axis(values, order, axis=-1), axis=-1) > ROUNDING
    places = np.concatenate([np.zeros_like(values[..., :1]), np.cumsum(steps, axis=-1)], axis=-1)
    found = np.empty_like(places)
    np.put_along_axis(found, order, places, axis=-1)
    return found


def ranks_of(values: Floats) -> list[int]:
    """(methods,) 1 for the highest value; equals share the better rank, as in sports."""
    level = levels(values)
    return [1 + int((level > one).sum()) for one in level]


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _has(study: Study, setting: Setting, name: str) -> bool:
    return any(name in held for held in study.values[setting].values())


def draw(studies: Sequence[Study], path: Path) -> None:
    """Ranks of the methods by AUC-LeRF and by SRG in every setting, a row for each network."""
    with figure_style(size=9):
        for suffix, data in figure_files(_figure(studies)).items():
            path.with_suffix(f".{suffix}").write_bytes(data)


def _figure(studies: Sequence[Study]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.6 * len(studies)), layout="constrained")
    axes = figure.subplots(len(studies), 2, squeeze=False)
    for row, study in zip(axes, studies, strict=True):
        for ax, name in zip(row, ("LeRF", "SRG"), strict=True):
            settings = study.settings
            area, sign = MEASURES[name]
            ends: dict[int, list[str]] = defaultdict(list)
            for method in (one for one in METHODS if all(one in study.values[s] for s in settings)):
                ranks = []
                for setting in settings:
                    found = ranks_of(sign * study.table(setting, area).mean(axis=0))
                    ranks.append(found[study.methods(setting).index(method)])
                colour, marker = STYLES[method]
                dashes = "--" if method in CONTROLS else "-"
                ax.plot(ranks, color=colour, marker=marker, linestyle=dashes, markersize=8)
                ends[ranks[-1]].append(method)
            for rank, methods in ends.items():
                ax.annotate(
                    ", ".join(methods), (len(settings) - 1, rank), (8, 0), textcoords="offset points",
                    va="center", color=STYLES[methods[-1]][0],
                )  # fmt: skip
            ax.set_xticks(range(len(settings)), [f"{units}\n{fill}" for units, fill in settings])
            ax.set_yticks(range(1, len(METHODS) + 1))
            ax.invert_yaxis()
            ax.set_xlim(-0.3, len(settings) + 0.1)
            ax.set_ylabel("rank, 1 the best")
            what = "AUC-LeRF" if name == "LeRF" else "SRG"
            ax.set_title(f"{study.model}: methods ranked by {what}, {len(study.keys)} images", fontsize=10)
            ax.spines[["top", "right"]].set_visible(False)
    return figure


if __name__ == "__main__":
    main()
