"""The localisation study as tables and a figure, from the folder of `nasbench wsol experiment=wsol_study`.

Run: python scripts/study_wsol.py RUN [--title TEXT] [--out FILE.md] [--figure FILE.svg]

Images are cut into two halves by the hash of their ids. Of each family of segmenters the configuration is
chosen that has the highest mean box accuracy (IoU .50 to .95) on small objects of the first half; reported is
the second, thresholds cross-fitted there. A run that is not finished is read as far as it is: only images
that all cells have.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nasbench.localize.boxes import IOU_GRID
from nasbench.localize.thresholds import Sweep, fold_of, with_mean
from nasbench.report.figure_files import figure_files, figure_style
from nasbench.report.image_rows import Key
from nasbench.report.localisation import Entries, Scored, Stratum, read_entries, score
from nasbench.report.tables import markdown, percent, percent_span
from nasbench.run.store import RunFolder
from nasbench.statistics.bootstrap import percentile_ends
from nasbench.statistics.paired import holm, mcnemar

STRATA = {"small": "largest box under half the frame", "all": "all images"}
SHOWN = (0.50, 0.70, 0.80, 0.90)
MEAN = "box_acc_mean"
FAMILIES = {
    "none": "the map itself",
    "nas": "NAS",
    "nas_tree": "NAS, tree",
    "slic": "SLIC",
    "felzenszwalb": "Felzenszwalb",
}
CONTROLS = ("random_weights", "mirror", "pixels", "grid")
BLIND = ("centre", "const_box", "full_box")
EQUAL = 10
_ABOUT = """Box accuracy in per cent;
mean is over IoU .50 to .95, with its 95 % bootstrap interval, thresholds refitted in every resample.
Made by `scripts/study_wsol.py` from `nasbench wsol experiment=wsol_study`."""
# Okabe & Ito's colours; markers say it again in grey.
STYLES = {
    "none": ("#000000", "o"),
    "nas": ("#0072B2", "D"),
    "nas_tree": ("#56B4E9", "s"),
    "slic": ("#E69F00", "^"),
    "felzenszwalb": ("#D55E00", "v"),
}


@dataclass(frozen=True)
class StudyCell:
    """One configuration on all images.

    Attributes:
        model, saliency, family: what is compared; the family of a control is its source, or `grid`.
        label: what tells it from the others of its family.
        equal: whether every image was brought to, or asked for, ten regions.
        metric: its metric's configuration.
        entries: what its rows say.
    """

    model: str
    saliency: str
    family: str
    label: str
    equal: bool
    metric: Mapping[str, Any]
    entries: Entries


def main() -> None:
    """Read the run, write the tables and the figure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--title", default="ImageNet")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--figure", type=Path)
    args = parser.parse_args()
    cells = read_cells(args.run)
    halves = split(cells)
    chosen = choose(cells, halves[0])
    text = report(args.title, cells, chosen, halves)
    if args.out is None:
        print(text)
    else:
        args.out.write_text(text + "\n", encoding="utf-8")
    if args.figure is not None:
        draw(args.title, cells, chosen, halves[1], args.figure)


def read_cells(run: Path) -> list[StudyCell]:
    """All cells of a run that have rows."""
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    folder = RunFolder(run)
    keys: dict[int, list[str]] = defaultdict(list)
    for unit in manifest["units"]:
        keys[unit["cell"]].append(unit["key"])
    found = []
    for i, about in enumerate(manifest["cells"]):
        choices = about["choices"]
        done = [key for key in keys[i] if folder.has_rows(key)]
        if not done:
            continue
        config = json.loads(folder.read_rows(done[0]).column("config")[0].as_py())
        family, label, equal = describe(choices["segmenter"], config)
        model = choices["model"].removeprefix("imagenet_").removeprefix("cub_")
        entries = read_entries(folder, done)
        found.append(StudyCell(model, choices["saliency"], family, label, equal, config["metric"], entries))
    return found


def describe(segmenter: str, config: Mapping[str, Any]) -> tuple[str, str, bool]:
    """Family, label, and whether it has ten regions, from a cell's configuration."""
    node, over = config["segmenter"], config["over"]
    if segmenter == "none":
        return "none", "", False
    words = []
    if "stages" in node and node.get("source") != "pixels":
        words.append({3: "3 stages", 4: "4 stages", 5: "4 stages and stem"}[len(node["stages"])])
    if node.get("forward_size"):
        words.append(f"{node['forward_size']} px")
    keys = {"nas": ("k",), "nas_tree": ("n",), "slic": ("n", "compactness"), "grid": ("n",)}
    for key in keys.get(segmenter, ("scale", "sigma")):
        values = over.get(key, [node[key]])
        words.append(f"{key} {', '.join(f'{value:g}' for value in values)}")
    if node.get("match"):
        words = [f"{node['match']} regions in every image"]
    family = segmenter if node.get("source", "self") == "self" else node["source"]
    asked = node.get("k", node.get("n")) == EQUAL and not over and segmenter in ("nas", "nas_tree")
    return family, ", ".join(words), bool(asked or node.get("match") == EQUAL)


