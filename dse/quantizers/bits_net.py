"""The level sets of BitS-Net: no 2-bit cell ever holds 11."""

from __future__ import annotations

from dse.quantizers.clipped import level_set_grid
from dse.quantizers.quantizer import Grid, Place
from hw_models.published.bits_net import CODE_BITS, SET_1, SET_2
from search_spaces.quantizer import BitsNetKnobs


class BitsNet:
    """Level sets #1 and #2 [BitSNet], stored in Q2.6, which holds them exactly without an 11.

    First and last layer are uniform in 8 bits and may hold 11. Clipping, normalisation and
    gradients are those of the paper's base, APoT.

    [BitSNet] "BitS-Net: Bit-Sparse Deep Neural Network for Energy-Efficient RRAM-Based
        Compute-In-Memory", IEEE TCAS-I 69(5), 2022.
    """

    knobs: type[BitsNetKnobs] = BitsNetKnobs
    ends_in_8_bits = True

    def bits(self, knobs: BitsNetKnobs) -> int:
        """Bits of a magnitude in Q2.6."""
        return CODE_BITS

    def grid(self, knobs: BitsNetKnobs, place: Place) -> Grid:
        """The grid of one parameter."""
        return level_set_grid(SET_1 if knobs.set == 1 else SET_2, place)


BITS_NET = BitsNet()
