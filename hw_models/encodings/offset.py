"""Weights with an offset that makes them unsigned, and ISAAC's columns that are stored flipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hw_models.encodings.bit_slices import slice_shifts
from hw_models.encodings.encoding import ColumnPlane

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hw_models.crossbar import Crossbar
    from hw_models.layer import CodedLayer


@dataclass(frozen=True, slots=True, kw_only=True)
class OffsetEncoding:
    """A weight w is stored as w + 2**weight_bits, weight_bits + 1 bits, in one array.

    The offset times the sum of the inputs is taken off digitally; the sum of the inputs is
    counted, not converted. With `flip`, a column whose largest possible sum would set the top bit
    of the converter that a full column asks for is stored as (largest cell - cell), and its
    converted sum is taken from (largest cell * sum of the inputs): the converter needs one bit
    less. [Shafiee2016], the encoding scheme; its weights are 16-bit with an offset of 2**15.
    Whether a column is flipped is one bit per row block that is read at once.

    Attributes:
        name: Name under which results report the encoding.
        flip: Whether columns of large sum are stored flipped.

    [Shafiee2016] A. Shafiee et al., "ISAAC", ISCA 2016.
    """

    name: str = "offset"
    flip: bool = False

    @property
    def copies(self) -> int:
        """The offset makes weights unsigned."""
        return 1

    def slice_groups(self, weight_bits: int, bits_per_cell: int) -> int:
        """ceil((weight_bits + 1) / bits_per_cell): the sign costs a bit."""
        return -(-(weight_bits + 1) // bits_per_cell)

    def planes(
        self, layer: CodedLayer, matrix: int, rows: slice, crossbar: Crossbar, dac_bits: int
    ) -> Iterator[ColumnPlane]:
        """One column per slice group."""
        largest = (1 << crossbar.bits_per_cell) - 1
        signed = layer.magnitudes[matrix, rows].astype(np.int64) * layer.signs[matrix, rows]
        stored = signed + (1 << layer.weight_bits)
        top_bit = 1 << (crossbar.full_column_adc_bits(dac_bits=dac_bits) - 1)
        for group, shift in enumerate(slice_shifts(layer.weight_bits + 1, crossbar.bits_per_cell)):
            cells = (stored >> shift) & largest
            factors = np.full(layer.shape.outputs, 1 << shift, dtype=np.int64)
            if self.flip:
                flipped = cells.sum(axis=0) * ((1 << dac_bits) - 1) >= top_bit
                cells = np.where(flipped, largest - cells, cells)
                factors = np.where(flipped, -factors, factors)
            yield ColumnPlane(group=group, cells=cells.astype(np.uint8), factors=factors)


OFFSET = OffsetEncoding()
ISAAC_FLIP = OffsetEncoding(name="isaac_flip", flip=True)
