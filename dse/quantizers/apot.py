"""Additive powers of two as weight levels."""

from __future__ import annotations

from itertools import product

from dse.quantizers.clipped import level_set_grid
from dse.quantizers.quantizer import Grid, Place
from hw_models.published.bits_net import CODE_BITS
from search_spaces.quantizer import ApotKnobs

_TERMS: dict[int, tuple[tuple[int, ...], ...]] = {
    3: ((0, 1, 2),),
    4: ((1, 2, 4), (3,)),
    5: ((1, 3, 5), (2, 4, 6)),
    6: ((1, 3, 6), (2, 4, 7), (5,)),
    7: ((1, 4, 7), (2, 5, 8), (3, 6, 9)),
    8: ((1, 4, 8), (2, 5, 9), (3, 6, 10), (7,)),
}
"""Exponents `e` of the choices `2**-e` of every term, by bits with the sign; a term may also be 0.
3 to 7 from the public code of [APoT]; 8 continues their pattern and is ours."""


def apot_levels(bits: int) -> tuple[float, ...]:
    """One choice from each term, added, divided by the largest sum; ascending."""
    choices = [(0.0, *(2.0**-exponent for exponent in term)) for term in _TERMS[bits]]
    sums = sorted({sum(chosen) for chosen in product(*choices)})
    return tuple(each / sums[-1] for each in sums)


class AdditivePowersOfTwo:
    """Additive powers of two [APoT], clipped and normalised as there.

    [APoT] Y. Li et al., "Additive Powers-of-Two Quantization: An Efficient Non-uniform
        Discretization for Neural Networks", ICLR 2020.
    """

    knobs: type[ApotKnobs] = ApotKnobs
    ends_in_8_bits = True

    def bits(self, knobs: ApotKnobs) -> int:
        """Bits of a magnitude in Q2.6."""
        return CODE_BITS

    def grid(self, knobs: ApotKnobs, place: Place) -> Grid:
        """The grid of one parameter."""
        return level_set_grid(apot_levels(knobs.bits), place)


APOT = AdditivePowersOfTwo()
