"""From a configuration node to the object it describes, once per process."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nasbench.digest import canonical_json, digest_bytes
from nasbench.errors import NasbenchError, UsageError
from nasbench.importing import resolve
from nasbench.segment.matching import Matched


class Parts:
    """Objects built from configuration nodes, kept by the node's content."""

    def __init__(self) -> None:
        self._kept: dict[str, Any] = {}

    def get(
        self,
        group: str,
        node: Mapping[str, Any],
        finish: Callable[[Any], Any] | None = None,
        variant: Mapping[str, Any] | None = None,
    ) -> Any:
        """The object a node describes, built on first use.

        `finish` prepares it (moves it to a device, say); `variant` names what `finish` depends on.
        """
        key = canonical_json([group, node, variant])
        if key not in self._kept:
            built = build(group, node)
            self._kept[key] = built if finish is None else finish(built)
        return self._kept[key]

    def once(self, key: Sequence[Any], make: Callable[[], Any]) -> Any:
        """What is made of several of them, made on first use."""
        name = canonical_json(list(key))
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]


def build(group: str, node: Mapping[str, Any]) -> Any:
    """Call a node's `_target_` with its other keys.

    `kwargs` is passed as a dictionary to a target with a parameter of that name, and spread otherwise. A
    segmenter's `match` wraps it in `Matched`, unless it has a parameter of that name itself.
    Raises UsageError naming the group where the target cannot be imported or called so.
    """
    name = node["_target_"]
    target = _import(group, name)
    arguments = {key: value for key, value in node.items() if key != "_target_"}
    match = None
    if group == "segmenter" and "match" in arguments and "match" not in _named_parameters(target):
        match = arguments.pop("match")
    if group == "segmenter":
        arguments.pop("source_weights", None)  # by now in `source_model`
    if group == "model" and "label_map" not in _named_parameters(target):
        arguments.pop("label_map", None)  # of the explained class, no matter of the network's
    if "kwargs" in arguments and "kwargs" not in _named_parameters(target):
        spread = arguments.pop("kwargs") or {}
        arguments |= {str(key): value for key, value in spread.items()}
    try:
        built = target(**arguments)
        return built if match is None else Matched(built, match)
    except NasbenchError:
        raise
    except Exception as error:  # a user's class may raise anything
        said = f"{type(error).__name__}: {error}"
        raise UsageError(f"{group}: {name} cannot be made from its configuration: {said}") from error


def source_digest(name: str) -> str | None:
    """Digest of the source file that defines a user's target; None for our own."""
    if name.startswith("nasbench."):
        return None
    target = resolve(name)
    try:
        file = inspect.getsourcefile(target)
    except TypeError:
        file = None
    return digest_bytes(Path(file).read_bytes()) if file else digest_bytes(name.encode())


def _import(group: str, name: str) -> Any:
    try:
        return resolve(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"{group}._target_={name} cannot be imported: {error}") from error


def _named_parameters(target: Any) -> set[str]:
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):  # a built-in class, say
        return set()
    return {p.name for p in parameters if p.kind is not inspect.Parameter.VAR_KEYWORD}
