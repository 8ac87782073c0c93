"""What localisation costs: the published protocol against doing each threshold, the exact one over IoUs.

Run: python scripts/bench_wsol.py [--maps 5] [--repeats 3] [--golden FILE] [--out FILE].
One thread, the same 224 x 224 maps for both sides, medians over maps of medians over repeats. Four tables:

1. `choe` at 1000 thresholds against the straightforward procedure (below, in full) at each of them; every
   box and decision is compared, the script fails if one differs;
2. where its time goes: foregrounds that differ, those whose contours had to be sought, and the parts;
3. `exact` over kinds of maps and numbers of IoUs, with its parts;
4. fitting thresholds: cross-fitting and 1000 refitted bootstrap resamples of 650 images.

With --golden the real maps of that file are timed too: `maps` (n, 224, 224) and `kinds` (n,).
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
from numpy.typing import NDArray

from nasbench.localize import choe_boxes, choe_decisions, contours, exact, merge_tree
from nasbench.localize.boxes import IOU_GRID, iou_of
from nasbench.localize.choe import CHOE_IOU, choe_thresholds
from nasbench.localize.thresholds import Sweep, fold_of, resample_counts

Array = NDArray[Any]

SIDE = 224
SIZE = (SIDE, SIDE)
TRUTH = np.array([[40, 50, 150, 180]])
IMAGES, RESAMPLES = 650, 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--maps", type=int, default=5, help="maps of each kind")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--golden", type=Path, help="an .npz of real maps")
    parser.add_argument("--out", type=Path, help="a Markdown file for the tables")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    kinds = maps_by_kind(options.maps, options.golden)
    lines = [
        (
            f"Python {platform.python_version()}, NumPy {np.__version__}, OpenCV {cv2.__version__}, "
            f"{platform.machine()}, one thread."
        ),
        "",
    ]
    for table in (against_each_threshold, where_the_time_goes, over_ious, fitting):
        for line in table(kinds, options.repeats):
            print(line, flush=True)
            lines.append(line)
    if options.out:
        options.out.write_text("# What localisation costs\n\n" + "\n".join(lines) + "\n", encoding="utf-8")


def maps_by_kind(count: int, golden: Path | None) -> dict[str, list[Array]]:
    """Kind -> maps (224, 224) float32 in [0, 1]."""
    rng = np.random.default_rng(0)

    def several(make: Callable[[], Array]) -> list[Array]:
        return [scaled(make()) for _ in range(count)]

    kinds = {
        "smooth: 7 x 7, bicubic": several(lambda: enlarged(rng.random((7, 7)))),
        "smooth: one object on 7 x 7, bicubic": several(lambda: enlarged(blob(rng))),
        "smooth: 14 x 14, bicubic": several(lambda: enlarged(rng.random((14, 14)))),
        "noise: uniform": several(lambda: rng.random(SIZE)),
        "noise: normal": several(lambda: rng.standard_normal(SIZE)),
        "32 levels of 7 x 7": several(lambda: np.floor(31.99 * scaled(enlarged(rng.random((7, 7)))))),
        "32 levels of noise": several(lambda: rng.integers(0, 32, SIZE)),
        "20 regions of one value": several(lambda: regions(rng)),
    }
    if golden is not None:
        with np.load(golden) as data:
            for kind in dict.fromkeys(data["kinds"].tolist()):
                kinds[f"golden: {kind}"] = list(data["maps"][data["kinds"] == kind][:count])
    return kinds


def against_each_threshold(kinds: dict[str, list[Array]], repeats: int) -> list[str]:
    """Table 1."""
    thresholds = choe_thresholds()
    lines = [
        f"## `choe` at {len(thresholds)} thresholds against each threshold",
        "",
        "Milliseconds a map, straightforward / ours, and their ratio (median over maps; worst).",
        "",
        "| maps | boxes | decisions, largest contour | decisions, all contours |",
        "|---|---|---|---|",
    ]
    pairs: list[tuple[Callable[[Array], Array], Callable[[Array], Array]]] = [
        (partial(slow_boxes, thresholds=thresholds), partial(choe_boxes, thresholds=thresholds)),
        (
            lambda scores: slow_decisions(scores, thresholds, largest=True),
            lambda scores: choe_decisions(scores, TRUTH, thresholds),
        ),
        (
            lambda scores: slow_decisions(scores, thresholds, largest=False),
            lambda scores: choe_decisions(scores, TRUTH, thresholds, contours="all"),
        ),
    ]
    for kind, maps in kinds.items():
        cells = []
        for slow, fast in pairs:
            times = np.array([compared(slow, fast, scores, repeats) for scores in maps])
            theirs, ours = 1000 * np.median(times, axis=0)
            ratios = times[:, 0] / times[:, 1]
            cells.append(f"{theirs:.1f} / {ours:.2f}: **{np.median(ratios):.1f}** ({ratios.min():.1f})")
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return [*lines, ""]


def slow_boxes(scores: Array, thresholds: Array) -> Array:
    """The straightforward procedure: the box of the largest contour at each threshold, one by one."""
    grey = (scores * 255).astype(np.uint8)
    return np.concatenate([boxes_at(grey, threshold, largest=True) for threshold in thresholds])


def slow_decisions(scores: Array, thresholds: Array, *, largest: bool) -> Array:
    """The straightforward procedure, with the IoUs of all boxes taken at once, as the published code does."""
    grey = (scores * 255).astype(np.uint8)
    boxes = [boxes_at(grey, threshold, largest=largest) for threshold in thresholds]
    iou = inclusive_iou(np.concatenate(boxes), TRUTH).max(axis=1)
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
        "Decisions at all contours, first map of each kind: how many of the 1000 thresholds differ in their",
        "foreground, how often contours or components were sought, and milliseconds in all and in parts: to",
        "8 bits and sorting thresholds; telling where nothing new begins; cutting; OpenCV's contours,",
        "components and boxes; the rest, IoU among it.",
        "",
        "| maps | differ | sought | ms | 8 bits | maxima, minima | cutting | contours | rest |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    searches = ("findContours", "connectedComponentsWithStats")
    for kind, (scores, *_) in kinds.items():
        work = partial(choe_decisions, scores, TRUTH, thresholds, contours="all")
        whole = repeated(work, repeats)
        levels = contours.levels_of(scores, thresholds)
        first = repeated(partial(contours.levels_of, scores, thresholds), repeats)
        with measured(cv2, *searches, "boundingRect", "threshold", "dilate", "erode") as (calls, seconds):
            work()
        begins = repeated(lambda found=levels: (contours._peaks(found), contours._pits(found)), repeats)  # type: ignore[misc] # noqa: SLF001
        cut = seconds["threshold"]
        search = sum(seconds[name] for name in (*searches, "boundingRect"))
        rest = max(whole - first - begins - cut - search, 0)
        sought = calls["findContours"] + calls["connectedComponentsWithStats"] // 2
        parts = " | ".join(f"{1000 * part:.2f}" for part in (whole, first, begins, cut, search, rest))
        lines.append(f"| {kind} | {len(levels.steps)} | {sought} | {parts} |")
    return [*lines, ""]


def over_ious(kinds: dict[str, list[Array]], repeats: int) -> list[str]:
    """Table 3."""
    counts = (1, len(IOU_GRID), 100)
    lines = [
        "## `exact`, every level, over the number of IoUs",
        "",
        "Milliseconds a map, medians. There is no number of thresholds: the answer holds for all of them.",
        "",
        "| maps | distinct levels | boxes | growing pieces | events | "
        + " | ".join(f"IoU and intervals, {n}" for n in counts)
        + " |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind, maps in kinds.items():
        rows = []
        for scores in maps:
            events = exact.box_events(scores)
            row = [float(len(np.unique(scores))), float(len(events.levels))]
            row += [1000 * repeated(partial(merge_tree.grow, scores), repeats)]
            row += [1000 * repeated(partial(exact.box_events, scores), repeats)]
            row += [1000 * repeated(partial(intervals_of, events, n), repeats) for n in counts]
            rows.append(row)
        levels, boxes, *times = np.median(np.array(rows, dtype=np.float64), axis=0)
        lines.append(f"| {kind} | {levels:.0f} | {boxes:.0f} | {' | '.join(f'{t:.2f}' for t in times)} |")
    return [*lines, ""]


def intervals_of(events: exact.BoxEvents, count: int) -> list[list[exact.Interval]]:
    iou = iou_of(events.boxes, TRUTH)
    wanted = IOU_GRID if count == len(IOU_GRID) else np.linspace(0.5, 0.95, count)
    return [exact.right_intervals(events.levels, iou, delta) for delta in wanted]


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
) -> tuple[float, float]:
    """Seconds of both, in turn. Exits where their results differ."""
    times = []
    for _ in range(repeats):
        theirs, wanted = timed(partial(slow, scores))
        ours, found = timed(partial(fast, scores))
        if not np.array_equal(wanted, found):
            raise SystemExit("the fast procedure differs from the straightforward one")
        times.append((theirs, ours))
    return statistics.median(t for t, _ in times), statistics.median(t for _, t in times)


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
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def repeated(work: Callable[[], Any], repeats: int) -> float:
    work()
    return statistics.median(timed(work)[0] for _ in range(repeats))


if __name__ == "__main__":
    main()
