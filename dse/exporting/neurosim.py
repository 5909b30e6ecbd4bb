"""A design as the parameters and the network table of DNN+NeuroSim V1.4.

Names are those of Inference_pytorch/NeuroSIM/Param.cpp (github.com/neurosim/DNN_NeuroSim_V1.4),
which has no parameter file: the values are compiled in.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt

from dse.exporting.mnsim import NODE_NM, READ_V, RESISTANCE_HIGH_OHM, RESISTANCE_LOW_OHM, WRITE_V
from dse.exporting.peer import (
    PeerExport,
    adcs_per_array,
    check_exportable,
    largest_adc_bits,
    one_resolution,
)
from hw_models.chip import Chip
from hw_models.layer import CodedLayer


def neurosim(chip: Chip, layers: Sequence[CodedLayer]) -> PeerExport:
    """Param values and NetWork.csv.

    Raises:
        SpecError: NeuroSim has no counterpart of the design.
    """
    check_exportable("NeuroSim", chip, layers)
    crossbar = chip.crossbar
    values: dict[str, object] = {
        "operationmode": 2,
        "memcelltype": 2,
        "accesstype": 1,
        "novelMapping": "false",
        "SARADC": "true",
        "pipeline": "false",
        "speedUpDegree": 1,
        "technode": NODE_NM,
        "numRowSubArray": crossbar.wordlines,
        "numColSubArray": crossbar.bitlines,
        "numRowParallel": crossbar.wordlines,
        "numColMuxed": -(-crossbar.bitlines // adcs_per_array(chip)),
        "levelOutput": 1 << largest_adc_bits(chip),
        "cellBit": crossbar.bits_per_cell,
        "resistanceOn": RESISTANCE_LOW_OHM,
        "resistanceOff": RESISTANCE_HIGH_OHM,
        "readVoltage": READ_V,
        "readPulseWidth": f"{chip.array.read_time_s:.6g}",
        "writeVoltage": WRITE_V,
    }
    listed = "".join(f"{name} = {value};\n" for name, value in values.items())
    return PeerExport(
        simulator="DNN+NeuroSim V1.4",
        files={"Param_values.txt": listed, "NetWork.csv": _network(layers)},
        usage="Set the values of Param_values.txt in NeuroSIM/Param.cpp (`technode` by the number "
        "of its case) and compile; NetWork.csv is the network file of the executable. Weight and "
        f"input bits ({layers[0].weight_bits} and {layers[0].input_bits} in the first layer) go "
        "on its command line, with one trace of weights and inputs per layer.",
        cannot_hold=(
            *one_resolution(chip),
            "Circuits: NeuroSim derives the energy, time and area of every block, the ADC "
            f"included, from transistors; none of this design's numbers ({chip.adc.name} ADC, "
            "ISAAC's table) enters.",
            "Signs: NeuroSim subtracts a dummy column, this design has a second array; its arrays "
            "are about half as many.",
            "Slice groups on arrays of their own: there, the cells of one weight are neighbours "
            "in one array.",
            "Kernels: a layer here is K rows, N columns and V uses. It is written as a 1 x 1 "
            "kernel over K channels with V positions, so NeuroSim's reuse of input windows does "
            "not apply.",
            *_reshaped(layers),
            "Traces: inputs and weights of each layer, which set its switching activity, are not "
            "exported.",
        ),
    )


def _network(layers: Sequence[CodedLayer]) -> str:
    """IFM rows, columns, channels; kernel rows, columns, filters; pooling; stride."""
    rows = []
    for layer in layers:
        shape = layer.shape
        height, width = _sides(shape.positions)
        for _ in range(shape.groups):
            rows.append(f"{height},{width},{shape.wordlines},1,1,{shape.outputs},0,1")
    return "\n".join(rows) + "\n"


def _sides(positions: int) -> tuple[int, int]:
    """Two factors whose product is the number of positions, as close as they get."""
    low = next(n for n in range(isqrt(positions), 0, -1) if positions % n == 0)
    return positions // low, low


def _reshaped(layers: Sequence[CodedLayer]) -> tuple[str, ...]:
    grouped = [layer.shape.name for layer in layers if layer.shape.groups > 1]
    if not grouped:
        return ()
    return (f"Groups: {', '.join(grouped)} stand as one line per matrix.",)
