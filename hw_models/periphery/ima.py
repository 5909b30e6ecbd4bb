"""The blocks that the arrays of one in-situ multiply-accumulate unit (IMA) share."""

from __future__ import annotations

from dataclasses import dataclass

from hw_models.published import isaac_2016 as isaac

_ROWS = isaac.ARRAYS_PER_IMA * isaac.WORDLINES
_COLUMNS = isaac.ARRAYS_PER_IMA * isaac.BITLINES


@dataclass(frozen=True, slots=True, kw_only=True)
class ImaBlocks:
    """Shift-and-add and registers; defaults are ISAAC's Table I.

    The registers scale with the wordlines and bitlines that they serve (2 KB and 256 B for eight
    128 x 128 arrays); that scaling is ours.

    Attributes:
        arrays: Arrays per IMA.
        shift_add_energy_j: Merging one conversion. The table's four units merge the 1024
            conversions of eight full arrays in one 100 ns read: 0.0195 pJ (the Accelergy library
            has 0.021 pJ).
        shift_add_area_m2: All units of one IMA.
        input_register_power_w: Per driven wordline, during a read.
        input_register_area_m2: Per wordline.
        output_register_power_w: Per used bitline, during a read.
        output_register_area_m2: Per bitline.
    """

    arrays: int = isaac.ARRAYS_PER_IMA
    shift_add_energy_j: float = isaac.SHIFT_ADD.power_w * isaac.READ_TIME_S / _COLUMNS
    shift_add_area_m2: float = isaac.SHIFT_ADD.area_m2
    input_register_power_w: float = isaac.INPUT_REGISTER.power_w / _ROWS
    input_register_area_m2: float = isaac.INPUT_REGISTER.area_m2 / _ROWS
    output_register_power_w: float = isaac.OUTPUT_REGISTER.power_w / _COLUMNS
    output_register_area_m2: float = isaac.OUTPUT_REGISTER.area_m2 / _COLUMNS


ISAAC_IMA = ImaBlocks()
