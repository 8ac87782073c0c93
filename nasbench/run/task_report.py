"""What a task tells of itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class TaskReport:
    """What a task did.

    Attributes:
        block: the block of samples.
        dataset: the data set's choice.
        samples: samples in the block.
        units: units written.
        failed: rows whose status is error.
        forwards: images sent through a network.
        seconds: wall time by step.
    """

    block: int
    dataset: str
    samples: int
    units: int = 0
    failed: int = 0
    forwards: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Add the wall time of the block to a step."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[step] = self.seconds.get(step, 0.0) + time.perf_counter() - start
