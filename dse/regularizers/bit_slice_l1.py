"""L1 norm of the bit slices of the weights, by a table of its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dse.quantizers.quantizer import Quantizer
from dse.quantizers.slices import slice_count, slice_table
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
    """`strength * Bl1(W) / (G N)`: the slices of `N` weights and biases, `G` slices each.

    `Bl1` is the sum of the values of all slices [Zhang2019], Eq. (4). The gradient in closed form
    is `strength / (G N step) * sign(w) * table[B]`.
    """

    def __init__(
        self, *, strength: float, quantizer: Quantizer, quantizer_knobs: Any, slice_bits: int
    ) -> None:
        self.strength = strength
        self.quantizer = quantizer
        self.quantizer_knobs = quantizer_knobs
        self.bits = quantizer.bits(quantizer_knobs)
        self.slice_bits = slice_bits
        self.slices = slice_count(self.bits, slice_bits)
        table = gradient_table(self.bits, slice_bits).float()
        # indexed by the signed level + limit, so that the sign needs no operation of its own
        self._signed_table = torch.cat([-table[1:].flip(0), table])

    @torch.no_grad()
    def add_gradient_(self, parameters: Sequence[nn.Parameter]) -> None:
        """Add the closed-form gradient."""
        limit = 2**self.bits - 1
        scale = self.strength / (self.slices * sum(p.numel() for p in parameters))
        for parameter in parameters:
            assert parameter.grad is not None
            levels, step = self.quantizer.levels(parameter, self.quantizer_knobs)
            index = levels.add_(limit).to(torch.int32).reshape(-1)
            push = self._table_on(parameter.device).index_select(0, index).view_as(parameter)
            parameter.grad.add_(push, alpha=scale / step)

    @torch.no_grad()
    def value(self, parameters: Sequence[nn.Parameter]) -> float:
        """The term itself."""
        sums = slice_table(self.bits, self.slice_bits).sum(dim=0)
        total = 0
        for parameter in parameters:
            levels, _ = self.quantizer.levels(parameter, self.quantizer_knobs)
            total += int(sums.to(parameter.device)[levels.abs().long()].sum())
        return self.strength * total / (self.slices * sum(p.numel() for p in parameters))

    def _table_on(self, device: torch.device) -> Tensor:
        if self._signed_table.device != device:
            self._signed_table = self._signed_table.to(device)
        return self._signed_table


class BitSliceL1:
    """Bit-slice L1 [Zhang2019].

    The force on a weight is proportional to `1 / step`: when the range of a tensor shrinks, it
    grows, which drives small tensors (biases) to small ranges.

    [Zhang2019] J. Zhang et al., "Exploring Bit-Slice Sparsity in Deep Neural Networks for
        Efficient ReRAM-Based Deployment", EMC2 workshop, 2019.
    """

    knobs: type[BitSliceL1Knobs] = BitSliceL1Knobs

    def penalty(
        self,
        knobs: BitSliceL1Knobs,
        *,
        quantizer: Quantizer,
        quantizer_knobs: Any,
        slice_bits: int,
    ) -> BitSlicePenalty:
        """The penalty for weights on this grid, in cells of `slice_bits` bits."""
        return BitSlicePenalty(
            strength=knobs.strength,
            quantizer=quantizer,
            quantizer_knobs=quantizer_knobs,
            slice_bits=slice_bits,
        )


BIT_SLICE_L1 = BitSliceL1()
