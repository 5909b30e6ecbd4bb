"""BitS-Net: energies of 2-bit cells, level sets, and how a level becomes four cells.

[BitSNet] "BitS-Net: Bit-Sparse Deep Neural Network for Energy-Efficient RRAM-Based
    Compute-In-Memory", IEEE TCAS-I 69(5), 2022. Energies were measured on a 40 nm RRAM macro.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hw_models.units import PICO

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

CELL_BITS = 2
CELL_ENERGY_J = (0.079 * PICO, 0.36 * PICO, 0.73 * PICO, 1.46 * PICO)
"""Reading one cell, by its value: 00, 01, 10, 11 ([BitSNet], abstract)."""

ADC_ENERGY_J = 0.208 * PICO
"""Converting one cell ([BitSNet]: per 2 bits of weight); paid whatever the value."""

SET_1 = (0.0, 11 / 32, 12 / 32, 13 / 32, 16 / 32, 20 / 32, 21 / 32, 1.0)
"""Magnitudes of level set #1, printed .3438 .3750 .4063 .5 .6250 .6563 1.0."""

SET_2 = (0.0, 12 / 32, 16 / 32, 20 / 32, 1.0)
"""Magnitudes of level set #2, a subset of #1."""

PRINTED_SET_1 = (0.0, 0.3438, 0.3750, 0.4063, 0.5, 0.6250, 0.6563, 1.0)
PRINTED_SET_2 = (0.0, 0.3750, 0.5, 0.6250, 1.0)

FRACTION_BITS = 6
"""Unsigned Q2.6: the even number of fraction bits, with room for 1.0, that stores every level of
both sets exactly and without a cell at 11. The paper does not name its format; Q1.7 (7 fraction
bits), and Q0.8 with 1.0 saturated, both put an 11 into some level."""

CODE_BITS = 8


def code(levels: ArrayLike, *, fraction_bits: int = FRACTION_BITS) -> NDArray[np.uint8]:
    """Levels in 0..1 as 8-bit codes with `fraction_bits` bits below one, saturated at 255."""
    scaled = np.rint(np.asarray(levels, dtype=np.float64) * 2.0**fraction_bits)
    return np.asarray(np.minimum(scaled, 2**CODE_BITS - 1), dtype=np.uint8)


def cells(codes: ArrayLike) -> NDArray[np.uint8]:
    """Base-4 digits of 8-bit codes on a new last axis, most significant first."""
    shifts = np.arange(CODE_BITS - CELL_BITS, -1, -CELL_BITS, dtype=np.uint8)
    digits = np.asarray(codes, dtype=np.uint8)[..., np.newaxis] >> shifts
    return np.asarray(digits & np.uint8(3), dtype=np.uint8)


def weight_energy_j(codes: ArrayLike) -> NDArray[np.float64]:
    """Reading and converting the four cells of each 8-bit code."""
    per_cell = np.array(CELL_ENERGY_J) + ADC_ENERGY_J
    return np.asarray(per_cell[cells(codes)].sum(axis=-1))
