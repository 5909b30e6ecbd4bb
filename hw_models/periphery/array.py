"""The blocks that belong to one array: cells, wordline DACs, sample-and-hold."""

from __future__ import annotations

from dataclasses import dataclass

from hw_models.published import isaac_2016 as isaac

_CELLS = isaac.WORDLINES * isaac.BITLINES


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayBlocks:
    """Power and area around the cells of one array; defaults are ISAAC's Table I.

    Powers and areas are per cell, per wordline or per bitline, so another geometry than 128 x 128
    scales each block with what it serves. That scaling is ours: the table has one geometry.

    Attributes:
        cell_power_w: One cell while its array is read.
        cell_area_m2: One cell.
        dac_power_w: The 1-bit DAC of one driven wordline.
        dac_area_m2: The same.
        sample_hold_power_w: The sample-and-hold of one bitline.
        sample_hold_area_m2: The same.
        read_time_s: Wordlines are driven for this long in one read.
    """

    cell_power_w: float = isaac.ARRAY.power_each_w / _CELLS
    cell_area_m2: float = isaac.ARRAY.area_each_m2 / _CELLS
    dac_power_w: float = isaac.DAC.power_each_w
    dac_area_m2: float = isaac.DAC.area_each_m2
    sample_hold_power_w: float = isaac.SAMPLE_HOLD.power_each_w
    sample_hold_area_m2: float = isaac.SAMPLE_HOLD.area_each_m2
    read_time_s: float = isaac.READ_TIME_S


ISAAC_ARRAY = ArrayBlocks()
