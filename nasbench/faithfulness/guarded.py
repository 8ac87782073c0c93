"""A user's imputer held to the contract of `Imputer`, so that what it breaks is said and not scored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from nasbench.errors import NasbenchError, RunError
from nasbench.faithfulness.imputer import Imputer


def guarded(imputer: Imputer) -> Imputer:
    """A user's imputer in a `GuardedImputer`; one of ours, which tests hold to the contract, as it is."""
    return imputer if type(imputer).__module__.startswith("nasbench.") else GuardedImputer(imputer)


class GuardedImputer:
    """An imputer whose results are checked; what it is given are copies.

    Raises RunError in one line that names the image: what the imputer raises but for a `NasbenchError`, a
    result of another shape or type, values that are not finite, kept pixels that are not as they were, a
    `fill_for` that is not what a call puts in place of the whole image, another answer to the same call, and
    conventions that do not begin with `imputer`.
    """

    name: ClassVar[str] = "guarded"

    def __init__(self, imputer: Imputer) -> None:
        self._imputer = imputer
        self._said = type(imputer).__name__

    def fill_for(self, image: Tensor, image_id: str) -> Tensor | None:
        """See `Imputer`."""
        fill = self._called(lambda: self._imputer.fill_for(image.clone(), image_id), image_id)
        whole = torch.ones((1, *image.shape[1:]), dtype=torch.bool, device=image.device)
        called = self(image, whole, image_id)[0]
        if fill is None:
            if not torch.equal(called, self(image, whole, image_id)[0]):
                raise RunError(f"imputer {self._said} answers the same call for {image_id} in two ways")
            return None
        fill = self._checked(fill, tuple(image.shape), image, image_id)
        if not torch.equal(called, fill):
            raise RunError(f"imputer {self._said}: fill_for and a call differ for {image_id} removed whole")
        return fill

    def __call__(self, image: Tensor, removed: Tensor, image_id: str, labels: Tensor | None = None) -> Tensor:
        """See `Imputer`."""
        given = None if labels is None else labels.clone()
        found = self._called(lambda: self._imputer(image.clone(), removed.clone(), image_id, given), image_id)
        changed = self._checked(found, (len(removed), *image.shape), image, image_id)
        if not bool(((changed == image) | removed[:, None]).all()):
            raise RunError(f"imputer {self._said} changed pixels of {image_id} that are kept")
        return changed

    def conventions(self) -> dict[str, str]:
        """See `Imputer`."""
        said = self._called(self._imputer.conventions, "its options")
        if not isinstance(said, dict) or not all(isinstance(x, str) for pair in said.items() for x in pair):
            raise RunError(f"imputer {self._said} gave conventions that are no texts by name")
        foreign = [key for key in said if key != "imputer" and not key.startswith("imputer.")]
        if foreign:
            raise RunError(f"imputer {self._said}: its convention {foreign[0]} does not begin with imputer.")
        return {"imputer": self._said, **said}

    def _called(self, call: Callable[[], Any], what: str) -> Any:
        try:
            return call()
        except NasbenchError:
            raise
        except Exception as error:  # a user's class may raise anything
            raise RunError(
                f"imputer {self._said} failed on {what}: {type(error).__name__}: {error}"
            ) from error

    def _checked(self, found: Any, shape: tuple[int, ...], image: Tensor, image_id: str) -> Tensor:
        if (
            not isinstance(found, Tensor)
            or found.dtype != torch.float32
            or tuple(found.shape) != shape
            or found.device != image.device
        ):
            given = (
                f"{found.dtype} {tuple(found.shape)} on {found.device}"
                if isinstance(found, Tensor)
                else type(found).__name__
            )
            raise RunError(
                f"imputer {self._said} gave {given} for {image_id}; expected torch.float32 {shape}"
            )
        if not bool(torch.isfinite(found).all()):
            raise RunError(f"imputer {self._said} gave NaN or infinite values for {image_id}")
        return found
