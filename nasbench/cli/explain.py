"""`nasbench explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nasbench.cli import options


def explain(
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
    """Explain a network's classes with saliency maps, and show them.

    **Examples**

    `nasbench explain` : Grad-CAM on rendered scenes, bundled network

    `nasbench explain saliency=gradcam,layercam,ig saliency.regions=none,nas --limit 12`

    `nasbench explain saliency=precomputed saliency.path=maps dataset=folder dataset.root=photos`
    """
    from nasbench.cli.execute import Request, execute_command

    del debug  # read where errors are caught
    request = Request("explain", tuple(overrides or ()), out, config, limit, device, dry_run, cfg, fresh)
    raise typer.Exit(execute_command(request))
