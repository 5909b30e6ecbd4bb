"""ISAAC-style engine: dense arrays, read in full, one slice group per array."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from hw_models.encodings.bit_slices import SIGNS
from hw_models.engines.engine import CostTerms
from hw_models.errors import MappingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hw_models.chip import Chip
    from hw_models.crossbar import Crossbar
    from hw_models.layer import CodedLayer

COMPONENTS = (
    "adc",
    "dac",
    "array",
    "sample_hold",
    "shift_add",
    "input_register",
    "output_register",
    "edram",
    "bus",
    "router",
    "tile_shift_add",
    "activation",
    "pooling",
    "tile_output_register",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrays:
    """How one layer lies in arrays; differential, slice groups on separate arrays.

    Attributes:
        slice_groups: Cells per magnitude, G.
        row_blocks: Arrays that share the inputs of one matrix, ceil(K / R).
        column_blocks: Arrays that share its outputs, ceil(N / C).
        crossbars: All arrays of the layer.
        crossbars_per_slice_group: Arrays, and so ADCs, that one slice group takes.
    """

    slice_groups: int
    row_blocks: int
    column_blocks: int
    crossbars: int
    crossbars_per_slice_group: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IsaacEngine:
    """Every weight has its cells, every read drives a whole array, every column is converted.

    Inputs are bit-serial (1-bit DAC): A reads per MVM. Positive and negative magnitudes lie in
    two arrays. Each slice group has its own arrays (XB_3 .. XB_0 of [Zhang2019]), so each array's
    one ADC has the resolution of its group. Blocks are charged their power for the time they are
    busy: DACs and cells for the 100 ns of a read, registers and sample-and-hold for the whole
    read (longer where the ADC is slower), ADC and shift-and-add per conversion, data movement per
    bit: each MVM reads K inputs of A bits from the eDRAM over the bus, and writes N outputs of A
    bits through output register, bus, router and eDRAM.

    Not modelled: reuse of inputs between neighbouring windows, pooling and residual additions,
    pipelining between layers and duplication of weights (layers run one after the other), traffic
    of partial sums between tiles, leakage of idle blocks, the chip's HyperTransport links.

    Attributes:
        name: Name under which results report the engine.

    [Shafiee2016] A. Shafiee et al., "ISAAC", ISCA 2016.
    [Zhang2019] J. Zhang et al., "Exploring Bit-Slice Sparsity in Deep Neural Networks for
        Efficient ReRAM-Based Deployment", 2019.
    """

    name: str = "isaac"

    def rows_per_read(self, crossbar: Crossbar) -> int:
        """All of them."""
        return crossbar.wordlines

    def arrays(self, layer: CodedLayer, crossbar: Crossbar) -> Arrays:
        """groups * 2 * G * ceil(K / R) * ceil(N / C) arrays."""
        slice_groups = crossbar.slice_groups(layer.weight_bits)
        rows = ceil(layer.shape.wordlines / crossbar.wordlines)
        columns = ceil(layer.shape.outputs / crossbar.bitlines)
        per_group = layer.shape.groups * len(SIGNS) * rows * columns
        return Arrays(
            slice_groups=slice_groups,
            row_blocks=rows,
            column_blocks=columns,
            crossbars=slice_groups * per_group,
            crossbars_per_slice_group=per_group,
        )

    def cost_terms(self, layers: Sequence[CodedLayer], chip: Chip) -> CostTerms:
        """Map the layers one after the other onto as many tiles as they need."""
        if not layers:
            raise MappingError(
                "an estimate needs at least one layer, got none. Trace a network that has "
                "Linear or Conv2d layers."
            )
        groups = len(chip.adc_bits)
        arrays = [self.arrays(layer, chip.crossbar) for layer in layers]
        uses_group = np.zeros((len(layers), groups), dtype=np.bool_)
        adcs = np.zeros(groups, dtype=np.int64)
        for index, (layer, held) in enumerate(zip(layers, arrays, strict=True)):
            chip.adc_bits_for(layer.shape.name, layer.weight_bits)  # refuses too many groups
            uses_group[index, groups - held.slice_groups :] = True
            adcs += uses_group[index] * held.crossbars_per_slice_group
        per_group = [_conversions(layer, a) for layer, a in zip(layers, arrays, strict=True)]
        conversions = uses_group.astype(np.int64) * np.array(per_group, dtype=np.int64)[:, None]
        fixed, held_power = _energies(layers, arrays, chip, conversions)
        crossbars = np.array([a.crossbars for a in arrays], dtype=np.int64)
        columns = [min(layer.shape.outputs, chip.crossbar.bitlines) for layer in layers]
        reads = [layer.shape.positions * layer.input_bits for layer in layers]
        return CostTerms(
            components=COMPONENTS,
            fixed_energy_j=fixed,
            held_power_w_reads=held_power,
            conversions=conversions,
            uses_group=uses_group,
            columns_per_adc=np.array(columns, dtype=np.int64),
            read_time_s=np.full(len(layers), chip.array.read_time_s),
            serial_reads=np.array(reads, dtype=np.int64),
            crossbars=crossbars,
            adcs=adcs,
            fixed_area_m2=_areas(int(crossbars.sum()), chip),
        )


def _conversions(layer: CodedLayer, arrays: Arrays) -> int:
    """Conversions of one slice group per image: V * A * groups * 2 * ceil(K / R) * N."""
    shape = layer.shape
    reads = shape.positions * layer.input_bits
    return reads * shape.groups * len(SIGNS) * arrays.row_blocks * shape.outputs


def _energies(
    layers: Sequence[CodedLayer],
    arrays: Sequence[Arrays],
    chip: Chip,
    conversions: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Joules (L, C) that are fixed, and watts times reads (L, C) that last as long as a read."""
    k, n, v, matrices = (
        np.array([getattr(layer.shape, field) for layer in layers], dtype=np.float64)
        for field in ("wordlines", "outputs", "positions", "groups")
    )
    bits = np.array([layer.input_bits for layer in layers], dtype=np.float64)
    slices = np.array([a.slice_groups for a in arrays], dtype=np.float64)
    row_blocks = np.array([a.row_blocks for a in arrays], dtype=np.float64)
    column_blocks = np.array([a.column_blocks for a in arrays], dtype=np.float64)

    reads = v * bits
    copies = matrices * len(SIGNS) * slices  # arrays that see the same rows and columns
    driven_rows = reads * copies * k * column_blocks
    held_columns = reads * copies * n * row_blocks
    read_cells = reads * copies * k * n
    inputs_moved = v * matrices * k * bits
    outputs_moved = v * matrices * n * bits

    array, ima, tile = chip.array, chip.ima, chip.tile
    fixed = {
        "dac": driven_rows * array.dac_power_w * array.read_time_s,
        "array": read_cells * array.cell_power_w * array.read_time_s,
        "shift_add": conversions.sum(axis=1) * ima.shift_add_energy_j,
        "edram": (inputs_moved + outputs_moved) * tile.edram_energy_j_per_bit,
        "bus": (inputs_moved + outputs_moved) * tile.bus_energy_j_per_bit,
        "router": outputs_moved * tile.router_energy_j_per_bit,
        "tile_shift_add": v * matrices * n * (row_blocks - 1) * tile.shift_add_energy_j,
        "activation": v * matrices * n * tile.activation_energy_j,
        "tile_output_register": outputs_moved * tile.output_register_energy_j_per_bit,
    }
    held = {
        "sample_hold": held_columns * array.sample_hold_power_w,
        "input_register": driven_rows * ima.input_register_power_w,
        "output_register": held_columns * ima.output_register_power_w,
    }
    none = np.zeros(len(layers))
    return (
        np.stack([fixed.get(name, none) for name in COMPONENTS], axis=1),
        np.stack([held.get(name, none) for name in COMPONENTS], axis=1),
    )


