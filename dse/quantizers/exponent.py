"""Exponent quantisation: every magnitude a sum of few powers of two."""

from __future__ import annotations

from functools import cache
from typing import Literal

import torch
from torch import Tensor

from dse.quantizers.fixed_point import FixedPointGrid
from dse.quantizers.quantizer import Grid, Levels, Place
from search_spaces.quantizer import ExponentKnobs

BIAS_BITS = 8
"""Biases are added digitally and keep dynamic fixed point."""


@cache
def nearest_codes(bits: int, terms: int, rule: Literal["free", "window"]) -> Tensor:
    """The nearest code that the rule allows, for every code; ties go to the smaller.

    Args:
        bits: Bits of a code.
        terms: Set bits at most, or the width of the window.
        rule: `free` lets them stand anywhere; `window` within `terms` places from the leading one,
            as in [SME].

    Shapes:
        output: `(2**bits,)`, int64.

    [SME] F. Liu et al., "SME: ReRAM-based Sparse-Multiplication-Engine to Squeeze-Out Bit
        Sparsity of Neural Network", arXiv:2103.01705, 2021.
    """
    everything = range(2**bits)
    if rule == "free":
        allowed = [code for code in everything if code.bit_count() <= terms]
    else:
        allowed = [
            code for code in everything if code % 2 ** max(code.bit_length() - terms, 0) == 0
        ]
    distances = torch.tensor([[abs(code - a) for a in allowed] for code in everything])
    return torch.tensor(allowed)[distances.argmin(dim=1)]


class ExponentGrid(FixedPointGrid):
    """Dynamic fixed point, then the nearest code of few set bits."""

    def __init__(self, bits: int, *, terms: int, rule: Literal["free", "window"]) -> None:
        super().__init__(bits)
        self.register_buffer("nearest", nearest_codes(bits, terms, rule), persistent=False)

    nearest: Tensor

    def levels(self, real: Tensor) -> Levels:
        """Signed levels; the table of the nearest codes after the rounding."""
        uniform = super().levels(real)
        magnitudes = self.nearest.to(real.dtype)[uniform.signed.abs().long()]
        return Levels(
            signed=magnitudes.mul_(uniform.signed.sign()),
            step=uniform.step,
            per_unit=uniform.per_unit,
        )


class Exponent:
    """Exponent quantisation as [Liu2021] describes it, and the window of [SME] for comparison.

    `A = min(2**bits - 1, round(|w| / step))` in dynamic fixed point, then the nearest code with at
    most `terms` set bits. One term gives powers of two, `bits` terms change nothing. The paper's
    full text and code are not public: the rule for the nearest code and its ties are ours.

    [Liu2021] F. Liu et al., "Bit-Transformer: Transforming Bit-level Sparsity into Higher
        Preformance in ReRAM-based Accelerator", ICCAD 2021.
    [SME] F. Liu et al., "SME: ReRAM-based Sparse-Multiplication-Engine to Squeeze-Out Bit
        Sparsity of Neural Network", arXiv:2103.01705, 2021.
    """

    knobs: type[ExponentKnobs] = ExponentKnobs
    ends_in_8_bits = False

    def bits(self, knobs: ExponentKnobs) -> int:
        """Bits of a magnitude."""
        return knobs.bits

    def grid(self, knobs: ExponentKnobs, place: Place) -> Grid:
        """Few powers of two for weights, plain fixed point for biases."""
        if place.parameter == "bias":
            return FixedPointGrid(BIAS_BITS)
        rule: Literal["free", "window"] = "window" if knobs.rule == "window" else "free"
        return ExponentGrid(knobs.bits, terms=knobs.terms, rule=rule)


EXPONENT = Exponent()
