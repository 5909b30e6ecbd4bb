"""Dynamic fixed point: one power-of-two step per tensor, set by its largest magnitude."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from search_spaces.quantizer import FixedPointKnobs

SMALLEST_RANGE = 1e-5
"""Floor of the range, as in the paper's code (mnist/nics_fix_pt/quant.py): all may be zero."""


def range_exponent(largest: float) -> int:
    """`s = ceil(log2(max(largest, 1e-5)))`, without the rounding error of a logarithm."""
    fraction, exponent = math.frexp(max(largest, SMALLEST_RANGE))
    return exponent - 1 if fraction == 0.5 else exponent


class FixedPoint:
    """Dynamic fixed point [Zhang2019], Eqs. (1) to (3): sign and magnitude.

    With `s` from `range_exponent(max|w|)`:

        step = 2**(s - bits),    B = min(round(|w| / step), 2**bits - 1)

    Ties round to even. The clamp is ours: without it `B` reaches `2**bits`, a level that no slice
    holds, whenever `max|w|` is within half a step of `2**s`; the paper's code does that. The paper
    prints a floor in place of the rounding (`knobs.rounding`).

    [Zhang2019] J. Zhang et al., "Exploring Bit-Slice Sparsity in Deep Neural Networks for
        Efficient ReRAM-Based Deployment", EMC2 workshop, 2019.
    """

    knobs: type[FixedPointKnobs] = FixedPointKnobs

    def bits(self, knobs: FixedPointKnobs) -> int:
        """Bits of a magnitude."""
        return knobs.bits

    def levels(self, tensor: Tensor, knobs: FixedPointKnobs) -> tuple[Tensor, float]:
        """Signed whole levels, as floats in the shape of `tensor`, and the step between them."""
        low, high = torch.aminmax(tensor)
        step = math.ldexp(1.0, range_exponent(max(-low.item(), high.item())) - knobs.bits)
        limit = 2**knobs.bits - 1
        levels = tensor * (1 / step)  # exact: the step is a power of two
        if knobs.rounding == "floor":
            levels.trunc_()
        else:
            levels.round_()
        return levels.clamp_(-limit, limit), step


FIXED_POINT = FixedPoint()
