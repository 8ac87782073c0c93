"""The order of a run: by hash, stable, nested."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench.data.order import run_order
from nasbench.digest import digest_bytes
from nasbench.errors import RunError, UsageError

if TYPE_CHECKING:
    import random

IDS = st.lists(st.text(st.characters(exclude_categories=["Cs"])), unique=True)


@settings(deadline=None)
@given(IDS, st.randoms())
def test_order_is_by_hash_whatever_the_listing(ids: list[str], rng: random.Random) -> None:
    shuffled = list(ids)
    rng.shuffle(shuffled)
    ordered = run_order(shuffled)
    assert ordered == run_order(ids)
    assert sorted(ordered) == sorted(ids)
    hashes = [digest_bytes(i.encode()) for i in ordered]
    assert hashes == sorted(hashes)


@settings(deadline=None)
@given(IDS, st.integers(1, 20), st.integers(0, 20))
def test_a_longer_limit_starts_with_the_shorter_one(ids: list[str], limit: int, more: int) -> None:
    short = run_order(ids, limit)
    assert len(short) == min(limit, len(ids))
    assert run_order(ids, limit + more)[: len(short)] == short
    assert run_order(ids)[: len(short)] == short


def test_the_order_itself_is_frozen() -> None:
    # Stored units depend on it: a change of this list is a change of every key.
    assert run_order(f"img{i}" for i in range(6)) == ["img1", "img4", "img0", "img5", "img3", "img2"]


def test_a_prefix_spans_the_classes() -> None:
    ids = [f"class{c}/{i}.jpg" for c in range(10) for i in range(100)]
    assert {i.split("/")[0] for i in run_order(ids, 100)} == {f"class{c}" for c in range(10)}


def test_duplicates_are_named() -> None:
    with pytest.raises(RunError, match="'b' more than once"):
        run_order(["a", "b", "c", "b"])


@pytest.mark.parametrize("limit", [0, -1])
def test_limit_below_one(limit: int) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        run_order(["a"], limit)


def test_nothing() -> None:
    assert run_order([]) == []
