"""The segmentation study as a figure and as tables, from finished runs of `nasbench segment`.

Run: python scripts/figure_segment_study.py RUN [RUN ...] [--model resnet50] [--out docs/figures]
A RUN is a run's folder, or NAME=FOLDER to call its data set NAME (two runs with dataset=folder need it).

Writes depth_and_k.png and depth_and_k.svg, scores over the number of regions for NAS on one to four stages
beside SLIC and the grid, and tables.md, all segmenters at one count. Both read `summary.csv`; what it does
not name, because a run does not vary it, is taken from the run's `config.yaml`, or else from the defaults in
`configs/`. Segmenters that read no network (SLIC, the grid, k-means on pixels, ...) need one run a data set:
a model that has none of its own is compared with those run beside another model.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from nasbench.config.locate import config_dir
from nasbench.errors import UsageError

METRICS = (
    "achievable_segmentation_accuracy",
    "boundary_recall",
    "boundary_contrast",
    "object_iou",
    "explained_variation",
)
HIGHER = (
    "object_iou",
    "achievable_segmentation_accuracy",
    "boundary_recall",
    "boundary_precision",
    "boundary_contrast",
    "explained_variation",
    "agreement_ari",
    "agreement_iou",
)
LOWER = ("undersegmentation_error",)
TABLE_ORDER = (*HIGHER[:4], *LOWER, *HIGHER[4:], "compactness", "n_regions")
SEGMENTERS = ("nas", "nas+image", "nas_tree", "dff", "slic", "felzenszwalb", "watershed", "quickshift")
BLIND = ("grid", "random")
NETWORK_FREE = ("slic", "felzenszwalb", "watershed", "quickshift", *BLIND)
BOX = "_box"
TICKS = (2, 3, 5, 8, 10, 15, 20, 30)

# Okabe & Ito's colours, told apart with any colour vision; markers and dashes say it again in grey.
STAGE_LINES = (
    ("{4}", {"color": "#D55E00", "marker": "o", "linestyle": "-"}),
    ("{3,4}", {"color": "#E69F00", "marker": "s", "linestyle": "-"}),
    ("{2,3,4}", {"color": "#009E73", "marker": "^", "linestyle": "-"}),
    ("{1,2,3,4}", {"color": "#0072B2", "marker": "D", "linestyle": "-"}),
)
REFERENCE_LINES = (
    ("slic", "SLIC", {"color": "#000000", "marker": "x", "linestyle": "--"}),
    ("grid", "grid", {"color": "#666666", "marker": "+", "linestyle": ":"}),
)


@dataclass(frozen=True)
class Row:
    """One metric of one cell.

    Attributes:
        dataset, model: as they are called in the figure, with what varies within a choice.
        segmenter: the choice.
        network: whether it reads the model's activations, or another network's.
        stages: the stages it reads, counted from the shallowest of four, such as "{3,4}"; empty for none.
        scaling: of the stages; empty where there is none.
        variant: every other setting that is not the default, as "key=value", sorted.
        count: regions asked for: `match`, or the segmenter's own count; None where it has none.
        metric: its name, without `_box`.
        boxes: whether it was measured against boxes.
        value, low, high: mean and 95 % interval; None where there is none.
        n, n_failed: images with a value, and without.
        n_missed: images whose regions missed `match`; None where nothing is matched or the run does not say.
    """

    dataset: str
    model: str
    segmenter: str
    network: bool
    stages: str
    scaling: str
    variant: tuple[str, ...]
    count: int | None
    metric: str
    boxes: bool
    value: float | None
    low: float | None
    high: float | None
    n: int
    n_failed: int
    n_missed: int | None

    @property
    def cell(self) -> tuple[Any, ...]:
        """What tells cells apart."""
        return (
            self.dataset,
            self.model,
            self.segmenter,
            self.stages,
            self.scaling,
            self.variant,
            self.count,
        )

    @property
    def label(self) -> str:
        """The segmenter with what is not its default, and always with its stages."""
        scaling = [] if self.scaling in {"", "variance"} else [f"scaling={self.scaling}"]
        words = [f"{self.segmenter} {self.stages}".strip(), *scaling, *self.variant]
        return ", ".join(words)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run's folder, or NAME=FOLDER")
    parser.add_argument("--out", type=Path, default=Path("docs/figures"), help="default: docs/figures")
    parser.add_argument("--model", help="of the figure; may be left out where the runs have one")
    parser.add_argument("--scaling", default="variance", help="of the figure's NAS lines; default: variance")
    parser.add_argument(
        "--metrics", type=_names, default=METRICS, help=f"the figure's rows, with commas; {','.join(METRICS)}"
    )
    parser.add_argument(
        "--table-metrics",
        type=_names,
        help="the tables' columns, with commas; default: all that were measured",
    )
    parser.add_argument("--count", type=int, default=10, help="regions in the tables; default: 10")
    options = parser.parse_args(arguments)
    try:
        rows = read_runs(options.runs)
        model = chosen_model(rows, options.model)
        options.out.mkdir(parents=True, exist_ok=True)
        text = tables(rows, count=options.count, metrics=options.table_metrics)
        (options.out / "tables.md").write_text(text, encoding="utf-8")
        draw(rows, options.out, model=model, scaling=options.scaling, metrics=options.metrics)
    except (UsageError, OSError) as error:
        parser.error(str(error))
    for name in ("depth_and_k.png", "depth_and_k.svg", "tables.md"):
        print(options.out / name)


# --- reading -------------------------------------------------------------------------------------------


def read_runs(runs: Sequence[str]) -> list[Row]:
    """The rows of all runs; a cell that several runs have once. UsageError where they differ on it."""
    lines = [line for run in runs for line in _lines(run)]
    varying = _varying(lines)
    found: dict[tuple[Any, ...], Row] = {}
    for line in lines:
        row = _row(line, varying)
        known = found.setdefault((*row.cell, row.metric), row)
        if known != row:
            raise UsageError(
                f"two values of {row.metric} for {row.dataset}, {row.model}, {row.label}, "
                f"{row.count} regions; runs on different data need names: NAME=FOLDER"
            )
    boxed = {row.dataset for row in found.values() if row.boxes}
    if not found:
        raise UsageError("the runs have no rows")
    return [
        replace(row, dataset=f"{row.dataset} (boxes)") if row.dataset in boxed else row
        for row in found.values()
    ]


def stage_set(text: str) -> str:
    """A list of stages as a summary has it, such as "[-3 -2 -1]", counted from 1 of four: "{2,3,4}"."""
    places = sorted(int(word) for word in text.strip("[]").replace(",", " ").split())
    return "{" + ",".join(str(place + 5 if place < 0 else place + 1) for place in places) + "}"


def _lines(run: str) -> list[dict[str, str]]:
    """The lines of a run's summary with all of the segmenter's settings filled in, as text."""
    name, _, path = run.partition("=") if "=" in run and not Path(run).is_dir() else ("", "", run)
    folder = Path(path)
    summary = folder / "summary.csv"
    if not summary.is_file():
        raise UsageError(f"{folder} has no summary.csv: it is not the folder of a finished run")
    with summary.open(encoding="utf-8", newline="") as source:
        reader = csv.DictReader(source)
        lines = list(reader)
    if not {"model", "dataset", "segmenter", "metric", "value"} <= set(reader.fieldnames or ()):
        raise UsageError(f"{summary} is not the summary of nasbench segment")
    cells = _cells(folder / "config.yaml")
    for line in lines:
        given = {key: value for key, value in line.items() if value}
        line.clear()
        settings = next((cell.settings for cell in cells if cell.has(given)), None)
        if cells and settings is None:
            raise UsageError(f"{summary}: config.yaml beside it has no such cell: {' '.join(given.values())}")
        line.update(_defaults(given["segmenter"]) | (settings or {}) | given)
        if name:
            line["dataset"] = name
            for key in [key for key in line if key.startswith("dataset.") and _is_path(key)]:
                del line[key]
    return lines


@dataclass(frozen=True)
class _Cell:
    """A cell of a run's config.yaml: its choices, what it varies and its segmenter's settings, as text."""

    choices: dict[str, str]
    swept: dict[str, str]
    settings: dict[str, str]

    def has(self, given: Mapping[str, str]) -> bool:
        """Whether a line of the summary, without its empty columns, is of this cell."""
        return (
            all(given[group] == self.choices[group] for group in ("model", "dataset", "segmenter"))
            and all(key in self.swept for key in given if "." in key)
            # A summary shortens paths to what tells them apart.
            and all(
                value.endswith(given.get(key, "")) if _is_path(key) else value == given.get(key)
                for key, value in self.swept.items()
            )
        )


def _is_path(key: str) -> bool:
    """As `nasbench.run.keys.PATH_KEYS` has it, without its imports."""
    return key.rpartition(".")[2] in {"root", "labels", "weights", "source_weights", "centroids"}


def _cells(path: Path) -> list[_Cell]:
    """The cells of a run's config.yaml; none where there is no such file."""
    if not path.is_file():
        return []
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # some hundred cells take the other one seconds
    record = yaml.load(path.read_text(encoding="utf-8"), loader)  # noqa: S506 - safe, both of them
    return [
        _Cell(
            cell["choices"],
            {key: _text(value) for key, value in cell["swept"].items()},
            _flat(cell["config"]["segmenter"], "segmenter"),
        )
        for cell in record["cells"]
    ]


