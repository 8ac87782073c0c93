"""What a relevance curve costs beside the bare forwards it is made of, and beside pytorch-grad-cam's ROAD.

Run: python scripts/bench_lerf.py [--images 4] [--repeats 3] [--steps 10] [--out FILE.md]

One process, one thread, ResNet-50 at 224 x 224 with random weights (no weight changes what a pass costs),
images of smooth noise. "Bare" sends as many ready images through the network in batches of 16. A row of ours
is all of a curve: ordering, masks, imputation, forwards, areas; LeRF and MoRF of one map, both ends shared.
Seconds are of this process's processor, so that other processes disturb less; each repeat times everything
once, in turn, and medians are given: of seconds, and of the ratios within a repeat, untouched by what slows
all of it. pytorch-grad-cam's ROAD is given the same fractions, one image at a time as it asks.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nasbench.faithfulness.evaluation import Job, evaluate, terms_of
from nasbench.faithfulness.imputers import IMPUTERS
from nasbench.faithfulness.orders import pixel_units
from nasbench.faithfulness.relevance import RelevanceCurves, RelevancePlan
from nasbench.localize.metric import upsample
from nasbench.models import Classifier, load_classifier

SIZE = 224
BATCH = 16
OURS = ("zero", "dataset_mean", "image_mean", "blur", "noise", "shuffle", "telea", "road")
# What the promise of 1.1 is about, and that of 2.
CHEAP, ROAD = ("zero", "dataset_mean", "blur"), "road"


def main() -> None:
    """Time everything in turn and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    classifier = load_classifier(name="resnet50", weights="random")
    images, maps = scenes(args.images)
    metric = RelevanceCurves(orders=("lerf", "morf"), steps=args.steps, names=())
    passes = args.images * (2 * (args.steps - 1) + 1)
    timed: dict[str, Callable[[], Any]] = {"bare": lambda: bare(classifier, images, passes)}
    for name in OURS:
        timed[name] = partial(ours, classifier, images, maps, metric, name)
    timed["grad-cam"] = lambda: grad_cam(classifier, images, maps, args.steps)
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    forwards: dict[str, int] = {}
    for name, run in timed.items():  # once unmeasured, and counted
        counted = Counting(classifier)
        run()
        forwards[name] = counted.stop()
    for _ in range(args.repeats):
        for name, run in timed.items():
            start = time.process_time()
            run()
            seconds[name].append(time.process_time() - start)
    text = table(seconds, forwards, args)
    if args.out is not None:
        args.out.write_text(text + "\n", encoding="utf-8")
    print(text)


class Counting:
    """Counts images that go through a network, until stopped."""

    def __init__(self, classifier: Classifier) -> None:
        self.images = 0

        def seen(module: Any, inputs: Any) -> None:
            del module
            self.images += len(inputs[0])

        self._handle = classifier.module.register_forward_pre_hook(seen)

    def stop(self) -> int:
        """How many there were."""
        self._handle.remove()
        return self.images


def scenes(count: int) -> tuple[Tensor, list[np.ndarray[Any, np.dtype[np.floating]]]]:
    """Images (count, 3, H, W) in [0, 1] and maps (H, W), smooth noise."""
    rng = torch.Generator().manual_seed(0)
    images = torch.nn.functional.interpolate(
        torch.rand(count, 3, 14, 14, generator=rng), (SIZE, SIZE), mode="bicubic"
    ).clamp(0, 1)
    raw = torch.rand(count, 7, 7, generator=rng)
    return images, [upsample(np.asarray(one.numpy()), (SIZE, SIZE)) for one in raw]


