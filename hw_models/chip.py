"""The chip: crossbars, converters, periphery and the way they are used, as one frozen value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hw_models.errors import HardwareError, MappingError
from hw_models.periphery.array import ISAAC_ARRAY, ArrayBlocks
from hw_models.periphery.ima import ISAAC_IMA, ImaBlocks
from hw_models.periphery.tile import ISAAC_TILE, TileBlocks

if TYPE_CHECKING:
    from hw_models.converters.converter import AdcModel
    from hw_models.crossbar import Crossbar
    from hw_models.engines.engine import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """One accelerator: what is charged for its reads is what the simulator computes with.

    Attributes:
        crossbar: Geometry of every array.
        adc: What a converter of N bits costs.
        adc_bits: ADC resolution of every slice group, most significant group first.
        engine: How the arrays are walked, e.g. `hw_models.engines.isaac.ISAAC`.
        array: Blocks that belong to one array.
        ima: Blocks that the arrays of one in-situ multiply-accumulate unit (IMA) share.
        tile: Blocks that the IMAs of one tile share.
    """

    crossbar: Crossbar
    adc: AdcModel
    adc_bits: tuple[int, ...]
    engine: Engine
    array: ArrayBlocks = ISAAC_ARRAY
    ima: ImaBlocks = ISAAC_IMA
    tile: TileBlocks = ISAAC_TILE

    def __post_init__(self) -> None:
        if not self.adc_bits:
            raise HardwareError(
                "a chip needs the ADC resolution of at least one slice group, got adc_bits=(). "
                "List one per group, most significant first."
            )
        self.adc.conversion_time_s(np.array(self.adc_bits))  # refuses bits outside its domain

    def adc_bits_for(self, name: str, weight_bits: int) -> tuple[int, ...]:
        """ADC resolution of each slice group of a layer, most significant first.

        Groups go by significance: a layer of fewer groups uses the last entries of `adc_bits`.

        Args:
            name: Layer name, for the error message.
            weight_bits: Bits of the layer's magnitudes.
        """
        groups = self.crossbar.slice_groups(weight_bits)
        if groups > len(self.adc_bits):
            raise MappingError(
                f"{name} has {groups} slice groups ({weight_bits}-bit weights in "
                f"{self.crossbar.bits_per_cell}-bit cells), the chip has ADC resolutions for "
                f"{len(self.adc_bits)}. Give adc_bits one entry per group."
            )
        return self.adc_bits[len(self.adc_bits) - groups :]