@cache
def _defaults(segmenter: str) -> dict[str, str]:
    """A segmenter's settings in `configs/segmenter/`; none for one that is not there."""
    path = config_dir() / "segmenter" / f"{segmenter}.yaml"
    return _flat(yaml.safe_load(path.read_text(encoding="utf-8")), "segmenter") if path.is_file() else {}


def _flat(node: Mapping[str, Any], prefix: str) -> dict[str, str]:
    """Nested settings as dotted key -> text; without `_target_`."""
    out: dict[str, str] = {}
    for key, value in node.items():
        if isinstance(value, Mapping):
            out |= _flat(value, f"{prefix}.{key}")
        elif key != "_target_":
            out[f"{prefix}.{key}"] = _text(value)
    return out


def _text(value: Any) -> str:
    """As `nasbench.report.summary` writes values."""
    if isinstance(value, float):
        return f"{value:.9g}"
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(_text(item) for item in value) + "]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _varying(lines: Sequence[Mapping[str, str]]) -> set[tuple[str, str, str]]:
    """(group, choice, key) of keys with several values, of a model or data set within that choice."""
    seen: dict[tuple[str, str, str], set[str]] = {}
    for line in lines:
        for key, value in line.items():
            if value != "${seed}":
                seen.setdefault((*_group(key, line), key), set()).add(value)
    return {place for place, values in seen.items() if len(values) > 1}


