"""From overrides to cells: choices are composed by Hydra, keys are set, sweeps are multiplied out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from nasbench.config.check import checked
from nasbench.config.locate import choices, config_dir, user_dir
from nasbench.config.overrides import Override, is_alias, parse_overrides
from nasbench.config.schema import ALIASES, CELL_GROUPS, CELL_KEYS, GROUPS, SETTING_KEYS
from nasbench.config.suggest import hint
from nasbench.config.tree import first_line, has_key, set_key, unknown_key
from nasbench.digest import canonical_json
from nasbench.errors import UsageError


@dataclass(frozen=True)
class Composed:
    """A composed command.

    Attributes:
        command: the command, e.g. "segment".
        cells: one plain dictionary per cell: `choices` (group -> choice), `config` (what decides its
            rows) and `swept` (swept key -> value).
        settings: what decides how, not what, is computed.
    """

    command: str
    cells: list[dict[str, Any]]
    settings: dict[str, Any]


def compose_run(command: str, tokens: Sequence[str]) -> Composed:
    """Compose a command's cells from overrides. Raises UsageError, one line.

    Commas and `range()` sweep. In a product a swept or set key that a choice lacks is dropped for that
    choice, and equal cells are merged; a key that no chosen choice has is an error.
    """
    for alias in ALIASES:
        group = alias.partition(".")[0]
        if group not in CELL_KEYS[command] and any(is_alias(token, alias) for token in tokens):
            raise UsageError(f"{alias}: nasbench {command} has no {group} to choose")
    overrides = parse_overrides(tokens)
    for override in overrides:
        if override.section in CELL_GROUPS - set(CELL_KEYS[command]):
            raise UsageError(f"{override.key}: nasbench {command} has no {override.section} to choose")
        if len(override.values) > 1 and override.section in SETTING_KEYS:
            raise UsageError(f"{override.key} cannot be swept: it does not change the results")
    cells: dict[str, dict[str, Any]] = {}
    settings: dict[str, Any] = {}
    for chosen, values, from_cells in _expand_experiments(command, overrides):
        for cfg, cell_choices, swept in _expand(command, chosen, values, vary=from_cells):
            plain = checked(cfg, command)
            plain["segmenter"] = _with_source_model(command, plain["segmenter"])
            found = {key: plain[key] for key in SETTING_KEYS}
            if settings not in ({}, found):
                raise UsageError(
                    "the experiments swept over differ in settings that do not change the results"
                )
            settings = found
            kept = {group: cell_choices[group] for group in GROUPS if group in CELL_KEYS[command]}
            cell = {
                "choices": kept,
                "config": {key: plain[key] for key in CELL_KEYS[command]},
                "swept": swept,
            }
            cells.setdefault(canonical_json([kept, cell["config"]]), cell)
    given = any(override.key == "segmenter.source_weights" for override in overrides)
    if given and not any(cell["config"]["segmenter"].get("source_model") for cell in cells.values()):
        raise UsageError("segmenter.source_weights is for segmenter.source=model:<name>")
    return Composed(command, list(cells.values()), settings)


def _with_source_model(command: str, segmenter: dict[str, Any]) -> dict[str, Any]:
    """A segmenter's node with the configuration of the network that `source=model:<name>` names."""
    kind, _, name = str(segmenter.get("source", "")).partition(":")
    weights = segmenter.get("source_weights")
    if kind != "model":
        # In a sweep over sources, the weights are those of the one that is another network.
        return {**segmenter, "source_weights": None} if weights is not None else segmenter
    if segmenter.get("source_model") is not None:
        return segmenter
    if name not in choices("model"):
        raise UsageError(f"segmenter.source={kind}:{name}: no such model; {hint(name, choices('model'))}")
    cfg, _ = _compose(command, (f"model={name}",))
    if weights is not None:
        set_key(cfg, "model.weights", weights)
    try:
        return {**segmenter, "source_model": checked(cfg, command)["model"]}
    except UsageError as error:
        raise UsageError(f"segmenter.source={kind}:{name}: {error}") from error


# Group overrides, key overrides, and which of the latter an experiment's `cells` brought in.
Expansion = tuple[list[Override], list[Override], frozenset[str]]


