"""The command line: one file per command, nothing heavy at import, errors in one line."""

from __future__ import annotations

from nasbench.cli.app import main

__all__ = ["main"]
