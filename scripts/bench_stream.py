"""Memory and time of one clustering over a growing number of images of one class.

Run: python scripts/bench_stream.py [--images 100,300,1000] [--out FILE].
The bundled network on rendered scenes of one class, one thread, each size in a process of its own: the peak
resident set, the time of a pass and the size of the file. Constant memory is the point; the times are those
of the bundled network, most of it drawing the scenes and its forward passes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from nasbench.data import ViewSpec, make_view
from nasbench.data.rendered import RenderedDataset
from nasbench.models import load_classifier
from nasbench.segment.clustering import write_clusterings
from nasbench.segment.stream import fit_stream

BATCH, K, PASSES = 16, 10, 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--images", default="100,300,1000")
    parser.add_argument("--out", type=Path, help="a Markdown file for the table")
    options = parser.parse_args()
    lines = [
        f"Python {platform.python_version()}, torch {torch.__version__}, {platform.machine()}, one thread.",
        f"One class, k = {K}, {PASSES} passes after the first.",
        "",
        "| images | peak resident set, MB | seconds | ms an image and pass | file, KB |",
        "|---|---|---|---|---|",
    ]
    context = multiprocessing.get_context("spawn")
    for count in map(int, options.images.split(",")):
        with context.Pool(1) as pool:
            peak, seconds, size = pool.apply(measured, (count,))
        each = 1000 * seconds / count / (PASSES + 1)
        lines.append(f"| {count} | {peak:.0f} | {seconds:.1f} | {each:.0f} | {size / 1024:.0f} |")
        print(lines[-1], flush=True)
    if options.out:
        options.out.write_text("# A stream of one class\n\n" + "\n".join(lines) + "\n", encoding="utf-8")


def measured(count: int) -> tuple[float, float, int]:
    """Peak resident set in MB, seconds, and bytes of the file, for `count` images of one class."""
    torch.set_num_threads(1)
    classifier = load_classifier(name="test_resnet", weights="bundled", num_classes=12, input_size=224)
    # Enough scenes that one class has `count` of them; only those are ever drawn.
    dataset = RenderedDataset(n=20 * count)
    wanted: list[str] = []
    for sample_id in dataset.ids():
        if len(wanted) == count:
            break
        if dataset.load(sample_id).labels == (0,):
            wanted.append(sample_id)

    def batches() -> Iterator[tuple[Sequence[str], Sequence[torch.Tensor]]]:
        for start in range(0, count, BATCH):
            ids = wanted[start : start + BATCH]
            views = [make_view(dataset.load(name).image, ViewSpec(size=(224, 224))).pixels for name in ids]
            yield ids, classifier.features(torch.from_numpy(np.stack(views))).stages[-3:]

    begun = time.perf_counter()
    clustering = fit_stream(batches, (224, 224), k=K, max_iter=PASSES)
    seconds = time.perf_counter() - begun
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "class.safetensors"
        write_clusterings(file, {"0": clustering})
        size = file.stat().st_size
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(line for line in status if line.startswith("VmHWM"))
    return float(peak.split()[1]) / 1024, seconds, size


if __name__ == "__main__":
    main()
