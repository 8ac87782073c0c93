"""`nasbench status`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench.cli import options

if TYPE_CHECKING:
    from nasbench.run.look import Look, Looker

_ROOT = Path("results") / "runs"
_OVER = ("complete", "interrupted", "failed", "killed", "unfinished")


def status(
    run: Annotated[Path | None, options.RUN] = None,
    *,
    as_json: Annotated[bool, options.JSON] = False,
    watch: Annotated[
        float | None,
        typer.Option(
            "--watch",
            metavar="SECONDS",
            help="Look again every so many seconds until the run ends.",
            show_default=False,
        ),
    ] = None,
    debug: Annotated[bool, options.DEBUG] = False,
) -> None:
    """Show what is done of a run, how fast, for how long yet, and why rows have no value.

    From another terminal, while the run goes on or after it; the run is not disturbed. Without a folder: the
    run below results/runs that was written to last.

    **Examples**

    `nasbench status`

    `nasbench status results/runs/wsol/0123456789ab --watch 10`
    """
    from nasbench.errors import Interrupted, RunError, UsageError
    from nasbench.run.look import Looker
    from nasbench.run.state import latest_run
    from nasbench.run.store import RunFolder

    del debug  # read where errors are caught
    if watch is not None and not watch > 0:
        raise UsageError(f"--watch {watch:g}: must be above 0 seconds")
    path = run or latest_run(_ROOT)
    if path is None:
        raise RunError(f"there is no run below {_ROOT}; name a run's folder")
    looker = Looker(RunFolder(path))
    try:
        found = _shown(looker, as_json=as_json)
        while watch is not None and found.state not in _OVER:
            time.sleep(watch)
            if sys.stdout.isatty() and not as_json:
                typer.echo("\x1b[H\x1b[2J", nl=False)
            found = _shown(looker, as_json=as_json)
    except KeyboardInterrupt as error:
        raise Interrupted("no longer watching; the run goes on") from error
    for said in found.damaged:
        more = f" (and {len(found.damaged) - 1} more)" if len(found.damaged) > 1 else ""
        raise RunError(f"{said}{more}")


def _shown(looker: Looker, *, as_json: bool) -> Look:
    """Look once, and show it."""
    from nasbench.cli.status_text import status_record, status_text

    found = looker.look()
    typer.echo(json.dumps(status_record(found), ensure_ascii=False) if as_json else status_text(found))
    return found
