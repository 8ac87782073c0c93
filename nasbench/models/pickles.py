"""What a pickled file asks to import and run, read from its opcodes alone."""

from __future__ import annotations

import io
import pickletools
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Globals that checkpoints of tensors name: what torch's restricted reader grants, and all of torch itself.
_PLAIN = {"collections.OrderedDict", "collections.Counter", "_codecs.encode"}
_PLAIN |= {f"builtins.{name}" for name in ("bytearray", "set", "complex")}


def suspect_global(path: Path, *, refused: str | None = None) -> str | None:
    """The global, as `module.name`, for which a pickled file is refused; None if it asks for none.

    Nothing is imported and nothing is run: the opcodes are read as text. Works on torch's zip files, on its
    legacy streams and on plain pickles of every protocol.

    Args:
        path: an existing file.
        refused: the name a restricted reader complained about, possibly without its module. It is the answer,
            in full, unless the file also asks for something that is foreign to tensors.
    """
    names = list(_globals(_pickled_bytes(path)))
    foreign = [n for n in names if n not in _PLAIN and not n.startswith("torch.")]
    if foreign or refused is None:
        return next(iter(foreign), None)
    return next((n for n in names if n == refused or n.endswith(f".{refused}")), refused)


def _pickled_bytes(path: Path) -> bytes:
    """The pickle inside torch's zip file, or the file itself."""
    if not zipfile.is_zipfile(path):
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        inner = [n for n in archive.namelist() if n.endswith("data.pkl")]
        return archive.read(inner[0]) if inner else b""


def _globals(data: bytes) -> Iterator[str]:
    """Globals in the order of the opcodes that ask for them, up to the end or the first damaged opcode."""
    stream = io.BytesIO(data)
    try:
        while stream.tell() < len(data):  # torch's legacy streams are several pickles in a row
            yield from _globals_of_one(stream)
    except Exception:  # noqa: BLE001  # the parser raises anything on what is no pickle: nothing more to read
        return


def _globals_of_one(stream: io.BytesIO) -> Iterator[str]:
    pushed: list[str] = []  # strings in the order in which they came onto the stack
    memo: dict[int, str] = {}
    latest = ""
    for opcode, argument, _ in pickletools.genops(stream):
        name = opcode.name
        if name in {"GLOBAL", "INST"}:
            yield str(argument).replace(" ", ".", 1).replace("__builtin__.", "builtins.", 1)
        elif name == "STACK_GLOBAL":
            yield ".".join(pushed[-2:])
        if name == "MEMOIZE" or name.endswith("PUT"):
            memo[len(memo) if argument is None else int(argument)] = latest
            continue
        # The memo also holds what is not text; only text can name a global.
        value = memo.get(int(str(argument)), "") if name.endswith("GET") else argument
        latest = value if isinstance(value, str) and name not in {"GLOBAL", "INST"} else ""
        if latest:
            pushed.append(latest)
