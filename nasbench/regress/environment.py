"""Where figures were made: the libraries' versions and the machine, on which their last bits depend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nasbench import __version__

# Parts of an environment on which bits depend; the others explain a difference but excuse none.
_DECISIVE = ("platform", "versions")

# Part -> name -> what it is.
Environment = Mapping[str, Mapping[str, Any]]


def environment() -> dict[str, dict[str, Any]]:
    """This one: nasbench and its rooms' schemas, the platform, the numeric libraries."""
    from nasbench.run.keys import SCHEMAS, numeric_versions, platform_record

    return {
        "nasbench": {"nasbench": __version__},
        "schemas": dict(SCHEMAS),
        "platform": platform_record(),
        "versions": numeric_versions(),
    }


def differences(then: Environment, now: Environment, *, parts: tuple[str, ...] | None = None) -> list[str]:
    """In words, what has another version or kind."""
    found = []
    for part in parts or tuple(now):
        before, after = then.get(part, {}), now.get(part, {})
        for name in dict.fromkeys((*before, *after)):
            if _coarse(name, before.get(name)) != _coarse(name, after.get(name)):
                label = f"schema {name}" if part == "schemas" else name
                found.append(f"{label} {before.get(name, 'unknown')} then, {after.get(name, 'unknown')} now")
    return found


def same_bits_expected(then: Environment, now: Environment) -> bool:
    """Whether the promise of bit-equal results holds between the two: same machine class and versions."""
    return not differences(then, now, parts=_DECISIVE)


def _coarse(name: str, value: Any) -> Any:
    """A Python release repairs and computes nothing else: 3.12.1 and 3.12.4 count as one."""
    return ".".join(str(value).split(".")[:2]) if name == "python" else value
