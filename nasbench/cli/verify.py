"""`nasbench verify`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasbench.cli import options
from nasbench.cli.progress import Progress
from nasbench.errors import Interrupted, RunError, UsageError

if TYPE_CHECKING:
    from nasbench.config.compose import Composed
    from nasbench.run.manifest import Manifest
    from nasbench.run.state import State
    from nasbench.run.store import RunFolder
    from nasbench.run.verify import Check
    from nasbench.run.verify_units import Units

# Failures of a check that are shown in full; the others are counted.
_SHOWN = 10
_SAMPLE = 8


def verify(
    run: Annotated[Path, options.RUN],
    *,
    sample: Annotated[
        int | None,
        typer.Option(
            "--sample", help=f"Units to compute again; 0 for none. [default: {_SAMPLE}]", show_default=False
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Compute every unit again.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Which units the sample takes.")] = 0,
    as_json: Annotated[bool, options.JSON] = False,
    debug: Annotated[bool, options.DEBUG] = False,
) -> None:
    """Check a run: digests and counts of every unit, its tables, and a sample of its rows computed again.

    Exits 0 where all is well and 1 where anything is wrong, which it names by file. The folder is not
    changed.

    **Examples**

    `nasbench verify results/runs/wsol/0123456789ab`

    `nasbench verify results/runs/wsol/0123456789ab --sample 0` : the files alone, without images and weights
    """
    del debug  # read where errors are caught
    if sample is not None and (every or sample < 0):
        raise UsageError("--sample and --all exclude each other" if every else f"--sample {sample}: below 0")
    count = None if every else _SAMPLE if sample is None else sample
    try:
        state, checks = _verified(run, count, seed)
    except KeyboardInterrupt as error:
        raise Interrupted("interrupted; nothing was changed") from error
    good = not any(check.failures for check in checks)
    if as_json:
        record = {"run": str(run), "state": state, "ok": good, "checks": [_record(check) for check in checks]}
        typer.echo(json.dumps(record, ensure_ascii=False))
    else:
        typer.echo("\n".join(_lines(run, state, checks)))
    raise typer.Exit(0 if good else 1)


def _verified(run: Path, count: int | None, seed: int) -> tuple[State, list[Check]]:
    """The run's state, and what was checked. Raises RunError where there is no run to be checked."""
    from nasbench.run.manifest import read_manifest
    from nasbench.run.state import is_held, state_of
    from nasbench.run.store import RunFolder
    from nasbench.run.verify import Check, Failure
    from nasbench.run.verify_manifest import check_manifest
    from nasbench.run.verify_strays import check_strays
    from nasbench.run.verify_units import check_units

    folder = RunFolder(run)
    folder.check_is_run()
    held = is_held(folder)
    manifest = read_manifest(folder)
    if manifest is None:
        said = "is being started" if held else "was stopped before it began; run it again"
        raise RunError(f"{run}: has no manifest.json, the run {said}")
    state = state_of(manifest, held=held)
    with Progress() as progress:
        checks = [check_manifest(manifest)]
        checked, units = check_units(folder, manifest, state, progress.say)
        checks += [checked, check_strays(folder, manifest)]
        try:
            composed = _composed(folder, manifest)
        except UsageError as error:
            checks.append(Check("config", "cannot be used", (Failure("config.yaml", str(error)),)))
            return state, checks
        checks.append(_tables(folder, manifest, state, units, composed, progress))
        checks.append(_recomputed(folder, manifest, units, composed, count, seed, progress))
    return state, checks


def _composed(folder: RunFolder, manifest: Manifest) -> Composed:
    """The run as its config.yaml has it. Raises UsageError."""
    from nasbench.config.record import read_config

    path = folder.path / "config.yaml"
    try:
        composed = read_config(path, manifest.command, {})
    except UsageError as error:
        raise UsageError(str(error).removeprefix(f"--config {path}: ")) from error
    theirs = [cell["choices"] for cell in composed.cells]
    if theirs != [dict(cell.choices) for cell in manifest.cells]:
        raise UsageError("its cells are not those of the manifest")
    return composed


def _tables(
    folder: RunFolder,
    manifest: Manifest,
    state: State,
    units: Units,
    composed: Composed,
    progress: Progress,
) -> Check:
    from nasbench.report.derived import TableCell, check_tables
    from nasbench.run.verify import Check

    if state != "complete":
        return Check("tables", f"they are written when a run ends, this one is {state}", checked=False)
    if units.absent:
        said = f"{len(units.absent):,} units are missing or cannot be read"
        return Check("tables", said, checked=False)
    cells = [
        TableCell(cell.digest, cell.choices, cell.swept, one["config"])
        for cell, one in zip(manifest.cells, composed.cells, strict=True)
    ]
    keys = [(unit.cell, unit.key) for unit in manifest.units]
    return check_tables(manifest.command, folder, cells, keys, progress.say)


def _recomputed(
    folder: RunFolder,
    manifest: Manifest,
    units: Units,
    composed: Composed,
    count: int | None,
    seed: int,
    progress: Progress,
) -> Check:
    from nasbench.run.verify import Check

    if count == 0 or not units.sound:
        said = "not asked for (--sample 0)" if count == 0 else "no unit is there that is sound"
        return Check("recomputed", said, checked=False)
    progress.say("loading")
    from nasbench.run.plan import Settings
    from nasbench.run.recompute import Source, check_recomputed, pick

    settings = Settings.of(composed.settings)
    source = Source(folder, manifest, composed.cells, settings, units.sound)
    return check_recomputed(source, pick(source.units(), count, seed), progress.say)


def _record(check: Check) -> dict[str, Any]:
    failures = [asdict(failure) for failure in check.failures]
    return {"check": check.name, "verdict": check.verdict, "said": check.said, "failures": failures}


def _lines(run: Path, state: State, checks: list[Check]) -> Iterator[str]:
    yield f"{'run':<11}{run} ({state})"
    for check in checks:
        verdict = "FAILED" if check.failures else check.verdict
        yield f"{check.name:<11}{verdict:<12}{check.said}"
        yield from (f"  {failure.file}: {failure.reason}" for failure in check.failures[:_SHOWN])
        if len(check.failures) > _SHOWN:
            yield f"  and {len(check.failures) - _SHOWN:,} more, see --json"
    count = sum(len(check.failures) for check in checks)
    left = [check.name for check in checks if check.verdict == "not checked"]
    but = f", but not checked: {', '.join(left)}" if left else ""
    yield f"{'verdict':<11}" + (f"FAILED: {count:,} in all" if count else f"ok{but}")
