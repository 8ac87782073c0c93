"""What verifying a run says: checks, each with its failures by file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "failed", "not checked"]


@dataclass(frozen=True)
class Failure:
    """A file, as the run's folder names it or where else it lies, and what is wrong with it, in one line."""

    file: str
    reason: str


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: a word.
        said: what was looked at, with counts; or why nothing was.
        failures: what is wrong.
        checked: whether it was looked at.
    """

    name: str
    said: str
    failures: tuple[Failure, ...] = ()
    checked: bool = True

    @property
    def verdict(self) -> Verdict:
        """ok, failed, or not checked."""
        return "failed" if self.failures else "ok" if self.checked else "not checked"
