"""Bit-Transformer: one bit plane per array, empty columns removed."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from hw_models.encodings.bit_planes import nonempty_columns
from hw_models.engines.walk import LayerWalk, array_rows, charge, input_cycles, require_layers
from hw_models.errors import HardwareError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hw_models.chip import Chip
    from hw_models.crossbar import Crossbar
    from hw_models.engines.engine import CostTerms
    from hw_models.layer import CodedLayer


@dataclass(frozen=True, slots=True, kw_only=True)
class BitPlaneEngine:
    """Planes on separate arrays; a column without a conducting cell takes no bitline.

    Per tile of R wordlines, sign and plane, the non-empty columns fill ceil(columns / C) arrays;
    `packed` lets the planes of one tile and sign share arrays (each column carries its own shift).
    A mask of one bit per (tile, sign, plane, column) is read with every MVM; the mask and its
    charge are ours, the source says only that block masks mark what is empty.

    Reads per MVM: input digits times ceil(rows / `rows_per_read`). A cap on the ones of a column
    is what makes all R rows at once possible with a small ADC; without one, limit
    `crossbar.ou_wordlines` to the rows at which the ADC is lossless.

    Attributes:
        name: Name under which results report the engine.
        packed: Whether columns of different planes may share an array.

    [Liu2021] F. Liu et al., "Bit-Transformer: Transforming Bit-level Sparsity into Higher
        Performance in ReRAM-based Accelerator", ICCAD 2021.
    """

    name: str = "bit_plane"
    packed: bool = False

    def rows_per_read(self, crossbar: Crossbar) -> int:
        """All of them, or those of the crossbar's operation unit."""
        return crossbar.rows_per_read

    def cost_terms(self, layers: Sequence[CodedLayer], chip: Chip) -> CostTerms:
        """Every layer by its non-empty columns."""
        require_layers(layers)
        if chip.encoding.name != "differential":
            raise HardwareError(
                f"{self.name}: planes of magnitudes are emptied, got encoding "
                f"'{chip.encoding.name}'. Choose the differential encoding."
            )
        walks = [self._walk(layer, chip) for layer in layers]
        return charge(layers, walks, chip, shared_adc=self.packed)

    def _walk(self, layer: CodedLayer, chip: Chip) -> LayerWalk:
        shape, crossbar = layer.shape, chip.crossbar
        counts = nonempty_columns(layer, crossbar)  # (matrices, tiles, signs, planes)
        if self.packed:
            arrays = -(-counts.sum(axis=-1, keepdims=True) // crossbar.bitlines)
            widest = int(counts.sum(axis=-1).max())
        else:
            arrays = -(-counts // crossbar.bitlines)
            widest = int(counts.max())
        mvm_reads = shape.positions * input_cycles(layer, chip)
        conversions = [0] * counts.shape[-1]
        driven_rows = read_cells = 0.0
        row_reads = 0
        for tile, rows in enumerate(array_rows(layer, chip)):
            height = rows.stop - rows.start
            steps = ceil(height / crossbar.rows_per_read)
            row_reads += steps
            for plane in range(counts.shape[-1]):
                columns = int(counts[:, tile, :, plane].sum())
                conversions[plane] += mvm_reads * steps * columns
            driven_rows += float(mvm_reads * height * int(arrays[:, tile].sum()))
            read_cells += float(mvm_reads * height * int(counts[:, tile].sum()))
        per_plane = arrays.sum(axis=(0, 1, 2)).tolist()
        steps = ceil(min(shape.wordlines, crossbar.wordlines) / crossbar.rows_per_read)
        return LayerWalk(
            conversions=tuple(conversions),
            adcs=(0,) * (counts.shape[-1] - len(per_plane)) + tuple(per_plane),
            crossbars=int(arrays.sum()),
            serial_reads=mvm_reads * steps if widest else 0,
            columns_per_adc=min(widest, crossbar.bitlines),
            driven_rows=driven_rows,
            held_columns=float(sum(conversions)),
            read_cells=read_cells,
            partial_sums=shape.positions * shape.groups * shape.outputs * (row_reads - 1),
            index_bits=float(
                shape.positions * counts[..., :1].size * counts.shape[-1] * shape.outputs
            ),
        )


BIT_PLANE = BitPlaneEngine()
