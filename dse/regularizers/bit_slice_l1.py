"""L1 norm of the bit slices of the weights, by a table of its gradient."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dse.quantizers.quantizer import Grid
from dse.quantizers.slices import slice_count, slice_table
from dse.regularizers.table_gradient import add_from_table_
from search_spaces.regularizer import BitSliceL1Knobs


def gradient_table(bits: int, slice_bits: int) -> Tensor:
    """Gradient of the sum of a magnitude's slices, with respect to the magnitude.

    The paper's code builds the slices from straight-through `round` and `floor`, with the higher
    slices detached, and takes the absolute value of each. What automatic differentiation then
    computes is, slice `k` counted from the least significant one,

        table[B] = sum_k [B_k > 0] / 2**(slice_bits * k)

    so a slice that is zero already is not pushed at all.

    Shapes:
        output: `(2**bits,)`, float64.
    """
    count = slice_count(bits, slice_bits)
    weights = torch.tensor(
        [2.0 ** (-slice_bits * (count - 1 - group)) for group in range(count)],
        dtype=torch.float64,
    )
    return weights @ (slice_table(bits, slice_bits) > 0).double()


class BitSlicePenalty:
    """`strength * Bl1(W) / cells`: the slices of all weights and biases, one cell each.

    `Bl1` is the sum of the values of all slices [Zhang2019], Eq. (4). The gradient in closed form
    is `strength / cells * dB/d|w| * sign * table[B]`, where a level per unit of the real parameter
    (`dB/d|w|`, for fixed point `1 / step`) comes from the parameter's own grid. Where all have
    codes of the same width, `cells` is slices times parameters.

    The levels are those that the forward pass of the same step computed, which costs nothing.
    """

    def __init__(self, *, strength: float, grids: Sequence[Grid], slice_bits: int) -> None:
        self.strength = strength
        self.grids = tuple(grids)
        self.slice_bits = slice_bits
        # of signed levels: entry `level + limit`, so that the sign needs no operation of its own
        self._signed_tables: dict[int, Tensor] = {}
        for bits in {grid.bits for grid in grids}:
            table = gradient_table(bits, slice_bits)
            self._signed_tables[bits] = torch.cat([-table[1:].flip(0), table])
        # the scaled table of each parameter, kept while its step stays
        self._scaled: dict[int, tuple[float, Tensor]] = {}

    @torch.no_grad()
    def add_gradient_(self, parameters: Sequence[nn.Parameter]) -> None:
        """Add the closed-form gradient."""
        scale = self.strength / self._cells(parameters)
        for index, (parameter, grid) in enumerate(zip(parameters, self.grids, strict=True)):
            gradient = parameter.grad
            assert gradient is not None
            levels = grid.take_recent(parameter)
            table = self._table(index, scale * levels.per_unit, gradient)
            add_from_table_(gradient, table, levels.signed)

    @torch.no_grad()
    def value(self, parameters: Sequence[nn.Parameter]) -> float:
        """The term itself."""
        total = 0
        for parameter, grid in zip(parameters, self.grids, strict=True):
            sums = slice_table(grid.bits, self.slice_bits).sum(dim=0).to(parameter.device)
            total += int(sums[grid.refined(parameter).signed.abs().long()].sum())
        return self.strength * total / self._cells(parameters)

    def _table(self, index: int, factor: float, like: Tensor) -> Tensor:
        """Signed table times `factor`, of the type and on the device of `like`."""
        held = self._scaled.get(index)
        if held is None or held[0] != factor or held[1].dtype != like.dtype:
            scaled = self._signed_tables[self.grids[index].bits] * factor
            held = self._scaled[index] = (factor, scaled.to(like))
        return held[1]

    def _cells(self, parameters: Sequence[nn.Parameter]) -> int:
        return sum(
            -(-grid.bits // self.slice_bits) * parameter.numel()
            for parameter, grid in zip(parameters, self.grids, strict=True)
        )


class BitSliceL1:
    """Bit-slice L1 [Zhang2019], on every grid with whole levels.

    The force on a weight is proportional to `1 / step`: when the range of a tensor shrinks, it
    grows, which drives small tensors (biases) to small ranges.

    [Zhang2019] J. Zhang et al., "Exploring Bit-Slice Sparsity in Deep Neural Networks for
        Efficient ReRAM-Based Deployment", EMC2 workshop, 2019.
    """

    knobs: type[BitSliceL1Knobs] = BitSliceL1Knobs

    def penalty(
        self, knobs: BitSliceL1Knobs, *, grids: Sequence[Grid], slice_bits: int
    ) -> BitSlicePenalty:
        """The penalty for parameters on these grids, in cells of `slice_bits` bits."""
        return BitSlicePenalty(strength=knobs.strength, grids=grids, slice_bits=slice_bits)


BIT_SLICE_L1 = BitSliceL1()
