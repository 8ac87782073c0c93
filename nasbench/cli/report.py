"""`nasbench report`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench.cli import options
from nasbench.errors import Interrupted, UsageError

if TYPE_CHECKING:
    from nasbench.report.comparison import Table
    from nasbench.report.merged import Merged

_FORMATS = ("terminal", "markdown", "csv", "latex")
_RUNS = typer.Argument(metavar="RUN...", help="Folders of runs, finished or not.", show_default=False)
_BY = typer.Option(
    "--by",
    metavar="KEY,...",
    help="What makes a line: model, saliency, segmenter or a key such as segmenter.k; the others are "
    "averaged over [default: all that varies].",
    show_default=False,
)
_METRIC = typer.Option(
    "--metric",
    metavar="NAME",
    help="A column, the leading one first; may be given several times [default: those of the command].",
    show_default=False,
)
_FORMAT = typer.Option(
    "--format",
    metavar="NAME",
    help=f"{', '.join(_FORMATS)}; may be given several times [default: terminal].",
    show_default=False,
)
_OUT = typer.Option(
    "--out",
    help="A folder for report.md, .csv and .tex, and figures (.svg and .png): differences, scores over the "
    "number of regions, images side by side.",
    show_default=False,
)


def report(
    runs: Annotated[list[Path], _RUNS],
    *,
    by: Annotated[str | None, _BY] = None,
    metric: Annotated[list[str] | None, _METRIC] = None,
    format_: Annotated[list[str] | None, _FORMAT] = None,
    out: Annotated[Path | None, _OUT] = None,
    debug: Annotated[bool, options.DEBUG] = False,
) -> None:
    """Compare runs: one table for each protocol, and whether the two best can be told apart.

    **Examples**

    `nasbench report results/runs/wsol/*`

    `nasbench report a b --by model,saliency,segmenter --out tables`

    `nasbench report a --metric box_acc@0.70 --format latex`
    """
    del debug  # read where errors are caught
    formats = _split(format_ or [])
    for name in formats:
        _check(f"--format {name}", name, _FORMATS)
    if out is not None and formats:
        raise UsageError("--out writes all formats; leave out --format")
    from nasbench.cli.progress import Progress
    from nasbench.report.comparison import compare, measure, metric_names
    from nasbench.report.comparison_files import ReportFolder
    from nasbench.report.merged import merge_runs

    if out is not None:
        ReportFolder(out).check()
    with _interruptible(), Progress() as progress:
        progress.say("reading the runs")
        merged = merge_runs(runs)
        keys = None if by is None else _keys(by, merged)
        measured = measure(merged, progress.say)
        metrics = _split(metric or [])
        for name in metrics:
            _check(f"--metric {name}", name, metric_names(measured))
        tables = compare(merged, measured, by=keys, metrics=metrics, progress=progress.say)
        progress.say("writing")
        shown = _shown(merged, tables, formats or ["terminal"])
        written = [] if out is None else ReportFolder(out).write(_files(merged, tables))
    typer.echo("\n\n".join(shown))
    for path in written:
        typer.echo(f"written:  {path}")


@contextmanager
def _interruptible() -> Iterator[None]:
    """Says so where Ctrl-C ends it."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted("interrupted; give the same command again") from error


def _shown(merged: Merged, tables: Sequence[Table], formats: Iterable[str]) -> list[str]:
    from nasbench.report.comparison_text import comparison_csv, comparison_md, comparison_text
    from nasbench.report.latex import comparison_tex

    makers = {
        "terminal": lambda: comparison_text(merged, tables),
        "markdown": lambda: comparison_md(merged, tables),
        "csv": lambda: comparison_csv(tables),
        "latex": lambda: comparison_tex(tables),
    }
    return [makers[name]().rstrip("\n") for name in formats]


def _files(merged: Merged, tables: Sequence[Table]) -> dict[str, bytes]:
    from nasbench.report.comparison_text import comparison_csv, comparison_md
    from nasbench.report.count_plot import count_plot
    from nasbench.report.differences_plot import differences_plot
    from nasbench.report.latex import comparison_tex
    from nasbench.report.side_by_side import side_by_side

    texts = {
        "report.md": comparison_md(merged, tables),
        "report.csv": comparison_csv(tables),
        "report.tex": comparison_tex(tables),
    }
    figures = {"differences": differences_plot(tables), "counts": count_plot(tables)}
    for table in tables:  # those of one command show the same images
        name = f"side_by_side_{table.command}"
        figures[name] = figures.get(name) or side_by_side(merged, table)
    drawn = {f"{name}.{suffix}": data for name, files in figures.items() for suffix, data in files.items()}
    return {**{name: text.encode() for name, text in texts.items()}, **drawn}


def _keys(by: str, merged: Merged) -> list[str]:
    """The keys of --by. Raises UsageError naming the nearest where a cell has none of that name."""
    from nasbench.report.cell_keys import distinguishing, known_keys

    known = known_keys(merged.cells)
    keys = _split([by])
    if not keys:
        raise UsageError("--by names no key")
    for key in keys:
        if key not in known:
            groups = [name for name in known if "." not in name]
            _check(f"--by {key}", key, known, dict.fromkeys([*groups, *distinguishing(merged.cells)]))
    return keys


def _check(what: str, name: str, known: Iterable[str], short: Iterable[str] | None = None) -> None:
    """Raises UsageError with the nearest of the names that are known, or a few of them."""
    from nasbench.config.suggest import hint, nearest

    names = list(known)
    if name not in names:
        near = nearest(name, names)
        raise UsageError(f"{what}: {f'did you mean {near}?' if near else hint(name, short or names)}")


def _split(given: Iterable[str]) -> list[str]:
    """Names separated by commas, each once."""
    return list(dict.fromkeys(name.strip() for one in given for name in one.split(",") if name.strip()))
