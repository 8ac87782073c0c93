"""Maps of every kind that has ever made a difference between a fast procedure and a slow one."""

from __future__ import annotations

import cv2
import numpy as np

KINDS = (
    "noise",
    "few levels",
    "two levels",
    "smooth",
    "plateaus",
    "holes",
    "lines",
    "sparse",
    "wavy",
    "ramp",
)


def make_map(kind, seed, size=(17, 23), dtype=np.float32):
    """A map (h, w) in [0, 1]."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    made = _MAKERS[kind](rng, size)
    made = made - made.min()
    return (made / max(made.max(), 1e-12)).astype(dtype)


def noise(rng, size):
    return rng.random(size)


def few_levels(rng, size):
    return np.floor(rng.random(size) * rng.integers(2, 9))


def two_levels(rng, size):
    return (rng.random(size) < rng.choice([0.1, 0.3, 0.5, 0.6, 0.7, 0.9])).astype(float)


def smooth(rng, size):
    return resized(rng.random((4, 4)), size)


def plateaus(rng, size):
    return np.clip(resized(rng.standard_normal((5, 5)), size), -0.5, 0.5)


def holes(rng, size):
    made = rng.random(size) * 0.2
    for _ in range(6):
        x, y = rng.integers(0, size[::-1]).tolist()
        made = cv2.circle(made, (x, y), int(rng.integers(2, 8)), float(rng.random()), 1)
    return made


def lines(rng, size):
    made = np.zeros(size)
    for _ in range(8):
        ends = rng.integers(0, [*size[::-1], *size[::-1]]).tolist()
        made = cv2.line(made, ends[:2], ends[2:], float(rng.random()), 1)
    return made


def sparse(rng, size):
    return rng.random(size) * (rng.random(size) < 0.15)


def wavy(rng, size):
    return cv2.GaussianBlur(rng.random(size), (0, 0), 1.5)


def ramp(rng, size):
    slope = np.add.outer(np.arange(size[0]), np.arange(size[1]))
    return slope * rng.choice([-1.0, 1.0]) + np.round(rng.random(size))


def resized(values, size):
    return cv2.resize(values, size[::-1], interpolation=cv2.INTER_CUBIC)


_MAKERS = {
    "noise": noise,
    "few levels": few_levels,
    "two levels": two_levels,
    "smooth": smooth,
    "plateaus": plateaus,
    "holes": holes,
    "lines": lines,
    "sparse": sparse,
    "wavy": wavy,
    "ramp": ramp,
}
