"""Fixtures shared by all rooms."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, settings

# A shared machine makes time limits flaky; examples are the same on every run.
settings.register_profile(
    "nasbench", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("nasbench")


@pytest.fixture(autouse=True)
def one_thread():
    """One intra-op thread: what a run uses, and what a contended two-core machine can bear."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
