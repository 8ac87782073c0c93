"""The fenced blocks of a Markdown page, and running them as a reader would, in this process.

What a comment before a block may say of it, as `<!-- test: limit=4, realdata -->`:

- `limit=N`: the block's runs get `--limit N`, to be quick;
- `dry-run`: the block's runs get `--dry-run`, scripts `--help`, in which the options given must be;
- `realdata`: the block needs real weights or images, and runs where they are;
- `exit=N`: its last command is meant to fail with that exit code;
- `output`: a block of text has lines that the block of commands before it printed, but for the numbers in
  them; a line `...` tells the reader of others;
- `in=FILE`: the block is tested in that file, which must name its commands.

A block without a comment runs as it stands.
"""

from __future__ import annotations

import importlib
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

REPO = Path(__file__).resolve().parents[2]

LANGUAGES = ("bash", "python", "yaml", "csv", "text")
MARKS = ("limit", "dry-run", "realdata", "exit", "output", "in")
RUNS = ("segment", "explain", "wsol", "leRF", "lerf")  # commands that take --limit and --dry-run

_COMMENT = re.compile(r"<!-- test: (.*) -->$")
_FENCE = re.compile(r"(\s*)(```+|~~~+)(.*)$")
_INFO = re.compile(r"(\w*)(?: title=\"(\S+)\")?$")
# Making an environment is what tests/test_packaging.py does; here it is only seen that it makes sense.
_SET_UP = (re.compile(r"python3? -m venv \S+"), re.compile(r"(source|\.) \S+/bin/activate"))


