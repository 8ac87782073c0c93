"""Multigrid for nine-point operators with holes: what makes conjugate gradients quick on a masked image.

An operator couples each grid point to its eight neighbours, (A x)(p) = d(p) x(p) − Σ_q w(p, q) x(q), with w
symmetric. On the finest grid no w is negative and d at least their sum; on coarser ones that is nearly so. A
point that is no unknown has d = 0 and w = 0.

Each level halves both sides, keeping the even rows and columns. Interpolation is taken from the operator
itself (Dendy, "Black box multigrid", J. Comput. Phys. 48, 1982), so that it falls off towards a hole as the
solution does, and the coarse operator is Galerkin's, Pᵀ A P, again of nine points. With one Jacobi step
before and after, a cycle leaves a sixth to a half of an error, whatever the holes, and with conjugate
gradients a step leaves about a tenth.

All tensors are (M, C, H, W): M operators of one size, C right-hand sides. Nothing is summed across M.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

Offset = tuple[int, int]

NEIGHBOURS: tuple[Offset, ...] = tuple(
    (dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)
)
# One of each pair of opposite neighbours: the others follow by symmetry.
_HALF: tuple[Offset, ...] = ((0, 1), (1, -1), (1, 0), (1, 1))
# Best for the stencil (−1 −1 −1; −1 8 −1; −1 −1 −1) that coarse levels tend to: all it must smooth is then
# taken down to a third.
_DAMPING = 8 / 9
# Weights of interpolation below this are dropped: from 0.05 to 0.1 it changes nothing else, at 0.2 the cycle
# is a fifth weaker.
_SMALL = 0.1
# Relative increase of the diagonal before a direct solution: above the rounding of float32.
_REGULAR = 1e-5
# Points of a grid that is solved directly: a dense inverse of that many rows costs about one cycle.
_DIRECT = 256


class Operator(Protocol):
    """A nine-point operator.

    Attributes:
        diagonal: (M, 1, H, W) d, 0 at what is no unknown.
    """

    @property
    def diagonal(self) -> Tensor: ...  # noqa: D102

    def apply(self, x: Tensor) -> Tensor:
        """A x, (M, C, H, W), for an x that is 0 at what is no unknown."""
        ...

    def couplings(self) -> Mapping[Offset, Tensor]:
        """For each of `NEIGHBOURS` the (M, 1, H, W) couplings w of a point to that neighbour, 0 outside."""
        ...


class Multigrid:
    """An approximate inverse of an operator: symmetric and positive definite on its unknowns."""

    def __init__(self, operator: Operator) -> None:
        self._levels: list[tuple[Operator, _Transfer, Tensor]] = []
        while operator.diagonal.shape[-1] * operator.diagonal.shape[-2] > _DIRECT:
            transfer = _interpolation(operator)
            smoother = torch.where(operator.diagonal > 0, _DAMPING / operator.diagonal, 0)
            self._levels.append((operator, transfer, smoother))
            operator = _galerkin(operator, transfer)
        self._inverse = _dense_inverse(operator)

    def __call__(self, r: Tensor) -> Tensor:
        """About A⁻¹ r, (M, C, H, W), for an r that is 0 at what is no unknown."""
        return self._cycle(r, 0)

    def _cycle(self, r: Tensor, level: int) -> Tensor:
        if level == len(self._levels):
            return (r.flatten(2) @ self._inverse).view_as(r)
        operator, transfer, smoother = self._levels[level]
        z = smoother * r
        coarse = self._cycle(transfer.down(r - operator.apply(z)), level + 1)
        z += transfer.up(coarse)
        return z.addcmul_(smoother, r - operator.apply(z))


@dataclass(frozen=True, eq=False)
class _Stencil:
    """An operator whose couplings are stored; `half` has those of `_HALF`."""

    diagonal: Tensor
    half: Mapping[Offset, Tensor]

    def apply(self, x: Tensor) -> Tensor:
        y = self.diagonal * x
        for offset, weight in self.half.items():
            here, there = _pair(x, offset)
            to_here, to_there = _pair(y, offset)
            between = _pair(weight, offset)[0]
            to_here.addcmul_(between, there, value=-1)
            to_there.addcmul_(between, here, value=-1)
        return y

    def couplings(self) -> Mapping[Offset, Tensor]:
        back = {(-dy, -dx): shifted(w, (-dy, -dx)) for (dy, dx), w in self.half.items()}
        return {**self.half, **back}


@dataclass(frozen=True, eq=False)
class _Transfer:
    """Interpolation P from a coarse grid to a fine one, and Pᵀ.

    The fine points fall into four classes by the parity of row and column. Each class is a plane of the
    coarse grid's size: its point (i, j) lies at or after the coarse point (i, j), and reads the coarse points
    (i, j) + o for the offsets o that its weights are listed under.

    Attributes:
        size: (H, W) of the fine grid.
        planes: (row parity, column parity) -> offset o -> (M, 1, ⌈H/2⌉, ⌈W/2⌉) weights.
    """

    size: tuple[int, int]
    planes: Mapping[Offset, Mapping[Offset, Tensor]]

    def up(self, coarse: Tensor) -> Tensor:
        """P v, (M, C, H, W)."""
        rows, columns = coarse.shape[-2:]
        fine = coarse.new_empty(*coarse.shape[:2], 2 * rows, 2 * columns)
        for parity, weights in self.planes.items():
            plane = weights[0, 0] * coarse
            for offset, weight in weights.items():
                if offset != (0, 0):
                    there = _pair(coarse, offset)[1]
                    _pair(plane, offset)[0].addcmul_(_pair(weight, offset)[0], there)
            _plane(fine, parity).copy_(plane)
        return fine[..., : self.size[0], : self.size[1]]

    def down(self, fine: Tensor) -> Tensor:
        """Pᵀ r, (M, C, ⌈H/2⌉, ⌈W/2⌉)."""
        fine = _even(fine)
        coarse = torch.zeros_like(_plane(fine, (0, 0)), memory_format=torch.contiguous_format)
        for parity, weights in self.planes.items():
            plane = _plane(fine, parity).contiguous()
            for offset, weight in weights.items():
                here = _pair(plane, offset)[0]
                _pair(coarse, offset)[1].addcmul_(_pair(weight, offset)[0], here)
        return coarse


def shifted(a: Tensor, offset: Offset) -> Tensor:
    """The values at p + offset, 0 outside; (..., H, W)."""
    out = torch.zeros_like(a)
    _pair(out, offset)[0].copy_(_pair(a, offset)[1])
    return out


def _pair(a: Tensor, offset: Offset) -> tuple[Tensor, Tensor]:
    """Two views of a (..., H, W): the points p that have a p + offset, and those points p + offset."""
    dy, dx = offset
    height, width = a.shape[-2:]
    here = a[..., max(-dy, 0) : height - max(dy, 0), max(-dx, 0) : width - max(dx, 0)]
    there = a[..., max(dy, 0) : height - max(-dy, 0), max(dx, 0) : width - max(-dx, 0)]
    return here, there


def _plane(fine: Tensor, parity: Offset) -> Tensor:
    """The rows and columns of these parities."""
    return fine[..., parity[0] :: 2, parity[1] :: 2]


def _even(a: Tensor) -> Tensor:
    """With a row and a column of zeros added where their number is odd: then all planes are of one size."""
    odd_rows, odd_columns = a.shape[-2] % 2, a.shape[-1] % 2
    return torch.nn.functional.pad(a, (0, odd_columns, 0, odd_rows)) if odd_rows or odd_columns else a


def _weight(a: Tensor, b: Tensor) -> Tensor:
    """The quotient a / b as an interpolation weight: in [0, 1], and 0 where it is small.

    Near holes the sums of coarse operators leave quotients of any size. Large ones mean nothing. Small ones
    stand for points so close to a hole that smoothing does for them, and would, squared from level to level,
    give operators whose entries differ by more than float32 holds.
    """
    quotient = torch.where(b > 0, a / b, 0).clamp_(0, 1)
    return torch.where(quotient < _SMALL, 0, quotient)


def _interpolation(operator: Operator) -> _Transfer:
    """Dendy's interpolation: each fine point is what the operator makes of its neighbours.

    Between two coarse points of a row the operator is first summed over its three rows, as if the solution
    did not change across the row; the same for columns. Amid four coarse points it is taken whole.
    """
    diagonal = _even(operator.diagonal)
    full = {offset: _even(weight) for offset, weight in operator.couplings().items()}

    def couplings(parity: Offset) -> dict[Offset, Tensor]:
        return {offset: _plane(weight, parity) for offset, weight in full.items()}

    w = couplings((0, 1))
    rest = _plane(diagonal, (0, 1)) - w[-1, 0] - w[1, 0]
    left, right = (_weight(w[-1, dx] + w[0, dx] + w[1, dx], rest) for dx in (-1, 1))

    w = couplings((1, 0))
    rest = _plane(diagonal, (1, 0)) - w[0, -1] - w[0, 1]
    above, below = (_weight(w[dy, -1] + w[dy, 0] + w[dy, 1], rest) for dy in (-1, 1))

    w = couplings((1, 1))
    rest = _plane(diagonal, (1, 1))
    # The neighbour below a middle is the row point of the next coarse row, that to its right the column point
    # of the next coarse column.
    next_row, next_column = (1, 0), (0, 1)
    corners = {
        (0, 0): w[-1, -1] + w[-1, 0] * left + w[0, -1] * above,
        (0, 1): w[-1, 1] + w[-1, 0] * right + w[0, 1] * shifted(above, next_column),
        (1, 0): w[1, -1] + w[1, 0] * shifted(left, next_row) + w[0, -1] * below,
        (1, 1): w[1, 1] + w[1, 0] * shifted(right, next_row) + w[0, 1] * shifted(below, next_column),
    }
    # A coarse point in a hole still speaks for its neighbours, only not for itself.
    own = (_plane(diagonal, (0, 0)) > 0).to(diagonal.dtype)
    planes = {
        (0, 0): {(0, 0): own},
        (0, 1): {(0, 0): left, (0, 1): right},
        (1, 0): {(0, 0): above, (1, 0): below},
        (1, 1): {offset: _weight(corner, rest) for offset, corner in corners.items()},
    }
    height, width = operator.diagonal.shape[-2:]
    return _Transfer((height, width), planes)


def _galerkin(operator: Operator, transfer: _Transfer) -> _Stencil:
    """Pᵀ A P, read off its products with nine combs.

    It couples neighbours only, so the ones of a comb, three apart, do not meet: the comb's product has their
    columns side by side.
    """
    device = operator.diagonal.device
    rows, columns = ((n + 1) // 2 for n in transfer.size)
    y = torch.arange(rows, device=device)[:, None]
    x = torch.arange(columns, device=device)

    def comb_of(offset: Offset) -> Tensor:
        return (y + offset[0]) % 3 * 3 + (x + offset[1]) % 3

    combs = (torch.arange(9, device=device)[:, None, None] == comb_of((0, 0))).to(operator.diagonal.dtype)
    combs = combs.expand(len(operator.diagonal), -1, -1, -1)
    products = transfer.down(operator.apply(transfer.up(combs)))

    def read(offset: Offset) -> Tensor:
        return products.gather(1, comb_of(offset).expand(len(products), 1, rows, columns))

    half = {}
    for offset in _HALF:
        weight = torch.zeros_like(products[:, :1])
        _pair(weight, offset)[0].copy_(_pair(read(offset), offset)[0]).neg_()
        half[offset] = weight
    return _Stencil(read((0, 0)), half)


def _dense_inverse(operator: Operator) -> Tensor:
    """A⁻¹ (M, H W, H W); what is no unknown counts as an identity of its own."""
    rows, columns = operator.diagonal.shape[-2:]
    size = rows * columns
    dtype, device = operator.diagonal.dtype, operator.diagonal.device
    unit = torch.eye(size, dtype=dtype, device=device).view(1, size, rows, columns)
    unknown = operator.diagonal > 0
    dense = operator.apply(unit * unknown).flatten(2).double()
    dense += torch.diag_embed((~unknown).flatten(1).double())
    # Several coarse points may speak for one fine point, and A be singular: what it can be asked then has an
    # answer all the same. Elsewhere this takes a hundredth at most, of the smoothest solutions.
    dense.diagonal(dim1=1, dim2=2).mul_(1 + _REGULAR)
    inverse: Tensor = torch.linalg.inv(dense)
    return ((inverse + inverse.mT) / 2).to(dtype)
