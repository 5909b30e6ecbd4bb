"""A design as the hardware file of MNSIM 2.0.

Sections and options are those that MNSIM 2.0 reads (github.com/thu-nics/MNSIM-2.0, SimConfig.ini);
user-defined converters are `*_Choice = -1`.
"""

from __future__ import annotations

import configparser
import io
from collections.abc import Sequence
from math import ceil, sqrt

import numpy as np

from dse.exporting.peer import (
    PeerExport,
    adcs_per_array,
    check_exportable,
    largest_adc_bits,
    one_resolution,
)
from hw_models.chip import Chip
from hw_models.crossbar import Crossbar
from hw_models.layer import CodedLayer
from hw_models.published import isaac_2016 as isaac
from hw_models.units import GIGA, MEGA, NANO, UM2

NODE_NM = 32
"""ISAAC's, whose table prices our blocks."""

RESISTANCE_HIGH_OHM = 20_000.0
RESISTANCE_LOW_OHM = 1_333.0
READ_V = 0.2
"""ISAAC's cell in the component library of NeuroSim's Python package (hwcomponents-neurosim)."""

WRITE_V = 2.0
WRITE_TIME_S = 40 * NANO
"""Programming of ISAAC's cell as AccelForge's memory_cells/rram_isaac_isca_2016.yaml has it."""

EDRAM_KB = 64


def mnsim(chip: Chip, layers: Sequence[CodedLayer]) -> PeerExport:
    """SimConfig.ini.

    Args:
        chip: Dense differential arrays.
        layers: Their number decides how many tiles the chip has.

    Raises:
        SpecError: MNSIM has no counterpart of the design.
    """
    check_exportable("MNSIM", chip, layers)
    config = configparser.ConfigParser()
    config.optionxform = str  # type: ignore[assignment,method-assign]
    for section, options in _sections(chip, layers).items():
        config[section] = {name: str(value) for name, value in options.items()}
    text = io.StringIO()
    config.write(text)
    return PeerExport(
        simulator="MNSIM 2.0",
        files={"SimConfig.ini": text.getvalue()},
        usage="Put SimConfig.ini in place of MNSIM's own. The network is given to MNSIM in its "
        "Python interface and is not part of this file.",
        cannot_hold=(
            *one_resolution(chip),
            "Codes: MNSIM's behaviour level does not see zero cells, so bit sparsity saves "
            "nothing there, and its accuracy path quantises by ranges of its own.",
            "Rates: MNSIM takes N + 2 clocks per conversion. ADC_Sample_Rate is set so that a "
            "conversion takes the time, and with ADC_Power the energy, that it has here.",
            "Converters: MNSIM counts ADC_Num once for a pair of arrays, this design has that "
            "many in each of the two.",
            f"Arrays: a processing element holds {2 * len(chip.adc_bits)} arrays there, "
            f"{chip.ima.arrays} here.",
            "Digital blocks, buffers and network: MNSIM's own models (45 nm, CACTI); ISAAC's "
            "registers, eDRAM, bus and router have no place.",
            f"Cell resistances ({RESISTANCE_LOW_OHM:.0f} to {RESISTANCE_HIGH_OHM:.0f} ohm, equal "
            "steps of conductance) are ISAAC's; here a cell is charged a power whatever it holds.",
        ),
    )


