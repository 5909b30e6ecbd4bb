"""The blocks that the IMAs of one tile share: buffer, bus, router, digital units."""

from __future__ import annotations

from dataclasses import dataclass

from hw_models.published import isaac_2016 as isaac
from hw_models.units import PICO


@dataclass(frozen=True, slots=True, kw_only=True)
class TileBlocks:
    """What moves and merges the data of a tile; defaults are ISAAC's.

    Areas are Table I of [Shafiee2016]; energies per bit are the Accelergy library's ISAAC
    entries; energies per operation are the table's power over the 1.2 GHz clock.

    Attributes:
        imas: IMAs per tile.
        edram_energy_j_per_bit: One bit read from or written to the buffer.
        edram_area_m2: The buffer of a tile.
        bus_energy_j_per_bit: One bit between the buffer and an IMA.
        bus_area_m2: The bus of a tile.
        router_energy_j_per_bit: One bit that leaves the tile.
        router_area_m2: The tile's quarter of a router.
        shift_add_energy_j: One addition of two partial sums.
        shift_add_area_m2: The unit of a tile.
        scale_energy_j: One output times its scale. ISAAC's table has no such unit; this is the
            16-bit multiplier of RAELLA in the same library (raella.py, 40 nm, not scaled), whose
            area it neglects.
        activation_energy_j: One value through one activation unit.
        activation_area_m2: All activation units of a tile.
        pooling_area_m2: The pooling unit; its energy is not modelled.
        output_register_energy_j_per_bit: One bit written. The table has a power; that one access
            per cycle moves 256 bits, the width of the buffer's bus, is our reading.
        output_register_area_m2: The register of a tile.

    [Shafiee2016] A. Shafiee et al., "ISAAC", ISCA 2016.
    """

    imas: int = isaac.IMAS_PER_TILE
    edram_energy_j_per_bit: float = isaac.EDRAM_ENERGY_J_PER_BIT
    edram_area_m2: float = isaac.EDRAM.area_m2
    bus_energy_j_per_bit: float = isaac.BUS_ENERGY_J_PER_BIT
    bus_area_m2: float = isaac.BUS.area_m2
    router_energy_j_per_bit: float = isaac.ROUTER_ENERGY_J_PER_BIT
    router_area_m2: float = isaac.ROUTER.area_m2
    shift_add_energy_j: float = isaac.TILE_SHIFT_ADD.power_w / isaac.CLOCK_HZ
    shift_add_area_m2: float = isaac.TILE_SHIFT_ADD.area_m2
    scale_energy_j: float = 0.25 * PICO
    activation_energy_j: float = isaac.ACTIVATION.power_each_w / isaac.CLOCK_HZ
    activation_area_m2: float = isaac.ACTIVATION.area_m2
    pooling_area_m2: float = isaac.POOLING.area_m2
    output_register_energy_j_per_bit: float = (
        isaac.TILE_OUTPUT_REGISTER.power_w / isaac.CLOCK_HZ / isaac.BUS_DATA_BITS
    )
    output_register_area_m2: float = isaac.TILE_OUTPUT_REGISTER.area_m2


ISAAC_TILE = TileBlocks()
