"""What names a unit, a cell and a plan: digests that can be recomputed from what a run's folder says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nasbench.digest import digest_value


def unit_name(
    command: str,
    choices: Mapping[str, str],
    keyed: Mapping[str, Any],
    samples: Sequence[tuple[str, str]],
    truth: str | None,
    *,
    schemas: Mapping[str, int],
    versions: Mapping[str, str],
) -> str:
    """Key of a cell × these samples, given as (id, content digest).

    Args:
        command: the command.
        choices: config group -> choice.
        keyed: the cell's configuration with content in place of paths.
        samples: in the run's order.
        truth: the kind of truth the data set has.
        schemas: of the rooms that compute the rows.
        versions: of the numeric libraries behind them.
    """
    return digest_value(
        {
            "command": command,
            "choices": dict(choices),
            "config": keyed,
            "samples": [list(pair) for pair in samples],
            "truth": truth,
            "schemas": dict(schemas),
            "versions": dict(versions),
        }
    )


def cell_name(choices: Mapping[str, str], keyed: Mapping[str, Any]) -> str:
    """Digest of everything about a cell but its samples."""
    return digest_value([dict(choices), keyed])


def plan_name(keys: Iterable[str]) -> str:
    """Digest of a run, of its units' keys."""
    return digest_value(sorted(keys))


def samples_name(samples: Iterable[tuple[str, str]]) -> str:
    """Digest of a data set as a run takes it, (id, content digest) in the run's order."""
    return digest_value([list(pair) for pair in samples])
