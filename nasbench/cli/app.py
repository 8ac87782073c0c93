"""The entry point: commands are registered here, and every error becomes one line and an exit code."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any, NoReturn

import typer

from nasbench.cli.explain import explain
from nasbench.cli.lerf import lerf
from nasbench.cli.ls import ls
from nasbench.cli.regress import regress
from nasbench.cli.report import report
from nasbench.cli.segment import segment
from nasbench.cli.status import status
from nasbench.cli.verify import verify
from nasbench.cli.wsol import wsol
from nasbench.errors import NasbenchError

app = typer.Typer(
    name="nasbench",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Benchmark explanations of image classifiers with the classifier's own superpixels.",
    epilog="Every command runs without arguments, on rendered images and the bundled network.",
)
app.command("segment")(segment)
app.command("explain")(explain)
app.command("wsol")(wsol)
app.command("leRF")(lerf)
app.command("lerf", hidden=True)(lerf)
app.command("report")(report)
app.command("status")(status)
app.command("verify")(verify)
app.command("regress")(regress)
app.command("ls")(ls)


def _version(value: bool) -> None:  # noqa: FBT001 - Typer's callback
    if value:
        from nasbench import __version__

        typer.echo(f"nasbench {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    del version
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> NoReturn:
    """Run the command line and exit: 0, 1 for a failed run, 2 for misuse, 130 for Ctrl-C."""
    code = run(sys.argv[1:])
    # A pipe closed early (`| head`) or no output at all (`>&-`) must not end in a traceback at exit.
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def run(args: list[str]) -> int:
    """Run the command line with these arguments; the exit code."""
    debug = "--debug" in args
    try:
        code = app(args, prog_name="nasbench", standalone_mode=False)
    except Exception as error:
        if debug and not _is_usage(error):
            raise
        message, code = _explained(error, args)
        typer.echo(f"nasbench: {' '.join(message.split())}", err=True)
    return int(code or 0)


def _is_usage(error: Exception) -> bool:
    """Whether it is one of Typer's own errors, an unknown option, say."""
    return hasattr(error, "format_message")


def _explained(error: Exception, args: list[str]) -> tuple[str, int]:
    """One line and an exit code."""
    if isinstance(error, NasbenchError):
        return str(error), error.exit_code
    if _is_usage(error):
        said: Any = error
        return f"{said.format_message().rstrip('.')}. Try: nasbench {_command(args)}--help", 2
    if isinstance(error, OSError):
        return _os_error(error), 1
    return f"internal error, {type(error).__name__}: {error} (--debug shows where)", 1


def _command(args: list[str]) -> str:
    names = [command.name for command in app.registered_commands]
    return next((f"{arg} " for arg in args if arg in names), "")


def _os_error(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"
