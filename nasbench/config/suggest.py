"""Did you mean: the nearest valid name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """The valid name most like `name`, or None where none is close."""
    found = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.6)
    return found[0] if found else None


def hint(name: str, valid: Iterable[str]) -> str:
    """A clause to end an error with: the nearest valid name, or all of them where none is close."""
    names = sorted(valid)
    if not names:
        return "there are none"
    near = nearest(name, names)
    if near:
        return f"did you mean {near}?"
    return f"choose one of {', '.join(names)}"