def _group(key: str, line: Mapping[str, str]) -> tuple[str, str]:
    group = key.partition(".")[0]
    return (group, line[group]) if group in {"model", "dataset"} else (group, "")


# Told by attributes of their own, or filled in from another key.
_TOLD = ("segmenter.match", "segmenter.stages", "segmenter.scaling", "segmenter.source_model")


def _row(line: Mapping[str, str], varying: set[tuple[str, str, str]]) -> Row:
    defaults = _defaults(line["segmenter"])
    own = "segmenter.n" if "segmenter.n" in line else "segmenter.k"
    match = line.get("segmenter.match", "null")
    count = match if match != "null" else line.get(own, "")
    extra: dict[str, dict[str, str]] = {"model": {}, "dataset": {}, "": {}}
    for key, value in line.items():
        if ("." not in key and key != "seed") or key == own or key.startswith(_TOLD):
            continue
        group, choice = _group(key, line)
        # A seed or a path is no setting of its own: it tells cells apart only where there are several.
        by_default = group == "segmenter" and key != "segmenter.seed" and not _is_path(key)
        if defaults.get(key) != value if by_default else (group, choice, key) in varying:
            extra[group if group in extra else ""][key.partition(".")[2] or key] = value
    told = {group: tuple(f"{key}={value}" for key, value in sorted(e.items())) for group, e in extra.items()}
    pixels = line.get("segmenter.source") == "pixels"
    stages = "" if pixels else line.get("segmenter.stages", "")
    metric = line["metric"]
    return Row(
        dataset=" ".join([line["dataset"], *told["dataset"]]),
        model=" ".join([line["model"], *told["model"]]),
        segmenter=line["segmenter"],
        network=line["segmenter"] not in NETWORK_FREE and not pixels,
        stages=stage_set(stages) if stages.startswith("[") else "",
        scaling="" if pixels else line.get("segmenter.scaling", ""),
        variant=told[""],
        count=int(count) if count.isdigit() else None,
        metric=metric.removesuffix(BOX),
        boxes=metric.endswith(BOX),
        value=_number(line, "value"),
        low=_number(line, "low"),
        high=_number(line, "high"),
        n=int(line["n"]),
        n_failed=int(line["n_failed"]),
        n_missed=int(line["n_missed"]) if line.get("n_missed") else None,
    )


