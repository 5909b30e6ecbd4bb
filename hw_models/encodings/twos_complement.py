"""Two's complement: a column of sign bits of negative weight, and the lower bits in slices."""

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
class TwosComplementEncoding:
    """A weight of weight_bits + 1 bits in one array; the sign bit has a 1-bit cell of its own.

    The sign bit is worth -2**weight_bits, so it cannot share a cell with a bit of positive worth:
    the sum of a column has one factor.

    Attributes:
        name: Name under which results report the encoding.
    """

    name: str = "twos_complement"

    @property
    def copies(self) -> int:
        """The sign has a column."""
        return 1

    def slice_groups(self, weight_bits: int, bits_per_cell: int) -> int:
        """The sign's group, the most significant, and ceil(weight_bits / bits_per_cell)."""
        return 1 + -(-weight_bits // bits_per_cell)

    def planes(
        self, layer: CodedLayer, matrix: int, rows: slice, crossbar: Crossbar, dac_bits: int
    ) -> Iterator[ColumnPlane]:
        """The sign column, then one column per slice group of the lower bits."""
        bits, outputs = layer.weight_bits, layer.shape.outputs
        signed = layer.magnitudes[matrix, rows].astype(np.int64) * layer.signs[matrix, rows]
        yield ColumnPlane(
            group=0,
            cells=(signed < 0).astype(np.uint8),
            factors=np.full(outputs, -(1 << bits), dtype=np.int64),
        )
        lower = signed & ((1 << bits) - 1)
        largest = (1 << crossbar.bits_per_cell) - 1
        for group, shift in enumerate(slice_shifts(bits, crossbar.bits_per_cell)):
            yield ColumnPlane(
                group=1 + group,
                cells=((lower >> shift) & largest).astype(np.uint8),
                factors=np.full(outputs, 1 << shift, dtype=np.int64),
            )


TWOS_COMPLEMENT = TwosComplementEncoding()
