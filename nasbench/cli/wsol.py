"""`nasbench wsol`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nasbench.cli import options


def wsol(
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
    """Localise objects with saliency maps, and score the boxes at every threshold.

    **Examples**

    `nasbench wsol` : CAM on rendered scenes, bundled network

    `nasbench wsol saliency=cam,layercam,centre,const_box,full_box segmenter=none,nas,slic`

    `nasbench wsol model=resnet50 model.weights=FILE dataset=imagenet dataset.root=imagenet`
    """
    from nasbench.cli.execute import Request, execute_command

    del debug  # read where errors are caught
    request = Request("wsol", tuple(overrides or ()), out, config, limit, device, dry_run, cfg, fresh)
    raise typer.Exit(execute_command(request))
