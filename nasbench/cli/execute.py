"""What every running command does: compose, plan, run, report."""

from __future__ import annotations

import shlex
import sys
import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from nasbench.cli.progress import Progress
from nasbench.config.compose import Composed, compose_run
from nasbench.config.record import config_yaml
from nasbench.errors import Interrupted, RunError, UsageError

if TYPE_CHECKING:
    from nasbench.report.run_report import Report
    from nasbench.run.plan import Plan
    from nasbench.run.store import RunFolder
    from nasbench.run.task_report import TaskReport


@dataclass(frozen=True)
class Request:
    """A command as it was asked for."""

    command: str
    overrides: tuple[str, ...]
    out: Path | None
    config: Path | None
    limit: int | None
    device: str | None
    dry_run: bool
    cfg: bool
    fresh: bool


def execute_command(request: Request) -> int:
    """Run a command; the exit code. Raises NasbenchError or OSError, for the caller to put in one line."""
    try:
        return _execute(request)
    except KeyboardInterrupt as error:
        raise Interrupted(
            f"interrupted; what is finished is kept. Resume with: {resume_command()}"
        ) from error


def _execute(request: Request) -> int:
    composed = _composed(request)
    if request.cfg:
        typer.echo(config_yaml(composed), nl=False)
        return 0
    with Progress() as progress:
        from nasbench.run.build import Parts
        from nasbench.run.plan import Settings
        from nasbench.run.planning import make_plan
        from nasbench.run.store import RunFolder

        parts = Parts()
        plan = make_plan(
            request.command, composed.cells, Settings.of(composed.settings), parts, progress=progress.say
        )
        for note in plan.notes:
            progress.stop()
            typer.echo(note, err=True)
        folder = RunFolder(request.out or Path("results") / "runs" / request.command / plan.digest[:12])
        if request.dry_run:
            progress.stop()
            _show_dry_run(plan, folder, parts)
            return 0
        if request.fresh:
            _check_no_input_below(plan, folder)
        with folder.opened(fresh=request.fresh):
            return _shown(*_run(composed, plan, folder, parts, progress), plan)


def run_anew(composed: Composed, path: Path) -> None:
    """Run a composed command in a folder, whatever of it lies there already, and show no report.

    Raises NasbenchError, also where every image fails, or OSError.
    """
    with Progress() as progress:
        from nasbench.run.build import Parts
        from nasbench.run.plan import Settings
        from nasbench.run.planning import make_plan
        from nasbench.run.store import RunFolder

        parts, folder = Parts(), RunFolder(path)
        settings = Settings.of(composed.settings)
        plan = make_plan(composed.command, composed.cells, settings, parts, progress=progress.say)
        for note in plan.notes:
            typer.echo(note, err=True)
        _check_no_input_below(plan, folder)
        with folder.opened(fresh=True):
            written, _ = _run(composed, plan, folder, parts, progress)
    _check_some_succeeded(written)


def _check_no_input_below(plan: Plan, folder: RunFolder) -> None:
    """--fresh clears the folder: what the run reads must not lie in it. Raises UsageError."""
    from nasbench.run.keys import PATH_KEYS

    for cell in plan.cells:
        for group, node in cell.config.items():
            paths = node if isinstance(node, dict) else {}
            for key in (key for key in PATH_KEYS if isinstance(paths.get(key), str)):
                path = Path(paths[key]).expanduser().resolve()
                if path.is_relative_to(folder.path.resolve()):
                    raise UsageError(
                        f"--fresh would clear {folder.path}, where {group}.{key} lies; name another --out"
                    )


def _composed(request: Request) -> Composed:
    if request.config is None:
        tokens = [*request.overrides]
        tokens += [] if request.limit is None else [f"limit={request.limit}"]
        tokens += [] if request.device is None else [f"device={request.device}"]
        return compose_run(request.command, tokens)
    from nasbench.config.record import read_config

    if request.overrides:
        raise UsageError(f"--config repeats a run as it was; it takes no overrides ({request.overrides[0]})")
    given = {"limit": request.limit, "device": request.device}
    return read_config(request.config, request.command, {k: v for k, v in given.items() if v is not None})


