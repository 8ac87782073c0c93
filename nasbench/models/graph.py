"""Forward passes whose activations gradients can be taken of: the only place with hooks.

`Classifier.features` hands out maps, but in many a transformer these are copies beside the path to the
logits. Here the modules that put the maps out are hooked for the time of one forward pass, and what they put
out is checked against the maps, so that a stage means the same thing in both.
"""

# ruff: noqa: SLF001 - this is the other half of Classifier, apart only for its length

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nasbench.errors import UsageError
from nasbench.models.stages import as_grid, near_names, same_ratio

if TYPE_CHECKING:
    from nasbench.models.classifier import Classifier

# "final", a position among the classifier's stages (negative from the deepest), or a module's dotted name.
Layer = int | str
FINAL = "final"


@dataclass(frozen=True)
class Graph:
    """Logits and the outputs of layers on their path, from one forward pass.

    Attributes:
        logits: (B, classes) float32, with their autograd graph down to the shallowest of the layers.
        raw: by layer, the output as the layer gave it (shape, layout, type), on the logits' path.
        restore: see `grid`.
    """

    logits: Tensor
    raw: dict[Layer, Tensor]
    restore: Callable[[Layer, Tensor], Tensor]

    def grid(self, layer: Layer, values: Tensor | None = None) -> Tensor:
        """A layer's output, or values shaped like it, as (B, C, h, w) float32, contiguous, without gradient.

        Prefix tokens are dropped, token grids restored, channels come first.
        Raises UsageError where the layer puts out no grid.
        """
        values = self.raw[layer] if values is None else values
        return self.restore(layer, values.detach()).float().contiguous()

    def gradients(self, score: Tensor) -> dict[Layer, Tensor]:
        """Of a scalar made from the logits, by layer, as grids; frees the graph.

        Summed over images, such a scalar has each image's own gradient: in evaluation mode none sees another.
        Raises UsageError where the score does not depend on a layer.
        """
        found: Sequence[Tensor | None] = [None] * len(self.raw)
        if score.requires_grad:
            found = torch.autograd.grad(score, list(self.raw.values()), allow_unused=True)
        grads = {}
        for layer, grad in zip(self.raw, found, strict=True):
            if grad is None:
                raise UsageError(f"gradients cannot reach layer {layer!r}: the logits do not depend on it")
            grads[layer] = self.grid(layer, grad)
        return grads


@contextmanager
def forward_graph(classifier: Classifier, x: Tensor, layers: Iterable[Layer]) -> Iterator[Graph]:
    """See `Classifier.forward_graph`."""
    places = {layer: _place(classifier, layer) for layer in layers}
    # Some trunks stop at the deepest map they are asked for, and refuse to be asked for none.
    deepest = len(classifier.map_names) - 1
    indices = sorted({deepest, *(place.index for place in places.values() if place.index is not None)})
    with torch.enable_grad():
        normed = classifier._normalised(x).detach()
        with _tapped(classifier.module, {p.module for p in places.values() if p.module}) as seen:
            final, maps = classifier._forward_maps(normed, indices=indices)
            final = _on_path(final)
            logits = classifier.module.forward_head(final)  # type: ignore[operator]  # timm's protocol
        raw = {
            layer: _only(classifier, layer, seen[place.module]) if place.module else final
            for layer, place in places.items()
        }
        known = dict(zip(indices, maps, strict=True))
        sizes = {index: (int(m.shape[2]), int(m.shape[3])) for index, m in known.items()}
        h, w = classifier.deepest_size
        prefix = {0, final.shape[1] - h * w} if final.ndim == 3 else {0}  # noqa: PLR2004 - (B, prefix + h·w, C)

        def restore(layer: Layer, values: Tensor) -> Tensor:
            index = places[layer].index
            size = classifier.deepest_size if index is None else sizes[index]
            # Where a map is there to compare with, the number of prefix tokens is nothing to guess.
            wanted = None if layer == FINAL or index is not None else prefix
            grid = as_grid(values, size, classifier.module, prefixes=wanted)
            if grid is None or not _is_plausible(grid, x):
                raise UsageError(
                    f"{classifier.name}: layer {layer!r} puts out no grid of activations "
                    f"but {tuple(values.shape)}"
                )
            return grid

        for layer, place in places.items():
            if place.index is not None and not _same(restore(layer, raw[layer]), known[place.index]):
                raise _unreachable(classifier, layer, place, "does not put the stage's map out")
        yield Graph(logits.float(), raw, restore)