def split(cells: Sequence[StudyCell]) -> tuple[frozenset[Key], frozenset[Key]]:
    """The images that every cell scores, in two halves."""
    common = frozenset.intersection(*(frozenset(cell.entries.kept) for cell in cells))
    keys = sorted(common, key=str)
    half = fold_of([sample for sample, _ in keys], 2)
    first, second = (frozenset(k for k, h in zip(keys, half, strict=True) if h == n) for n in (0, 1))
    return first, second


def scored(cell: StudyCell, among: frozenset[Key], stratum: str) -> Scored:
    """A cell's numbers on some images."""
    part = Stratum.of(cell.entries.kept, stratum, among=among)
    return score(part, cell.metric, constant=cell.entries.constant)


def mean_accuracy(cell: StudyCell, among: frozenset[Key], stratum: str) -> float:
    """The mean of `scored` alone, without resamples: what a choice needs of many cells."""
    if cell.entries.constant or cell.metric["threshold"] != "crossfit":
        return scored(cell, among, stratum).estimates[MEAN].value or 0.0
    part = Stratum.of(cell.entries.kept, stratum, among=among)
    right = Sweep([entry.right for entry in part.entries]).cross_fit(part.fold).right
    return float(with_mean(right.mean(axis=0), IOU_GRID)[-1])


def choose(cells: Sequence[StudyCell], half: frozenset[Key]) -> dict[tuple[str, str, str], StudyCell]:
    """By network, saliency and family the best configuration on small objects of a half."""
    best: dict[tuple[str, str, str], tuple[float, StudyCell]] = {}
    for cell in cells:
        place = (cell.model, cell.saliency, cell.family)
        value = mean_accuracy(cell, half, "small")
        if place not in best or value > best[place][0]:
            best[place] = (value, cell)
    return {place: cell for place, (_, cell) in best.items()}


def report(
    title: str,
    cells: Sequence[StudyCell],
    chosen: Mapping[tuple[str, str, str], StudyCell],
    halves: tuple[frozenset[Key], frozenset[Key]],
) -> str:
    """All tables, in Markdown."""
    models = list(dict.fromkeys(cell.model for cell in cells))
    parts = [
        f"# Localisation study: {title}",
        f"{len(halves[0])} images to choose on, {len(halves[1])} others to report on. {_ABOUT}",
        "## Each at its best, chosen on the first half",
    ]
    for model in models:
        for saliency in ("cam", "layercam"):
            parts += _best_tables(model, saliency, chosen, halves[1])
    parts.append(f"## At {EQUAL} regions, second half")
    for model in models:
        parts += _equal_tables(model, cells, halves[1])
    parts.append("## Controls and maps that look at no network, second half")
    for model in models:
        parts += _control_tables(model, chosen, halves[1])
    parts.append("## Every configuration, all images")
    every = halves[0] | halves[1]
    for model in models:
        for saliency in ("cam", "layercam"):
            parts += _every_table(model, saliency, cells, every)
    return "\n\n".join(parts)


def _best_tables(
    model: str,
    saliency: str,
    chosen: Mapping[tuple[str, str, str], StudyCell],
    among: frozenset[Key],
) -> list[str]:
    parts = []
    found = {family: chosen.get((model, saliency, family)) for family in FAMILIES}
    for stratum, about in STRATA.items():
        scores = {f: scored(cell, among, stratum) for f, cell in found.items() if cell is not None}
        if not scores:
            continue
        rows = []
        for family, one in scores.items():
            cell = found[family]
            assert cell is not None
            against = [_difference(one, scores[base]) for base in ("none", "felzenszwalb") if base in scores]
            rows.append([FAMILIES[family], cell.label, *_numbers(one), *against])
        n = next(iter(scores.values())).n
        head = ["", "configuration", *_head(), "against no regions", "against Felzenszwalb"]
        parts += [f"### {model}, {saliency}: {about} (n = {n})", markdown(head, rows)]
        if stratum == "small":
            parts.append(_tests(scores))
    return parts


def _tests(scores: Mapping[str, Scored]) -> str:
    """McNemar's exact test of NAS and its tree against Felzenszwalb, by IoU, Holm-adjusted over both."""
    lines, p = [], []
    for family in ("nas", "nas_tree"):
        for delta in SHOWN:
            j = IOU_GRID.index(delta)
            ours, theirs = scores[family].right[:, j], scores["felzenszwalb"].right[:, j]
            gained, lost = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
            p.append(mcnemar(gained, lost))
            lines.append(f"{FAMILIES[family]} at .{100 * delta:.0f} {gained} : {lost}")
    shown = [f"{line} (p {value:.3f})" for line, value in zip(lines, holm(p), strict=True)]
    return (
        "Images gained : lost against Felzenszwalb, exact McNemar, Holm-adjusted: " + "; ".join(shown) + "."
    )


