"""Where the configuration files lie."""

from __future__ import annotations

from pathlib import Path

from nasbench.errors import RunError


def config_dir() -> Path:
    """`nasbench/configs` in an installed wheel, `configs` beside the package in a checkout."""
    package = Path(__file__).resolve().parent.parent
    for candidate in (package / "configs", package.parent / "configs"):
        if (candidate / "segment.yaml").is_file():
            return candidate
    raise RunError("the configuration files are missing; reinstall nasbench")


def choices(group: str) -> list[str]:
    """The choices of a config group, sorted."""
    return sorted(path.stem for path in (config_dir() / group).glob("*.yaml"))


def describe(group: str, choice: str) -> str:
    """The first comment of a choice's file: what it is, in one line."""
    first = (config_dir() / group / f"{choice}.yaml").read_text(encoding="utf-8").split("\n", 1)[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""
