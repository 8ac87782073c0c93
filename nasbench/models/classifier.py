"""A frozen timm network that reads images in [0, 1] and yields logits and activations."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from nasbench.errors import UsageError
from nasbench.models.features import Features
from nasbench.models.graph import FINAL, Graph, Layer, forward_graph
from nasbench.models.head import deepest_layer, head_weights, is_linear_on_average, reads_grid
from nasbench.models.stages import choose_stages, restore_grid
from nasbench.models.weights import state_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager


class Classifier:
    """A timm network in evaluation mode with frozen parameters; the normalisation is inside.

    The module is taken over: set to evaluation mode, its parameters frozen, its activation layers made out
    of place (an in-place one would rewrite a stage already handed out, and it forbids backward hooks).

    Attributes:
        module: the timm network.
        name: its timm name.
        input_size: (h, w), pixels; the one size it accepts.
        mean, std: per channel, of images in [0, 1].
        num_classes: the number of logits.
        weights_source: `bundled`, `hub`, `random(seed=0)` or a file's name; never a path.
        weights_digest: of the parameters and buffers as loaded, whatever file format they came from.
        stage_indices: positions of the stages among all maps of `forward_intermediates`, shallow to deep.
        stage_names: the modules whose outputs the stages are.
        map_names: the same of all maps of `forward_intermediates`.
        deepest_size: (h, w) of the deepest map, and of `Features.final`.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        name: str,
        input_size: tuple[int, int],
        mean: Sequence[float],
        std: Sequence[float],
        weights_source: str,
        stages: Sequence[int] | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """Take over a module and probe it with one black image.

        Args:
            module: a timm network on the CPU in float32.
            name: its timm name.
            input_size: (h, w), pixels.
            mean: one per channel, images in [0, 1].
            std: one per channel, positive.
            weights_source: see the class.
            stages: positions among the maps of `forward_intermediates`; None follows the rule in `stages.py`.
            kwargs: options the module was created with, for the record.

        Raises:
            UsageError: the network has no `forward_intermediates`, refuses the input size, does not pool one
                grid, or lacks a wanted stage.
        """
        self.module = module.eval().requires_grad_(requires_grad=False)
        for layer in self.module.modules():
            if getattr(layer, "inplace", False) is True:
                layer.inplace = False  # type: ignore[assignment]  # a plain attribute of activation layers
        self.name = name
        self.input_size = input_size
        self.mean = tuple(float(m) for m in mean)
        self.std = tuple(float(s) for s in std)
        self.weights_source = weights_source
        self.weights_digest = state_digest(self.module.state_dict())
        self._kwargs = dict(kwargs or {})
        self._device = torch.device("cpu")
        self._dtype = torch.float32
        self._channels_last = False
        self._reads: dict[Layer, bool] = {}
        self._mean = torch.tensor(self.mean).view(1, 3, 1, 1)
        self._std = torch.tensor(self.std).view(1, 3, 1, 1)

        maps, logits = self._probe()
        chosen = choose_stages(self.module, maps, input_size=input_size, wanted=stages)
        self.stage_indices = chosen.indices
        self.stage_names = chosen.names
        self.map_names = chosen.map_names
        self.num_classes = int(logits.shape[1])

    def __call__(self, x: Tensor) -> Tensor:
        """See `logits`."""
        return self.logits(x)

    def logits(self, x: Tensor) -> Tensor:
        """Logits (B, classes) float32 of images x: (B, 3, h, w) in [0, 1]; differentiable in x.

        Raises:
            ValueError: x is not floating point or not of that shape.
        """
        out: Tensor = self.module(self._normalised(x))
        return out.float()

    @torch.no_grad()
    def features(self, x: Tensor) -> Features:
        """Logits and activations of images x: (B, 3, h, w) in [0, 1], from one forward pass.

        All tensors are float32, contiguous, on the classifier's device and without gradient. `final` may be
        the same tensor as the last stage: write into neither.

        Raises:
            ValueError: x is not floating point or not of that shape.
        """
        final, maps = self._forward_maps(self._normalised(x), indices=list(self.stage_indices))
        logits = self.module.forward_head(final)  # type: ignore[operator]  # timm's protocol, checked by _probe
        grid = restore_grid(final, self.deepest_size, self.module, name=self.name)
        return Features(
            logits=logits.float(),
            stages=tuple(m.float().contiguous() for m in maps),
            final=grid.float().contiguous(),
            tokens=hasattr(self.module, "num_prefix_tokens"),
        )

    def forward_graph(self, x: Tensor, layers: Iterable[Layer] = (FINAL,)) -> AbstractContextManager[Graph]:
        """Logits of images x: (B, 3, h, w) in [0, 1], and layers' outputs that gradients can be taken of.

            with classifier.forward_graph(x, ["final", -2]) as graph:
                grads = graph.gradients(graph.logits[:, 0].sum())

        A context, within which gradients are tracked whatever holds outside. The hooks are gone before it is
        entered; x, parameters and their gradients, and the grad mode outside are as they were after it.

        Args:
            x: images; no gradient reaches them.
            layers: `final` (what enters the pooling), positions among the stages (negative from the deepest,
                their grids equal `Features.stages`), or dotted names of modules.

        Raises:
            UsageError: no such layer (the nearest are named), or gradients cannot reach it.
            ValueError: x is not floating point or not of that shape.
        """
        return forward_graph(self, x, layers)

    def head_weights(self) -> Tensor | None:
        """Weights (classes, C) float32 of a head that is one linear layer on the average of `final`.

        None where it is not: a class token, a norm or a hidden layer after the pooling. Found out on one
        random image. Then Σ_c w_kc · final_c is logit k, bias apart, position by position.
        """
        return head_weights(self) if self._linear_head else None

    def reads_grid(self, layer: Layer = FINAL) -> bool:
        """Whether the logits depend on a layer's grid, class tokens apart; found out on one random image.

        Raises UsageError where there is no such layer or it puts out no grid.
        """
        if layer not in self._reads:
            self._reads[layer] = reads_grid(self, layer)
        return self._reads[layer]

    @property
    def reads_class_token(self) -> bool:
        """Whether the head reads nothing of `final`'s grid, so that no gradient reaches it."""
        return not self.reads_grid(FINAL)

    @cached_property
    def deepest_layer(self) -> Layer | None:
        """The deepest layer whose grid the logits depend on.

        `final`, unless the head reads a class token; then the name of the deepest such map: in a vision
        transformer the second-to-last block's, whose tokens the last one still mixes. None: there is none.
        """
        return deepest_layer(self)

    def to(
        self,
        device: torch.device | str | None = None,
        *,
        dtype: torch.dtype | None = None,
        channels_last: bool | None = None,
    ) -> Self:
        """Move the classifier and return it; None leaves a property as it is.

        Args:
            device: where forwards run; inputs are moved there.
            dtype: float32 or bfloat16, the type of parameters and activations; outputs stay float32.
            channels_last: the memory format of inputs and convolutions.

        Raises:
            ValueError: another dtype, or float32 after bfloat16, which cannot bring the lost bits back.
        """
        wanted = self._dtype if dtype is None else dtype
        if wanted not in {torch.float32, torch.bfloat16}:
            raise ValueError(f"dtype={wanted} is not supported: choose torch.float32 or torch.bfloat16")
        if self._dtype is torch.bfloat16 and wanted is torch.float32:
            raise ValueError(f"{self.name} was rounded to bfloat16: load it again for float32")
        where = self._device if device is None else torch.device(device)
        self.module.to(device=where, dtype=wanted)
        self._device, self._dtype = where, wanted
        self._channels_last = self._channels_last if channels_last is None else channels_last
        self.module.to(memory_format=self._memory_format)
        self._mean, self._std = self._mean.to(where), self._std.to(where)
        return self

    def describe(self) -> dict[str, Any]:
        """Everything the manifest records of a model, JSON-able; no path and no device."""
        return {
            "name": self.name,
            "weights": self.weights_source,
            "weights_digest": self.weights_digest,
            "kwargs": self._kwargs,
            "num_classes": self.num_classes,
            "input_size": list(self.input_size),
            "mean": list(self.mean),
            "std": list(self.std),
            "stage_indices": list(self.stage_indices),
            "stage_names": list(self.stage_names),
            "dtype": str(self._dtype).removeprefix("torch."),
            "channels_last": self._channels_last,
        }

    @cached_property
    def _linear_head(self) -> bool:
        return is_linear_on_average(self)

    @property
    def _memory_format(self) -> torch.memory_format:
        return torch.channels_last if self._channels_last else torch.contiguous_format

    def _normalised(self, x: Any) -> Tensor:
        """Images in [0, 1] as the network reads them, on its device, in its dtype and memory format."""
        expected = (3, *self.input_size)
        if not isinstance(x, Tensor) or not x.is_floating_point():
            kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
            raise ValueError(f"{self.name} reads floating-point images in [0, 1], not {kind}")
        if x.ndim != 4 or tuple(x.shape[1:]) != expected:  # noqa: PLR2004
            shape = ", ".join(map(str, expected))
            raise ValueError(f"{self.name} reads images of shape (B, {shape}), not {tuple(x.shape)}")
        # Normalised in float32 and only then rounded: [0, 1] in bfloat16 has no more than 8 bits.
        normed = (x.to(device=self._device, dtype=torch.float32) - self._mean) / self._std
        return normed.to(dtype=self._dtype, memory_format=self._memory_format)

    def _forward_maps(self, normed: Tensor, *, indices: list[int] | None) -> tuple[Tensor, list[Tensor]]:
        """The trunk's output as its head reads it, and maps (B, C, h, w) at these indices; None is all."""
        return self.module.forward_intermediates(  # type: ignore[operator, no-any-return]
            normed, indices=indices, norm=False, output_fmt="NCHW", intermediates_only=False
        )

    @torch.no_grad()
    def _probe(self) -> tuple[list[Tensor], Tensor]:
        """All maps and the logits of one black image; shows at loading that the network can do its work."""
        if not hasattr(self.module, "forward_intermediates") or not hasattr(self.module, "forward_head"):
            raise UsageError(f"{self.name} has no `forward_intermediates` in this timm: it yields no stages")
        h, w = self.input_size
        try:
            final, maps = self._forward_maps(self._normalised(torch.zeros(1, 3, h, w)), indices=None)
            logits = self.module.forward_head(final)  # type: ignore[operator]
        except (AssertionError, RuntimeError, ValueError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UsageError(f"{self.name} does not accept images of {h}×{w}: {reason}") from error
        deepest = maps[-1].shape
        self.deepest_size = (int(deepest[2]), int(deepest[3]))
        restore_grid(final, self.deepest_size, self.module, name=self.name)
        if logits.ndim != 2 or logits.shape[1] < 1:  # noqa: PLR2004
            raise UsageError(f"{self.name} yields no logits: shape {tuple(logits.shape)}, not (B, classes)")
        return maps, logits