def _areas(crossbars: int, chip: Chip) -> NDArray[np.float64]:
    """Square metres (C,) of whole arrays, IMAs and tiles; the ADCs are left to their model."""
    rows, columns = chip.crossbar.wordlines, chip.crossbar.bitlines
    imas = ceil(crossbars / chip.ima.arrays)
    tiles = ceil(imas / chip.tile.imas)
    array, ima, tile = chip.array, chip.ima, chip.tile
    areas = {
        "dac": crossbars * rows * array.dac_area_m2,
        "array": crossbars * rows * columns * array.cell_area_m2,
        "sample_hold": crossbars * columns * array.sample_hold_area_m2,
        "shift_add": imas * ima.shift_add_area_m2,
        "input_register": imas * ima.arrays * rows * ima.input_register_area_m2,
        "output_register": imas * ima.arrays * columns * ima.output_register_area_m2,
        "edram": tiles * tile.edram_area_m2,
        "bus": tiles * tile.bus_area_m2,
        "router": tiles * tile.router_area_m2,
        "tile_shift_add": tiles * tile.shift_add_area_m2,
        "activation": tiles * tile.activation_area_m2,
        "pooling": tiles * tile.pooling_area_m2,
        "tile_output_register": tiles * tile.output_register_area_m2,
    }
    return np.array([areas.get(name, 0.0) for name in COMPONENTS])


ISAAC = IsaacEngine()
