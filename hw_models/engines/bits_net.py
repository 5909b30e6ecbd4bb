"""BitS-Net: a macro that senses one cell per conversion; energy by what the cell stores."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from hw_models.encodings.bit_slices import slice_magnitudes
from hw_models.engines.walk import LayerWalk, charge, require_layers
from hw_models.errors import HardwareError
from hw_models.published import bits_net

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hw_models.chip import Chip
    from hw_models.crossbar import Crossbar
    from hw_models.engines.engine import CostTerms
    from hw_models.layer import CodedLayer


@dataclass(frozen=True, slots=True, kw_only=True)
class BitsNetEngine:
    """One wordline at a time; every 2-bit cell is sensed once per MVM and converted by itself.

    A weight read costs the sum of its cells' energies by stored state, plus one conversion per
    cell: [BitSNet]'s accounting, in which a 2-bit cell at 11 costs 18 times one at 00. With the
    `bits_net` converter that is 1.148 pJ (all 00) to 6.672 pJ (all 11) per 8-bit weight. The cells
    are those of the given magnitude codes; the paper's level sets belong into Q2.6
    (`hw_models.published.bits_net.code`).

    Ours, since the paper does not say: the cells of a weight lie side by side in one array with
    one converter for all its bitlines, signs are kept outside of the cells at no charge, the
    input is applied to the digital value (no input bits in the read count), and the blocks around
    the array are charged as in `isaac`.

    Attributes:
        name: Name under which results report the engine.
        cell_energy_j: Reading one cell, by its value.

    [BitSNet] "BitS-Net: Bit-Sparse Deep Neural Network for Energy-Efficient RRAM-Based
        Compute-In-Memory", IEEE TCAS-I 69(5), 2022.
    """

    name: str = "bits_net"
    cell_energy_j: tuple[float, ...] = bits_net.CELL_ENERGY_J

    def rows_per_read(self, crossbar: Crossbar) -> int:
        """One: currents of different weights never add up."""
        del crossbar
        return 1

    def cost_terms(self, layers: Sequence[CodedLayer], chip: Chip) -> CostTerms:
        """Every layer in weight-wide columns."""
        require_layers(layers)
        if 1 << chip.crossbar.bits_per_cell != len(self.cell_energy_j):
            raise HardwareError(
                f"{self.name}: an energy per stored state is known for "
                f"{len(self.cell_energy_j)} states, got cells of {chip.crossbar.bits_per_cell} "
                f"bits. Choose cell.bits = {bits_net.CELL_BITS}."
            )
        if chip.encoding.name != "differential":
            raise HardwareError(
                f"{self.name}: magnitudes are stored and signs kept apart, got encoding "
                f"'{chip.encoding.name}'. Choose the differential encoding."
            )
        walks = [self._walk(layer, chip) for layer in layers]
        return charge(layers, walks, chip, shared_adc=True)

    def _walk(self, layer: CodedLayer, chip: Chip) -> LayerWalk:
        shape, crossbar = layer.shape, chip.crossbar
        groups = crossbar.slice_groups(layer.weight_bits)
        width = shape.outputs * groups
        column_blocks = ceil(width / crossbar.bitlines)
        arrays = shape.groups * ceil(shape.wordlines / crossbar.wordlines) * column_blocks
        row_reads = shape.positions * shape.groups * shape.wordlines
        cells_read = row_reads * width
        states = state_histogram(layer, crossbar)
        return LayerWalk(
            conversions=(row_reads * shape.outputs,) * groups,
            adcs=(0,) * (groups - 1) + (arrays,),
            crossbars=arrays,
            serial_reads=shape.positions * min(shape.wordlines, crossbar.wordlines),
            columns_per_adc=min(width, crossbar.bitlines),
            driven_rows=float(row_reads * column_blocks),
            held_columns=float(cells_read),
            read_cells=float(cells_read),
            partial_sums=shape.positions * shape.groups * shape.outputs * (shape.wordlines - 1),
            array_energy_j=shape.positions * float(states @ np.array(self.cell_energy_j)),
        )


def state_histogram(layer: CodedLayer, crossbar: Crossbar) -> NDArray[np.int64]:
    """Cells of a layer's magnitudes in each state 0 .. 2**bits_per_cell - 1."""
    cells = slice_magnitudes(layer.magnitudes, layer.weight_bits, crossbar.bits_per_cell)
    return np.bincount(cells.ravel(), minlength=1 << crossbar.bits_per_cell)


BITS_NET = BitsNetEngine()
