"""A run's tables made again from its rows, without a model or a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from nasbench.errors import RunError
from nasbench.report.localisation_tables import localisation_csv, localisation_md, localised, paired_csv
from nasbench.report.published import is_published, published, published_csv, published_md
from nasbench.report.relevance_tables import relevance_csv, relevance_md, relevant
from nasbench.report.summary import summarise, summary_csv
from nasbench.run.store import RunFolder
from nasbench.run.verify import Check, Failure


@dataclass(frozen=True)
class TableCell:
    """A cell as tables know it: its digest, config group -> choice, swept key -> value, its configuration."""

    digest: str
    choices: Mapping[str, str]
    swept: Mapping[str, Any]
    config: Mapping[str, Any]


def derived_tables(
    command: str,
    folder: RunFolder,
    cells: Sequence[TableCell],
    units: Sequence[tuple[int, str]],
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, str]:
    """By file name the tables of finished units, given as (cell's place, key).

    Raises RunError for a damaged unit, or rows that are not what the command's are.
    """
    progress("summarising")
    tables = {"summary.csv": summary_csv(summarise(folder, cells, units))}
    if command == "wsol" and is_published(cells[0]):
        best = published(folder, cells, units, progress)
        tables |= {"localisation.csv": published_csv(best), "localisation.md": published_md(best)}
    elif command == "wsol":
        said = localised(folder, cells, units, progress)
        tables |= {"localisation.csv": localisation_csv(said), "localisation.md": localisation_md(said)}
        if said.paired:
            tables["localisation_paired.csv"] = paired_csv(said)
    elif command == "lerf":
        curves = relevant(folder, cells, units, progress)
        tables |= {"relevance.csv": relevance_csv(curves), "relevance.md": relevance_md(curves)}
    return tables


def check_tables(
    command: str,
    folder: RunFolder,
    cells: Sequence[TableCell],
    units: Sequence[tuple[int, str]],
    progress: Callable[[str], None] = lambda _: None,
) -> Check:
    """Whether a finished run's tables are, byte for byte, what its rows give."""
    try:
        tables = derived_tables(command, folder, cells, units, progress)
    except (RunError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        # Rows that were tampered with need not have what a table asks of them.
        said = str(error) if isinstance(error, RunError) else f"{type(error).__name__}: {error}"
        return Check("tables", "cannot be made from the rows", (Failure("rows/", said),))
    failures = []
    for name, text in tables.items():
        try:
            kept = (folder.path / name).read_bytes()
        except OSError as error:
            failures.append(Failure(name, f"cannot be read ({error.strerror or error})"))
            continue
        if kept != text.encode("utf-8"):
            failures.append(Failure(name, _first_difference(kept, text)))
    return Check("tables", f"{', '.join(sorted(tables))}: made again from the rows", tuple(failures))


def _first_difference(kept: bytes, text: str) -> str:
    """The first line that differs, in words."""
    pairs = zip_longest(kept.decode("utf-8", errors="replace").split("\n"), text.split("\n"))
    for number, (ours, theirs) in enumerate(pairs, start=1):
        if ours != theirs:
            found = "no such line" if ours is None else repr(ours)
            wanted = "none" if theirs is None else repr(theirs)
            return f"line {number} has {found}, the rows give {wanted}"
    return "has other bytes than the rows give"
