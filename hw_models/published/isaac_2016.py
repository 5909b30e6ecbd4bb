"""ISAAC-CE at 32 nm: the component table of the paper, with its sub-totals computed.

Values: [Shafiee2016], Table I (configuration ISAAC-CE). The table was re-entered from secondary
copies; that every printed sub-total and total closes is its check (tests/published).

[Shafiee2016] A. Shafiee et al., "ISAAC: A Convolutional Neural Network Accelerator with In-Situ
    Analog Arithmetic in Crossbars", ISCA 2016.
"""

from __future__ import annotations

from dataclasses import dataclass

from hw_models.units import GIGA, MICRO, MILLI, MM2, NANO, PICO


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One line of the table.

    Attributes:
        count: Instances in the unit that the line belongs to.
        power_w: Power of all instances together.
        area_m2: Area of all instances together.
    """

    count: int
    power_w: float
    area_m2: float

    @property
    def power_each_w(self) -> float:
        """Power of one instance."""
        return self.power_w / self.count

    @property
    def area_each_m2(self) -> float:
        """Area of one instance."""
        return self.area_m2 / self.count


CLOCK_HZ = 1.2 * GIGA
ADC_RATE_HZ = 1.28 * GIGA
"""128 bitlines in 100 ns (the text); Table I prints 1.2 GS/s."""

READ_TIME_S = 100 * NANO
"""One read of an array, which is also the cycle of the pipeline."""

WORDLINES = 128
BITLINES = 128
BITS_PER_CELL = 2
DAC_BITS = 1
ARRAYS_PER_IMA = 8
IMAS_PER_TILE = 12
TILES = 168
TILES_PER_ROUTER = 4
BUS_DATA_BITS = 256
WEIGHT_BITS = 16
INPUT_BITS = 16

# One IMA.
ADC = Component(count=8, power_w=16 * MILLI, area_m2=0.0096 * MM2)
DAC = Component(count=8 * WORDLINES, power_w=4 * MILLI, area_m2=0.00017 * MM2)
SAMPLE_HOLD = Component(count=8 * BITLINES, power_w=10 * MICRO, area_m2=0.00004 * MM2)
ARRAY = Component(count=8, power_w=2.4 * MILLI, area_m2=0.0002 * MM2)
SHIFT_ADD = Component(count=4, power_w=0.2 * MILLI, area_m2=0.00024 * MM2)
INPUT_REGISTER = Component(count=1, power_w=1.24 * MILLI, area_m2=0.0021 * MM2)
OUTPUT_REGISTER = Component(count=1, power_w=0.23 * MILLI, area_m2=0.00077 * MM2)
IMA = (ADC, DAC, SAMPLE_HOLD, ARRAY, SHIFT_ADD, INPUT_REGISTER, OUTPUT_REGISTER)

# One tile, beside its IMAs.
EDRAM = Component(count=1, power_w=20.7 * MILLI, area_m2=0.083 * MM2)
BUS = Component(count=1, power_w=7 * MILLI, area_m2=0.090 * MM2)
ROUTER = Component(
    count=1, power_w=42 * MILLI / TILES_PER_ROUTER, area_m2=0.151 * MM2 / TILES_PER_ROUTER
)
"""A tile's share of the router that four tiles use."""
ACTIVATION = Component(count=2, power_w=0.52 * MILLI, area_m2=0.0006 * MM2)
TILE_SHIFT_ADD = Component(count=1, power_w=0.05 * MILLI, area_m2=0.00006 * MM2)
POOLING = Component(count=1, power_w=0.4 * MILLI, area_m2=0.00024 * MM2)
TILE_OUTPUT_REGISTER = Component(count=1, power_w=1.68 * MILLI, area_m2=0.0032 * MM2)
TILE_BLOCKS = (
    EDRAM,
    BUS,
    ROUTER,
    ACTIVATION,
    TILE_SHIFT_ADD,
    POOLING,
    TILE_OUTPUT_REGISTER,
)

# The chip, beside its tiles.
HYPER_TRANSPORT = Component(count=4, power_w=10.4, area_m2=22.88 * MM2)

# Energy of moving data, from the Accelergy component library's ISAAC entries
# (hwcomponents_library/library/isaac.py), which [Shafiee2016] does not print.
EDRAM_ENERGY_J_PER_BIT = 20.45 * PICO / 256
BUS_ENERGY_J_PER_BIT = 0.054 * PICO
ROUTER_ENERGY_J_PER_BIT = 20.74 * PICO / 256


def ima_power_w() -> float:
    """All blocks of one IMA; printed 24.08 mW."""
    return sum(block.power_w for block in IMA)


def ima_area_m2() -> float:
    """All blocks of one IMA; printed 0.0131 mm2."""
    return sum(block.area_m2 for block in IMA)


def tile_power_w() -> float:
    """Twelve IMAs and the tile's own blocks; printed 330 mW."""
    return IMAS_PER_TILE * ima_power_w() + sum(block.power_w for block in TILE_BLOCKS)


def tile_area_m2() -> float:
    """Twelve IMAs and the tile's own blocks; printed 0.372 mm2."""
    return IMAS_PER_TILE * ima_area_m2() + sum(block.area_m2 for block in TILE_BLOCKS)


def chip_power_w() -> float:
    """168 tiles and the chip links; printed 65.8 W."""
    return TILES * tile_power_w() + HYPER_TRANSPORT.power_w


def chip_area_m2() -> float:
    """168 tiles and the chip links; printed 85.4 mm2."""
    return TILES * tile_area_m2() + HYPER_TRANSPORT.area_m2


def operations_per_s() -> float:
    """Peak rate, a multiply-accumulate counted as two operations of 16 by 16 bits."""
    arrays = TILES * IMAS_PER_TILE * ARRAYS_PER_IMA
    weights_per_array = WORDLINES * BITLINES * BITS_PER_CELL / WEIGHT_BITS
    return 2 * arrays * weights_per_array / (READ_TIME_S * INPUT_BITS / DAC_BITS)


def storage_bytes() -> float:
    """What all cells of the chip hold."""
    arrays = TILES * IMAS_PER_TILE * ARRAYS_PER_IMA
    return arrays * WORDLINES * BITLINES * BITS_PER_CELL / 8
