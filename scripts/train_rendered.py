"""Trains the bundled checkpoint: timm's `test_resnet` on rendered scenes, from a fixed seed, on the CPU.

The scenes of the split "train" are drawn once and kept in memory (5 GB in all); the first steps see them at
half resolution, the greater part at 224 pixels. Cross-entropy only: no mask, box or part enters the training.
The result is the same for the same seed, thread count and library versions.

Seen with the defaults: 98.58 % of 2,400 unseen scenes at the default difficulty after 28 minutes on two cores
shared with other work, with torch 2.15.0, timm 1.0.31, numpy 2.4.6.
"""

from __future__ import annotations

import argparse
import random
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nasbench.data.rendered import CLASSES, DEFAULT_DIFFICULTY, LEVELS, render, scene

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

ARCHITECTURE = "test_resnet"
OUT = Path(__file__).parents[1] / "nasbench" / "models" / "bundled" / "rendered.safetensors"
MIX = (0, 1, 1, 2, 2, 2, 2, 2, 2, 3)
"""Difficulties of the training scenes, by block of classes: six in ten are at the default."""

SCENES = 24_000
BATCH = 64  # at half resolution; half as many at full
FULL_PERCENT = 55  # of the steps, the last ones, are at full resolution
RATE = 4e-3
DECAY = 0.05
CHUNK = 240  # scenes a worker draws at once


def main() -> None:
    args = _arguments()
    started = time.monotonic()
    _fix(args.seed, args.threads)
    images, labels = drawn("train", SCENES, args.threads, MIX)
    print(f"{SCENES} training scenes drawn, {_minutes(started)}", flush=True)
    model = timm.create_model(ARCHITECTURE, num_classes=len(CLASSES)).to(memory_format=torch.channels_last)
    train(model, images, labels, steps=args.steps, seed=args.seed, started=started)
    del images
    args.out.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, args.out)
    args.out.chmod(0o644)  # safetensors writes it for its owner only, which a wheel would keep
    print(f"{args.out.name}: {args.out.stat().st_size} bytes, {_minutes(started)}", flush=True)
    for difficulty in range(len(LEVELS)):
        default = difficulty == DEFAULT_DIFFICULTY
        report(
            model, difficulty, args.unseen if default else args.unseen // 4, args.threads, confusion=default
        )
    print(f"torch {torch.__version__}, timm {timm.__version__}, numpy {np.__version__}, {_minutes(started)}")


def train(model: nn.Module, images: Tensor, labels: Tensor, *, steps: int, seed: int, started: float) -> None:
    """Train in place on images (N, 3, 224, 224) uint8 and labels (N,) int64; ends in eval mode."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.1)
    generator = torch.Generator().manual_seed(seed)
    small = halved(images)
    model.train()
    recent = 0.0
    first_full = steps - steps * FULL_PERCENT // 100
    for step, drawn_scenes in zip(range(steps), _batches(len(images), generator), strict=False):
        full = step >= first_full
        chosen = drawn_scenes[: BATCH // 2] if full else drawn_scenes
        logits = model(normalised(varied((images if full else small)[chosen], generator)))
        loss = nn.functional.cross_entropy(logits, labels[chosen])
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        recent += float(loss.detach())
        if (step + 1) % 100 == 0:
            print(f"step {step + 1}/{steps}: loss {recent / 100:.4f}, {_minutes(started)}", flush=True)
            recent = 0.0
    model.eval()


def varied(x: Tensor, generator: torch.Generator) -> Tensor:
    """A batch (B, 3, H, W) uint8 as floats in [0, 1]: mirrored, shifted, its channels exchanged at random.

    All three keep the class: objects face either way, lie anywhere, and have any colour.
    """
    reach = x.shape[-1] // 18
    draws = torch.randint(0, 1 << 30, (3,), generator=generator).tolist()
    y = x[:, torch.randperm(3, generator=generator)]
    shift = (draws[0] % (2 * reach + 1) - reach, draws[1] % (2 * reach + 1) - reach)
    y = torch.roll(y, shift, dims=(2, 3))
    if draws[2] % 2:
        y = y.flip(3)
    return y.float().div_(255)


def halved(images: Tensor) -> Tensor:
    """Images (N, 3, H, W) uint8 at half resolution, as uint8: means of 2 × 2 pixels."""
    parts = [nn.functional.avg_pool2d(x.float(), 2).round_().byte() for x in torch.split(images, 500)]
    return torch.cat(parts)


def normalised(x: Tensor) -> Tensor:
    """RGB in [0, 1] with mean and standard deviation 0.5, channels last."""
    return x.sub(0.5).div_(0.5).contiguous(memory_format=torch.channels_last)


def report(model: nn.Module, difficulty: int, count: int, workers: int, *, confusion: bool) -> float:
    """Print and return the accuracy on `count` scenes of the split "test"."""
    images, labels = drawn("test", count, workers, (difficulty,))
    with torch.inference_mode():
        batches = (normalised(x.float().div_(255)) for x in torch.split(images, 100))
        found = torch.cat([model(x).argmax(1) for x in batches])
    accuracy = float((found == labels).float().mean())
    print(f"difficulty {difficulty}: {accuracy:.2%} of {count} unseen scenes", flush=True)
    if confusion:
        table = torch.bincount(labels * len(CLASSES) + found, minlength=len(CLASSES) ** 2)
        for name, row in zip(CLASSES, table.view(len(CLASSES), -1).tolist(), strict=True):
            print(f"  {name:>14} " + " ".join(f"{v:4d}" for v in row))
    return accuracy


def drawn(split: str, count: int, workers: int, mix: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Scenes 0..count-1: images (count, 3, 224, 224) uint8 and labels (count,) int64."""
    images = torch.empty((count, 3, 224, 224), dtype=torch.uint8)
    labels = torch.empty(count, dtype=torch.int64)
    spans = [(split, start, min(start + CHUNK, count), mix) for start in range(0, count, CHUNK)]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for (_, start, end, _), (pixels, classes) in zip(spans, pool.map(_draw, spans), strict=True):
            images[start:end] = torch.from_numpy(pixels).permute(0, 3, 1, 2)
            labels[start:end] = torch.from_numpy(classes)
    return images, labels


def _draw(span: tuple[str, int, int, tuple[int, ...]]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    split, start, end, mix = span
    scenes = [scene(i, split=split, difficulty=mix[i // len(CLASSES) % len(mix)]) for i in range(start, end)]
    return np.stack([render(s).image for s in scenes]), np.array([s.label for s in scenes], dtype=np.int64)


def _batches(count: int, generator: torch.Generator) -> Iterator[Tensor]:
    while True:
        order = torch.randperm(count, generator=generator)
        yield from torch.split(order[: count - count % BATCH], BATCH)


def _fix(seed: int, threads: int) -> None:
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)
    random.seed(seed)


def _minutes(started: float) -> str:
    return f"{(time.monotonic() - started) / 60:.1f} min"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=4000, help="batches of scenes")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and of the order of the scenes")
    parser.add_argument("--out", type=Path, default=OUT, help="the safetensors file to write")
    parser.add_argument(
        "--threads", type=int, default=2, help="threads of the training, and drawing processes"
    )
    parser.add_argument("--unseen", type=int, default=2400, help="test scenes at the default difficulty")
    return parser.parse_args()


if __name__ == "__main__":
    main()
