"""CRMP: layer-wise precision, bit planes in arrays of their own, arrays walked as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from hw_models.encodings.offset import unit_columns
from hw_models.engines.walk import LayerWalk, charge, input_cycles, require_layers
from hw_models.errors import HardwareError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hw_models.chip import Chip
    from hw_models.crossbar import Crossbar
    from hw_models.engines.engine import CostTerms
    from hw_models.layer import CodedLayer


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmpEngine:
    """Positive and negative arrays per bit plane; used and unused cells are read alike.

    A layer of W weight bits and M input bits takes 2 W ceil(K / R) ceil(N / C) arrays of
    single-bit cells (differential encoding) and V ceil(M / v) reads of each with a DAC of v bits
    ([Zhu2019]: v = 2, 6-bit ADC). With operation units, an array takes ceil(R / h) ceil(C / w)
    reads. Unlike `isaac`, the whole array is driven and converted however little of it is used.
    With an offset encoding, a unit column beside the C bitlines is converted with the last of
    each row step's column steps.

    Attributes:
        name: Name under which results report the engine.
        ou_bitlines: Bitlines w that are read at once; None is all of them. The rows h of an
            operation unit are the crossbar's.

    [Zhu2019] Z. Zhu et al., "A Configurable Multi-Precision CNN Computing Framework Based on
        Single Bit RRAM", DAC 2019.
    """

    name: str = "crmp"
    ou_bitlines: int | None = None

    def rows_per_read(self, crossbar: Crossbar) -> int:
        """All of them, or those of the crossbar's operation unit."""
        return crossbar.rows_per_read

    def cost_terms(self, layers: Sequence[CodedLayer], chip: Chip) -> CostTerms:
        """Every layer on whole arrays."""
        require_layers(layers)
        require_ou_bitlines(self.name, self.ou_bitlines, chip)
        return charge(layers, [self._walk(layer, chip) for layer in layers], chip)

    def _walk(self, layer: CodedLayer, chip: Chip) -> LayerWalk:
        shape, crossbar = layer.shape, chip.crossbar
        rows, units = crossbar.wordlines, unit_columns(chip.encoding)
        columns = crossbar.bitlines + units
        width = crossbar.bitlines if self.ou_bitlines is None else self.ou_bitlines
        copies = chip.encoding.copies
        planes = chip.encoding.slice_groups(layer.weight_bits, crossbar.bits_per_cell)
        row_blocks = ceil(shape.wordlines / rows)
        per_plane = shape.groups * copies * row_blocks * ceil(shape.outputs / crossbar.bitlines)
        mvm_reads = shape.positions * input_cycles(layer, chip)
        row_steps = ceil(rows / crossbar.rows_per_read)
        column_steps = ceil(crossbar.bitlines / width)
        conversions = per_plane * mvm_reads * row_steps * columns
        array_reads = float(per_plane * planes * mvm_reads)
        additions = shape.positions * shape.groups * shape.outputs * (row_blocks * row_steps - 1)
        return LayerWalk(
            conversions=(conversions,) * planes,
            adcs=(per_plane,) * planes,
            crossbars=per_plane * planes,
            serial_reads=mvm_reads * row_steps * column_steps,
            columns_per_adc=width + units,
            driven_rows=array_reads * rows * column_steps,
            held_columns=array_reads * columns * row_steps,
            read_cells=array_reads * rows * columns,
            partial_sums=additions,
        )


def require_ou_bitlines(engine: str, ou_bitlines: int | None, chip: Chip) -> None:
    """Refuse an operation unit that is wider than the array."""
    if ou_bitlines is not None and not 1 <= ou_bitlines <= chip.crossbar.bitlines:
        raise HardwareError(
            f"{engine}: ou_bitlines must be 1 to the {chip.crossbar.bitlines} bitlines of the "
            f"array, got {ou_bitlines}. Lower it, or widen crossbar.bitlines."
        )


CRMP = CrmpEngine()
