"""The slow, obvious twins: one pixel, one subset, one order at a time."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise, permutations, product
from math import factorial

import numpy as np

DIRECTIONS = ("lerf", "morf")


def scores_of(logits, target, kind="probability"):
    """The score of a class from all logits (..., C), by its formula."""
    logits = np.asarray(logits, dtype=np.float64)
    if kind == "logit":
        return logits[..., target]
    if kind == "log_odds":
        return logits[..., target] - np.logaddexp.reduce(np.delete(logits, target, axis=-1), axis=-1)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers[..., target] / powers.sum(axis=-1)


def unit_means(score_map, labels):
    pixels: dict[int, list[Fraction]] = {}
    for label, value in zip(labels.ravel(), score_map.ravel(), strict=True):
        pixels.setdefault(int(label), []).append(Fraction(float(value)))
    return [sum(pixels[i]) / len(pixels[i]) for i in range(len(pixels))]


def masks_of_groups(scores, labels, direction):
    """One mask for each number of tie groups removed, pixel by pixel."""
    height, width = labels.shape
    levels = sorted({float(s) for s in scores}, reverse=direction == "morf")
    masks = [np.zeros((height, width), dtype=bool)]
    for level in levels:
        mask = masks[-1].copy()
        for y in range(height):
            for x in range(width):
                if scores[labels[y, x]] == level:
                    mask[y, x] = True
        masks.append(mask)
    return masks


def nearest_ends(removed, total, wanted):
    """Which group ends a grid takes; removed in pixels, wanted in Fractions, so that nearest is exact."""
    taken = set()
    for fraction in wanted:
        distances = [abs(Fraction(int(pixels), total) - fraction) for pixels in removed]
        taken |= {i for i, distance in enumerate(distances) if distance == min(distances)}
    return sorted(taken)


def trapezoid(x, y):
    return sum((b - a) * (s + t) / 2 for (a, s), (b, t) in pairwise(zip(x, y, strict=True)))


def subset(regions):
    return sum(1 << r for r in regions)


def order_curve(scores, areas, blocks):
    """(x, y) of the curve in which blocks of regions go one after the other."""
    gone: list[int] = []
    x, y = [0.0], [scores[0]]
    for block in blocks:
        gone += block
        x.append(sum(areas[r] for r in gone) / sum(areas))
        y.append(scores[subset(gone)])
    return x, y


def order_area(scores, areas, blocks):
    return trapezoid(*order_curve(scores, areas, blocks))


def blocks_of(step):
    return [[r for r, s in enumerate(step) if s == group] for group in range(max(step) + 1)]


def all_areas(scores, areas):
    """The area of each of the K! orders."""
    return [order_area(scores, areas, [[r] for r in order]) for order in permutations(range(len(areas)))]


def untied(step):
    """All orders that break the ties of a step, as lists of blocks of one."""
    for parts in product(*(permutations(block) for block in blocks_of(step))):
        yield [[r] for part in parts for r in part]


def percentile(scores, areas, step, direction, tolerance):
    """The mean, over orders that break a step's ties, of the share of worse ones, equal counted half."""
    null = all_areas(scores, areas)
    sign = 1 if direction == "lerf" else -1
    shares = []
    for blocks in untied(step):
        mine = order_area(scores, areas, blocks)
        worse = sum(sign * (mine - other) > tolerance for other in null)
        equal = sum(abs(mine - other) <= tolerance for other in null)
        shares.append((worse + equal / 2) / len(null))
    return sum(shares) / len(shares)


def shapley(scores, count):
    """Mean marginal contribution of each region over all orders in which regions come back."""
    total = [0.0] * count
    everything = (1 << count) - 1
    for order in permutations(range(count)):
        removed = everything
        for r in order:
            total[r] += scores[removed ^ (1 << r)] - scores[removed]
            removed ^= 1 << r
    return [t / factorial(count) for t in total]
