"""What NAS costs: against building the matrix, against the forward pass, over image size and k.

Run: python scripts/bench_segment.py --weights resnet50.safetensors --root IMAGES [--images 10] [--out FILE].
ResNet-50, one thread each, everything in one run, medians over images or repeats. Four tables:

1. factored k-means against building the matrix and scikit-learn's KMeans: four stages, 224 x 224, k = 10,
   the same start, 20 steps; time, extra peak memory (resident set, measured in a process of its own after
   resetting the peak), equal labels and inertia;
2. whole NAS (forward, scaling, clustering, labels) against the forward alone, batch 16, for the documented
   default, four stages and the coarse mode, compared with the exact labels by the adjusted Rand index;
3. the clustering over image size and k;
4. whole NAS on finer grids: the stem stage, flip and shift averages, a forward at twice the size.

Without --weights and --root the network is random and the images are the rendered scenes: the times are about
the same, agreement then says little about real activations.
"""

from __future__ import annotations

import argparse
import ctypes
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

from nasbench.data import Dataset, ViewSpec, make_view, run_order
from nasbench.data.folder import FolderDataset
from nasbench.data.rendered import RenderedDataset
from nasbench.models import Classifier, Features, load_classifier
from nasbench.run.forward import activation_features
from nasbench.segment.activations import scale_stages
from nasbench.segment.base import Views
from nasbench.segment.kmeans import factored_kmeans
from nasbench.segment.nas import Nas
from nasbench.segment.virtual import VirtualFeatures

K, STEPS, BATCH, REPEATS = 10, 20, 16, 5
SQUARE = 224
SIZE = (SQUARE, SQUARE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument("--weights", default="random")
    parser.add_argument("--root", help="a folder of images; default: the rendered scenes")
    parser.add_argument("--out", type=Path, help="a Markdown file for the tables")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        f"Python {platform.python_version()}, torch {torch.__version__}, {platform.machine()}, one thread.",
        "",
    ]
    with threadpool_limits(1):
        for table in (against_the_matrix, against_the_forward, over_size_and_k, on_finer_grids):
            for line in table(options):
                print(line, flush=True)
                lines.append(line)
    if options.out:
        options.out.write_text("# What NAS costs\n\n" + "\n".join(lines) + "\n", encoding="utf-8")


def against_the_matrix(options: argparse.Namespace) -> list[str]:
    """Table 1."""
    classifier, pixels = prepared(options, SQUARE, options.images)
    rows = []
    for image in pixels:
        stages = scale_stages(classifier.features(image[None]).stages[-4:], SIZE)
        start = factored_kmeans(stages, SIZE, K, max_iter=0).centroids
        theirs, reference = timed(partial(matrix_kmeans, stages, start))
        ours, result = timed(partial(factored_kmeans, stages, SIZE, K, init=start, max_iter=STEPS))
        equal = float((result.labels[0].flatten().numpy() == reference.labels_).mean())
        rows.append((theirs, ours, theirs / ours, equal, abs(result.inertia.item() / reference.inertia_ - 1)))
    theirs, ours, ratio, equal, inertia = np.array(rows).T
    memory = [extra_memory(work, options) for work in ("matrix", "factored")]
    agreement = (
        f"Equal labels: median {100 * np.median(equal):.3f} %, worst {100 * equal.min():.3f} %. "
        f"Inertia: at most {inertia.max():.1e} apart, relative."
    )
    return [
        f"## Factored k-means against matrix + scikit-learn ({len(rows)} images)",
        "",
        f"Four stages, k = {K}, {STEPS} steps, the same start.",
        "",
        "| | matrix + KMeans | factored | ratio |",
        "|---|---|---|---|",
        f"| seconds, median | {np.median(theirs):.2f} | {np.median(ours):.3f} | {np.median(ratio):.1f} |",
        f"| extra peak memory, MB | {memory[0]:.0f} | {memory[1]:.1f} | {memory[0] / memory[1]:.0f} |",
        "",
        agreement,
        "",
    ]


def against_the_forward(options: argparse.Namespace) -> list[str]:
    """Table 2."""
    classifier, pixels = prepared(options, SQUARE, BATCH)
    exact = Nas()(views_of(pixels), classifier.features(pixels))
    lines = [
        f"## Whole NAS against the forward alone (batch {len(pixels)}, medians of {REPEATS})",
        "",
        "| | ms an image | times the forward | adjusted Rand index with exact |",
        "|---|---|---|---|",
    ]
    variants = {
        "forward alone": None,
        "NAS, documented default": Nas(),
        "NAS, four stages": Nas(stages=(-4, -3, -2, -1)),
        "NAS, coarse": Nas(mode="coarse"),
    }
    times: dict[str, list[float]] = {name: [] for name in variants}
    labels: dict[str, Any] = {}
    for _ in range(REPEATS + 1):
        for name, nas in variants.items():  # in turn: a machine that slows down slows all of them
            seconds, labels[name] = timed(partial(whole, classifier, pixels, nas))
            times[name].append(seconds)
    base = statistics.median(times["forward alone"][1:])
    for name, measured in times.items():
        median = statistics.median(measured[1:])
        index = "" if name != "NAS, coarse" else f"{mean_rand_index(labels[name], exact):.3f}"
        lines.append(f"| {name} | {1000 * median / len(pixels):.1f} | {median / base:.2f} | {index} |")
    return [*lines, ""]


