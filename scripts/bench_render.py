"""Prints how long one rendered scene takes, in one thread: the median and the 95th percentile."""

from __future__ import annotations

import argparse
import time

import numpy as np

from nasbench.data.rendered import LEVELS, render, scene


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=200, help="scenes per difficulty")
    parser.add_argument("--size", type=int, default=224, help="image side in pixels")
    args = parser.parse_args()
    for difficulty in range(len(LEVELS)):
        for warm in range(10):
            render(scene(warm, difficulty=difficulty, size=args.size))
        times = []
        for index in range(args.images):
            start = time.perf_counter()
            render(scene(index, difficulty=difficulty, size=args.size))
            times.append((time.perf_counter() - start) * 1e3)
        median, late = np.percentile(times, [50, 95])
        print(f"difficulty {difficulty}: median {median:.2f} ms, 95th percentile {late:.2f} ms")


if __name__ == "__main__":
    main()
