"""Whether Quantus' PixelFlipping and our MoRF curve agree where it is right, and what each costs.

Quantus needs an environment of its own (GPL, a second OpenCV, an older NumPy), with nasbench in it:

    python -m venv bench && bench/bin/pip install . quantus==0.6.0
    bench/bin/python scripts/bench_quantus.py [--images 2] [--repeats 3] [--out FILE.md]

PixelFlipping ranks the entries of all channels, not pixels, and breaks ties by their place. It is right where
a pixel's three entries follow each other and no two pixels are equal: so the map it gets here has distinct
values, its channels a hair apart, and a step is a whole number of pixels. A third row is PixelFlipping called
as it usually is, with H·W / 12 features a step: these are entries, and it takes three times the steps.

ResNet-50 at 240 x 240 with random weights, one thread; seconds are of this process's processor, medians over
repeats.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_lerf import Counting
from numpy.typing import NDArray

from nasbench.faithfulness.evaluation import Job, evaluate, terms_of
from nasbench.faithfulness.imputers import IMPUTERS
from nasbench.faithfulness.orders import pixel_units
from nasbench.faithfulness.relevance import RelevanceCurves, RelevancePlan
from nasbench.models import Classifier, load_classifier

SIZE, STEPS, TARGET = 240, 12, 3
Floats = NDArray[np.float64]


def main() -> None:
    """Compare the curves, time both in turn, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    classifier = load_classifier(
        name="resnet50", weights="random", input_size=SIZE, mean=[0.0, 0.0, 0.0], std=[1.0, 1.0, 1.0]
    )
    rng = np.random.default_rng(0)
    images = rng.random((args.images, 3, SIZE, SIZE), dtype=np.float32)
    maps = rng.permuted(np.tile(np.arange(1.0, SIZE**2 + 1), (args.images, 1)), axis=1)
    maps = maps.reshape(-1, SIZE, SIZE)
    timed: dict[str, Callable[[], Floats]] = {
        "Quantus, PixelFlipping": lambda: theirs(classifier, images, maps),
        "nasbench, MoRF": lambda: ours(classifier, images, maps),
        "Quantus, as usually called": lambda: theirs(classifier, images, maps, STEPS * 3),
    }
    curves, forwards = {}, {}
    for name, run in timed.items():
        counted = Counting(classifier)
        curves[name] = run()
        forwards[name] = counted.stop() / args.images
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(args.repeats):
        for name, run in timed.items():
            start = time.process_time()
            run()
            seconds[name].append((time.process_time() - start) / args.images)
    text = table(curves, forwards, seconds, args)
    if args.out is not None:
        args.out.write_text(text + "\n", encoding="utf-8")
    print(text)


def theirs(classifier: Classifier, images: NDArray[np.float32], maps: Floats, steps: int = STEPS) -> Floats:
    """(n, steps) the class's probability after each step."""
    for old, new in (("trapz", "trapezoid"), ("in1d", "isin")):  # what it asks of NumPy 1
        if not hasattr(np, old):
            setattr(np, old, getattr(np, new))
    import quantus

    metric: Any = quantus.PixelFlipping(
        features_in_step=3 * SIZE**2 // steps, perturb_baseline=0.0, normalise=False, disable_warnings=True
    )
    entries = maps[:, None] + np.array([0.2, 0.1, 0.0])[:, None, None]
    found = metric(
        model=classifier.module,
        x_batch=images,
        y_batch=np.full(len(images), TARGET),
        a_batch=entries,
        device="cpu",
        channel_first=True,
    )
    return np.array(found, dtype=np.float64)


def ours(classifier: Classifier, images: NDArray[np.float32], maps: Floats) -> Floats:
    """The same of the curve; its first point, the untouched image, is left out."""
    metric = RelevanceCurves(orders=("morf",), steps=STEPS, names=())
    units = pixel_units((SIZE, SIZE))
    plans = [RelevancePlan.of_map(metric, one, units, str(i), by_regions=False) for i, one in enumerate(maps)]
    whole = np.ones((1, SIZE, SIZE), dtype=np.bool_)
    jobs = [
        Job(torch.from_numpy(image), str(i), TARGET, np.concatenate([plan.masks, whole]))
        for i, (image, plan) in enumerate(zip(images, plans, strict=True))
    ]
    with torch.no_grad():
        terms = evaluate(classifier.logits, jobs, IMPUTERS["zero"](), max_batch=16)
        full = classifier.logits(torch.from_numpy(images))
    found = [
        plan.curves(metric, own[:-1], terms_of(start[None], TARGET)[0], own[-1])
        for plan, own, start in zip(plans, terms, full, strict=True)
    ]
    return np.array([one.curve("morf").scores[1:] for one in found])


def table(
    curves: dict[str, Floats], forwards: dict[str, float], seconds: dict[str, list[float]], args: Any
) -> str:
    """The figures in Markdown."""
    flipping, morf, _ = curves
    gap = float(np.abs(curves[flipping] - curves[morf]).max())
    highest = float(curves[flipping].max())
    ratios = {
        name: statistics.median(a / b for a, b in zip(found, seconds[morf], strict=True))
        for name, found in seconds.items()
    }
    lines = [
        f"""# Quantus' PixelFlipping beside our MoRF curve

ResNet-50, {SIZE} x {SIZE}, one thread, {args.images} images, {STEPS} steps, medians of {args.repeats}
repeats of processor seconds, made by `scripts/bench_quantus.py`. Ours has the untouched image besides.

| | forwards an image | ms an image | ratio to ours |
|---|---|---|---|"""
    ]
    for name, found in seconds.items():
        each = 1000 * statistics.median(found)
        lines.append(f"| {name} | {forwards[name]:.1f} | {each:.0f} | {ratios[name]:.2f} |")
    lines += [
        "",
        f"Largest difference of the first two curves, of probabilities up to {highest:.2g}: {gap:.1g}.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
