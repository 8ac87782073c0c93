"""Every command and option in one page, from the command line's own help: `docs/cli.md`.

Run: python scripts/write_cli_reference.py

A test holds the committed page to what this makes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer

from nasbench.cli.app import app

PAGE = Path(__file__).resolve().parents[1] / "docs" / "cli.md"

INTRODUCTION = """\
# Command line

<!-- Made by scripts/write_cli_reference.py from the commands' own help; a test holds this page to it. -->

```bash
nasbench --help
nasbench segment --help
```

Arguments of a command that runs are choices and keys ([configuration.md](configuration.md)); its options say
how to run. Tables and paths go to standard output, everything else to standard error. `python -m nasbench`
does the same as `nasbench`.

| exit code | |
|---|---|
| 0 | done |
| 1 | a run that failed: unreadable files, a full disk, every image failed |
| 2 | misuse, found before anything is computed |
| 130 | Ctrl-C; what is finished is kept, and the command that resumes is printed |

An error is one line that names the file, the key or the nearest valid choice.
"""


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    parts += [_section(name, function) for name, function in commands()]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def commands() -> Iterator[tuple[str, Callable[..., Any]]]:
    """The commands that help shows, by name, and nasbench itself, by none."""
    root = app.registered_callback
    if root is not None and root.callback is not None:
        yield "", root.callback
    for command in app.registered_commands:
        if command.callback is not None and not command.hidden:
            yield command.name or command.callback.__name__, command.callback


def parameters(function: Callable[..., Any]) -> Iterator[tuple[str, str, str]]:
    """Of each argument and option: how it is written, its default, its help."""
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        info = next((one for one in getattr(hints[name], "__metadata__", ()) if hasattr(one, "help")), None)
        if info is None or getattr(info, "hidden", False):
            continue
        # Within Annotated the first name given is in the place of a default.
        said = (info.default, *(info.param_decls or ()))
        declared = [one for one in said if isinstance(one, str) and one.startswith("-")]
        takes = [one for one in (*get_args(hints[name].__origin__), hints[name].__origin__) if one in _TAKES]
        if isinstance(info, typer.models.ArgumentInfo):
            shown = info.metavar or name.upper()
            required = parameter.default is inspect.Parameter.empty or shown.startswith("[")
            shown = shown if required else f"[{shown}]"
        else:
            shown = ", ".join(declared or [f"--{name.replace('_', '-')}"])
            shown += f" {info.metavar or _TAKES[takes[0]]}" if takes else ""
        unset = any(parameter.default is one for one in (None, False, inspect.Parameter.empty))
        default = "" if unset else str(parameter.default)
        yield shown, default, info.help or ""


# What an option of a type takes; one of another type, bool, takes nothing.
_TAKES: dict[Any, str] = {Path: "PATH", int: "N", float: "X", str: "TEXT"}


def _section(name: str, function: Callable[..., Any]) -> str:
    about, _, examples = (inspect.getdoc(function) or "").partition("**Examples**")
    parts = [f"## nasbench {name}".strip(), about.strip()]
    if lines := [line.strip() for line in examples.splitlines() if line.strip()]:
        parts.append("Examples:\n\n" + "\n".join(f"- {line}" for line in lines))
    rows = [
        f"| `{_cell(shown)}` | {f'`{default}`' if default else ''} | {_cell(about)} |"
        for shown, default, about in parameters(function)
    ]
    parts.append("\n".join(["| | default | |", "|---|---|---|", *rows]))
    return "\n\n".join(part for part in parts if part)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
