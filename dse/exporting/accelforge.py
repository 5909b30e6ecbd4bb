"""A design as an AccelForge (CiMLoop) workload, and the values for its ISAAC architecture.

The workload follows the format of AccelForge's examples/workloads (rank sizes and einsums with
projections); the values are those that examples/arches/compute_in_memory/isaac_isca_2016.yaml of
github.com/Accelergy-Project/accelforge lists as its variables and spatial fan-outs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

from dse.exporting.peer import (
    PeerExport,
    adcs_per_array,
    check_exportable,
    largest_adc_bits,
    one_resolution,
)
from hw_models.chip import Chip
from hw_models.layer import CodedLayer
from hw_models.units import NANO

NODE_M = 32 * NANO


def accelforge(chip: Chip, layers: Sequence[CodedLayer]) -> PeerExport:
    """workload.yaml and arch_values.yaml.

    Raises:
        SpecError: AccelForge's ISAAC has no counterpart of the design.
    """
    check_exportable("AccelForge", chip, layers)
    return PeerExport(
        simulator="AccelForge (CiMLoop)",
        files={
            "workload.yaml": yaml.safe_dump(_workload(layers), sort_keys=False),
            "arch_values.yaml": yaml.safe_dump(_arch_values(chip, layers), sort_keys=False),
        },
        usage="workload.yaml takes the place of the `workload` and `renames` sections of "
        "examples/arches/compute_in_memory/isaac_isca_2016.yaml. arch_values.yaml is no input of "
        "AccelForge: it lists what to set in that file, by section and name.",
        cannot_hold=(
            *one_resolution(chip),
            "Converters: AccelForge's ADC follows the survey of published converters; this "
            f"design is priced by the {chip.adc.name} model.",
            "Codes: AccelForge sees histograms of values, not which cells are zero in which "
            "array; accuracy and clipping are not part of it.",
            "Signs: its ISAAC stores offset codes in one array, this design has a second array.",
            "Slice groups on arrays of their own: there, the slices of a weight are columns of "
            "one array.",
            "Energies and areas of ISAAC's table: AccelForge computes its own by component "
            "models.",
            "Kernels: a layer here is V uses of a K x N matrix; the workload is that matrix "
            "product, without windows of a convolution that overlap, and no tensor links its "
            "layers.",
        ),
    )


def _workload(layers: Sequence[CodedLayer]) -> dict[str, Any]:
    """One matrix product per matrix: M positions, K wordlines, N outputs."""
    ranks: dict[str, int] = {}
    einsums = []
    number = 0
    for layer in layers:
        shape = layer.shape
        for group in range(shape.groups):
            m, k, n = (f"{rank}{number}" for rank in "MKN")
            ranks |= {m: shape.positions, k: shape.wordlines, n: shape.outputs}
            tensors = {
                "input": (f"I{number}", [m, k], layer.input_bits),
                "weight": (f"W{number}", [k, n], layer.weight_bits),
                "output": (f"O{number}", [m, n], layer.input_bits),
            }
            name = _identifier(shape.name) + (f"_{group}" if shape.groups > 1 else "")
            einsums.append(
                {
                    "name": name,
                    "tensor_accesses": [
                        {
                            "name": tensor,
                            "projection": [rank.lower() for rank in projection],
                            "bits_per_value": bits,
                            **({"output": True} if role == "output" else {}),
                        }
                        for role, (tensor, projection, bits) in tensors.items()
                    ],
                    "renames": {role: tensor for role, (tensor, _, _) in tensors.items()},
                }
            )
            number += 1
    return {"workload": {"rank_sizes": ranks, "einsums": einsums}, "renames": {}}


def _arch_values(chip: Chip, layers: Sequence[CodedLayer]) -> dict[str, Any]:
    crossbar = chip.crossbar
    return {
        "arch.variables": {
            "bits_per_cell": crossbar.bits_per_cell,
            "cim_unit_width_cells": 1,
            "cim_unit_depth_cells": 1,
            "adc_resolution": largest_adc_bits(chip),
            "voltage_dac_resolution": chip.dac_bits,
            "temporal_dac_resolution": 1,
            "n_adc_per_bank": adcs_per_array(chip),
        },
        "arch.nodes spatial fanout": {
            "array": chip.ima.arrays,
            "columns_ARRAY_COLUMNS": crossbar.bitlines,
            "rows_ARRAY_ROWS": crossbar.wordlines,
        },
        "variables": {
            "supported_input_bits": max(layer.input_bits for layer in layers),
            "supported_weight_bits": max(layer.weight_bits for layer in layers),
            "min_supported_weight_bits": crossbar.bits_per_cell,
            "tech_node": NODE_M,
        },
    }


def _identifier(name: str) -> str:
    """A layer's name as AccelForge accepts one."""
    return re.sub(r"\W", "_", name)