@torch.no_grad()
def bare(classifier: Classifier, images: Tensor, passes: int) -> None:
    """As many images as the curves need, ready in memory, through the network."""
    batch = images.repeat(BATCH // len(images) + 1, 1, 1, 1)[:BATCH].contiguous()
    for start in range(0, passes, BATCH):
        classifier.logits(batch[: min(BATCH, passes - start)])


@torch.no_grad()
def ours(
    classifier: Classifier,
    images: Tensor,
    maps: list[np.ndarray[Any, np.dtype[np.floating]]],
    metric: RelevanceCurves,
    name: str,
) -> list[float]:
    """LeRF's and MoRF's areas of every map; the untouched image's score comes with the explanation's pass."""
    imputer, units = IMPUTERS[name](), pixel_units((SIZE, SIZE))
    plans = [RelevancePlan.of_map(metric, one, units, str(i), by_regions=False) for i, one in enumerate(maps)]
    whole = np.ones((1, SIZE, SIZE), dtype=np.bool_)
    jobs = [
        Job(image, str(i), 0, np.concatenate([plan.masks, whole]))
        for i, (image, plan) in enumerate(zip(images, plans, strict=True))
    ]
    terms = evaluate(classifier.logits, jobs, imputer, max_batch=BATCH)
    full = terms_of(torch.zeros(1, 2), 0)[0]
    found = [plan.curves(metric, own[:-1], full, own[-1]) for plan, own in zip(plans, terms, strict=True)]
    return [float(one.areas(which)[0]) for one in found for which in ("lerf", "morf")]


def grad_cam(
    classifier: Classifier,
    images: Tensor,
    maps: list[np.ndarray[Any, np.dtype[np.floating]]],
    steps: int,
) -> None:
    """pytorch-grad-cam's combined ROAD (least and most relevant first) at the same inner fractions."""
    from pytorch_grad_cam.metrics.road import ROADCombined
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget

    road = ROADCombined(percentiles=[100 * i / steps for i in range(1, steps)])
    for image, one in zip(images, maps, strict=True):
        x = classifier._normalised(image[None])  # noqa: SLF001 - it asks for what the module reads
        road(x, one[None], [ClassifierOutputSoftmaxTarget(0)], classifier.module)


def table(seconds: dict[str, list[float]], forwards: dict[str, int], args: argparse.Namespace) -> str:
    """The figures in Markdown, the ratio that counts last."""
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    ratios = {name: within_repeats(seconds, name, "bare") for name in seconds}
    ratio = {name: statistics.median(found) for name, found in ratios.items()}
    bare_each = medians["bare"] / forwards["bare"]
    about = f"""# Relevance curves: cost

ResNet-50, {SIZE} x {SIZE}, one thread, {args.images} images, {args.steps} steps, LeRF and MoRF of one map;
medians of {args.repeats} repeats of processor seconds, made by `scripts/bench_lerf.py`. A bare forward takes
{1000 * bare_each:.0f} ms an image. The ratio is to the bare forwards of as many images as ours needs, in the
same repeat; the median of the repeats' ratios is given, below the table too.

| | forwards an image | ms an image | ratio | repeats' ratios |
|---|---|---|---|---|"""
    lines = [about]
    for name, median in medians.items():
        shown = " ".join(f"{one:.2f}" for one in ratios[name])
        lines.append(
            f"| {name} | {forwards[name] / args.images:.1f} | {1000 * median / args.images:.0f} "
            f"| {ratio[name]:.2f} | {shown} |"
        )
    each = {name: count / args.images / (args.steps - 1) for name, count in forwards.items()}
    slower = statistics.median(within_repeats(seconds, "grad-cam", ROAD))
    worst = max(ratio[name] for name in CHEAP)
    end = f"""
pytorch-grad-cam's ROAD spends {each["grad-cam"]:.1f} forwards a fraction (least and most relevant first),
ours {each[ROAD]:.1f}, and takes {slower:.2f} times as long at the same fractions.

ratio of zero, mean and blur at most {worst:.2f}, of ROAD {ratio[ROAD]:.2f}"""
    lines.append(end)
    return "\n".join(lines)


def within_repeats(seconds: dict[str, list[float]], name: str, other: str) -> list[float]:
    """How many times as long as another one took, in each repeat."""
    return [own / beside for own, beside in zip(seconds[name], seconds[other], strict=True)]


if __name__ == "__main__":
    main()
