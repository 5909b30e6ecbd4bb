"""Dynamic fixed point: one power-of-two step per tensor, set by its largest magnitude."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from dse.quantizers.kernels import round_to_levels
from dse.quantizers.quantizer import Grid, Levels, Place
from search_spaces.quantizer import FixedPointKnobs

SMALLEST_RANGE = 1e-5
"""Floor of the range, as in the paper's code (mnist/nics_fix_pt/quant.py): all may be zero."""


def range_exponent(largest: float) -> int:
    """`s = ceil(log2(max(largest, 1e-5)))`, without the rounding error of a logarithm."""
    fraction, exponent = math.frexp(max(largest, SMALLEST_RANGE))
    return exponent - 1 if fraction == 0.5 else exponent


def largest_magnitude(tensor: Tensor) -> float:
    """`max|w|`, 0 of no weights."""
    if tensor.numel() == 0:
        return 0.0
    low, high = torch.aminmax(tensor)
    return max(-low.item(), high.item())


def on_cpu(tensor: Tensor) -> bool:
    """Whether a tensor is what the compiled code takes."""
    return tensor.device.type == "cpu" and tensor.dtype == torch.float32 and tensor.is_contiguous()


class FixedPointGrid(Grid):
    """Sign and magnitude in steps of `2**(s - bits)`; see `FixedPoint`."""

    def __init__(self, bits: int, *, down: bool = False) -> None:
        super().__init__(bits)
        self.down = down

    def levels(self, real: Tensor) -> Levels:
        """Signed levels by [Zhang2019], Eqs. (1) to (3)."""
        largest = largest_magnitude(real)
        step = math.ldexp(1.0, range_exponent(largest) - self.bits)
        limit = 2**self.bits - 1
        if not self.down and on_cpu(real):
            shown, whole = torch.empty_like(real), torch.empty_like(real, dtype=torch.int16)
            round_to_levels(
                real.view(-1).numpy(),
                np.float32(1 / step),
                np.float32(step),
                np.float32(limit),
                shown.view(-1).numpy(),
                whole.view(-1).numpy(),
            )
            return Levels(signed=whole, step=step, per_unit=1 / step, shown=shown)
        signed = real * (1 / step)  # exact: the step is a power of two
        if self.down:
            signed.trunc_()
        else:
            signed.round_()
        if largest / step > limit:  # else nothing can round beyond the limit
            signed.clamp_(-limit, limit)
        return Levels(signed=signed, step=step, per_unit=1 / step)


class FixedPoint:
    """Dynamic fixed point [Zhang2019], Eqs. (1) to (3): sign and magnitude.

    With `s` from `range_exponent(max|w|)`:

        step = 2**(s - bits),    B = min(round(|w| / step), 2**bits - 1)

    Ties round to even. The clamp is ours: without it `B` reaches `2**bits`, a level that no slice
    holds, whenever `max|w|` is within half a step of `2**s`; the paper's code does that. The paper
    prints a floor in place of the rounding (`knobs.rounding`). Weights and biases alike.

    [Zhang2019] J. Zhang et al., "Exploring Bit-Slice Sparsity in Deep Neural Networks for
        Efficient ReRAM-Based Deployment", EMC2 workshop, 2019.
    """

    knobs: type[FixedPointKnobs] = FixedPointKnobs
    ends_in_8_bits = False

    def bits(self, knobs: FixedPointKnobs) -> int:
        """Bits of a magnitude."""
        return knobs.bits

    def grid(self, knobs: FixedPointKnobs, place: Place) -> Grid:
        """A grid of `knobs.bits` bits, wherever it stands."""
        return FixedPointGrid(knobs.bits, down=knobs.rounding == "floor")


FIXED_POINT = FixedPoint()
