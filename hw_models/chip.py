"""The chip: crossbars, converters, periphery and the way they are used, as one frozen value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hw_models.encodings.differential import DIFFERENTIAL
from hw_models.errors import HardwareError, MappingError
from hw_models.periphery.array import ISAAC_ARRAY, ArrayBlocks
from hw_models.periphery.ima import ISAAC_IMA, ImaBlocks
from hw_models.periphery.tile import ISAAC_TILE, TileBlocks

if TYPE_CHECKING:
    from hw_models.converters.converter import AdcModel
    from hw_models.crossbar import Crossbar
    from hw_models.encodings.encoding import Encoding
    from hw_models.engines.engine import Engine

MAX_DAC_BITS = 8
"""Input digits of the simulator are bytes; published chips drive 1 to 4 bits at a time."""


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
        encoding: How signed weights sit in cells.
        dac_bits: Bits of an input digit; 1 is bit-serial.
    """

    crossbar: Crossbar
    adc: AdcModel
    adc_bits: tuple[int, ...]
    engine: Engine
    array: ArrayBlocks = ISAAC_ARRAY
    ima: ImaBlocks = ISAAC_IMA
    tile: TileBlocks = ISAAC_TILE
    encoding: Encoding = DIFFERENTIAL
    dac_bits: int = 1

    def __post_init__(self) -> None:
        if not self.adc_bits:
            raise HardwareError(
                "a chip needs the ADC resolution of at least one slice group, got adc_bits=(). "
                "List one per group, most significant first."
            )
        if not 1 <= self.dac_bits <= MAX_DAC_BITS:
            raise HardwareError(
                f"chip.dac_bits must be 1 to {MAX_DAC_BITS}, got {self.dac_bits}. "
                "1 is bit-serial input."
            )
        self.adc.conversion_time_s(np.array(self.adc_bits))  # refuses bits outside its domain

    def adc_bits_for(self, name: str, weight_bits: int) -> tuple[int, ...]:
        """ADC resolution of each slice group of a layer, most significant first.

        Groups go by significance: a layer of fewer groups uses the last entries of `adc_bits`.

        Args:
            name: Layer name, for the error message.
            weight_bits: Bits of the layer's magnitudes.
        """
        groups = self.encoding.slice_groups(weight_bits, self.crossbar.bits_per_cell)
        if groups > len(self.adc_bits):
            raise MappingError(
                f"{name} has {groups} slice groups ({weight_bits}-bit weights in "
                f"{self.crossbar.bits_per_cell}-bit cells{self._encoding_note()}), the chip has "
                f"ADC resolutions for {len(self.adc_bits)}. Give adc_bits one entry per group."
            )
        return self.adc_bits[len(self.adc_bits) - groups :]

    def _encoding_note(self) -> str:
        return "" if self.encoding == DIFFERENTIAL else f", encoding '{self.encoding.name}'"
