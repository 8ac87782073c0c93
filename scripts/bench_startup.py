"""What `nasbench --help` costs over an empty Typer app with as many commands in the same markup mode.

Run: python scripts/bench_startup.py [--repeats 20]. Both are started in turn, each in a process of its own;
the medians and their difference are printed. Needs nothing but the installed package.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nasbench.cli.app import app

EMPTY = """
import typer
app = typer.Typer(add_completion=False, rich_markup_mode={markup!r}, pretty_exceptions_enable=False)
{commands}
app(prog_name="empty")
"""
COMMAND = """
@app.command()
def command_{i}():
    "A command."
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--repeats", type=int, default=20)
    repeats = parser.parse_args().repeats
    commands = "".join(COMMAND.format(i=i) for i in range(len(app.registered_commands)))
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / "empty.py"
        empty.write_text(EMPTY.format(markup=app.rich_markup_mode, commands=commands))
        ours = [sys.executable, "-c", "from nasbench.cli import main; main()", "--help"]
        theirs = [sys.executable, str(empty), "--help"]
        times: dict[str, list[float]] = {"nasbench --help": [], "empty app": []}
        for _ in range(repeats + 1):
            for name, command in (("nasbench --help", ours), ("empty app", theirs)):
                start = time.perf_counter()
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                times[name].append(time.perf_counter() - start)
    medians = {
        name: statistics.median(values[1:]) for name, values in times.items()
    }  # the first fills caches
    for name, median in medians.items():
        print(f"{name:<16} {median:.3f} s (median of {repeats})")
    print(f"difference       {medians['nasbench --help'] - medians['empty app']:.3f} s (limit 0.050)")


if __name__ == "__main__":
    main()
