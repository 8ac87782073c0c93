"""Noisy linear imputation (ROAD): each removed pixel is the weighted mean of its neighbours, all at once.

Rong et al., "A Consistent and Efficient Evaluation Strategy for Attribution Methods", ICML 2022. A removed
pixel p is to be the mean of its up to eight neighbours q in the image, x(p) = Σ_q w(p, q) x(q) / Σ_q w(p, q),
w = 1/6 to the left, right, above and below, 1/12 at the corners; kept pixels stay. The equations of all
removed pixels are solved together, the channels apart.

Multiplied by 12 they are (D − W) x = b with the symmetric W = K ⊗ K − 4 I, K the matrix of (1 2 1), and D the
sums of its rows: a Laplacian between 1 and 50 000 unknowns. Conjugate gradients in float64, started from the
mean of what is kept and helped by a multigrid cycle in float32, need six to nine steps at 224 × 224, whatever
the mask.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from nasbench.errors import RunError
from nasbench.faithfulness.imputer import Described, check_at_least_0, check_call, check_seed, replaced
from nasbench.faithfulness.multigrid import NEIGHBOURS, Multigrid, Offset, shifted
from nasbench.rng import generator

# Largest error of a value, in units of an image in [0, 1]. It is a bound: the errors met at 224 × 224 are
# below 1e-6, on very small grids below 6e-6.
TOLERANCE = 2e-5
# Steps; no mask met needs more than 10.
_MOST_STEPS = 100
# At least rᵀ A⁻¹ r over rᵀ B r, B the multigrid cycle. The largest met is 2: a cycle leaves half of an error.
_SLACK = 4.0


@dataclass(frozen=True, kw_only=True)
class Road(Described):
    """Noisy linear imputation, Rong et al. 2022: the solution of `linear_fill` plus Gaussian noise.

    The noise is one field for an image, whatever is removed of it. It hides from the network that a removed
    area is smoother than a photograph. As in the authors' code the sum is not clipped to [0, 1]. Where all is
    removed, nothing is left to interpolate from: the image's mean colour plus the noise.

    Attributes:
        sd: standard deviation of the noise in units of an image in [0, 1]; 0 for none.
        seed: with the image's id, decides the noise.
    """

    sd: float = 0.01
    seed: int = 0

    name: ClassVar[str] = "road"
    all_removed: ClassVar[str] = "image mean plus the noise"

    def __post_init__(self) -> None:
        check_at_least_0("sd", self.sd)
        check_seed(self.seed)

    def fill_for(self, image: Tensor, image_id: str) -> None:
        """None: the fill depends on what is removed."""

    def __call__(self, image: Tensor, removed: Tensor, image_id: str, labels: Tensor | None = None) -> Tensor:
        """Images (M, 3, H, W) float32 with the removed pixels replaced; see `Imputer`."""
        check_call(image, removed, labels)
        fill = linear_fill(image, removed)
        if self.sd > 0:
            noise = generator(self.seed, image_id, f"faithfulness.{self.name}").standard_normal(image.shape)
            fill += torch.from_numpy(self.sd * noise).to(fill)
        return replaced(image, removed, fill)


@torch.no_grad()
def linear_fill(image: Tensor, removed: Tensor) -> Tensor:
    """What removed pixels (M, H, W) bool of an image (3, H, W) become, without noise: (M, 3, H, W) float32.

    Exact to `TOLERANCE`; only the values at removed pixels mean anything. Where all is removed it is the
    image's mean. On the CPU a mask's values are the same bits whatever other masks are in the call. Raises
    RunError if the solver does not converge, as with values that are not finite.
    """
    # mps has no float64.
    at = image.device if image.device.type == "cuda" else torch.device("cpu")
    # The order of a sum follows the layout.
    values, masks = image.to(at).double().contiguous(), removed.to(at).contiguous()
    fill = values.mean((1, 2), keepdim=True).repeat(len(masks), 1, *masks.shape[1:])
    counts = masks.sum((1, 2))
    partly = ((counts > 0) & (counts < masks.shape[1] * masks.shape[2])).nonzero()[:, 0]
    if len(partly) > 0:
        # One by one on the CPU: a mask's arrays stay in the cache, and it cannot matter what else is asked.
        for some in partly.split(1 if at.type == "cpu" else len(partly)):
            fill[some] = _solved(values, masks[some])
    return fill.float().to(image.device)


def resistance_bound(height: int, width: int) -> float:
    """At least the electrical resistance between any two pixels of an image, a weight being a conductance.

    The weights are the integers of D − W. Between opposite corners of a square grid of unit conductors there
    are (4/π) ln n + 0.08, a long strip adds its length over its width, and ours conduct twice as well even
    without the diagonals. Checked against all pairs of small grids.
    """
    short, long = sorted((height, width))
    return (long / short + 4 / math.pi * math.log(short) + 1) / 2


def _solved(image: Tensor, removed: Tensor) -> Tensor:
    """The solutions (M, 3, H, W) float64 for masks (M, H, W) that remove something and keep something."""
    height, width = image.shape[-2:]
    free = removed[:, None].double()
    kept = 1 - free
    # Around the mean of what is kept the right-hand side is small, and a constant image exact.
    mean = (image * kept).sum((-2, -1), keepdim=True) / kept.sum((-2, -1), keepdim=True)
    b = free * _smoothed(kept * (image - mean))
    sums = _smoothed(torch.ones_like(image[0])) - 4
    # Outside the rectangle around the removed pixels there is nothing to solve.
    box = (..., _span(removed.any(2).any(0)), _span(removed.any(1).any(0)))
    solution = mean.expand_as(b).clone()
    solution[box] += _conjugate_gradients(
        _Laplacian(free[box], sums[box]), b[box], _SLACK * resistance_bound(height, width)
    )
    return solution


def _conjugate_gradients(system: _Laplacian, b: Tensor, gain: float) -> Tensor:
    """A⁻¹ b, (M, C, h, w) float64, to `TOLERANCE`.

    The error e = A⁻¹ r that a residual r stands for obeys e(p)² ≤ (A⁻¹)(p, p) · rᵀ A⁻¹ r, by Cauchy and
    Schwarz. The first factor is the resistance from p to the kept pixels taken together, no more than to one
    of them. The second is at most `_SLACK` times rᵀ B r, which a step computes anyway. `gain` is the product
    of the constants, and the largest error at most √(gain · rᵀ B r).
    """
    multigrid = Multigrid(system.single())
    x, r, p = torch.zeros_like(b), b.clone(), torch.zeros_like(b)
    before = torch.ones_like(b[..., :1, :1])
    for _ in range(_MOST_STEPS):
        z = multigrid(r.float()).double()
        energy = (r * z).sum((-2, -1), keepdim=True)
        # Negated, so that NaN is not done.
        unsolved = ~(gain * energy <= TOLERANCE**2)
        if not bool(unsolved.any()):
            return x
        # A channel that is done stays as it is, whatever the others still need.
        p = torch.addcmul(z, torch.where(unsolved, energy / before, 0), p)
        a_p = system.apply(p)
        step = torch.where(unsolved, energy / (p * a_p).sum((-2, -1), keepdim=True), 0)
        x.addcmul_(step, p)
        r.addcmul_(step, a_p, value=-1)
        before = energy
    raise RunError(f"linear imputation did not converge in {_MOST_STEPS} steps; is the image finite?")


@dataclass(frozen=True, eq=False)
class _Laplacian:
    """D − W on the removed pixels; see `nasbench.faithfulness.multigrid.Operator`.

    Attributes:
        free: (M, 1, H, W), 1 where a pixel is removed, else 0.
        sums: (H, W), the row sums of W over the whole image.
    """

    free: Tensor
    sums: Tensor

    @cached_property
    def diagonal(self) -> Tensor:
        """(M, 1, H, W)."""
        return self.free * self.sums

    @cached_property
    def _around(self) -> Tensor:
        """D + 4, for K ⊗ K has a 4 where W has none."""
        return self.diagonal + 4 * self.free

    def single(self) -> _Laplacian:
        """The same in float32."""
        return _Laplacian(self.free.float(), self.sums.float())

    def apply(self, x: Tensor) -> Tensor:
        """A x, (M, C, H, W), for an x that is 0 at kept pixels."""
        return torch.addcmul(self._around * x, _smoothed(x), self.free, value=-1)

    def couplings(self) -> Mapping[Offset, Tensor]:
        """2 between removed pixels that share an edge, 1 between those that share a corner."""
        return {
            (dy, dx): (2 - abs(dy * dx)) * self.free * shifted(self.free, (dy, dx)) for dy, dx in NEIGHBOURS
        }


def _smoothed(x: Tensor) -> Tensor:
    """K ⊗ K x: (1 2 1) down the columns and along the rows of (..., H, W), nothing beyond the edges."""
    rows = 2 * x
    rows[..., 1:] += x[..., :-1]
    rows[..., :-1] += x[..., 1:]
    both = 2 * rows
    both[..., 1:, :] += rows[..., :-1, :]
    both[..., :-1, :] += rows[..., 1:, :]
    return both


def _span(line: Tensor) -> slice:
    """From the first to the last True of (n,) bool."""
    places = line.nonzero()[:, 0]
    return slice(int(places[0]), int(places[-1]) + 1)