def _run(
    composed: Composed, plan: Plan, folder: RunFolder, parts: Any, progress: Progress
) -> tuple[Report, int]:
    """Compute what is missing and report; with the number of units computed."""
    from nasbench.report.run_report import write_report
    from nasbench.run.device import pick_device
    from nasbench.run.engine import execute, intra_op_threads
    from nasbench.run.fit import fit_missing
    from nasbench.run.gallery import pictures
    from nasbench.run.record import check_same_run, conditions, manifest_json, timing_records

    check_same_run(folder, plan)
    started = time.time()
    device = str(pick_device(plan.settings.device))
    reports: list[TaskReport] = []
    missing = plan.missing(folder)
    computed_on = conditions(folder, plan, device, missing)

    def record(status: str) -> None:
        text = manifest_json(
            plan,
            folder,
            status=status,
            argv=sys.argv[1:],
            started=started,
            device=device,
            computed_on=computed_on,
            reports=reports,
        )
        folder.write_text("manifest.json", text)

    folder.write_text("config.yaml", config_yaml(composed))
    record("running")
    tasks = plan.tasks(missing)
    progress.start(sum(len(task.units[0].samples) for task in tasks), "images")

    def on_done(report: TaskReport) -> None:
        reports.append(report)
        progress.advance(report.samples, failed=report.failed)

    status = "failed"
    try:
        with intra_op_threads(plan.settings.threads):
            fitted = fit_missing(plan.cells, plan.samples, parts, plan.settings, progress.say)
        if fitted is not None:
            reports.append(fitted)
        execute(tasks, folder, plan.settings, parts, on_done=on_done)
        remade = partial(pictures, plan, parts, progress=progress.say)
        written = write_report(plan, folder, progress.say, remade)
        status = "complete"
    except KeyboardInterrupt:
        status = "interrupted"
        raise
    finally:
        progress.stop()
        # The run's own error, a full disk say, must not be hidden by that of its epilogue.
        with nullcontext() if status == "complete" else suppress(OSError):
            folder.append_timings(timing_records(reports, started=started, device=device))
            record(status)
    return written, len(missing)


def _shown(written: Report, computed: int, plan: Plan) -> int:
    """Tell what was written; the exit code."""
    others = ", the others were there already" if computed < len(plan.units) else ""
    typer.echo(f"{computed} of {len(plan.units)} units computed{others}", err=True)
    # Everything is written by now: a reader that has closed the pipe does not make the run a failure.
    with suppress(BrokenPipeError):
        typer.echo(written.text)
        for label, path in written.files:
            typer.echo(f"{label + ':':<10}{path}")
    _check_some_succeeded(written)
    return 0


def _check_some_succeeded(written: Report) -> None:
    if written.all_failed:
        raise RunError(f"every image failed; the first reason: {written.first_reason}")


def resume_command() -> str:
    """The command as it was typed; given again, it takes up where it stopped."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--fresh"]
    return shlex.join(["nasbench", *arguments])


def _show_dry_run(plan: Plan, folder: RunFolder, parts: Any) -> None:
    from nasbench.report.labels import cell_labels

    tasks = plan.tasks(plan.missing(folder) if folder.path.is_dir() else plan.units)
    for label in cell_labels([cell.choices for cell in plan.cells], [cell.swept for cell in plan.cells]):
        typer.echo(f"cell      {label}")
    samples = sum(dataset["n"] for dataset in plan.datasets)
    typer.echo(f"images    {samples}")
    typer.echo(
        f"units     {len(plan.units)} ({len(plan.units) - sum(len(t.units) for t in tasks)} there already)"
    )
    typer.echo(f"tasks     {len(tasks)}")
    typer.echo(f"forwards  {plan.forwards(tasks)}")
    for name, passes in _passes_of_maps(plan, parts).items():
        typer.echo(f"map       {name}: {passes}")
    for path in sorted({cell.fit.path for cell in plan.cells if cell.fit is not None and cell.fit.missing}):
        typer.echo(f"fit       {path} (all images again for each of its passes)")
    typer.echo(f"folder    {folder.path}")


def _passes_of_maps(plan: Plan, parts: Any) -> dict[str, str]:
    """What one map of each saliency method costs, in words, beside the forwards."""
    found = {}
    for cell in plan.cells:
        if "saliency" in cell.config:
            about = getattr(parts.get("saliency", cell.config["saliency"]), "method", None)
            found[cell.choices["saliency"]] = getattr(about, "passes", "as many passes as it makes")
    return found
