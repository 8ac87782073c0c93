"""A segmenter that takes its time, for tests that interrupt a run."""

from __future__ import annotations

import os
import time

from nasbench.segment.controls import Grid


class SlowGrid(Grid):
    """Rectangles, after a wait of $NASBENCH_TEST_SLEEP seconds a batch."""

    def __call__(self, views, features):
        time.sleep(float(os.environ.get("NASBENCH_TEST_SLEEP", "0")))
        return super().__call__(views, features)
