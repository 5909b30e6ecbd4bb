"""From what happens in the arrays of a layer to what each block is charged for it."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from hw_models.encodings.bit_slices import row_blocks
from hw_models.engines.engine import CostTerms
from hw_models.errors import MappingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from hw_models.chip import Chip
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
    "scale_bias",
    "activation",
    "pooling",
    "tile_output_register",
)

INDEX = "index"
"""Component of engines that read indices or masks: their bits over buffer and bus."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerWalk:
    """What one layer makes the arrays do for one image; counts only.

    Attributes:
        conversions: ADC conversions per slice group of the layer, most significant first.
        adcs: Converters per slice group.
        crossbars: Arrays that hold the layer.
        serial_reads: Reads one after the other.
        columns_per_adc: Bitlines that one converter converts in one read.
        driven_rows: Wordlines driven, over all reads.
        held_columns: Bitlines sampled, over all reads.
        read_cells: Cells between driven wordlines and sensed bitlines, over all reads.
        partial_sums: Additions of sums of different arrays or operation units in the tile.
        input_bits_moved: Input bits from the buffer; None is every input once per MVM.
        index_bits: Bits of indices, flags or masks read.
        array_energy_j: Energy of the cells where it depends on what they store; None is
            `read_cells` at the array's power.
    """

    conversions: tuple[int, ...]
    adcs: tuple[int, ...]
    crossbars: int
    serial_reads: int
    columns_per_adc: int
    driven_rows: float
    held_columns: float
    read_cells: float
    partial_sums: float
    input_bits_moved: float | None = None
    index_bits: float = 0.0
    array_energy_j: float | None = None


def require_layers(layers: Sequence[CodedLayer]) -> None:
    """Refuse an empty network."""
    if not layers:
        raise MappingError(
            "an estimate needs at least one layer, got none. Trace a network that has "
            "Linear or Conv2d layers."
        )


