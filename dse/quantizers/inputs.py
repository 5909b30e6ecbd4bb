"""Unsigned input codes of a layer: what its word-line drivers send, bit by bit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dse.errors import TrainingError
from dse.quantizers.fixed_point import range_exponent
from dse.training.straight_through import replace_straight_through

INPUT_BITS = 8
"""Bits of an input code, as in [Zhang2019]; one read of the array per bit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputGrid:
    """Real inputs as `step * code + offset` with `code` in `0 .. 2**bits - 1`."""

    step: float
    offset: float
    bits: int = INPUT_BITS


def input_grid(low: float, high: float, *, bits: int = INPUT_BITS) -> InputGrid:
    """The grid of inputs seen between `low` and `high`.

    Inputs that are never negative (behind a ReLU) get a power-of-two step and no offset, the rule
    of the weights. Others get `offset = low` and a step that spans the range exactly, so that
    normalised 8-bit pixels become the pixels again.
    """
    if low >= 0:
        return InputGrid(step=math.ldexp(1.0, range_exponent(high) - bits), offset=0.0, bits=bits)
    spread = max(high - low, math.ldexp(1.0, range_exponent(0.0)))
    return InputGrid(step=spread / (2**bits - 1), offset=low, bits=bits)


class InputQuantizer(nn.Module):
    """Shows a layer its inputs on the grid of the range seen in this epoch.

    In training the range grows with every batch, from nothing at `reset()`; in evaluation it
    stays as it is and inputs outside are clipped. The gradient passes straight through inside
    the range, which in training holds the whole batch.

    Attributes:
        seen: Smallest and largest input, `(2,)`, float64; infinities before the first.
    """

    seen: Tensor

    def __init__(self, *, bits: int = INPUT_BITS) -> None:
        super().__init__()
        self.bits = bits
        self.register_buffer("seen", torch.empty(2, dtype=torch.float64))
        self.reset()

    def reset(self) -> None:
        """Forget the range; an epoch starts so."""
        self.seen[0], self.seen[1] = math.inf, -math.inf

    def grid(self) -> InputGrid:
        """The grid of the inputs seen so far."""
        low, high = self.seen.tolist()
        if not (math.isfinite(low) and math.isfinite(high)):
            raise TrainingError(
                f"a layer quantises inputs of a finite range, got {low} .. {high}. Calibrate it "
                "first; if it was trained, training diverged: lower the learning rate"
            )
        return input_grid(low, high, bits=self.bits)

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs on the grid, in their own shape."""
        if self.training:
            self._observe(inputs)
        grid = self.grid()
        levels = inputs.detach() - grid.offset if grid.offset else inputs.detach().clone()
        levels.div_(grid.step).round_().clamp_(0, 2**grid.bits - 1).mul_(grid.step)
        if grid.offset:
            levels.add_(grid.offset)
        if not self.training and inputs.requires_grad:
            inputs = inputs.clamp(grid.offset, grid.offset + grid.step * (2**grid.bits - 1))
        return replace_straight_through(inputs, levels)

    def _observe(self, inputs: Tensor) -> None:
        low, high = torch.aminmax(inputs.detach())
        seen_low, seen_high = self.seen.tolist()
        new_low, new_high = low.item(), high.item()
        if new_low < seen_low:
            self.seen[0] = new_low
        if new_high > seen_high:
            self.seen[1] = new_high
