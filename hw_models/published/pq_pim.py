"""PQ-PIM: Table I, the two index tables, and the toy example of Figure 2 as data.

[PQPIM] "PQ-PIM: a pruning-quantization joint optimization framework for ReRAM-based
    processing-in-memory DNN accelerator". 32 nm, 1.2 GHz. Table I prints powers and no areas.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log2
from typing import TYPE_CHECKING

from hw_models.units import GIGA, MICRO, MILLI

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One line of Table I.

    Attributes:
        count: Instances in the unit that the line belongs to.
        power_w: Power of all instances together.
    """

    count: int
    power_w: float

    @property
    def power_each_w(self) -> float:
        """Power of one instance."""
        return self.power_w / self.count


CLOCK_HZ = 1.2 * GIGA
ADC_RATE_HZ = 1.2 * GIGA
ADC_BITS = 6
WORDLINES = 128
BITLINES = 128
BITS_PER_CELL = 1
ARRAYS_PER_CU = 8
CUS_PER_PE = 12
PES = 352
PATCH_SIZES = (4, 8, 16, 32)
"""Weights of a patch, which are the wordlines of an operation unit."""

# One compute unit (CU).
SAMPLE_HOLD = Block(count=ARRAYS_PER_CU * BITLINES, power_w=10 * MICRO)
SHIFT_ADD = Block(count=4, power_w=0.2 * MILLI)
ADC = Block(count=ARRAYS_PER_CU, power_w=5.14 * MILLI)
DAC = Block(count=ARRAYS_PER_CU * WORDLINES, power_w=4 * MILLI)
ARRAY = Block(count=ARRAYS_PER_CU, power_w=2.4 * MILLI)
INPUT_REGISTER = Block(count=1, power_w=1.24 * MILLI)
OUTPUT_REGISTER = Block(count=1, power_w=0.23 * MILLI)
CU = (SAMPLE_HOLD, SHIFT_ADD, ADC, DAC, ARRAY, INPUT_REGISTER, OUTPUT_REGISTER)

# One processing element (PE), beside its CUs.
BUFFER = Block(count=1, power_w=20.7 * MILLI)
POOLING = Block(count=1, power_w=0.4 * MILLI)
ACTIVATION = Block(count=2, power_w=0.52 * MILLI)
PE_BLOCKS = (BUFFER, POOLING, ACTIVATION)

VGG16_CIFAR10_WEIGHTS = 14_715_584
"""13 convolutions and one 512 x 10 layer: the network of the printed index sizes."""

VGG16_CIFAR10_INPUTS = 185_856
"""Inputs of these 14 layers for one image."""


def cu_power_w() -> float:
    """All blocks of a CU: 13.22 mW, a sum that the paper does not print."""
    return sum(block.power_w for block in CU)


def pe_power_w() -> float:
    """Twelve CUs and the PE's own blocks: 180.26 mW."""
    return CUS_PER_PE * cu_power_w() + sum(block.power_w for block in PE_BLOCKS)


def chip_power_w() -> float:
    """352 PEs: 63.45 W."""
    return PES * pe_power_w()


def adc_bits(patch: int) -> int:
    """Resolution that holds the largest sum of `patch` single-bit cells: ceil(log2(n + 1))."""
    return ceil(log2(patch + 1))


def flag_bits(values: int, patch: int) -> int:
    """Bits of a table with one flag per patch (WPIT over weights, APIT over activations)."""
    return -(-values // patch)


FIGURE_2_PATCHES = 12
"""Patches of the toy example: three 4 x 4 x 1 filters in patches of four weights."""

FIGURE_2_PATCH = 4
FIGURE_2_BITS = (0, 2, 4, 0, 2, 4, 2, 0, 0, 0, 4, 2)
"""Columns of patches 1 to 12 after compression: 1, 4, 8, 9, 10 removed, 2, 5, 7, 12 halved."""

FIGURE_2_FULL_BITS = 4
"""Columns of an operation unit before compression; the figure draws 4 x 4 and 4 x 2 units."""


def figure_2_cells(bits: Sequence[int]) -> int:
    """Single-bit cells of patches of four weights with `bits` each."""
    return sum(FIGURE_2_PATCH * each for each in bits)