def input_cycles(layer: CodedLayer, chip: Chip) -> int:
    """Input digits of an MVM, one after the other."""
    return -(-layer.input_bits // chip.dac_bits)


def array_rows(layer: CodedLayer, chip: Chip) -> Iterator[slice]:
    """Wordlines of a matrix that share an array."""
    return row_blocks(layer.shape.wordlines, chip.crossbar.wordlines)


def cell_planes(layer: CodedLayer, matrix: int, rows: slice, chip: Chip) -> NDArray[np.uint8]:
    """Cells of one row block as (copies, K_block, N, G): copies are 2 where signs are arrays.

    Unit columns are left out: they belong to no weight.
    """
    groups = chip.encoding.slice_groups(layer.weight_bits, chip.crossbar.bits_per_cell)
    found: list[list[NDArray[np.uint8]]] = [[] for _ in range(groups)]
    for plane in chip.encoding.planes(layer, matrix, rows, chip.crossbar, chip.dac_bits):
        if not plane.unit:
            found[plane.group].append(plane.cells)
    return np.stack([np.stack(copies) for copies in found], axis=-1)


def charge(
    layers: Sequence[CodedLayer],
    walks: Sequence[LayerWalk],
    chip: Chip,
    *,
    shared_adc: bool = False,
) -> CostTerms:
    """Coefficients of the cost: every block's power for the time it is busy, or energy per use.

    A DAC of v bits takes 2^(v - 1) times the power and area of the 1-bit one (MNSIM 2.0's table:
    3.9, 7.8, 31.2 uW for 1, 2, 4 bits). Every output is multiplied by a scale and added to a bias
    once, in integers: the steps of weights and inputs, the layer's bias and a batch norm after it
    are one scale and one bias per output.

    Args:
        layers: The network.
        walks: Counts of each layer.
        chip: Blocks, and the number of slice groups.
        shared_adc: Whether one converter serves all slice groups of an array.
    """
    groups = len(chip.adc_bits)
    widest = max(layers, key=lambda layer: layer.weight_bits)
    chip.adc_bits_for(widest.shape.name, widest.weight_bits)  # refuses too many groups
    unused = [(0,) * (groups - len(walk.conversions)) for walk in walks]
    filled = list(zip(unused, walks, strict=True))
    conversions = np.array([none + walk.conversions for none, walk in filled], dtype=np.int64)
    adcs = np.array([none + walk.adcs for none, walk in filled], dtype=np.int64)
    uses_group = np.arange(groups) >= np.array([len(none) for none in unused])[:, np.newaxis]
    crossbars = np.array([walk.crossbars for walk in walks], dtype=np.int64)
    indexed = any(walk.index_bits for walk in walks)
    components = (*COMPONENTS, INDEX) if indexed else COMPONENTS
    fixed, held = _energies(layers, walks, chip, conversions, components)
    return CostTerms(
        components=components,
        fixed_energy_j=fixed,
        held_power_w_reads=held,
        conversions=conversions,
        uses_group=uses_group,
        columns_per_adc=np.array([walk.columns_per_adc for walk in walks], dtype=np.int64),
        read_time_s=np.full(len(layers), chip.array.read_time_s),
        serial_reads=np.array([walk.serial_reads for walk in walks], dtype=np.int64),
        crossbars=crossbars,
        adcs=adcs.sum(axis=0),
        fixed_area_m2=fixed_areas(int(crossbars.sum()), chip, components),
        layer_adcs=adcs,
        shared_adc=shared_adc,
    )


def _energies(
    layers: Sequence[CodedLayer],
    walks: Sequence[LayerWalk],
    chip: Chip,
    conversions: NDArray[np.int64],
    components: tuple[str, ...],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Joules (L, C) that are fixed, and watts times reads (L, C) that last as long as a read."""
    shapes = [layer.shape for layer in layers]
    k, n, v, matrices, bits = np.array(
        [
            (shape.wordlines, shape.outputs, shape.positions, shape.groups, layer.input_bits)
            for shape, layer in zip(shapes, layers, strict=True)
        ],
        dtype=np.float64,
    ).T
    driven_rows, held_columns, read_cells, partial_sums, index_bits = np.array(
        [
            (w.driven_rows, w.held_columns, w.read_cells, w.partial_sums, w.index_bits)
            for w in walks
        ],
        dtype=np.float64,
    ).T
    moved = v * matrices * k * bits
    given = [walk.input_bits_moved for walk in walks]
    inputs_moved = np.array(
        [every if own is None else own for every, own in zip(moved, given, strict=True)]
    )
    outputs_moved = v * matrices * n * bits

    array, ima, tile = chip.array, chip.ima, chip.tile
    read_array = read_cells * array.cell_power_w * array.read_time_s
    stored = [walk.array_energy_j for walk in walks]
    fixed = {
        "dac": driven_rows * array.dac_power_w * array.read_time_s * _dac_factor(chip),
        "array": np.array(
            [own if each is None else each for own, each in zip(read_array, stored, strict=True)]
        ),
        "shift_add": conversions.sum(axis=1) * ima.shift_add_energy_j,
        "edram": (inputs_moved + outputs_moved) * tile.edram_energy_j_per_bit,
        "bus": (inputs_moved + outputs_moved) * tile.bus_energy_j_per_bit,
        "router": outputs_moved * tile.router_energy_j_per_bit,
        "tile_shift_add": partial_sums * tile.shift_add_energy_j,
        "scale_bias": v * matrices * n * (tile.scale_energy_j + tile.shift_add_energy_j),
        "activation": v * matrices * n * tile.activation_energy_j,
        "tile_output_register": outputs_moved * tile.output_register_energy_j_per_bit,
        INDEX: index_bits * (tile.edram_energy_j_per_bit + tile.bus_energy_j_per_bit),
    }
    held = {
        "sample_hold": held_columns * array.sample_hold_power_w,
        "input_register": driven_rows * ima.input_register_power_w,
        "output_register": held_columns * ima.output_register_power_w,
    }
    none = np.zeros(len(layers))
    return (
        np.stack([fixed.get(name, none) for name in components], axis=1),
        np.stack([held.get(name, none) for name in components], axis=1),
    )


def fixed_areas(
    crossbars: int, chip: Chip, components: tuple[str, ...] = COMPONENTS
) -> NDArray[np.float64]:
    """Square metres (C,) of whole arrays, IMAs and tiles; the ADCs are left to their model."""
    rows, columns = chip.crossbar.wordlines, chip.crossbar.bitlines
    imas = ceil(crossbars / chip.ima.arrays)
    tiles = ceil(imas / chip.tile.imas)
    array, ima, tile = chip.array, chip.ima, chip.tile
    areas = {
        "dac": crossbars * rows * array.dac_area_m2 * _dac_factor(chip),
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
    return np.array([areas.get(name, 0.0) for name in components])


def _dac_factor(chip: Chip) -> float:
    return float(2 ** (chip.dac_bits - 1))
