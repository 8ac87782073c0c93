"""The contract every saliency method follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

from nasbench.models import Classifier

# What a method needs of a network. "none": nothing, it never runs it.
Needs = Literal["gradients", "activations", "both", "none"]


@dataclass(frozen=True)
class Method:
    """What is to be known of a method before it runs.

    Attributes:
        name: as in `saliency=<name>`.
        title: as the field writes it.
        source: where it comes from: authors, title, year, arXiv number or venue.
        formula: the raw map, in one line.
        range: of the raw map's values, such as "real" or ">= 0".
        passes: cost of a map, in words: "1 forward + 1 backward", "n of each".
        needs: what it takes from the network.
    """

    name: str
    title: str
    source: str
    formula: str
    range: str
    passes: str
    needs: Needs


@dataclass(frozen=True)
class Batch:
    """What a method explains.

    Attributes:
        ids: B sample ids; with the method's seed they are all its randomness may depend on.
        x: (B, 3, H, W) float32 RGB in [0, 1], on the CPU or the classifier's device.
        target: (B,) int64, the class to be explained in each image, all within the classifier's classes.
        truth: (B, H, W) bool, the object on the view's grid; None where the data set has none. For oracles.
        max_batch: images in one forward pass at most, whatever multiplies the inputs.
        final: (B, C, h, w), what enters the pooling in a forward pass of x (`Features.final`); given to
            methods whose `reads_final` says that they need no pass of their own then.
    """

    ids: tuple[str, ...]
    x: Tensor
    target: Tensor
    truth: Tensor | None = None
    max_batch: int = 16
    final: Tensor | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return int(self.x.shape[-2]), int(self.x.shape[-1])

    def image(self, i: int) -> Batch:
        """Image i alone, still as a batch of one."""
        part = slice(i, i + 1)
        truth = None if self.truth is None else self.truth[part]
        final = None if self.final is None else self.final[part]
        return Batch(self.ids[part], self.x[part], self.target[part], truth, self.max_batch, final)


class Saliency(Protocol):
    """Maps each view to the raw evidence for a class.

    Input, mode, parameters, gradients, hooks and the global random state are as they were after a call, also
    after one that failed.
    """

    @property
    def method(self) -> Method:
        """What is to be known of the method."""
        ...

    def unsupported(self, classifier: Classifier) -> str | None:
        """Why the method has no meaning for this network, in one line; None where it has."""
        ...

    def __call__(self, classifier: Classifier, batch: Batch) -> Tensor:
        """Raw maps (B, h, w) float32 on the CPU, at the method's native resolution.

        No clipping, no min-max, no upsampling. An image's map depends on the image, its id, its target and
        the method's options alone, not on its batch. Maps may hold NaN where gradients do: the caller counts
        such an image as failed.

        Raises SaliencyError for an image that cannot be explained.
        """
        ...
