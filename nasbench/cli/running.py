"""What every running command's function looks like: the same arguments, another name and another help."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from nasbench.cli import options


def running(command: str, about: str) -> Callable[..., None]:
    """A Typer function that composes, plans, runs and reports a command; `about` is its help."""

    def run(
        overrides: Annotated[list[str] | None, options.OVERRIDES] = None,
        *,
        out: Annotated[Path | None, options.OUT] = None,
        config: Annotated[Path | None, options.CONFIG] = None,
        limit: Annotated[int | None, options.LIMIT] = None,
        device: Annotated[str | None, options.DEVICE] = None,
        dry_run: Annotated[bool, options.DRY_RUN] = False,
        cfg: Annotated[bool, options.CFG] = False,
        fresh: Annotated[bool, options.FRESH] = False,
        debug: Annotated[bool, options.DEBUG] = False,
    ) -> None:
        from nasbench.cli.execute import Request, execute_command

        del debug  # read where errors are caught
        request = Request(command, tuple(overrides or ()), out, config, limit, device, dry_run, cfg, fresh)
        raise typer.Exit(execute_command(request))

    run.__doc__ = about
    return run
