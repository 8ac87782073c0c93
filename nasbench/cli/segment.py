"""`nasbench segment`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nasbench.cli import options


def segment(
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
    """Cut images into regions and measure the regions.

    **Examples**

    `nasbench segment` : rendered scenes, bundled network

    `nasbench segment dataset=folder dataset.root=photos model=resnet50 model.weights=resnet50.safetensors`

    `nasbench segment segmenter=nas,slic,grid segmenter.k=5,10,20 --limit 64`
    """
    from nasbench.cli.execute import Request, execute_command

    del debug  # read where errors are caught
    request = Request("segment", tuple(overrides or ()), out, config, limit, device, dry_run, cfg, fresh)
    raise typer.Exit(execute_command(request))