def _expand_experiments(command: str, overrides: list[Override]) -> Iterator[Expansion]:
    """The overrides of each entry of an experiment's `cells`; those given where it has none."""
    groups = [o for o in overrides if o.is_group]
    values = [o for o in overrides if not o.is_group]
    experiments = next((o.values for o in groups if o.key == "experiment"), (None,))
    others = [o for o in groups if o.key != "experiment"]
    for experiment in experiments:
        base = [] if experiment is None else [Override("experiment", (experiment,))]
        cells = _experiment_cells(command, base)
        if not cells:
            yield base + others, values, frozenset()
        given = {o.key for o in overrides}
        for tokens in cells:
            # What the user gives wins over what the experiment's cell says.
            own = [o for o in parse_overrides(tokens) if o.key not in given]
            yield (
                base + others + [o for o in own if o.is_group],
                values + [o for o in own if not o.is_group],
                frozenset(o.key for o in own),
            )


def _experiment_cells(command: str, base: list[Override]) -> list[list[str]]:
    if not base:
        return []
    cfg, _ = _compose(command, tuple(f"{o.key}={o.values[0]}" for o in base))
    cells = cfg.get("cells")
    if cells is None:
        return []
    name = base[0].values[0]
    if not isinstance(cells, ListConfig) or not cells or not all(isinstance(c, ListConfig) for c in cells):
        raise UsageError(f"experiment={name}: cells must be a list of lists of overrides")
    found = [[str(token) for token in cell] for cell in cells]
    for token in (token for tokens in found for token in tokens):
        if token.partition("=")[0].partition(".")[0] in SETTING_KEYS:
            raise UsageError(f"experiment={name}: {token} holds for a whole run, set it outside of cells")
    return found


Expanded = tuple[DictConfig, dict[str, str], dict[str, Any]]


def _expand(
    command: str, groups: list[Override], values: list[Override], *, vary: frozenset[str]
) -> Iterator[Expanded]:
    """Every combination of the choices and values; keys in `vary` count as swept, however few values."""
    products = [[f"{o.key}={choice}" for choice in o.values] for o in groups if o.values != (None,)]
    bases = [_compose(command, combination) for combination in itertools.product(*products)]
    for override in values:
        if not any(has_key(cfg, override.key) for cfg, _ in bases):
            raise UsageError(unknown_key(override.key, bases))
    for base, chosen in bases:
        present = [o for o in values if has_key(base, o.key)]
        for combination in itertools.product(*(o.values for o in present)):
            cfg = base.copy()
            swept = {}
            for override, value in zip(present, combination, strict=True):
                set_key(cfg, override.key, value)
                varied = len(override.values) > 1 or override.key in vary
                if varied and override.section in CELL_KEYS[command]:
                    swept[override.key] = value
            yield cfg, chosen, swept


@lru_cache(maxsize=256)
def _compose_cached(
    command: str, tokens: tuple[str, ...], own: Path | None
) -> tuple[DictConfig, dict[str, str]]:
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException

    del own  # the user's folder, which decides what is found; read by `add_user_configs`
    try:
        from nasbench.config.search_path import add_user_configs

        add_user_configs()
        with initialize_config_dir(str(config_dir()), version_base="1.3", job_name="nasbench"):
            cfg = compose(command, overrides=list(tokens), return_hydra_config=True)
    except (HydraException, OmegaConfBaseException, YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{' '.join(tokens) or command}: {first_line(error)}") from error
    chosen = {g: str(c) for g, c in cfg.hydra.runtime.choices.items() if g in GROUPS and c is not None}
    OmegaConf.set_struct(cfg, value=False)
    del cfg["hydra"]
    if isinstance(cfg.get("experiment"), DictConfig):
        name = chosen.get("experiment")
        raise UsageError(f"experiment={name}: the first line of its file must be # @package _global_")
    OmegaConf.set_struct(cfg, value=True)
    return cfg, chosen


def _compose(command: str, tokens: tuple[str, ...]) -> tuple[DictConfig, dict[str, str]]:
    cfg, chosen = _compose_cached(command, tokens, user_dir())
    return cfg.copy(), dict(chosen)
