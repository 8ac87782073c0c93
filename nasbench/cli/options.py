"""The options all running commands share."""

from __future__ import annotations

from typing import Any

import typer

OVERRIDES: Any = typer.Argument(
    metavar="[KEY=VALUE]...",
    help="Choices (model=resnet50) and keys (segmenter.k=20); commas and range(a,b) sweep.",
    show_default=False,
)
OUT: Any = typer.Option(
    "--out", help="The run's folder [default: results/runs/COMMAND/HASH].", show_default=False
)
CONFIG: Any = typer.Option("--config", help="Repeat a run from its config.yaml alone.", show_default=False)
LIMIT: Any = typer.Option("--limit", help="Only N images, chosen by hash of their id.", show_default=False)
DEVICE: Any = typer.Option("--device", help="auto, cpu, cuda or mps.", show_default=False)
DRY_RUN: Any = typer.Option(
    "--dry-run", help="Show cells, tasks and cost in forward passes; compute nothing."
)
CFG: Any = typer.Option("--cfg", help="Print the composed configuration and exit.")
FRESH: Any = typer.Option("--fresh", help="Forget what the folder holds of this run and compute it anew.")
DEBUG: Any = typer.Option("--debug", help="Show the traceback of an error.")
RUN: Any = typer.Argument(metavar="RUN", help="A run's folder.", show_default=False)
JSON: Any = typer.Option("--json", help="Print one JSON object on one line instead.")
