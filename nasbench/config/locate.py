"""Where the configuration files lie."""

from __future__ import annotations

import os
from pathlib import Path

from nasbench.errors import RunError, UsageError


def config_dir() -> Path:
    """`nasbench/configs` in an installed wheel, `configs` beside the package in a checkout."""
    package = Path(__file__).resolve().parent.parent
    for candidate in (package / "configs", package.parent / "configs"):
        if (candidate / "segment.yaml").is_file():
            return candidate
    raise RunError("the configuration files are missing; reinstall nasbench")


def user_dir() -> Path | None:
    """The user's own configuration files: the folder that $NASBENCH_CONFIGS names. Raises UsageError."""
    named = os.environ.get("NASBENCH_CONFIGS")
    if not named:
        return None
    path = Path(named).expanduser().resolve()
    if not path.is_dir():
        raise UsageError(f"$NASBENCH_CONFIGS={named}: there is no such folder")
    return path


def choices(group: str) -> list[str]:
    """The choices of a config group, the user's own among them, sorted."""
    folders = [config_dir(), user_dir()]
    return sorted({path.stem for folder in folders if folder for path in (folder / group).glob("*.yaml")})


def config_file(group: str, choice: str) -> Path:
    """The file of a choice; ours where both have one."""
    own = config_dir() / group / f"{choice}.yaml"
    folder = user_dir()
    return own if folder is None or own.is_file() else folder / group / f"{choice}.yaml"


def describe(group: str, choice: str) -> str:
    """The first comment of a choice's file: what it is, in one line."""
    first = config_file(group, choice).read_text(encoding="utf-8").split("\n", 1)[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""