def _number(line: Mapping[str, str], key: str) -> float | None:
    return float(line[key]) if line.get(key) else None


# --- selecting -----------------------------------------------------------------------------------------


def models(rows: Sequence[Row]) -> list[str]:
    """The models whose activations are read, in their order; all where none is."""
    return list(dict.fromkeys(row.model for row in rows if row.network)) or list(
        dict.fromkeys(row.model for row in rows)
    )


def chosen_model(rows: Sequence[Row], name: str | None) -> str:
    """The model of the figure: as named, or the only one. UsageError otherwise."""
    known = models(rows)
    if name is None and len(known) == 1:
        return known[0]
    if name not in known:
        wanted = "--model is needed" if name is None else f"--model {name}: no run has it"
        raise UsageError(f"{wanted}; choose from {', '.join(known)}")
    return name


def comparable(rows: Sequence[Row], dataset: str, model: str) -> list[Row]:
    """The rows of a model on a data set; cells without a network that it lacks come from another model's."""
    here = [row for row in rows if row.dataset == dataset]
    own = {(row.label, row.count) for row in here if row.model == model}
    lender: dict[tuple[str, int | None], str] = {}
    for row in here:
        if not row.network and (row.label, row.count) not in own:
            lender.setdefault((row.label, row.count), row.model)
    return [row for row in here if row.model == lender.get((row.label, row.count), model)]


Point = tuple[float, float, float, float]


def line(
    rows: Sequence[Row],
    *,
    dataset: str,
    model: str,
    metric: str,
    segmenter: str,
    stages: str = "",
    scaling: str = "",
) -> list[Point]:
    """(regions, mean, low, high) of one line of the figure, by rising number of regions.

    The number of regions is the measured mean, where the run has it, so that a segmenter which misses the
    count asked for stands where it is. Cells with other settings than the defaults are no part of it. An
    interval that is missing is the mean itself.
    """
    cells = [
        row
        for row in comparable(rows, dataset, model)
        if (row.segmenter, row.stages, row.scaling, row.variant) == (segmenter, stages, scaling, ())
        and row.count is not None
    ]
    measured = {row.cell: row.value for row in cells if row.metric == "n_regions"}
    points = []
    for row in cells:
        if row.metric != metric or row.value is None or row.count is None:
            continue
        regions = measured.get(row.cell) or float(row.count)
        low, high = (row.value if end is None else end for end in (row.low, row.high))
        points.append((regions, row.value, low, high))
    return sorted(points)


# --- tables --------------------------------------------------------------------------------------------

_HOW_TO_READ = """\
Mean over images [95 % bootstrap interval]. Arrows say which way is better. The best mean of a column is in
bold where its interval does not overlap that of the next best. `n_regions` is what came out. NAS is named
with its stages, counted from the shallowest of four, and every segmenter with what is not its default."""


