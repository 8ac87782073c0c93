"""What localisation costs: the published protocol against doing each threshold, the exact one over IoUs.

Run: python scripts/bench_wsol.py [--maps 5] [--repeats 5] [--golden FILE] [--realdata FOLDER] [--out FILE].
One thread, the same 224 x 224 maps for both sides, which take turns; the processor time of this process and
the fastest of the repeats, so that others on the machine count little; medians over maps. Five tables:

1. `choe` at 1000 thresholds against the straightforward procedure (below, in full) at each of them; every
   box and decision is compared, the script fails if one differs; a summary comes first;
2. where its time goes: foregrounds that differ, those whose contours had to be sought, and the parts;
3. `exact` over kinds of maps, numbers of IoUs and of thresholds, with its parts;
4. fitting thresholds: cross-fitting and 1000 refitted bootstrap resamples of 650 images;
5. with --realdata: the steps of `nasbench wsol` on real images, as its own `timings.parquet` has them.

With --golden the real maps of that file are timed too: `maps` (n, 224, 224) and `kinds` (n,).
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from nasbench.localize import choe_boxes, choe_decisions, contours, exact, merge_tree
from nasbench.localize.boxes import IOU_GRID, iou_of
from nasbench.localize.choe import CHOE_IOU, Contours, choe_thresholds
from nasbench.localize.finders import stacked
from nasbench.localize.levels import Levels, levels_of
from nasbench.localize.thresholds import Sweep, fold_of
from nasbench.statistics.bootstrap import resample_counts

Array = NDArray[Any]

SIDE = 224
SIZE = (SIDE, SIDE)
ONE_BOX = np.array([[40, 50, 150, 180]])
THREE_BOXES = np.array([[40, 50, 150, 180], [10, 20, 60, 90], [120, 30, 215, 110]])
IMAGES, RESAMPLES = 650, 1000
SHORT = 3  # the fast side is called so many times a turn
LONG = 2  # seconds after which no map is repeated
REAL_IMAGES = 32
SEGMENTERS = ("none", "nas", "slic", "felzenszwalb")

FINDERS = ("findContours", "findContoursLinkRuns", "connectedComponentsWithStats")
QUIET = ("maxima", "minima", "euler_changes")

# Title, the least ratio demanded, and the one aimed at.
GROUPS = {
    "smooth maps": (3, 10),
    "noise": (3, 5),
    "at most 32 levels": (30, 40),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--maps", type=int, default=5, help="maps of each kind")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--golden", type=Path, help="an .npz of real maps")
    parser.add_argument(
        "--realdata", type=Path, help="a folder with imagenet/ and weights/resnet50.safetensors"
    )
    parser.add_argument("--out", type=Path, help="a Markdown file for the tables")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    kinds = maps_by_kind(options.maps, options.golden)
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}, OpenCV {cv2.__version__}"
    lines = [f"{versions}, {platform.machine()}, one thread, processor time, fastest of the repeats.", ""]
    for table in (against_each_threshold, where_the_time_goes, over_ious, fitting):
        for line in table(kinds, options.repeats):
            print(line, flush=True)
            lines.append(line)
    if options.realdata:
        lines += real_run(options.realdata)
    if options.out:
        text = "# What localisation costs\n\n" + "\n".join(lines).rstrip() + "\n"
        options.out.write_text(text, encoding="utf-8")


def maps_by_kind(count: int, golden: Path | None) -> dict[str, list[Array]]:
    """`group: kind` -> maps (224, 224) float32 in [0, 1]; `other` is measured and not judged."""
    rng = np.random.default_rng(0)

    def several(make: Callable[[], Array]) -> list[Array]:
        return [scaled(make()) for _ in range(count)]

    def few(make: Callable[[], Array], levels: int = 32) -> list[Array]:
        return several(lambda: np.floor((levels - 0.01) * scaled(make())))

    smooth, quantised = "smooth maps", "at most 32 levels"
    kinds = {
        f"{smooth}: 7 x 7, bicubic": several(lambda: enlarged(rng.random((7, 7)))),
        f"{smooth}: one object on 7 x 7, bicubic": several(lambda: enlarged(blob(rng))),
        f"{smooth}: 14 x 14, bicubic": several(lambda: enlarged(rng.random((14, 14)))),
        "noise: uniform": several(lambda: rng.random(SIZE)),
        "noise: normal": several(lambda: rng.standard_normal(SIZE)),
        f"{quantised}: 32 of 7 x 7": few(lambda: enlarged(rng.random((7, 7)))),
        f"{quantised}: 32 of one object": few(lambda: enlarged(blob(rng))),
        f"{quantised}: 32 of 14 x 14": few(lambda: enlarged(rng.random((14, 14)))),
        f"{quantised}: 8 of 7 x 7": few(lambda: enlarged(rng.random((7, 7))), 8),
        f"{quantised}: 32 of noise": several(lambda: rng.integers(0, 32, SIZE)),
        f"{quantised}: 20 regions": several(lambda: regions(rng)),
    }
    if golden is not None:
        groups = {"cam": smooth, "smoothed_gradient": smooth, "regions": quantised}
        with np.load(golden) as data:
            for kind in dict.fromkeys(data["kinds"].tolist()):
                name = f"{groups.get(kind, 'other')}: golden {kind.replace('_', ' ')}"
                kinds[name] = list(data["maps"][data["kinds"] == kind][:count])
    return kinds


def against_each_threshold(kinds: dict[str, list[Array]], repeats: int) -> list[str]:
    """Table 1, and its summary before it."""
    thresholds = choe_thresholds()
    pairs: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
        "boxes": (partial(slow_boxes, thresholds=thresholds), partial(choe_boxes, thresholds=thresholds))
    }
    titles: dict[Contours, str] = {"largest": "largest contour", "all": "all contours"}
    for contours_wanted, title in titles.items():
        for truth in (ONE_BOX, THREE_BOXES):
            pairs[f"{title}, {len(truth)} true"] = (
                partial(slow_decisions, truth=truth, thresholds=thresholds, contours_wanted=contours_wanted),
                partial(choe_decisions, gt_boxes=truth, thresholds=thresholds, contours=contours_wanted),
            )
    rows, reached = [], defaultdict(list)
    for kind, maps in kinds.items():
        cells = []
        for title, (slow, fast) in pairs.items():
            times = np.array([compared(slow, fast, scores, repeats) for scores in maps])
            theirs, ours, ratio = np.median(times, axis=0)
            cells.append(
                f"{1000 * theirs:.1f} / {1000 * ours:.2f}: **{ratio:.1f}** ({times[:, 2].min():.1f})"
            )
            if title != "boxes":
                reached[kind.split(":")[0]].append((ratio, kind.split(": ")[1], title))
        rows.append(f"| {kind} | {' | '.join(cells)} |")
    return [
        f"## `choe` at {len(thresholds)} thresholds against each threshold",
        "",
        "How many times faster the decisions are than the straightforward procedure's, every one of them the",
        "same (medians over the maps of a kind):",
        "",
        "| maps | demanded | aimed at | best kind | worst kind | which is |",
        "|---|---|---|---|---|---|",
        *(
            f"| {group} | {least} | {aim} | {max(reached[group])[0]:.1f} | {min(reached[group])[0]:.1f} | "
            f"{', '.join(min(reached[group])[1:])} |"
            for group, (least, aim) in GROUPS.items()
        ),
        "",
        "Milliseconds a map, straightforward / ours, and their ratio: the median over maps, and the slowest",
        "map. `boxes` is the box of the largest contour at every threshold; the others are decisions at IoU",
        ".3, .5 and .7, for one and for three true boxes.",
        "",
        f"| maps | {' | '.join(pairs)} |",
        f"|---{'|---' * len(pairs)}|",
        *rows,
        "",
    ]


def slow_boxes(scores: Array, thresholds: Array) -> Array:
    """The straightforward procedure: the box of the largest contour at each threshold, one by one."""
    grey = (scores * 255).astype(np.uint8)
    return np.concatenate([boxes_at(grey, threshold, largest=True) for threshold in thresholds])


def slow_decisions(scores: Array, truth: Array, thresholds: Array, contours_wanted: Contours) -> Array:
    """The straightforward procedure, with the IoUs of all boxes taken at once, as the published code does."""
    grey = (scores * 255).astype(np.uint8)
    boxes = [boxes_at(grey, threshold, largest=contours_wanted == "largest") for threshold in thresholds]
    iou = inclusive_iou(np.concatenate(boxes), truth).max(axis=1)
    starts = np.cumsum([0, *(len(found) for found in boxes[:-1])])
    return np.maximum.reduceat(iou, starts) >= np.array(CHOE_IOU)[:, None]


def boxes_at(grey: Array, threshold: float, *, largest: bool) -> Array:
    height, width = grey.shape
    binary = cv2.threshold(grey, int(threshold * np.max(grey)), 255, cv2.THRESH_BINARY)[1]
    found, _ = cv2.findContours(binary, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    if len(found) == 0:
        return np.zeros((1, 4), dtype=np.int64)
    if largest:
        found = [max(found, key=cv2.contourArea)]
    boxes = []
    for contour in found:
        x, y, w, h = cv2.boundingRect(contour)
        boxes.append([x, y, min(x + w, width - 1), min(y + h, height - 1)])
    return np.array(boxes)


def inclusive_iou(boxes: Array, others: Array) -> Array:
    a, b = boxes[:, None], others[None]
    sides = np.maximum(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]) + 1, 0)
    shared = sides.prod(axis=-1)
    areas = [(c[..., 2:] - c[..., :2] + 1).prod(axis=-1) for c in (a, b)]
    iou: Array = shared / (areas[0] + areas[1] - shared)
    return iou


def where_the_time_goes(kinds: dict[str, list[Array]], repeats: int) -> list[str]:
    """Table 2."""
    thresholds = choe_thresholds()
    lines = [
        "## Where the time of `choe` goes",
        "",
        "Decisions at all contours for one true box, first map of each kind: how many of the 1000 thresholds",
        "differ in their foreground, in how many contours were sought, and milliseconds in all and in parts:",
        "to 8 bits, with the frames of all foregrounds; telling between which levels nothing happens;",
        "cutting foregrounds out; OpenCV finding contours or components; the rest, boxes and IoUs among it.",
        "",
        "| maps | differ | sought | ms | to 8 bits | quiet levels | cutting out | contours | rest |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for kind, (scores, *_) in kinds.items():
        work = partial(choe_decisions, scores, ONE_BOX, thresholds, contours="all")
        whole = repeated(work, repeats)
        levels = levels_of(scores, thresholds)
        first = repeated(partial(levels_of, scores, thresholds), repeats)
        with measured(contours, *QUIET) as (_, quiet), measured(cv2, *FINDERS) as (_, seconds):
            work()
        with measured(contours, "stacked") as (_, cutting):
            work()
        sought = searched(work)
        parts = (sum(quiet.values()), cutting["stacked"], sum(seconds.values()))
        rest = max(whole - first - sum(parts), 0)
        cells = " | ".join(f"{1000 * part:.2f}" for part in (whole, first, *parts, rest))
        lines.append(f"| {kind} | {len(levels.steps)} | {sought} | {cells} |")
    return [*lines, ""]


def searched(work: Callable[[], Any]) -> int:
    """How many foregrounds are cut out to be searched."""
    count = 0

    def counting(levels: Levels, wanted: Sequence[int]) -> Array:
        nonlocal count
        count += len(wanted)
        return stacked(levels, wanted)

    with patch.object(contours, "stacked", counting):
        work()
    return count


def over_ious(kinds: dict[str, list[Array]], repeats: int) -> list[str]:
    """Table 3."""
    counts, grids = (1, len(IOU_GRID), 100), (100, 1000, 100_000)
    lines = [
        "## `exact`, every level, over the numbers of IoUs and thresholds",
        "",
        "Milliseconds a map, medians. It takes no thresholds: the intervals it gives answer for all of them,",
        "so a map costs the same whatever is asked of them later. The last columns are what it costs to read",
        "decisions at three IoUs and so many thresholds off the intervals, a look-up each.",
        "",
        "| maps | distinct levels | boxes | growing pieces | the map's events, that among it | "
        + " | ".join(f"with intervals at {n} IoU{'s' * (n > 1)}" for n in counts)
        + " | "
        + " | ".join(f"read at {n} thresholds" for n in grids)
        + " |",
        f"|---|---|---|---|---{'|---' * (len(counts) + len(grids))}|",
    ]
    for kind, maps in kinds.items():
        rows = []
        for scores in maps:
            events = exact.box_events(scores)
            row = [float(len(np.unique(scores))), float(len(events.levels))]
            row += [1000 * repeated(partial(merge_tree.grow, scores), repeats)]
            whole = 1000 * repeated(partial(exact.box_events, scores), repeats)
            row += [
                whole,
                *(whole + 1000 * repeated(partial(intervals_of, events, n), repeats) for n in counts),
            ]
            found = intervals_of(events, 3)
            row += [1000 * repeated(partial(read_off, found, n), repeats) for n in grids]
            rows.append(row)
        levels, boxes, *times = np.median(np.array(rows, dtype=np.float64), axis=0)
        lines.append(f"| {kind} | {levels:.0f} | {boxes:.0f} | {' | '.join(f'{t:.2f}' for t in times)} |")
    return [*lines, ""]


def intervals_of(events: exact.BoxEvents, count: int) -> list[list[exact.Interval]]:
    iou = iou_of(events.boxes, ONE_BOX)
    wanted = IOU_GRID if count == len(IOU_GRID) else np.linspace(0.5, 0.95, count)
    return [exact.right_intervals(events.levels, iou, delta) for delta in wanted]


def read_off(intervals: list[list[exact.Interval]], count: int) -> list[Array]:
    """Decisions at `count` thresholds: inside an interval where an odd number of ends lies below."""
    thresholds = np.linspace(0, 1, count)
    return [
        np.searchsorted(sorted(end for pair in found for end in pair), thresholds) % 2 for found in intervals
    ]


def fitting(kinds: dict[str, list[Array]], repeats: int) -> list[str]:
    """Table 4."""
    del kinds
    rng = np.random.default_rng(0)
    intervals = []
    for _ in range(IMAGES):
        x0, y0 = rng.uniform(0, 120, 2)
        truth = [[x0, y0, x0 + rng.uniform(40, 104), y0 + rng.uniform(40, 104)]]
        events = exact.box_events(scaled(enlarged(blob(rng))))
        iou = iou_of(events.boxes, truth)
        intervals.append([exact.right_intervals(events.levels, iou, delta) for delta in IOU_GRID])
    sweep = Sweep(intervals)
    fold = fold_of([str(i) for i in range(IMAGES)])
    counts = resample_counts(IMAGES, RESAMPLES, rng)
    ends = 2 * sum(len(column) for image in intervals for column in image)
    return [
        "## Fitting thresholds",
        "",
        f"{IMAGES} images, {len(IOU_GRID)} IoUs, {ends} ends of intervals; exact, without a grid.",
        "",
        "| | seconds |",
        "|---|---|",
        f"| cross-fitting in 5 folds | {repeated(partial(sweep.cross_fit, fold), repeats):.3f} |",
        f"| {RESAMPLES} resamples, refitted | {repeated(partial(sweep.bootstrap, fold, counts), 1):.2f} |",
        "",
    ]


def real_run(folder: Path) -> list[str]:
    """Table 5: the command in a process and a folder of its own, one thread."""
    lines = [
        "## `nasbench wsol` on real images",
        "",
        f"ResNet-50, CAM, {REAL_IMAGES} images of ImageNet at 224 x 224, on the processor, one thread, four",
        f"cells: the map itself and its means over the regions of {', '.join(SEGMENTERS[1:])}. Milliseconds",
        "an image, wall time, from the run's `timings.parquet`; an image goes through the network once.",
        "",
    ]
    columns = {metric: steps_of_run(folder, metric) for metric in ("boxes", "choe")}
    lines += [
        f"| step | {' | '.join(f'metric={metric}' for metric in columns)} |",
        f"|---{'|---' * len(columns)}|",
    ]
    for step in dict.fromkeys(step for steps in columns.values() for step in steps):
        cells = (f"{steps[step]:.1f}" if step in steps else "" for steps in columns.values())
        lines.append(f"| {step}{STEPS.get(step, '')} | {' | '.join(cells)} |")
    lines.append(f"| all | {' | '.join(f'{sum(steps.values()):.1f}' for steps in columns.values())} |")
    print("\n".join(lines), flush=True)
    return lines


STEPS = {
    "forward": ": the network, and the CAM with it",
    "maps": ": raw maps from what it left",
    "regions": ": the three segmenters",
    "sweep": ": to the model's size, boxes at every threshold, decisions",
    "union": ": the best union of regions",
    "pixels": ": scores of pixels",
    "load": ": decoding and resizing",
    "write": ": rows and pictures",
}


def steps_of_run(folder: Path, metric: str) -> dict[str, float]:
    """Milliseconds an image of each step, in the order of the run."""
    with tempfile.TemporaryDirectory() as out:
        command = [
            sys.executable, "-m", "nasbench", "wsol", "model=resnet50",
            f"model.weights={folder}/weights/resnet50.safetensors", "dataset=imagenet",
            f"dataset.root={folder}/imagenet", "saliency=cam", f"segmenter={','.join(SEGMENTERS)}",
            f"metric={metric}", "device=cpu", "--limit", str(REAL_IMAGES), "--out", f"{out}/run",
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
        steps: dict[str, float] = defaultdict(float)
        for record in pq.read_table(f"{out}/run/timings.parquet").to_pylist():
            steps[record["step"]] += 1000 * record["seconds"] / REAL_IMAGES
    return steps


def enlarged(scores: Array) -> Array:
    return np.asarray(cv2.resize(scores.astype(np.float32), SIZE, interpolation=cv2.INTER_CUBIC))


def scaled(scores: Array) -> Array:
    scores = scores.astype(np.float32)
    found: Array = (scores - scores.min()) / (scores.max() - scores.min())
    return found


def blob(rng: np.random.Generator) -> Array:
    """A bump and a little noise, 7 x 7: what a CAM of one object looks like."""
    centre, width = rng.uniform(1, 5, 2), rng.uniform(0.8, 2)
    y, x = np.mgrid[:7, :7]
    bump = np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / (2 * width**2))
    return np.asarray(bump + 0.05 * rng.random((7, 7)))


def regions(rng: np.random.Generator) -> Array:
    """Twenty Voronoi cells, each of one value."""
    points = rng.uniform(0, SIDE, (20, 2))
    y, x = np.mgrid[:SIDE, :SIDE]
    nearest = ((y[..., None] - points[:, 0]) ** 2 + (x[..., None] - points[:, 1]) ** 2).argmin(axis=-1)
    return np.asarray(rng.random(20)[nearest])


def compared(
    slow: Callable[[Array], Array], fast: Callable[[Array], Array], scores: Array, repeats: int
) -> tuple[float, float, float]:
    """Seconds of both, which take turns, the fastest of each, and their ratio. Exits where results differ."""
    theirs, ours = [], []
    for _ in range(repeats):
        seconds, wanted = timed(partial(slow, scores))
        theirs.append(seconds)
        for _ in range(SHORT):
            seconds, found = timed(partial(fast, scores))
            ours.append(seconds)
        if not np.array_equal(wanted, found):
            raise SystemExit("the fast procedure differs from the straightforward one")
        if sum(theirs) > LONG:
            break
    return min(theirs), min(ours), min(theirs) / min(ours)


@contextmanager
def measured(module: Any, *names: str) -> Iterator[tuple[dict[str, int], dict[str, float]]]:
    """Calls and seconds of a module's functions while inside."""
    calls, seconds = dict.fromkeys(names, 0), dict.fromkeys(names, 0.0)
    originals = {name: getattr(module, name) for name in names}

    def watched(name: str) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            calls[name] += 1
            spent, result = timed(partial(originals[name], *args, **options))
            seconds[name] += spent
            return result

        return call

    for name in names:
        setattr(module, name, watched(name))
    try:
        yield calls, seconds
    finally:
        for name, original in originals.items():
            setattr(module, name, original)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds of this process, and what comes out."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def repeated(work: Callable[[], Any], repeats: int) -> float:
    work()
    return min(timed(work)[0] for _ in range(max(repeats, SHORT)))


if __name__ == "__main__":
    main()
