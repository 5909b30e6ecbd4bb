"""Which columns of a layer's row blocks a converter can change, and from which input on.

A converter of N bits and step 2**k turns a column sum S >= 0 into

    value = min(floor((S + 2**k / 2) / 2**k), 2**N - 1) * 2**k          (halves round up)

which for k = 0 is min(S, 2**N - 1). A column whose converter has k = 0 and whose cells cannot add
up to more than 2**N - 1 is exact, whatever the input, and is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hw_models.encodings.column_sums import planes_of
from hw_models.errors import HardwareError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hw_models.chip import Chip
    from hw_models.encodings.encoding import ColumnPlane
    from hw_models.layer import CodedLayer

MAX_STEP_BITS = 8

FLOAT32_EXACT = 1 << 24
"""Integers of at most this magnitude are exact in float32."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Columns:
    """`n` columns of one row block that their converters can change.

    Attributes:
        cells: uint8 (n, K_block).
        limits: int64 (n,) largest code 2**N - 1 of the converter.
        step_bits: int64 (n,) the converter's step is 2**step_bits.
        factors: int64 (n,) what one unit of column sum adds to the output.
        outputs: int64 (n,) the output that the column belongs to.
        rows_needed: int64 (n,) driven wordlines from which its value can differ from its sum.
        largest_sums: int64 (n,) column sum of all inputs at their largest digit.
    """

    cells: NDArray[np.uint8]
    limits: NDArray[np.int64]
    step_bits: NDArray[np.int64]
    factors: NDArray[np.int64]
    outputs: NDArray[np.int64]
    rows_needed: NDArray[np.int64]
    largest_sums: NDArray[np.int64]

    def __len__(self) -> int:
        """How many there are."""
        return len(self.limits)

    def take(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Columns:
        """Some of them, by mask or index."""
        return Columns(
            cells=self.cells[chosen],
            limits=self.limits[chosen],
            step_bits=self.step_bits[chosen],
            factors=self.factors[chosen],
            outputs=self.outputs[chosen],
            rows_needed=self.rows_needed[chosen],
            largest_sums=self.largest_sums[chosen],
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowBlock:
    """Rows of one matrix that are read at once, and the columns that a converter can change."""

    matrix: int
    rows: slice
    columns: Columns


def changed_columns(
    layer: CodedLayer, chip: Chip, step_bits: tuple[int, ...] | None = None
) -> tuple[RowBlock, ...]:
    """Row blocks with at least one column that its converter can change.

    Args:
        layer: Codes.
        chip: Geometry, encoding and ADC resolutions.
        step_bits: log2 of the converter's step per slice group, most significant first; None is
            a step of 1 for all.
    """
    limits = [(1 << bits) - 1 for bits in chip.adc_bits_for(layer.shape.name, layer.weight_bits)]
    steps = checked_steps(layer.shape.name, step_bits, len(limits))
    digit = (1 << chip.dac_bits) - 1
    blocks = []
    for matrix, rows, planes in planes_of(layer, chip):
        parts = [_changed(plane, limits, steps, digit) for plane in planes]
        found = Columns(
            **{
                field: np.concatenate([getattr(part, field) for part in parts])
                for field in Columns.__slots__
            }
        )
        if len(found):
            blocks.append(RowBlock(matrix=matrix, rows=rows, columns=found))
    return tuple(blocks)


def checked_steps(name: str, step_bits: tuple[int, ...] | None, groups: int) -> tuple[int, ...]:
    """One step per slice group, refused if there are not as many as groups."""
    if step_bits is None:
        return (0,) * groups
    if len(step_bits) != groups or not all(0 <= bits <= MAX_STEP_BITS for bits in step_bits):
        raise HardwareError(
            f"{name}: ADC steps must be {groups} powers of two (one per slice group) with "
            f"exponents 0 to {MAX_STEP_BITS}, got {step_bits}. Calibrate them on this chip."
        )
    return step_bits


def _changed(plane: ColumnPlane, limits: list[int], steps: tuple[int, ...], digit: int) -> Columns:
    limit, step = limits[plane.group], steps[plane.group]
    largest = plane.cells.sum(axis=0, dtype=np.int64) * digit
    largest = np.broadcast_to(largest, plane.factors.shape)  # a unit column serves all outputs
    used = (plane.factors != 0) & (largest > (limit if step == 0 else 0))
    outputs = np.flatnonzero(used)
    held = np.broadcast_to(plane.cells, (len(plane.cells), len(used)))
    cells = np.ascontiguousarray(held[:, outputs].T)
    descending = digit * -np.sort(-cells.astype(np.int64), axis=1)
    # A step rounds any sum; a sum of zero stays zero.
    kept = np.cumsum(descending, axis=1) <= limit if step == 0 else np.zeros_like(cells)
    return Columns(
        cells=cells,
        limits=np.full(len(outputs), limit, dtype=np.int64),
        step_bits=np.full(len(outputs), step, dtype=np.int64),
        factors=plane.factors[outputs],
        outputs=outputs.astype(np.int64),
        rows_needed=1 + kept.sum(axis=1, dtype=np.int64),
        largest_sums=largest[outputs],
    )
