"""`nasbench regress`."""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench.cli import options
from nasbench.errors import Interrupted, NasbenchError, RunError, UsageError

if TYPE_CHECKING:
    from nasbench.config.compose import Composed
    from nasbench.config.suite import Suite
    from nasbench.regress.figures import Reading
    from nasbench.regress.outcome import Outcome

_SUITE = typer.Argument(metavar="SUITE", help="A suite; nasbench ls suites lists them.")
_BASELINES = typer.Option(
    "--baselines",
    metavar="DIR",
    help="Where SUITE.json lies [default: results/baselines, else the one that comes with nasbench].",
    show_default=False,
)
_UPDATE = typer.Option("--update", help="Show the difference, then take what is found as the baseline.")
_JUNIT = typer.Option("--junit", metavar="FILE", help="Write JUnit XML, a test case per figure.")
_JSON = typer.Option("--json", metavar="FILE", help="Write all that is found as JSON.")
_OUT = typer.Option("--out", metavar="DIR", help="Keep the runs, in a folder per step; computed anew anyway.")


def regress(
    suite: Annotated[str, _SUITE] = "default",
    *,
    baselines: Annotated[Path | None, _BASELINES] = None,
    update: Annotated[bool, _UPDATE] = False,
    junit: Annotated[Path | None, _JUNIT] = None,
    json: Annotated[Path | None, _JSON] = None,
    out: Annotated[Path | None, _OUT] = None,
    debug: Annotated[bool, options.DEBUG] = False,
) -> None:
    """Run a suite of commands and hold its figures against a baseline: exit code 1 if one has moved.

    **Examples**

    `nasbench regress` : rendered scenes, bundled network, about a minute

    `nasbench regress --junit regress.xml` : for a CI server

    `nasbench regress mysuite --update` : take today's figures as the baseline
    """
    del debug  # read where errors are caught
    request = _Request(suite, baselines, junit, json, out, update=update)
    try:
        code = _regress(request)
    except KeyboardInterrupt as error:
        raise Interrupted("interrupted; nothing was compared") from error
    raise typer.Exit(code)


@dataclass(frozen=True)
class _Request:
    """The command as it was asked for."""

    suite: str
    baselines: Path | None
    junit: Path | None
    json: Path | None
    out: Path | None
    update: bool


def _regress(request: _Request) -> int:
    """The exit code. What can be found wrong is found before anything is computed."""
    from nasbench.config.suite import compose_steps, read_suite
    from nasbench.regress.baseline import baseline_file, new_baseline_file, read_baseline

    suite = read_suite(request.suite)
    composed = compose_steps(suite)
    path = baseline_file(suite.name, request.baselines)
    baseline = read_baseline(path, suite.name)
    if baseline is None and not request.update:
        raise UsageError(f"{path}: there is no baseline of suite {suite.name} yet; --update makes one")
    _check_places(request)

    found = _measured(suite, composed, request.out)

    from nasbench.regress.environment import environment
    from nasbench.regress.outcome import Outcome, outcome_text
    from nasbench.regress.verdict import judge

    now = environment()
    outcome = Outcome(suite, path, baseline, judge(suite, baseline, found, now), now)
    _write_reports(outcome, request)
    # Everything asked for is written: a reader that has closed the pipe does not open or close the gate.
    with suppress(BrokenPipeError):
        typer.echo(outcome_text(outcome))
    if not request.update:
        return 0 if outcome.opens else 1
    _update(outcome, new_baseline_file(suite.name, request.baselines))
    return 0


def _check_places(request: _Request) -> None:
    """Refuse, before the work, what could not be written after it. Raises UsageError."""
    if request.out is not None and request.out.exists() and not request.out.is_dir():
        raise UsageError(f"--out {request.out}: is a file; name a folder")
    for option, path in (("--junit", request.junit), ("--json", request.json)):
        if path is None:
            continue
        if path.is_dir():
            raise UsageError(f"{option} {path}: is a folder; name a file")
        if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
            raise UsageError(f"{option} {path}: no file can be written in {path.parent}")
    junit, json = request.junit, request.json
    if junit is not None and json is not None and junit.resolve() == json.resolve():
        raise UsageError(f"--junit and --json name one file, {json}")


def _measured(suite: Suite, composed: Mapping[str, Composed], out: Path | None) -> dict[str, Reading]:
    """Run every step and read the figures. Raises RunError naming the step, Interrupted."""
    from nasbench.cli.execute import run_anew

    with _folder(out) as folder:
        folders = {step.name: folder / step.name for step in suite.steps}
        for number, step in enumerate(suite.steps, start=1):
            typer.echo(f"step {number} of {len(suite.steps)}, {step.name}: nasbench {step.text}", err=True)
            started = time.monotonic()
            try:
                run_anew(composed[step.name], folders[step.name])
            except KeyboardInterrupt as error:
                raise Interrupted(f"interrupted in step {step.name}; nothing was compared") from error
            except (NasbenchError, OSError) as error:
                raise RunError(f"step {step.name}: {error}") from error
            typer.echo(f"  {time.monotonic() - started:.0f} s", err=True)
        from nasbench.regress.figures import read_figures

        return read_figures(suite, folders)


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    """Where the runs go: the user's folder, or one that is gone afterwards."""
    if out is not None:
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="nasbench-regress-") as folder:
        yield Path(folder)


def _write_reports(outcome: Outcome, request: _Request) -> None:
    from nasbench.atomic import write_atomic
    from nasbench.regress.junit import junit_xml
    from nasbench.regress.outcome import outcome_json

    if request.junit is not None:
        write_atomic(request.junit, junit_xml(outcome))
    if request.json is not None:
        write_atomic(request.json, outcome_json(outcome).encode())


def _update(outcome: Outcome, path: Path) -> None:
    """Take what was found as the baseline. Raises RunError where a figure has no value to take."""
    from nasbench.regress.baseline import made, write_baseline

    values = []
    for one in outcome.judged:
        if one.now is None or (isinstance(one.now, float) and not math.isfinite(one.now)):
            raise RunError(
                f"--update: {one.figure.name} has no value to take ({one.said}); nothing is written"
            )
        values.append((one.figure.name, one.now))
    write_baseline(path, made(outcome.suite, values, outcome.now))
    typer.echo(f"baseline: {path}, {len(values)} figures")