class BadBlockError(AssertionError):
    """A block that cannot be run as it is written; the message names page and line."""


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        page: the file, for messages.
        line: where its fence opens, from 1.
        language: as the fence says.
        file: the file it is to be written to, which the fence has as its title; else empty.
        marks: what the comment before it says, by name.
        text: what stands between the fences.
    """

    page: str
    line: int
    language: str
    file: str
    marks: dict[str, str]
    text: str

    @property
    def place(self) -> str:
        """Page and line."""
        return f"{self.page}:{self.line}"


def read_blocks(text: str, page: str) -> list[Block]:
    """All blocks of a page, in order. Raises BadBlockError for what could hide one from the tests."""
    found, lines = [], text.splitlines()
    marks: dict[str, str] = {}
    number = 0
    while number < len(lines):
        line = lines[number]
        fence = _FENCE.match(line)
        if fence is None:
            if comment := _COMMENT.match(line):
                marks = _marks(comment[1], f"{page}:{number + 1}")
            elif line.strip():
                marks = {}
            number += 1
            continue
        place = f"{page}:{number + 1}"
        info = _INFO.match(fence[3].strip())
        if fence[1] or fence[2] != "```" or info is None or info[1] not in LANGUAGES:
            raise BadBlockError(
                f"{place}: {line!r}; open a block by ``` at the line's start, with one of {LANGUAGES}"
            )
        end = next((i for i in range(number + 1, len(lines)) if lines[i] == "```"), None)
        if end is None:
            raise BadBlockError(f"{place}: the block is never closed")
        body = "\n".join(lines[number + 1 : end]) + "\n"
        found.append(Block(page, number + 1, info[1], info[2] or "", marks, body))
        marks, number = {}, end + 1
    return found


def _marks(text: str, place: str) -> dict[str, str]:
    marks = dict(part.strip().partition("=")[::2] for part in text.split(","))
    if unknown := set(marks) - set(MARKS):
        raise BadBlockError(f"{place}: {min(unknown)} is none of {MARKS}")
    return marks


@dataclass
class Runner:
    """Runs a page's blocks one after the other in the current folder.

    Attributes:
        nasbench: calls the command line; returns exit code, standard output and standard error.
        setenv: sets an environment variable.
        names: the names that Python blocks share.
        shown: what each block of commands printed, in order.
    """

    nasbench: Callable[[list[str]], tuple[int, str, str]]
    setenv: Callable[[str, str], None]
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})
    shown: list[str] = field(default_factory=list)

    def run(self, block: Block) -> None:
        """Run, write or check a block. Raises BadBlockError, or what a Python block raises."""
        if "in" in block.marks:
            _check_elsewhere(block)
        elif block.file:
            path = Path(block.file)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
            importlib.invalidate_caches()
        elif block.language == "bash":
            self.shown.append("".join(self._lines(block)))
        elif block.language == "python":
            exec(compile(block.text, block.place, "exec"), self.names)
        elif block.language == "yaml":
            yaml.safe_load(block.text)
        elif "output" in block.marks:
            check_output(block, self.shown[-1] if self.shown else "")

    def _lines(self, block: Block) -> Iterator[str]:
        lines = [line for line in block.text.replace("\\\n", " ").splitlines() if line.strip()]
        for number, line in enumerate(lines):
            expected = int(block.marks.get("exit", 0)) if number == len(lines) - 1 else 0
            code, shown = self._line(line, block)
            if code != expected:
                raise BadBlockError(f"{block.place}: exit code {code} of {line!r}\n{shown}")
            yield shown

    def _line(self, line: str, block: Block) -> tuple[int, str]:
        """Exit code and output of one line."""
        words = shlex.split(line, comments=True)
        match words:
            case ["export", assignment]:
                self.setenv(*assignment.split("=", 1))
            case ["make", *targets]:
                _check_targets(targets, block)
            case ["nasbench", *_]:
                return self._nasbench(line, block)
            case ["python", script, *_] if script.startswith("scripts/"):
                return _script(words[1:], block)
            case ["pip" | ".venv/bin/pip", "install", *rest]:
                _check_install(rest[-1], block)
            case _ if words and not any(pattern.fullmatch(shlex.join(words)) for pattern in _SET_UP):
                done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
                return done.returncode, done.stdout + done.stderr
        return 0, ""

    def _nasbench(self, line: str, block: Block) -> tuple[int, str]:
        command, pipe, rest = _piped(line)
        words = shlex.split(command, comments=True)[1:]
        if words and words[0] in RUNS and "--cfg" not in words:
            words = _shrunk(words, block.marks)
        code, out, err = self.nasbench(words)
        if not pipe or code:
            return code, err + out
        done = subprocess.run(
            ["bash", "-c", f"cat {pipe} {rest}"], input=out, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr


def _piped(line: str) -> tuple[str, str, str]:
    """A command, and what its output goes to."""
    found = re.search(r"\s(\||>)\s", line)
    return (line, "", "") if found is None else (line[: found.start()], found[1], line[found.end() :])


def _shrunk(words: list[str], marks: dict[str, str]) -> list[str]:
    if "limit" in marks:
        if "--limit" in words:
            at = words.index("--limit")
            words = words[:at] + words[at + 2 :]
        words = [*words, "--limit", marks["limit"]]
    return [*words, "--dry-run"] if "dry-run" in marks else words


def _check_targets(targets: list[str], block: Block) -> None:
    """That the Makefile has them; what they do is what CI does."""
    known = re.findall(r"^([\w-]+):", (REPO / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    if missing := set(targets) - set(known):
        raise BadBlockError(f"{block.place}: the Makefile has no target {min(missing)}")


def _check_install(what: str, block: Block) -> None:
    """That it is this project, with extras that it has."""
    extras = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    found = re.fullmatch(r"\.(?:\[([\w,]+)\])?", what)
    if found is None or not set((found[1] or "").split(",")) <= {"", *extras}:
        raise BadBlockError(f"{block.place}: {what} is not this project, or has extras it has not")


def _script(words: list[str], block: Block) -> tuple[int, str]:
    """A script of ours in this process; with `dry-run` only its options are looked up in its help."""
    from contextlib import redirect_stdout
    from io import StringIO

    given = words[1:]
    if "dry-run" in block.marks:
        words = [words[0], "--help"]
    out, before = StringIO(), sys.argv
    sys.argv = [words[0], *words[1:]]
    try:
        with redirect_stdout(out):
            runpy.run_path(str(REPO / words[0]), run_name="__main__")
    except SystemExit as end:
        if end.code:
            return int(end.code), out.getvalue()
    finally:
        sys.argv = before
    if "dry-run" in block.marks:
        for option in (word for word in given if word.startswith("--")):
            if option not in out.getvalue():
                raise BadBlockError(f"{block.place}: {words[0]} has no option {option}")
    return 0, out.getvalue()


def _check_elsewhere(block: Block) -> None:
    """That the test file a block names is there and has to do with each of its commands."""
    path = REPO / block.marks["in"]
    if not path.is_file():
        raise BadBlockError(f"{block.place}: no file {block.marks['in']}")
    text = path.read_text(encoding="utf-8")
    for command in re.findall(r"^nasbench (\w+)", block.text, re.MULTILINE):
        if f'"{command}"' not in text:
            raise BadBlockError(f'{block.place}: {block.marks["in"]} does not run "{command}"')


def check_output(block: Block, shown: str) -> None:
    """That each of a block's lines was shown. Raises BadBlockError naming the first that was not."""
    lines = {"", "...", *map(_masked, shown.splitlines())}
    for line in block.text.splitlines():
        if _masked(line) not in lines:
            raise BadBlockError(f"{block.place}: nothing was shown like {line!r}\n{shown}")


def _masked(line: str) -> str:
    """A line without what differs between machines and numbers of images."""
    line = re.sub(r"\b(?=[a-f]*\d)[0-9a-f]{12}\b", "#", line)
    line = re.sub(r"[−-]?\d+(\.\d+)?", "#", line)
    line = re.sub(r"([━─])\1+", r"\1", line.replace("*", ""))
    return " ".join(line.split())


@contextmanager
def own_modules(folder: Path) -> Iterator[None]:
    """Forgets, at the end, what was imported from a folder, and leaves sys.path as it was."""
    path = [*sys.path]
    try:
        yield
    finally:
        sys.path[:] = path
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None) or "").startswith(f"{folder}/"):
                del sys.modules[name]
