"""Positive and negative magnitudes in two arrays, subtracted after the converters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hw_models.encodings.bit_slices import SIGNS, slice_magnitudes, slice_shifts
from hw_models.encodings.encoding import ColumnPlane

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hw_models.crossbar import Crossbar
    from hw_models.layer import CodedLayer


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferentialEncoding:
    """A weight's magnitude lies in the array of its sign, the other array's cells are zero.

    [Zhang2019], section 2; [Zhu2019] likewise (`hw_models.encodings.bit_slices`).

    Attributes:
        name: Name under which results report the encoding.
    """

    name: str = "differential"

    @property
    def copies(self) -> int:
        """Positive and negative magnitudes."""
        return 2

    def slice_groups(self, weight_bits: int, bits_per_cell: int) -> int:
        """ceil(weight_bits / bits_per_cell), in each of the two arrays."""
        return -(-weight_bits // bits_per_cell)

    def planes(
        self, layer: CodedLayer, matrix: int, rows: slice, crossbar: Crossbar, dac_bits: int
    ) -> Iterator[ColumnPlane]:
        """Positive and negative columns of every slice group."""
        shifts = slice_shifts(layer.weight_bits, crossbar.bits_per_cell)
        cells = slice_magnitudes(
            layer.magnitudes[matrix, rows], layer.weight_bits, crossbar.bits_per_cell
        )
        for sign in SIGNS:
            held = layer.signs[matrix, rows] == sign
            for group, shift in enumerate(shifts):
                factors = np.full(layer.shape.outputs, sign << shift, dtype=np.int64)
                yield ColumnPlane(group=group, cells=cells[group] * held, factors=factors)


DIFFERENTIAL = DifferentialEncoding()