def over_size_and_k(options: argparse.Namespace) -> list[str]:
    """Table 3."""
    lines = [
        "## Over image size and k (documented default, batch 4, clustering and labels only)",
        "",
        "| image | forward, ms | " + " | ".join(f"k = {k}, ms" for k in (5, 10, 20, 64)) + " |",
        "|---|---|---|---|---|---|",
    ]
    for size in (224, 384, 512):
        classifier, pixels = prepared(options, size, 4)
        views = views_of(pixels)
        features = classifier.features(pixels)
        forward = repeated(partial(classifier.features, pixels))
        costs = [repeated(partial(Nas(k=k), views, features)) for k in (5, 10, 20, 64)]
        cells = " | ".join(f"{1000 * cost / len(pixels):.0f}" for cost in (forward, *costs))
        lines.append(f"| {size} x {size} | {cells} |")
    return [*lines, ""]


def on_finer_grids(options: argparse.Namespace) -> list[str]:
    """Whole NAS at 224 x 224 with finer maps, in times the plain one."""
    classifier, pixels = prepared(options, SQUARE, 4)
    large, wide = prepared(options, 2 * SQUARE, 4)
    stem = load_classifier(name="resnet50", weights=options.weights, input_size=SQUARE, stages=range(5))
    cases: list[tuple[str, Classifier, torch.Tensor, Nas]] = [
        ("default", classifier, pixels, Nas()),
        ("all stages", classifier, pixels, Nas(stages=[-4, -3, -2, -1])),
        ("all stages and the stem", stem, pixels, Nas(stages=[-5, -4, -3, -2, -1])),
        ("average=[flip]", classifier, pixels, Nas(average=["flip"])),
        ("average=[shift]", classifier, pixels, Nas(average=["shift"])),
        ("average=[flip,shift]", classifier, pixels, Nas(average=["flip", "shift"])),
        ("forward_size=448", large, wide, Nas(forward_size=2 * SQUARE)),
    ]
    views = views_of(pixels)

    def once(network: Classifier, x: torch.Tensor, nas: Nas) -> Any:
        return nas(views, activation_features(network, x, nas.activations))

    lines = ["## On finer grids (whole NAS, regions at 224 x 224, batch 4, medians of 5)", ""]
    lines += ["| | forwards an image | ms an image | times the default |", "|---|---|---|---|"]
    plain = 0.0
    for name, network, x, nas in cases:
        cost = repeated(partial(once, network, x, nas))
        plain = plain or cost
        lines.append(
            f"| {name} | {nas.activations.passes} | {1000 * cost / len(x):.0f} | {cost / plain:.2f} |"
        )
    return [*lines, ""]


def prepared(options: argparse.Namespace, size: int, count: int) -> tuple[Classifier, torch.Tensor]:
    """The network at this size and a batch of images (count, 3, size, size)."""
    classifier = load_classifier(name="resnet50", weights=options.weights, input_size=size)
    dataset: Dataset = FolderDataset(root=options.root) if options.root else RenderedDataset(n=count)
    ids = run_order(dataset.ids(), count)
    pixels = [make_view(dataset.load(name).image, ViewSpec(size=(size, size))).pixels for name in ids]
    return classifier, torch.from_numpy(np.stack(pixels))


def whole(classifier: Classifier, pixels: torch.Tensor, nas: Nas | None) -> Any:
    features: Features = classifier.features(pixels)
    return None if nas is None else nas(views_of(pixels), features)


def views_of(pixels: torch.Tensor) -> Views:
    return Views(tuple(str(i) for i in range(len(pixels))), pixels)


def matrix_kmeans(stages: Sequence[torch.Tensor], start: torch.Tensor) -> KMeans:
    matrix = VirtualFeatures.of(stages, SIZE).materialise()[0].numpy()
    return KMeans(K, init=start[0].numpy(), n_init=1, max_iter=STEPS, tol=0).fit(matrix)


def mean_rand_index(labels: torch.Tensor, others: torch.Tensor) -> float:
    pairs = zip(labels.flatten(1).numpy(), others.flatten(1).numpy(), strict=True)
    return statistics.fmean(adjusted_rand_score(a, b) for a, b in pairs)


def extra_memory(work: str, options: argparse.Namespace) -> float:
    """Megabytes that one clustering adds to the peak resident set, in a fresh process."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return float(pool.apply(_measure, (work, options.weights, options.root)))


def _measure(work: str, weights: str, root: str | None) -> float:
    torch.set_num_threads(1)
    classifier, pixels = prepared(argparse.Namespace(weights=weights, root=root), SQUARE, 1)
    stages = scale_stages(classifier.features(pixels).stages[-4:], SIZE)
    start = factored_kmeans(stages, SIZE, K, max_iter=0).centroids
    with threadpool_limits(1):
        # A small clustering first: what a library allocates once is not the algorithm's.
        KMeans(2, n_init=1).fit(np.random.default_rng(0).random((100, 4)))
        # Freed memory goes back first: what is reused silently would not show in the peak.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak; Linux only
        before = _peak()
        if work == "matrix":
            matrix_kmeans(stages, start)
        else:
            factored_kmeans(stages, SIZE, K, init=start, max_iter=STEPS)
    return (_peak() - before) / 1024


def _peak() -> float:
    """Peak resident set in kilobytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def repeated(work: Callable[[], Any]) -> float:
    work()
    return statistics.median(timed(work)[0] for _ in range(REPEATS))


if __name__ == "__main__":
    main()