def tables(rows: Sequence[Row], *, count: int, metrics: Sequence[str] | None = None) -> str:
    """Markdown: for each data set and model, segmenters × metrics at one count.

    `metrics` None: all that have a value. One that has none on a data set is left out there.
    """
    if not any(row.count == count for row in rows):
        counts = sorted({row.count for row in rows if row.count is not None})
        raise UsageError(
            f"--count {count}: no cell has it; there are {', '.join(map(str, counts)) or 'none'}"
        )
    out = [f"# Segmenters at {count} regions", "", _HOW_TO_READ]
    known = models(rows)
    for dataset, model in itertools.product(dict.fromkeys(row.dataset for row in rows), known):
        if any((row.dataset, row.model, row.count) == (dataset, model, count) for row in rows):
            chosen = [row for row in comparable(rows, dataset, model) if row.count == count]
            out += ["", f"## {dataset}, {model}", "", *_table(chosen, metrics)]
    free = sorted({row.label for row in rows if row.count is None})
    if free:
        out += ["", f"Left out, for want of a count (`segmenter.match`): {', '.join(free)}."]
    return "\n".join(out) + "\n"


def _table(rows: Sequence[Row], metrics: Sequence[str] | None) -> list[str]:
    present = {row.metric for row in rows if row.value is not None}
    wanted = (
        sorted(present, key=lambda name: (_place(name, TABLE_ORDER), name)) if metrics is None else metrics
    )
    columns = [name for name in wanted if name in present]
    labels = list(dict.fromkeys(row.label for row in sorted(rows, key=_rank)))
    by_place = {(row.label, row.metric): row for row in rows}
    bold = {(best(rows, name), name) for name in columns}
    lines = [
        "| segmenter | " + " | ".join(f"{name}{_arrow(name)}" for name in columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for label in labels:
        cells = []
        for name in columns:
            text = _cell(by_place.get((label, name)))
            cells.append(f"**{text}**" if (label, name) in bold else text)
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    images = sorted({row.n for row in rows if row.metric in columns and row.value is not None}) or [0]
    failed = max((row.n_failed for row in rows if row.metric in columns), default=0)
    spread = f"{images[0]}" if len(images) == 1 else f"{images[0]} to {images[-1]}"
    note = f"; up to {failed} without a value in a column" if failed else ""
    missed = {row.label: row.n_missed for row in sorted(rows, key=_rank) if row.n_missed}
    if missed:
        note += "; not within max(1, 5 %) of the count: "
        note += ", ".join(f"{label} on {number}" for label, number in missed.items())
    return [f"Over {spread} images{note}.", "", *lines]


def best(rows: Iterable[Row], metric: str) -> str | None:
    """The label of the best of a metric; None where its interval overlaps the runner-up's or is missing."""
    sign = 1 if metric in HIGHER else -1 if metric in LOWER else 0
    found = [(row.value, row) for row in rows if row.metric == metric and row.value is not None]
    if not sign or len(found) < 2:  # noqa: PLR2004 - one alone is better than nothing else
        return None
    (_, first), (_, second) = sorted(found, key=lambda pair: -sign * pair[0])[:2]
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return None
    clear = first.low > second.high if sign > 0 else first.high < second.low
    return first.label if clear else None


def _cell(row: Row | None) -> str:
    if row is None or row.value is None:
        return "–"
    digits = 1 if row.metric == "n_regions" else 3
    if row.low is None or row.high is None:
        return f"{row.value:.{digits}f}"
    return f"{row.value:.{digits}f} [{row.low:.{digits}f}, {row.high:.{digits}f}]"


def _arrow(metric: str) -> str:
    return " ↑" if metric in HIGHER else " ↓" if metric in LOWER else ""


def _rank(row: Row) -> tuple[Any, ...]:
    """Ours first, then rivals, unknown ones, and the blind ones last; defaults and deepest stages first."""
    blind = row.segmenter in BLIND
    return (
        blind,
        _place(row.segmenter, SEGMENTERS),
        row.segmenter,
        row.scaling not in {"", "variance"},
        row.variant,
        len(row.stages),
    )


def _place(name: str, order: Sequence[str]) -> int:
    return order.index(name) if name in order else len(order)


# --- drawing -------------------------------------------------------------------------------------------


def draw(rows: Sequence[Row], out: Path, *, model: str, scaling: str, metrics: Sequence[str]) -> None:
    """`depth_and_k.png` and `.svg` in `out`: metrics × data sets, scores over the number of regions."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(row.dataset for row in rows if row.model == model))
    style = {
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#E5E5E5",
        "grid.linewidth": 0.6,
        "lines.linewidth": 1.4,
        "lines.markersize": 4.5,
        "svg.hashsalt": "nasbench",
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=(1.2 + 2.5 * len(names), 0.9 + 1.9 * len(metrics)), layout="constrained")
        axes = figure.subplots(len(metrics), len(names), squeeze=False, sharex=True)
        handles: dict[str, Any] = {}
        for i, metric in enumerate(metrics):
            for j, dataset in enumerate(names):
                handles = _panel(axes[i, j], rows, dataset, model, metric, scaling) | handles
            axes[i, 0].set_ylabel(_wrapped(metric))
        for j, dataset in enumerate(names):
            axes[0, j].set_title(dataset)
            axes[-1, j].set_xlabel("number of regions")
        reached = [axis.dataLim for axis in axes.flat]
        low, high = min(box.x0 for box in reached), max(box.x1 for box in reached)
        axes[0, 0].set_xlim(min(TICKS[0], low) / 1.1, max(TICKS[-1], high) * 1.1)
        order = [name for name in _legend_order() if name in handles]
        if not order:
            raise UsageError(f"nothing to draw for {model} with scaling={scaling}")
        figure.legend(
            [handles[name] for name in order],
            order,
            loc="outside upper center",
            ncols=3 if len(names) > 1 else 2,
            frameon=False,
            title=f"{model}, scaling={scaling}; bands: 95 % intervals",
        )
        figure.savefig(out / "depth_and_k.png", dpi=160)
        figure.savefig(out / "depth_and_k.svg", metadata={"Date": None})


def _panel(
    axis: Any, rows: Sequence[Row], dataset: str, model: str, metric: str, scaling: str
) -> dict[str, Any]:
    """One panel; legend entries of what is in it."""
    lines: list[tuple[str, dict[str, Any], dict[str, str]]] = [
        (_stage_label(stages), dict(style), {"segmenter": "nas", "stages": stages, "scaling": scaling})
        for stages, style in STAGE_LINES
    ]
    lines += [(name, dict(style), {"segmenter": segmenter}) for segmenter, name, style in REFERENCE_LINES]
    handles = {}
    for name, style, chosen in lines:
        points = line(rows, dataset=dataset, model=model, metric=metric, **chosen)
        if not points:
            continue
        x, mean, low, high = zip(*points, strict=True)
        axis.fill_between(x, low, high, color=style["color"], alpha=0.16, linewidth=0)
        (handles[name],) = axis.plot(x, mean, **style)
    axis.set_xscale("log")
    axis.set_xticks(TICKS, [str(tick) for tick in TICKS])
    axis.set_xticks([], minor=True)
    if not handles:
        axis.set_yticks([])
        axis.text(0.5, 0.5, "not measured here", transform=axis.transAxes, ha="center", color="#666666")
    elif metric == "boundary_contrast":
        axis.axhline(1, color="#999999", linewidth=0.8, zorder=0)
    return handles


def _legend_order() -> list[str]:
    return [_stage_label(stages) for stages, _ in STAGE_LINES] + [name for _, name, _ in REFERENCE_LINES]


def _stage_label(stages: str) -> str:
    return f"NAS, stage{'s' if ',' in stages else ''} {stages}"


def _wrapped(metric: str) -> str:
    """A metric's name over two lines where it is long."""
    words = ["IoU" if word == "iou" else "ARI" if word == "ari" else word for word in metric.split("_")]
    half = math.ceil(len(words) / 2) if len(metric) > 20 else len(words)  # noqa: PLR2004 - characters a line
    return "\n".join(part for part in (" ".join(words[:half]), " ".join(words[half:])) if part)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip().removesuffix(BOX) for name in text.split(",") if name.strip())


if __name__ == "__main__":
    main()
