"""Where the real images and weights are, for tests marked `realdata`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def realdata() -> Path:
    """The folder `$NASBENCH_REALDATA`, else `../shared/realdata` seen from the checkout; skips without it."""
    given = os.environ.get("NASBENCH_REALDATA")
    folder = Path(given) if given else Path(__file__).parents[3] / "shared" / "realdata"
    if not folder.is_dir():
        pytest.skip("no real data: set NASBENCH_REALDATA or place them in ../shared/realdata")
    return folder
