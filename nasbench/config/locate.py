"""Where the configuration files lie."""

from __future__ import annotations

import os
from itertools import takewhile
from pathlib import Path

from nasbench.errors import RunError, UsageError


def config_dir() -> Path:
    """`nasbench/configs` in an installed wheel, `configs` beside the package in a checkout."""
    package = Path(__file__).resolve().parent.parent
    for candidate in (package / "configs", package.parent / "configs"):
        if (candidate / "segment.yaml").is_file():
            return candidate
    raise RunError("the configuration files are missing; reinstall nasbench")


def baselines_dir() -> Path:
    """`nasbench/baselines` in an installed wheel, `results/baselines` beside the package in a checkout."""
    package = Path(__file__).resolve().parent.parent
    carried = package / "baselines"
    return carried if carried.is_dir() else package.parent / "results" / "baselines"


def user_dir() -> Path | None:
    """The user's own configuration files: the folder that $NASBENCH_CONFIGS names.

    Raises UsageError where there is no such folder, or a file in it has the name of one of ours.
    """
    named = os.environ.get("NASBENCH_CONFIGS")
    if not named:
        return None
    path = Path(named).expanduser().resolve()
    if not path.is_dir():
        raise UsageError(f"$NASBENCH_CONFIGS={named}: there is no such folder")
    for file in sorted(path.glob("*/*.yaml")):
        name = file.relative_to(path)
        if (config_dir() / name).is_file():
            raise UsageError(f"$NASBENCH_CONFIGS: {name.as_posix()} has the name of one of ours; rename it")
    return path


def choices(group: str) -> list[str]:
    """The choices of a config group, the user's own among them, sorted."""
    folders = [config_dir(), user_dir()]
    return sorted({path.stem for folder in folders if folder for path in (folder / group).glob("*.yaml")})


def config_file(group: str, choice: str) -> Path:
    """The file of a choice, ours or the user's."""
    ours = config_dir() / group / f"{choice}.yaml"
    folder = user_dir()
    return ours if folder is None or ours.is_file() else folder / group / f"{choice}.yaml"


def describe(group: str, choice: str) -> str:
    """The first comment of a choice's file: what it is, in one line."""
    return next((said for said in _comments(group, choice) if not said.startswith("@package")), "")


def limitation(group: str, choice: str) -> str:
    """What a choice is not for, such as a kind of network: the comment that begins so; empty without one."""
    return next((said for said in _comments(group, choice) if said.startswith("Not for ")), "")


def _comments(group: str, choice: str) -> list[str]:
    """The lines of the comment that a choice's file begins with."""
    lines = config_file(group, choice).read_text(encoding="utf-8", errors="replace").splitlines()
    return [line.removeprefix("#").strip() for line in takewhile(lambda line: line.startswith("#"), lines)]
