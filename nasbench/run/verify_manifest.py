"""Whether a manifest agrees with itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from nasbench.run.manifest import Manifest
from nasbench.run.naming import plan_name
from nasbench.run.verify import Check, Failure

_FILE = "manifest.json"
_STATUSES = ("running", "complete", "interrupted", "failed")


def check_manifest(manifest: Manifest) -> Check:
    """Its status, the digest of its plan, and how its units divide the data sets."""
    said = f"nasbench {manifest.command}, {len(manifest.cells):,} cells, {len(manifest.units):,} units"
    return Check("manifest", said, tuple(Failure(_FILE, reason) for reason in _faults(manifest)))


def _faults(manifest: Manifest) -> Iterator[str]:
    if manifest.status not in _STATUSES:
        yield f"has the status {manifest.status!r}, which is none of {', '.join(_STATUSES)}"
    doubled = [key for key, count in Counter(unit.key for unit in manifest.units).items() if count > 1]
    if doubled:
        yield f"lists unit {doubled[0]} more than once"
    if plan_name(unit.key for unit in manifest.units) != manifest.plan:
        yield "its units are not those of its plan: one was added, removed or renamed"
    for place, cell in enumerate(manifest.cells):
        units = sorted((unit for unit in manifest.units if unit.cell == place), key=lambda unit: unit.block)
        wanted = manifest.datasets[cell.data].n
        found = sum(unit.samples for unit in units)
        if [unit.block for unit in units] != list(range(len(units))) or found != wanted:
            said = f"{len(units)} units of {found} samples in all"
            yield f"cell {place} has {said}; its data set has {wanted}"
            return
