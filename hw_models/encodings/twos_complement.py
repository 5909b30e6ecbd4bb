"""Two's complement: a column of sign bits of negative weight, and the lower bits in slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hw_models.encodings.bit_slices import slice_shifts
from hw_models.encodings.encoding import ColumnPlane
from hw_models.patches import WEAK, WEAK_MAGNITUDE_BITS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from hw_models.crossbar import Crossbar
    from hw_models.layer import CodedLayer


@dataclass(frozen=True, slots=True, kw_only=True)
class TwosComplementEncoding:
    """A weight of weight_bits + 1 bits in one array; the sign bit has a 1-bit cell of its own.

    The sign bit is worth -2**weight_bits, so it cannot share a cell with a bit of positive worth:
    the sum of a column has one factor.

    In single-bit cells, a row block within one patch stores the weights of its weak outputs as
    the 4-bit two's complement of m (`hw_models.patches`), in the columns of the four least
    significant groups: a column's sum is worth -8, 4, 2 or 1 times 2**weak_shift there. The other
    columns of a weak output, and all of a removed one, are empty. That is what the `ou_patch`
    engine reads and charges. A row block over several patches stores all bits of every weight.

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
        weak = _weak_outputs(layer, matrix, rows, crossbar)
        weak_shift = 0 if layer.patches is None else layer.patches.weak_shift
        stored = np.where(weak, signed >> weak_shift, signed) & ((2 << bits) - 1)
        shifts = (bits, *slice_shifts(bits, crossbar.bits_per_cell))
        for group, (shift, end) in enumerate(zip(shifts, (bits + 1, *shifts[:-1]), strict=True)):
            cells = (stored >> shift) & ((1 << (end - shift)) - 1)
            factors = np.full(outputs, -(1 << bits) if group == 0 else 1 << shift, dtype=np.int64)
            if weak.any():  # single-bit cells: the shift is the bit that the column holds
                if shift > WEAK_MAGNITUDE_BITS:
                    cells[:, weak] = 0
                sign = -1 if shift == WEAK_MAGNITUDE_BITS else 1
                factors[weak] = sign << (shift + weak_shift)
            yield ColumnPlane(group=group, cells=cells.astype(np.uint8), factors=factors)


def _weak_outputs(
    layer: CodedLayer, matrix: int, rows: slice, crossbar: Crossbar
) -> NDArray[np.bool_]:
    """(N,) outputs whose weights in these rows lie in four columns."""
    patches = layer.patches
    patch = None if patches is None else patches.index_of(rows)
    if patches is None or patch is None or crossbar.bits_per_cell != 1:
        return np.zeros(layer.shape.outputs, dtype=np.bool_)
    if layer.weight_bits <= WEAK_MAGNITUDE_BITS:  # all weights fit four columns
        return np.zeros(layer.shape.outputs, dtype=np.bool_)
    weak: NDArray[np.bool_] = patches.bits[matrix, patch] == WEAK
    return weak


TWOS_COMPLEMENT = TwosComplementEncoding()
