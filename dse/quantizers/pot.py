"""Powers of two as weight levels."""

from __future__ import annotations

from dse.quantizers.clipped import level_set_grid
from dse.quantizers.quantizer import Grid, Place
from hw_models.published.bits_net import CODE_BITS
from search_spaces.quantizer import PotKnobs


def pot_levels(bits: int) -> tuple[float, ...]:
    """`{0} + {2**-i, i = 0 .. 2**(bits-1) - 2}`, ascending; `bits` counts the sign."""
    return (0.0, *(2.0**-i for i in reversed(range(2 ** (bits - 1) - 1))))


class PowersOfTwo:
    """Powers of two [APoT], Eq. (4), clipped and normalised as there.

    In the 8-bit codes of a crossbar more than 4 bits add nothing: their further levels lie below
    half of the smallest code.

    [APoT] Y. Li et al., "Additive Powers-of-Two Quantization: An Efficient Non-uniform
        Discretization for Neural Networks", ICLR 2020.
    """

    knobs: type[PotKnobs] = PotKnobs
    ends_in_8_bits = True

    def bits(self, knobs: PotKnobs) -> int:
        """Bits of a magnitude in Q2.6."""
        return CODE_BITS

    def grid(self, knobs: PotKnobs, place: Place) -> Grid:
        """The grid of one parameter."""
        return level_set_grid(pot_levels(knobs.bits), place)


POT = PowersOfTwo()
