"""The order in which a run takes its samples."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from nasbench.digest import digest_bytes
from nasbench.errors import RunError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable


def run_order(ids: Iterable[str], limit: int | None = None) -> list[str]:
    """The ids by ascending hash, ties by id; with `limit`, the first so many.

    `--limit N` takes the N samples of lowest hash. Since that is the order itself, and not a choice from
    another order,

    - a prefix spans the classes, however a data set lists its files, and does not depend on the listing;
    - a run with a longer limit begins with the samples of the shorter one and reuses its units;
    - an interrupted run is a random sample of the data set.

    Raises RunError for a duplicate id, UsageError for a limit below 1.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"limit must be at least 1, not {limit}")
    ordered = sorted(ids, key=lambda sample_id: (digest_bytes(sample_id.encode()), sample_id))
    for one, other in itertools.pairwise(ordered):
        if one == other:
            raise RunError(f"the data set lists the sample {one!r} more than once")
    return ordered[:limit]