def _sections(chip: Chip, layers: Sequence[CodedLayer]) -> dict[str, dict[str, object]]:
    bits = largest_adc_bits(chip)
    conversion_ns = float(chip.adc.conversion_time_s(np.array(bits))) / NANO
    conversion_j = float(chip.adc.energy_per_conversion_j(np.array(bits)))
    array, crossbar = chip.array, chip.crossbar
    side = _tiles_per_side(chip, layers)
    return {
        "Device level": {
            "Device_Tech": NODE_NM,
            "Device_Area": array.cell_area_m2 / UM2,
            "Read_Level": 2,
            "Read_Voltage": f"0,{READ_V}",
            "Write_Level": 2,
            "Write_Voltage": f"0,{WRITE_V}",
            "Read_Latency": array.read_time_s / NANO,
            "Write_Latency": WRITE_TIME_S / NANO,
            "Device_Level": 1 << crossbar.bits_per_cell,
            "Device_Resistance": ",".join(f"{r:.6g}" for r in cell_resistances_ohm(crossbar)),
            "Device_Variation": 0,
            "Device_SAF": "0,0",
        },
        "Crossbar level": {
            "Xbar_Size": f"{crossbar.wordlines},{crossbar.bitlines}",
            "Cell_Type": "1T1R",
            "Transistor_Tech": NODE_NM,
            "Wire_Resistance": -1,
            "Wire_Capacity": -1,
            "Load_Resistance": -1,
            "Area_Calculation": 0,
        },
        "Interface level": {
            "DAC_Choice": -1,
            "DAC_Area": array.dac_area_m2 / UM2,
            "DAC_Precision": chip.dac_bits,
            "DAC_Power": array.dac_power_w,
            "DAC_Sample_Rate": 1.0 / array.read_time_s / GIGA,
            "ADC_Choice": -1,
            "ADC_Area": float(chip.adc.area_m2(np.array(bits))) / UM2,
            "ADC_Precision": bits,
            "ADC_Power": conversion_j / (conversion_ns * NANO),
            "ADC_Sample_Rate": (bits + 2) / conversion_ns,
            "ADC_Interval_Thres": -1,
        },
        "Process element level": {
            "Xbar_Polarity": 2,
            "Sub_Position": 1,
            "Group_Num": len(chip.adc_bits),
            "DAC_Num": crossbar.wordlines,
            "ADC_Num": adcs_per_array(chip),
        },
        "Digital module": {
            "Digital_Frequency": isaac.CLOCK_HZ / MEGA,
            **{
                f"{block}_{field}": 45 if field == "Tech" else 0
                for block in ("Adder", "ShiftReg", "JointModule")
                for field in ("Tech", "Area", "Power")
            },
        },
        "Tile level": {
            "PE_Num": ",".join(map(str, _rectangle(chip.tile.imas))),
            "Pooling_shape": "3,3",
            "Pooling_unit_num": 64,
            "Pooling_Tech": 65,
            "Pooling_area": 0,
            "Tile_Adder_Num": 0,
            "Tile_Adder_Level": 0,
            "Tile_ShiftReg_Num": 0,
            "Tile_ShiftReg_Level": 0,
            "Inter_Tile_Bandwidth": 20,
            "Intra_Tile_Bandwidth": 1024,
        },
        "Architecture level": {
            "Buffer_Choice": 1,
            "Buffer_Technology": 0,
            "Buffer_Capacity": EDRAM_KB,
            "Buffer_Area": 0,
            "Buffer_ReadPower": 0,
            "Buffer_WritePower": 0,
            "Buffer_Bitwidth": 0,
            "Buffer_ReadFrequency": 0,
            "Buffer_WriteFrequency": 0,
            "LUT_Capacity": 1,
            "LUT_Area": 0,
            "LUT_Power": 0,
            "LUT_Bandwidth": 0,
            "Tile_Connection": 2,
            "Tile_Num": f"{side},{side}",
        },
        "Algorithm Configuration": {"Weight_Polarity": 1, "Simulation_Level": 0},
    }


def cell_resistances_ohm(crossbar: Crossbar) -> list[float]:
    """Of the cell values 0, 1, ...: from the highest to the lowest, equal steps of conductance."""
    levels = 1 << crossbar.bits_per_cell
    conductances = np.linspace(1 / RESISTANCE_HIGH_OHM, 1 / RESISTANCE_LOW_OHM, levels)
    return [float(value) for value in 1 / conductances]


def _tiles_per_side(chip: Chip, layers: Sequence[CodedLayer]) -> int:
    """Side of a square of tiles that holds every layer on tiles of its own."""
    per_tile = chip.tile.imas * 2 * len(chip.adc_bits)
    crossbars = chip.engine.cost_terms(layers, chip).crossbars
    tiles = sum(ceil(int(count) / per_tile) for count in crossbars)
    return max(1, ceil(sqrt(tiles)))


def _rectangle(count: int) -> tuple[int, int]:
    """Two factors of a count, as close as they get, the larger first."""
    low = next(n for n in range(int(sqrt(count)), 0, -1) if count % n == 0)
    return count // low, low
