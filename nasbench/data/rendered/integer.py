"""Integer randomness and trigonometry: what decides a pixel is the same on every platform.

Every draw is a hash of (key, name): there is no generator whose state could depend on the order of calls.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TURN = 1024
"""Steps in a full turn."""

ONE = 1 << 14
"""Fixed-point one of `sine` and `cosine`."""

_MASK64 = (1 << 64) - 1


@dataclass(frozen=True)
class Stream:
    """A source of named integer draws; equal keys and names give equal values.

    Attributes:
        key: 64 bits that identify the stream.
    """

    key: int

    def child(self, *names: str | int) -> Stream:
        """The stream below this one that the names identify."""
        key = self.key
        for name in names:
            key = _mix64(key ^ _name_hash(str(name)))
        return Stream(key)

    def draw(self, name: str, low: int, high: int) -> int:
        """A uniform integer in [low, high], both included."""
        value = _mix64(self.key ^ _name_hash(name)) >> 11
        return low + (value * (high - low + 1) >> 53)

    def chance(self, name: str, percent: int) -> bool:
        """True in `percent` of 100 draws."""
        return self.draw(name, 0, 99) < percent

    def shuffled(self, name: str, count: int) -> tuple[int, ...]:
        """A permutation of 0..count-1."""
        order = list(range(count))
        below = self.child(name)
        for i in range(count - 1, 0, -1):
            j = below.draw(str(i), 0, i)
            order[i], order[j] = order[j], order[i]
        return tuple(order)


def hash_grid(key: int, rows: int, columns: int) -> NDArray[np.uint32]:
    """Independent hash values, shape (rows, columns), uint32 over the full range."""
    y = np.arange(rows, dtype=np.uint32)[:, None] * np.uint32(0x9E3779B1)
    x = np.arange(columns, dtype=np.uint32)[None, :] * np.uint32(0x85EBCA77)
    h: NDArray[np.uint32] = (y + np.uint32(key & 0xFFFFFFFF)) ^ (x + np.uint32(key >> 32 & 0xFFFFFFFF))
    h ^= h >> np.uint32(16)
    h *= np.uint32(0x7FEB352D)
    h ^= h >> np.uint32(15)
    h *= np.uint32(0x846CA68B)
    h ^= h >> np.uint32(16)
    return h


def sine(angle: int) -> int:
    """The sine of `angle` (in 1/TURN of a turn), in units of 1/ONE; Bhaskara's formula, good to 0.002."""
    half = TURN // 2
    i = angle % TURN
    product = (i % half) * (half - i % half)
    value = 16 * product * ONE // (5 * half * half - 4 * product)
    return value if i < half else -value


def cosine(angle: int) -> int:
    """The cosine of `angle` (in 1/TURN of a turn), in units of 1/ONE."""
    return sine(angle + TURN // 4)


@lru_cache(maxsize=1)
def sine_table() -> NDArray[np.int32]:
    """`sine` of 0..TURN-1, shape (TURN,), int32; index with `angle & (TURN - 1)`."""
    table = np.array([sine(i) for i in range(TURN)], dtype=np.int32)
    table.flags.writeable = False
    return table


def _mix64(value: int) -> int:
    """The splitmix64 finaliser."""
    z = (value + 0x9E3779B97F4A7C15) & _MASK64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _MASK64
    z = (z ^ z >> 27) * 0x94D049BB133111EB & _MASK64
    return z ^ z >> 31


@lru_cache(maxsize=4096)
def _name_hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
