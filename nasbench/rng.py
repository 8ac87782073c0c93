"""Randomness that depends on what is computed, never on when: seeds from (seed, image id, purpose)."""

from __future__ import annotations

import numpy as np

from nasbench.digest import digest_bytes


def derive_seed(seed: int, *names: str) -> int:
    """A seed in [0, 2**63) from the run's seed and names such as (image id, method)."""
    data = digest_bytes(str(seed).encode(), *(name.encode() for name in names))
    return int(data[:16], 16) >> 1


def generator(seed: int, *names: str) -> np.random.Generator:
    """A NumPy generator seeded with `derive_seed`."""
    return np.random.default_rng(derive_seed(seed, *names))
