"""`nasbench ls`."""

from __future__ import annotations

import fnmatch
from typing import Annotated

import typer

_LISTS = {
    "models": "model",
    "datasets": "dataset",
    "segmenters": "segmenter",
    "saliency": "saliency",
    "imputers": "imputer",
    "metrics": "metric",
    "experiments": "experiment",
    "suites": "regress",
}
_WHAT = typer.Argument(metavar="|".join(_LISTS), help="What to list.")


def ls(
    what: Annotated[str, _WHAT],
    pattern: Annotated[
        str | None, typer.Argument(help="A name, `*` and `?` allowed.", show_default=False)
    ] = None,
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """List what can be chosen.

    **Examples**

    `nasbench ls segmenters`

    `nasbench ls models 'vit_*'` : presets and timm's names
    """
    from nasbench.config.locate import choices, describe, limitation
    from nasbench.config.suggest import hint
    from nasbench.errors import UsageError

    del debug  # read where errors are caught
    if what not in _LISTS:
        raise UsageError(f"ls {what}: {hint(what, _LISTS)}")
    group = _LISTS[what]
    found = [name for name in choices(group) if _matches(name, pattern)]
    lines = []
    for name in found:
        lines.append(f"{name:<20} {describe(group, name)}")
        lines += [f"{'':<20} {said}"] if (said := limitation(group, name)) else []
    if group == "model" and pattern is not None:
        import timm

        lines += [
            f"{name:<40} model=timm model.name={name}"
            for name in timm.list_models()
            if _matches(name, pattern)
        ]
    if not lines:
        raise UsageError(
            f"ls {what}: nothing matches {pattern}; {hint(str(pattern).strip('*?'), choices(group))}"
        )
    typer.echo("\n".join(lines))
    if group == "model" and pattern is None:
        typer.echo("\nAny timm model: model=timm model.name=NAME; list them with: nasbench ls models 'vit_*'")


def _matches(name: str, pattern: str | None) -> bool:
    return pattern is None or fnmatch.fnmatchcase(name, pattern)
