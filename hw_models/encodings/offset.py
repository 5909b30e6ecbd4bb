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
    from hw_models.encodings.encoding import Encoding
    from hw_models.layer import CodedLayer


@dataclass(frozen=True, slots=True, kw_only=True)
class OffsetEncoding:
    """A weight w is stored as w + 2**weight_bits, weight_bits + 1 bits, in one array.

    Every array has a unit column beside its bitlines, whose cells are all 1: its sum U is that of
    the inputs ([Shafiee2016], the encoding scheme). It is sampled and converted like the others,
    by the converter of its array, and clips like them. With value() the converter of a slice
    group of 2**shift, column sum S and largest cell c, an output adds up

        2**shift * value(S)                               a column as it is
        2**shift * (c * value(U) - value(S))              with `flip`, a column stored as c - cell
        - 2**weight_bits * value(U)                       the offset, in the top group

    so every array is corrected with its own unit column; the offset is a bit of the top group. A
    column is flipped if its largest possible sum would set the top bit of the converter that a
    full column asks for; the converter needs one bit less then. The unit column asks for
    log2(rows * digit + 1) bits whatever the weights are: with 1-bit cells that is the bit that
    flipping would save. What the paper leaves open is ours: it has converters that never clip, so
    it says neither that a unit column may clip nor which array's is used for the offset. Its
    weights are 16-bit with an offset of 2**15. Whether a column is flipped is one bit per row
    block that is read at once.

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
        """One column per slice group, and its unit column where an output needs one."""
        largest = (1 << crossbar.bits_per_cell) - 1
        signed = layer.magnitudes[matrix, rows].astype(np.int64) * layer.signs[matrix, rows]
        stored = signed + (1 << layer.weight_bits)
        ones = np.ones((len(stored), 1), dtype=np.uint8)
        top_bit = 1 << (crossbar.full_column_adc_bits(dac_bits=dac_bits) - 1)
        for group, shift in enumerate(slice_shifts(layer.weight_bits + 1, crossbar.bits_per_cell)):
            cells = (stored >> shift) & largest
            factors = np.full(layer.shape.outputs, 1 << shift, dtype=np.int64)
            units = np.full_like(factors, -(1 << layer.weight_bits) if group == 0 else 0)
            if self.flip:
                flipped = cells.sum(axis=0) * ((1 << dac_bits) - 1) >= top_bit
                cells = np.where(flipped, largest - cells, cells)
                units += flipped * (largest << shift)
                factors = np.where(flipped, -factors, factors)
            yield ColumnPlane(group=group, cells=cells.astype(np.uint8), factors=factors)
            if units.any():
                yield ColumnPlane(group=group, cells=ones, factors=units, unit=True)


def unit_columns(encoding: Encoding) -> int:
    """Columns of every array beside its bitlines: 1 where the sum of the inputs is needed."""
    return 1 if isinstance(encoding, OffsetEncoding) else 0


OFFSET = OffsetEncoding()
ISAAC_FLIP = OffsetEncoding(name="isaac_flip", flip=True)
