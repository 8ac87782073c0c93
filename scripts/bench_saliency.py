"""What a saliency map costs, against the bare passes it needs.

Run: python scripts/bench_saliency.py [--model resnet50] [--weights FILE] [--root IMAGES] [--out FILE].
One thread, everything in one run, medians over repeats. Two tables:

1. every method on a batch, in times its bare passes: a forward and a backward pass of the same batch down to
   the pixels, as often as the method needs them. Methods that stop at a layer, or need no backward pass, cost
   less than one; what needs no network is given in milliseconds alone;
2. integrated gradients over steps: time, and the peak resident set in a process of its own. The memory is
   that of `max_batch` images whatever the number of steps.

Without --weights and --root the network is random and the images are the rendered scenes, which changes no
cost.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from nasbench.data import Dataset, ViewSpec, make_view, run_order
from nasbench.data.folder import FolderDataset
from nasbench.data.rendered import RenderedDataset
from nasbench.models import Classifier, load_classifier
from nasbench.saliency.activations import EigenCam, MeanActivation
from nasbench.saliency.base import Batch, Saliency
from nasbench.saliency.cams import Cam, GradCam, GradCamPlusPlus, HiResCam, XGradCam
from nasbench.saliency.controls import BlurredRandom, CentreGaussian, EdgeDetector, UniformRandom
from nasbench.saliency.gradients import (
    Gradient,
    InputXGradient,
    IntegratedGradients,
    SmoothGrad,
    SmoothGradSquared,
    VarGrad,
)
from nasbench.saliency.layercam import FusedLayerCam, LayerCam
from nasbench.saliency.superpixel_gradients import GradientSuperpixels, Swag

SIZE, BATCH, REPEATS = (224, 224), 16, 5
# Copies and steps, few enough that the whole table takes minutes.
N = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--weights", default="random")
    parser.add_argument("--root", help="a folder of images; default: the rendered scenes")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--out", type=Path, help="a Markdown file for the tables")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        f"Python {platform.python_version()}, torch {torch.__version__}, {platform.machine()}, one thread.",
        f"{options.model}, {SIZE[0]} x {SIZE[1]}.",
        "",
    ]
    with threadpool_limits(1):
        for table in (against_bare_passes, over_steps):
            for line in table(options):
                print(line, flush=True)
                lines.append(line)
    if options.out:
        options.out.write_text("# What a map costs\n\n" + "\n".join(lines) + "\n", encoding="utf-8")


# What a method needs at most: bare passes an image. Those of several passes run on two images only.
SINGLE: dict[str, Saliency] = {
    "gradient": Gradient(),
    "input_x_gradient": InputXGradient(),
    "cam": Cam(),
    "gradcam": GradCam(),
    "gradcam++": GradCamPlusPlus(),
    "xgradcam": XGradCam(),
    "hirescam": HiResCam(),
    "layercam": LayerCam(),
    "layercam_fused": FusedLayerCam(),
    "eigencam": EigenCam(),
    "mean_activation": MeanActivation(),
    "gradient_superpixels": GradientSuperpixels(),
    "swag": Swag(),
}
SEVERAL: dict[str, Saliency] = {
    f"smoothgrad, n={N}": SmoothGrad(n=N),
    f"smoothgrad_squared, n={N}": SmoothGradSquared(n=N),
    f"vargrad, n={N}": VarGrad(n=N),
    f"ig, steps={N}": IntegratedGradients(steps=N),
}
BLIND: dict[str, Saliency] = {
    "random": UniformRandom(),
    "random_blur": BlurredRandom(),
    "centre": CentreGaussian(),
    "edges": EdgeDetector(),
}


def against_bare_passes(options: argparse.Namespace) -> list[str]:
    """Each method's time, paired with bare passes measured in turn with it."""
    classifier, x = prepared(options, BATCH)
    batch = batch_of(x)
    few = batch_of(x[:2])
    lines = [
        f"## Against bare passes (batch {BATCH}, max_batch {BATCH}, medians of {options.repeats} pairs)",
        "",
        "A bare pass is forward and backward to the pixels, of as many images as the method sends at a time.",
        "",
        "| method | bare passes an image | ms an image | times its bare passes |",
        "|---|---|---|---|",
    ]
    for name, method in SINGLE.items():
        cost, ratio = paired(
            partial(method, classifier, batch), partial(bare, classifier, x, 1), options.repeats
        )
        lines.append(f"| {name} | 1 | {1000 * cost / BATCH:.1f} | {ratio:.2f} |")
    for name, method in SEVERAL.items():
        work = partial(method, classifier, few)
        # Sixteen copies of an image are one pass of sixteen.
        cost, ratio = paired(work, partial(bare, classifier, x, 2), max(3, options.repeats // 2))
        lines.append(f"| {name} | {N} | {1000 * cost / 2:.1f} | {ratio:.2f} |")
    for name, method in BLIND.items():
        cost = statistics.median(timed(partial(method, classifier, batch)) for _ in range(options.repeats))
        lines.append(f"| {name} | 0 | {1000 * cost / BATCH:.1f} | |")
    return [*lines, ""]


def over_steps(options: argparse.Namespace) -> list[str]:
    """Time and memory of integrated gradients over steps."""
    lines = [
        f"## Integrated gradients over steps (one image, max_batch {BATCH})",
        "",
        "| steps | seconds | peak resident set, MB |",
        "|---|---|---|",
    ]
    context = multiprocessing.get_context("spawn")
    for steps in (16, 50, 200):
        with context.Pool(1) as pool:
            seconds, peak = pool.apply(_measure, (steps, options.model, options.weights, options.root))
        lines.append(f"| {steps} | {seconds:.1f} | {peak:.0f} |")
    return [*lines, ""]


def bare(classifier: Classifier, x: torch.Tensor, times: int) -> None:
    """A forward and a backward pass of a batch, so many times."""
    for _ in range(times):
        pixels = x.clone().requires_grad_()
        classifier.logits(pixels)[:, 0].sum().backward()


def prepared(options: argparse.Namespace, count: int) -> tuple[Classifier, torch.Tensor]:
    """The network and a batch of images (count, 3, H, W)."""
    classifier = load_classifier(name=options.model, weights=options.weights, input_size=SIZE)
    dataset: Dataset = FolderDataset(root=options.root) if options.root else RenderedDataset(n=count)
    ids = run_order(dataset.ids(), count)
    pixels = [make_view(dataset.load(name).image, ViewSpec(size=SIZE)).pixels for name in ids]
    return classifier, torch.from_numpy(np.stack(pixels))


def batch_of(x: torch.Tensor) -> Batch:
    names = tuple(str(i) for i in range(len(x)))
    return Batch(names, x, torch.zeros(len(x), dtype=torch.int64), max_batch=BATCH)


def paired(work: Callable[[], Any], other: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Median seconds of one, and the median of the ratios of runs made in turn."""
    work()
    other()
    pairs = [(timed(work), timed(other)) for _ in range(repeats)]
    return statistics.median(a for a, _ in pairs), statistics.median(a / b for a, b in pairs)


def timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _measure(steps: int, model: str, weights: str, root: str | None) -> tuple[float, float]:
    torch.set_num_threads(1)
    with threadpool_limits(1):
        classifier, x = prepared(argparse.Namespace(model=model, weights=weights, root=root), 1)
        seconds = timed(partial(IntegratedGradients(steps=steps), classifier, batch_of(x)))
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(line for line in lines if line.startswith("VmHWM"))
    return seconds, float(peak.split()[1]) / 1024


if __name__ == "__main__":
    main()
