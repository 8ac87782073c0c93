"""Checks that the methods' options share; each raises UsageError in one line naming the key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from nasbench.errors import UsageError


def check_choice(key: str, value: Any, choices: Iterable[str]) -> None:
    """Refuse a value that is none of the choices."""
    names = tuple(choices)
    if not isinstance(value, str) or value not in names:
        raise UsageError(f"saliency.{key}={value}: choose one of {', '.join(names)}")


def check_count(key: str, value: Any, least: int = 1) -> None:
    """Refuse what is no whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"saliency.{key}={value} must be a whole number of at least {least}")


def check_positive(key: str, value: Any) -> None:
    """Refuse what is no finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise UsageError(f"saliency.{key}={value} must be a number above 0")


def check_stages(key: str, value: Any) -> None:
    """Refuse what is no list of positions among stages."""
    listed = isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 0
    if not listed or any(isinstance(s, bool) or not isinstance(s, int) for s in value):
        raise UsageError(
            f"saliency.{key}={value}: give a list of positions among the stages, such as [-2, -1]"
        )