def _equal_tables(model: str, cells: Sequence[StudyCell], among: frozenset[Key]) -> list[str]:
    mine = [c for c in cells if (c.model, c.saliency) == (model, "cam") and (c.equal or c.family == "none")]
    scores = [(cell, scored(cell, among, "small")) for cell in mine]
    base = next(one for cell, one in scores if cell.family == "none")
    rows = [
        [FAMILIES[cell.family], cell.label, *_numbers(one), _difference(one, base)] for cell, one in scores
    ]
    head = ["", "configuration", *_head(), "against no regions"]
    return [f"### {model}, cam: {STRATA['small']} (n = {base.n})", markdown(head, rows)]


def _control_tables(
    model: str, chosen: Mapping[tuple[str, str, str], StudyCell], among: frozenset[Key]
) -> list[str]:
    names = {
        "random_weights": "NAS of an untrained network",
        "mirror": "NAS of the mirrored image",
        "pixels": "k-means of colour and place",
        "grid": "rectangles",
    }
    wanted = [(f"CAM, {names[family]}", (model, "cam", family)) for family in CONTROLS]
    wanted += [(saliency, (model, saliency, "none")) for saliency in BLIND]
    wanted = [("CAM", (model, "cam", "none")), ("CAM, NAS", (model, "cam", "nas")), *wanted]
    scores = [(name, scored(chosen[place], among, "small")) for name, place in wanted if place in chosen]
    rows = [[name, *_numbers(one)] for name, one in scores]
    title = f"### {model}: {STRATA['small']} (n = {scores[0][1].n})"
    return [title, markdown(["", *_head()], rows)]


def _every_table(model: str, saliency: str, cells: Sequence[StudyCell], among: frozenset[Key]) -> list[str]:
    rows = []
    for cell in cells:
        if (cell.model, cell.saliency) != (model, saliency):
            continue
        means = [scored(cell, among, stratum).estimates[MEAN] for stratum in STRATA]
        numbers = [f"{percent(one.value)} {percent_span(one.low, one.high)}" for one in means]
        rows.append([FAMILIES.get(cell.family, cell.family), cell.label, *numbers])
    return [f"### {model}, {saliency}: mean", markdown(["", "configuration", *STRATA.values()], rows)]


def _head() -> list[str]:
    return [*(f".{100 * delta:.0f}" for delta in SHOWN), "mean", "95 % interval"]


def _numbers(one: Scored) -> list[str]:
    mean = one.estimates[MEAN]
    values = [percent(one.estimates[f"box_acc@{delta:.2f}"].value) for delta in SHOWN]
    return [*values, percent(mean.value), percent_span(mean.low, mean.high)]


def _difference(one: Scored, base: Scored) -> str:
    if one is base:
        return ""
    low, high = percentile_ends(one.resampled - base.resampled)
    value = (one.estimates[MEAN].value or 0.0) - (base.estimates[MEAN].value or 0.0)
    return f"{100 * value:+.1f} {percent_span(float(low[-1]), float(high[-1]))}"


def draw(
    title: str,
    cells: Sequence[StudyCell],
    chosen: Mapping[tuple[str, str, str], StudyCell],
    among: frozenset[Key],
    path: Path,
) -> None:
    """Accuracy of the chosen over IoU, CAM, small objects: one panel a network, SVG and PNG."""
    from matplotlib.figure import Figure

    models = list(dict.fromkeys(cell.model for cell in cells))
    with figure_style(size=9):
        figure = Figure(figsize=(3.4 * len(models) + 1.6, 3.6), layout="constrained")
        for axes, model in zip(np.ravel(figure.subplots(1, len(models), sharey=True)), models, strict=True):
            for family, (colour, marker) in STYLES.items():
                if (model, "cam", family) not in chosen:
                    continue
                one = scored(chosen[model, "cam", family], among, "small")
                accuracy = 100 * one.right.mean(axis=0)
                axes.plot(
                    IOU_GRID, accuracy, color=colour, marker=marker, markersize=4, label=FAMILIES[family]
                )
            box = scored(chosen[model, "const_box", "none"], among, "small")
            axes.plot(IOU_GRID, 100 * box.right.mean(axis=0), color="#888888", ls="--", label="constant box")
            axes.set_title(model, fontsize=9)
            axes.set_xlabel("IoU")
            axes.grid(visible=True, color="#dddddd", linewidth=0.6)
            axes.spines[["top", "right"]].set_visible(False)
        first = figure.axes[0]
        first.set_ylabel(f"box accuracy (%), small objects of {title}")
        figure.legend(*first.get_legend_handles_labels(), loc="outside right upper", frameon=False)
        for suffix, data in figure_files(figure).items():
            path.with_suffix(f".{suffix}").write_bytes(data)


if __name__ == "__main__":
    main()
