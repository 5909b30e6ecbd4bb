"""ISAAC-style engine: dense arrays, read in full, one slice group per array."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from hw_models.encodings.offset import unit_columns
from hw_models.engines.walk import (
    LayerWalk,
    charge,
    input_cycles,
    require_layers,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hw_models.chip import Chip
    from hw_models.crossbar import Crossbar
    from hw_models.engines.engine import CostTerms
    from hw_models.layer import CodedLayer


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrays:
    """How one layer lies in arrays; slice groups on separate arrays.

    Attributes:
        slice_groups: Cells per magnitude, G.
        row_blocks: Arrays that share the inputs of one matrix, ceil(K / R).
        column_blocks: Arrays that share its outputs, ceil(N / C).
        crossbars: All arrays of the layer.
        crossbars_per_slice_group: Arrays, and so ADCs, that one slice group takes.
        copies: Arrays in place of one: 2 where the two signs have one each.
        row_reads: Reads that cover the rows of a matrix: `row_blocks` times operation units.
    """

    slice_groups: int
    row_blocks: int
    column_blocks: int
    crossbars: int
    crossbars_per_slice_group: int
    copies: int
    row_reads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IsaacEngine:
    """Every weight has its cells, every read drives a whole array, every column is converted.

    Inputs are bit-serial: A / v reads per MVM with a DAC of v bits, times the operation units of
    an array where it is not read at once. The chip's encoding says what an array holds:
    differential weights take two arrays; with an offset there is one array, and one more column
    in each that converts the sum of the inputs (the unit column of [Shafiee2016], which its
    flipped columns need as well; it fits beside the C bitlines). The simulator reads the same
    unit columns through the same converters (`hw_models.encodings.offset`). Flipping saves one
    bit of ADC: give `adc_bits` of `Crossbar.encoded_adc_bits`.

    Each slice group has its own arrays (XB_3 .. XB_0 of [Zhang2019]), so each array's one ADC
    has the resolution of its group. Blocks are charged their power for the time they are busy:
    DACs and cells for the 100 ns of a read, registers and sample-and-hold for the whole read
    (longer where the ADC is slower), ADC and shift-and-add per conversion, data movement per
    bit: each MVM reads K inputs of A bits from the eDRAM over the bus, and writes N outputs of A
    bits through output register, bus, router and eDRAM.

    Not modelled: `hw_models.estimation.digital.NOT_CHARGED`.

    Attributes:
        name: Name under which results report the engine.

    [Shafiee2016] A. Shafiee et al., "ISAAC", ISCA 2016.
    [Zhang2019] J. Zhang et al., "Exploring Bit-Slice Sparsity in Deep Neural Networks for
        Efficient ReRAM-Based Deployment", 2019.
    """

    name: str = "isaac"

    def rows_per_read(self, crossbar: Crossbar) -> int:
        """All of them, or those of the crossbar's operation unit."""
        return crossbar.rows_per_read

    def arrays(self, layer: CodedLayer, chip: Chip) -> Arrays:
        """groups * copies * G * ceil(K / R) * ceil(N / C) arrays; 2 copies if differential."""
        crossbar, shape = chip.crossbar, layer.shape
        copies = chip.encoding.copies
        slice_groups = chip.encoding.slice_groups(layer.weight_bits, crossbar.bits_per_cell)
        rows = ceil(shape.wordlines / crossbar.wordlines)
        columns = ceil(shape.outputs / crossbar.bitlines)
        per_group = shape.groups * copies * rows * columns
        full, rest = divmod(shape.wordlines, crossbar.wordlines)
        at_once = crossbar.rows_per_read
        return Arrays(
            slice_groups=slice_groups,
            row_blocks=rows,
            column_blocks=columns,
            crossbars=slice_groups * per_group,
            crossbars_per_slice_group=per_group,
            copies=copies,
            row_reads=full * ceil(crossbar.wordlines / at_once) + ceil(rest / at_once),
        )

    def cost_terms(self, layers: Sequence[CodedLayer], chip: Chip) -> CostTerms:
        """Map the layers one after the other onto as many tiles as they need."""
        require_layers(layers)
        walks: dict[tuple[int, ...], LayerWalk] = {}  # networks repeat their layers
        sizes = []
        for layer in layers:
            shape = layer.shape
            size = (shape.wordlines, shape.outputs, shape.groups, shape.positions)
            sizes.append((*size, layer.weight_bits, layer.input_bits))
            if sizes[-1] not in walks:
                walks[sizes[-1]] = self._walk(layer, chip)
        return charge(layers, [walks[size] for size in sizes], chip)

    def _walk(self, layer: CodedLayer, chip: Chip) -> LayerWalk:
        arrays, shape, crossbar = self.arrays(layer, chip), layer.shape, chip.crossbar
        reads = shape.positions * input_cycles(layer, chip)
        matrices = shape.groups * arrays.copies
        units = unit_columns(chip.encoding)
        columns = shape.outputs + units * arrays.column_blocks
        conversions = reads * matrices * arrays.row_reads * columns
        planes = float(reads * matrices * arrays.slice_groups)
        rows_of_read = min(shape.wordlines, crossbar.wordlines)
        return LayerWalk(
            conversions=(conversions,) * arrays.slice_groups,
            adcs=(arrays.crossbars_per_slice_group,) * arrays.slice_groups,
            crossbars=arrays.crossbars,
            serial_reads=reads * ceil(rows_of_read / crossbar.rows_per_read),
            columns_per_adc=min(shape.outputs, crossbar.bitlines) + units,
            driven_rows=planes * shape.wordlines * arrays.column_blocks,
            held_columns=planes * columns * arrays.row_reads,
            read_cells=planes * shape.wordlines * columns,
            partial_sums=shape.positions * shape.groups * shape.outputs * (arrays.row_reads - 1),
        )


ISAAC = IsaacEngine()
