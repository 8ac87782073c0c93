"""Which activations are the stages of a network, and how its token grids are restored."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from nasbench.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

# A map at half the image's resolution is a stem: edges and colours, four times the work of the next map.
LEAST_REDUCTION = 4
# A network of constant resolution has no natural stages: its depth is cut in as many parts as a ResNet has.
DEPTH_PARTS = 4


@dataclass(frozen=True)
class Stages:
    """The chosen stages, shallow to deep.

    Attributes:
        indices: positions in the list of maps that timm's `forward_intermediates` yields, ascending.
        names: the modules whose outputs these maps are, where timm names them, else `map<i>`.
        map_names: the same of all maps, chosen or not.
    """

    indices: tuple[int, ...]
    names: tuple[str, ...]
    map_names: tuple[str, ...]


def choose_stages(
    module: nn.Module,
    maps: Sequence[Tensor],
    *,
    input_size: tuple[int, int],
    wanted: Sequence[int] | None = None,
) -> Stages:
    """Choose stages by the rule, or take the wanted ones.

    The rule, for networks whose resolution falls: the last map at each resolution that is reduced at least
    four times. For networks of constant resolution: the maps at 1/4, 2/4, 3/4 and 4/4 of the depth.

    Args:
        module: the timm network.
        maps: all its maps for one input, each (B, C_l, h_l, w_l), shallow to deep.
        input_size: (h, w) of that input, pixels.
        wanted: positions in `maps`, negative ones from the end; None follows the rule.

    Raises:
        UsageError: a wanted position is out of range, named twice, or none is wanted.
    """
    infos = _feature_infos(module, count=len(maps))
    indices = (
        _by_rule(_reductions(infos, maps, input_size)) if wanted is None else _by_hand(wanted, len(maps))
    )
    names = tuple(str(info.get("module") or f"map{i}") for i, info in enumerate(infos))
    return Stages(indices=tuple(indices), names=tuple(names[i] for i in indices), map_names=names)


def restore_grid(final: Any, grid: tuple[int, int], module: nn.Module, *, name: str) -> Tensor:
    """What enters the pooling as (B, C, h, w): prefix tokens dropped, token grid restored, channels first.

    Args:
        final: what the trunk hands to the head: (B, C, h, w), (B, h, w, C) where the module says NHWC, or
            (B, prefix + h·w, C).
        grid: (h, w) of the network's deepest map, which tokens are laid out on.
        module: the timm network.
        name: its name, for the message.

    Raises:
        UsageError: the head does not read one grid (several branches, or class tokens alone).
    """
    # Prefix tokens lead in every timm model; not every one of them declares how many it has.
    declared = getattr(module, "num_prefix_tokens", None)
    restored = as_grid(final, grid, module, prefixes=[declared] if declared else None)
    if restored is not None:
        return restored
    raise UsageError(f"{name} is not supported: its head does not read one grid of activations")


def as_grid(
    values: Any, grid: tuple[int, int], module: nn.Module, *, prefixes: Collection[int] | None = None
) -> Tensor | None:
    """What a layer puts out, or a gradient of it, as (B, C, h, w); None where it is no grid.

    Args:
        values: (B, C, h, w), (B, h, w, C) where the module says NHWC, or (B, prefix + h·w, C).
        grid: (h, w) that tokens are laid out on.
        module: the timm network.
        prefixes: how many tokens may lead the grid's; None is any number.
    """
    if isinstance(values, Tensor) and values.ndim == 4:  # noqa: PLR2004
        channels_last = getattr(module, "output_fmt", "NCHW") == "NHWC"
        return values.permute(0, 3, 1, 2) if channels_last else values
    if isinstance(values, Tensor) and values.ndim == 3:  # noqa: PLR2004
        h, w = grid
        prefix = values.shape[1] - h * w
        if prefix >= 0 and (prefixes is None or prefix in prefixes):
            return values[:, prefix:].transpose(1, 2).reshape(len(values), -1, h, w)
    return None


def same_ratio(sides: Sequence[int], size: Sequence[int]) -> bool:
    """Whether a map's sides (h, w) have an image's ratio, to two positions."""
    (h, w), (height, width) = sides, size
    return abs(h * width - w * height) <= 2 * max(height, width)


def near_names(name: str, modules: Iterable[str]) -> list[str]:
    """Names of modules like one that there is not."""
    return difflib.get_close_matches(name, [known for known in modules if known], n=4, cutoff=0.5)


def _by_rule(reductions: Sequence[int]) -> list[int]:
    """Indices by the rule of `choose_stages`; reductions are rounded ratios of input to map size."""
    n = len(reductions)
    if n > 1 and len(set(reductions)) == 1:
        return sorted({math.ceil(n * part / DEPTH_PARTS) - 1 for part in range(1, DEPTH_PARTS + 1)})
    last = {r: i for i, r in enumerate(reductions)}
    # A network that never reduces four times keeps what it has.
    return sorted(i for r, i in last.items() if r >= LEAST_REDUCTION) or sorted(last.values())


def _by_hand(wanted: Any, count: int) -> list[int]:
    """Wanted indices made absolute and ascending."""
    if isinstance(wanted, str) or not isinstance(wanted, Sequence) or not wanted:
        raise UsageError(f"model.stages={wanted!r}: give null or a list of positions, such as [1, 2, -1]")
    for i in wanted:
        if isinstance(i, bool) or not isinstance(i, int) or not -count <= i < count:
            raise UsageError(f"model.stages: {i!r} is not a position from {-count} to {count - 1}")
    absolute = [i % count for i in wanted]
    if len(set(absolute)) < len(absolute):
        raise UsageError(f"model.stages={list(wanted)} names a map twice (the model has {count} maps)")
    return sorted(absolute)


def _reductions(
    infos: Sequence[dict[str, Any]], maps: Sequence[Tensor], input_size: tuple[int, int]
) -> list[int]:
    """Nominal reductions by timm's account, else by the maps' sizes, which round at odd input sizes."""
    measured = [round(max(input_size) / max(m.shape[-2:])) for m in maps]
    return [int(info.get("reduction") or r) for info, r in zip(infos, measured, strict=True)]


def _feature_infos(module: nn.Module, *, count: int) -> list[dict[str, Any]]:
    """What timm says of each map; nothing where it does not speak of `count` maps."""
    described = getattr(module, "feature_info", None) or []
    infos = list(getattr(described, "info", described))
    return infos if len(infos) == count else [{} for _ in range(count)]
