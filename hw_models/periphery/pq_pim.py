"""PQ-PIM's compute unit and processing element as periphery, and its converter."""

from __future__ import annotations

from hw_models.converters.saberi import SaberiAdc
from hw_models.periphery.array import ArrayBlocks
from hw_models.periphery.ima import ImaBlocks
from hw_models.periphery.tile import TileBlocks
from hw_models.published import pq_pim

_CELLS = pq_pim.WORDLINES * pq_pim.BITLINES
_ROWS = pq_pim.ARRAYS_PER_CU * pq_pim.WORDLINES
_COLUMNS = pq_pim.ARRAYS_PER_CU * pq_pim.BITLINES

PQ_PIM_ARRAY = ArrayBlocks(
    cell_power_w=pq_pim.ARRAY.power_each_w / _CELLS,
    dac_power_w=pq_pim.DAC.power_each_w,
    sample_hold_power_w=pq_pim.SAMPLE_HOLD.power_each_w,
    read_time_s=1.0 / pq_pim.CLOCK_HZ,
)
"""[PQPIM] Table I: an operation unit is read in one cycle of 1.2 GHz (where ISAAC's array takes
100 ns), so a full array read is 0.25 pJ and a driven row 3.26 fJ. The table has no areas: these
and the areas below are ISAAC's, whose blocks they are."""

PQ_PIM_CU = ImaBlocks(
    arrays=pq_pim.ARRAYS_PER_CU,
    shift_add_energy_j=pq_pim.SHIFT_ADD.power_each_w / pq_pim.CLOCK_HZ,
    input_register_power_w=pq_pim.INPUT_REGISTER.power_w / _ROWS,
    output_register_power_w=pq_pim.OUTPUT_REGISTER.power_w / _COLUMNS,
)
"""[PQPIM] Table I: 41.7 fJ per shift-and-add, one per conversion."""

PQ_PIM_PE = TileBlocks(
    imas=pq_pim.CUS_PER_PE,
    activation_energy_j=pq_pim.ACTIVATION.power_each_w / pq_pim.CLOCK_HZ,
)
"""[PQPIM] Table I; data movement per bit is ISAAC's, whose 64 KB buffer it has."""

PQ_PIM_ADC = SaberiAdc(name="pq_pim", rate_hz=pq_pim.ADC_RATE_HZ, fixed_rate=True)
"""ISAAC's 2 mW scaled as 2^N / (N + 1), at 1.2 GS/s: 0.643 mW and 0.536 pJ at 6 bits."""
