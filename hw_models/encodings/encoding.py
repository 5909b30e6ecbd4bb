"""What every encoding answers: which cells hold a signed weight, and what a column sum is worth.

A column of an array holds, for one output and one row block, unsigned cells c[k]; its converter
sees S = sum(digit[k] * c[k]) >= 0. With F the factor of the column, an encoding promises

    sum over its columns of F * S  =  sum(digit[k] * weight[k])

Where cells hold more than the weight (an offset, a flipped column), the excess is a multiple of
the sum of the inputs, which is the sum of a unit column: one whose cells are all 1. It is one of
the encoding's columns and goes through a converter like the others. So a signed product with
converters differs from the exact one only by sum of F * (S - converted), for every encoding
alike: that is what the simulator computes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from hw_models.crossbar import Crossbar
    from hw_models.layer import CodedLayer


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ColumnPlane:
    """One column per output of a row block, or one unit column that serves all outputs.

    Attributes:
        group: Slice group, 0 for the most significant; it gives the ADC resolution.
        cells: uint8 (K_block, N) cell values; (K_block, 1) ones if `unit`.
        factors: int64 (N,) what one unit of column sum adds to each output, with its sign; 0
            where an output does without a unit column.
        unit: Whether this is the unit column of the group's arrays. Arrays side by side each
            have one; they see the same inputs and are taken to be the same column.
    """

    group: int
    cells: NDArray[np.uint8]
    factors: NDArray[np.int64]
    unit: bool = False


class Encoding(Protocol):
    """A way to store signed weights in unsigned cells."""

    @property
    def name(self) -> str:
        """Name under which results report the encoding."""
        ...

    @property
    def copies(self) -> int:
        """Arrays that share one slice group of a matrix: 2 where signs are arrays, else 1."""
        ...

    def slice_groups(self, weight_bits: int, bits_per_cell: int) -> int:
        """Slice groups of a layer, each with an ADC resolution of its own.

        Args:
            weight_bits: Bits of a magnitude; the sign is not among them.
            bits_per_cell: Bits of a cell.
        """
        ...

    def planes(
        self, layer: CodedLayer, matrix: int, rows: slice, crossbar: Crossbar, dac_bits: int
    ) -> Iterator[ColumnPlane]:
        """Every column of one row block that some output uses.

        Args:
            layer: Codes.
            matrix: Group of a grouped layer.
            rows: Wordlines that are read together.
            crossbar: Gives the bits of a cell.
            dac_bits: Bits of an input digit.
        """
        ...
