"""Factored k-means against building the matrix and scikit-learn's KMeans: time, agreement, inertia.

Run: python scripts/bench_kmeans.py [--images 5] [--weights resnet50.safetensors] [--root FOLDER]. ResNet-50
activations at 224², k = 10, 20 steps from the same start, one thread each, one run; medians over images.
Without weights and a folder of images the network is random and the images are the rendered scenes: the
times are the same, the label agreement then says little about real activations.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from nasbench.data import Dataset, ViewSpec, make_view, run_order
from nasbench.data.folder import FolderDataset
from nasbench.data.rendered import RenderedDataset
from nasbench.models import load_classifier
from nasbench.segment.kmeans import factored_kmeans
from nasbench.segment.nas import scale_stages
from nasbench.segment.virtual import VirtualFeatures

SIZE, K, STEPS = (224, 224), 10, 20


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--images", type=int, default=5)
    parser.add_argument("--weights", default="random")
    parser.add_argument("--root", help="a folder of images; default: the rendered scenes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    dataset: Dataset = FolderDataset(root=options.root) if options.root else RenderedDataset(n=options.images)
    classifier = load_classifier(name="resnet50", weights=options.weights)
    print(f"ResNet-50 ({classifier.weights_source}), 224 x 224, k = {K}, {STEPS} steps, one thread")
    print(
        "| stages | matrix + KMeans, s | factored, s | ratio | equal labels, % | worst, % | inertia, rel. |"
    )
    print("|---|---|---|---|---|---|---|")
    for count in (3, 4):
        rows = []
        for sample in run_order(dataset.ids(), options.images):
            view = make_view(dataset.load(sample).image, ViewSpec(size=SIZE))
            features = classifier.features(torch.from_numpy(view.pixels)[None])
            stages = scale_stages(features.stages[-count:], SIZE)
            start = factored_kmeans(stages, SIZE, K, max_iter=0).centroids
            rows.append(compare(stages, start))
        theirs, ours, equal, inertia = (np.array(column) for column in zip(*rows, strict=True))
        print(
            f"| {count} | {statistics.median(theirs):.2f} | {statistics.median(ours):.3f} "
            f"| {statistics.median(theirs / ours):.1f} | {100 * np.median(equal):.3f} "
            f"| {100 * equal.min():.3f} | {np.abs(inertia).max():.1e} |"
        )


def compare(stages: list[torch.Tensor], start: torch.Tensor) -> tuple[float, float, float, float]:
    """Seconds of theirs and ours, share of equal labels, relative difference of the inertia."""

    def built() -> KMeans:
        matrix = VirtualFeatures.of(stages, SIZE).materialise()[0].numpy()
        return KMeans(K, init=start[0].numpy(), n_init=1, max_iter=STEPS, tol=0).fit(matrix)

    with threadpool_limits(1):
        theirs, reference = timed(built)
    ours, result = timed(lambda: factored_kmeans(stages, SIZE, K, init=start, max_iter=STEPS))
    equal = float((result.labels[0].flatten().numpy() == reference.labels_).mean())
    return theirs, ours, equal, result.inertia.item() / reference.inertia_ - 1


if __name__ == "__main__":
    main()
