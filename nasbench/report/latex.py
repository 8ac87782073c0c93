"""A comparison as LaTeX: one table environment each, with the rules of booktabs."""

from __future__ import annotations

from collections.abc import Sequence

from nasbench.report.comparison import Table
from nasbench.report.comparison_text import line_n, shown_order
from nasbench.report.verdict import caption, verdict

_HEAD = r"""% Needs \usepackage{booktabs} in the preamble, and nothing else; \input it where the tables go.
"""
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "×": r"$\times$",
    "−": r"$-$",
    "—": "---",
    "–": "--",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
}


def escaped(text: str) -> str:
    """Text as LaTeX prints it. What is no ASCII and not known here is written as its code point."""
    return "".join(_SPECIAL.get(c, c if c.isascii() and c.isprintable() else _foreign(c)) for c in text)


def _foreign(character: str) -> str:
    if character.isspace():
        return " "
    # Accented letters are set by every LaTeX since 2018; beyond Latin a font may lack them.
    return character if character.isalpha() and ord(character) < 0x180 else f"[U+{ord(character):04X}]"  # noqa: PLR2004


def comparison_tex(tables: Sequence[Table]) -> str:
    """All tables, to be read into a document."""
    return _HEAD + "\n".join(_environment(table) for table in tables)


def _environment(table: Table) -> str:
    keys, columns = table.pivot.keys, table.columns
    head = [*(escaped(key) for key in keys), *(escaped(column.name) for column in columns), "$n$"]
    rows = []
    for i in shown_order(table):
        words = []
        for column in columns:
            number = table.numbers.get((i, column.name))
            value = "---" if number is None else _number(column.value(number.value))
            value = rf"\textbf{{{value}}}" if table.bold(column.name) == i else value
            span = "" if number is None else _number(column.span(number.low, number.high))
            words.append(f"{value} {{\\scriptsize {span}}}" if span else value)
        rows.append([*(escaped(value) for value in table.pivot.lines[i].values), *words, line_n(table, i)])
    body = [_row(row) for row in rows]
    said = " ".join([f"{table.title[0].upper()}{table.title[1:]}.", *caption(table), verdict(table)])
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escaped(said)}}}",
            rf"\begin{{tabular}}{{{'l' * len(keys)}{'r' * (len(columns) + 1)}}}",
            r"\toprule",
            _row(head),
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _row(words: Sequence[str]) -> str:
    # A row that begins with a bracket or a star would be read as an argument of the row above.
    guard = "{}" if words[0].startswith(("[", "*")) else ""
    return guard + " & ".join(words) + r" \\"


def _number(text: str) -> str:
    """A number or an interval: with a minus, not a hyphen."""
    return text.replace("-", "$-$")