@dataclass(frozen=True)
class _Place:
    """A layer's module (empty for `final`), and which of the network's maps it should put out, if any."""

    module: str
    index: int | None


def _place(classifier: Classifier, layer: Layer) -> _Place:
    """Raises UsageError with the nearest names for a layer that is not there."""
    if layer == FINAL:
        return _Place("", None)
    modules = dict(classifier.module.named_modules())
    if isinstance(layer, int) and not isinstance(layer, bool):
        count = len(classifier.stage_names)
        if not -count <= layer < count:
            raise UsageError(
                f"{classifier.name}: layer {layer} is not a position from {-count} to {count - 1}"
            )
        place = _Place(classifier.stage_names[layer], classifier.stage_indices[layer])
        if place.module not in modules:
            raise _unreachable(classifier, layer, place, "is not a module of it")
        return place
    if not isinstance(layer, str) or not layer or layer not in modules:
        stages = dict.fromkeys([*near_names(str(layer), modules), *classifier.stage_names, FINAL])
        raise UsageError(
            f"{classifier.name} has no layer {layer!r}; it has, among others: {', '.join(stages)}"
        )
    names = classifier.map_names
    return _Place(layer, names.index(layer) if layer in names else None)


@contextmanager
def _tapped(module: nn.Module, names: Iterable[str]) -> Iterator[dict[str, list[Any]]]:
    """What the named modules put out while the context lasts, call by call; the hooks are gone after it."""
    seen: dict[str, list[Any]] = {name: [] for name in names}
    handles = []

    def tap(name: str) -> Callable[..., Any]:
        def hook(_module: nn.Module, _args: Any, output: Any) -> Any:
            output = _on_path(output)
            seen[name].append(output)
            # A copy goes on: a later layer that writes into its input would rewrite what is kept here.
            return output.clone() if isinstance(output, Tensor) else output

        return hook

    try:
        for name in seen:
            handles.append(module.get_submodule(name).register_forward_hook(tap(name)))  # noqa: PERF401 - each counts
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _on_path(output: Any) -> Any:
    """The output itself, or where no gradient is tracked yet, the start of the graph.

    Nothing below the shallowest wanted layer is kept for a backward pass, nor gone through by one.
    """
    if not isinstance(output, Tensor) or output.requires_grad:
        return output
    return output.detach().requires_grad_()


def _only(classifier: Classifier, layer: Layer, outputs: Sequence[Any]) -> Tensor:
    """The one tensor a layer put out. Raises UsageError where it is none or several."""
    if len(outputs) == 1 and isinstance(outputs[0], Tensor):
        return outputs[0]
    did = "is not run itself" if not outputs else f"is run {len(outputs)} times"
    if len(outputs) == 1:
        did = f"puts out a {type(outputs[0]).__name__}, not one tensor"
    raise UsageError(f"{classifier.name}: gradients cannot reach layer {layer!r}: it {did}")


def _unreachable(classifier: Classifier, layer: Layer, place: _Place, why: str) -> UsageError:
    said = f"stage {layer}" if isinstance(layer, int) else f"layer {layer!r}"
    return UsageError(f"{classifier.name}: gradients cannot reach {said}: {place.module} {why}")


def _same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are equal to the bit, NaN included."""
    return a.shape == b.shape and torch.allclose(a.detach(), b.detach(), rtol=0, atol=0, equal_nan=True)


def _is_plausible(grid: Tensor, x: Tensor) -> bool:
    """Whether (B, C, h, w) has the images' number and, to two positions, their sides' ratio.

    Windows of attention, and channels taken for a side of the grid, have not.
    """
    return len(grid) == len(x) and same_ratio(grid.shape[-2:], x.shape[-2:])
