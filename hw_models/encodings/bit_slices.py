"""Magnitudes as bit slices over several cells, signs as two arrays.

Signs are differential: positive magnitudes lie in one array, negative ones in a second array of
the same shape, the other array's cell is zero, and the two are subtracted after the ADCs
([Zhang2019], section 2; [Zhu2019] likewise).

[Zhang2019] J. Zhang et al., "Exploring Bit-Slice Sparsity in Deep Neural Networks for Efficient
    ReRAM-Based Deployment", 2019.
[Zhu2019] Z. Zhu et al., "A Configurable Multi-Precision CNN Computing Framework Based on Single
    Bit RRAM", DAC 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hw_models.crossbar import lossless_bits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from hw_models.crossbar import Crossbar
    from hw_models.layer import CodedLayer

SIGNS = (1, -1)
"""The two arrays of a differential pair."""


def slice_shifts(weight_bits: int, bits_per_cell: int) -> tuple[int, ...]:
    """Binary weight (as a shift) of every slice group, most significant first."""
    groups = -(-weight_bits // bits_per_cell)
    return tuple(bits_per_cell * (groups - 1 - group) for group in range(groups))


def slice_magnitudes(
    magnitudes: NDArray[np.uint8], weight_bits: int, bits_per_cell: int
) -> NDArray[np.uint8]:
    """Cut magnitudes into cell values.

    If `bits_per_cell` does not divide `weight_bits`, the most significant group holds the rest.

    Args:
        magnitudes: Codes of any shape, e.g. (groups, K, N).
        weight_bits: Bits of a magnitude.
        bits_per_cell: Bits of a cell.

    Returns:
        Cells with a leading axis of slice groups, most significant first.
    """
    shifts = np.array(slice_shifts(weight_bits, bits_per_cell), dtype=np.uint8)
    shifts = shifts.reshape(-1, *([1] * magnitudes.ndim))
    return ((magnitudes[np.newaxis] >> shifts) & np.uint8((1 << bits_per_cell) - 1)).astype(
        np.uint8
    )


def nonzero_slice_ratio(cells: NDArray[np.uint8]) -> tuple[float, ...]:
    """Share of weights whose cell is not zero, per slice group (the leading axis)."""
    return tuple(float(np.count_nonzero(group)) / group.size for group in cells)


def row_blocks(rows: int, wordlines: int, rows_per_read: int | None = None) -> Iterator[slice]:
    """Rows of a matrix that are read at once; the last rows of an array may be fewer.

    Args:
        rows: Rows K of the matrix.
        wordlines: Rows of an array.
        rows_per_read: Rows of a read within an array; None is the whole array.
    """
    step = wordlines if rows_per_read is None else min(rows_per_read, wordlines)
    for array in range(0, rows, wordlines):
        end = min(array + wordlines, rows)
        for start in range(array, end, step):
            yield slice(start, min(start + step, end))


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceStatistics:
    """What a layer's codes look like in the cells of one kind of crossbar.

    Attributes:
        nonzero_ratio: Share of weights with a non-zero cell, per slice group.
        worst_column_sum: Largest sum of the cells of one bitline, over row blocks, signs and
            matrices, per slice group. No analog sum of 1-bit inputs can be larger.
        lossless_adc_bits: Smallest resolution that never clips, per slice group.
    """

    nonzero_ratio: tuple[float, ...]
    worst_column_sum: tuple[int, ...]
    lossless_adc_bits: tuple[int, ...]


def slice_statistics(layer: CodedLayer, crossbar: Crossbar) -> SliceStatistics:
    """Non-zero ratios, worst column sums and lossless ADC bits, most significant group first."""
    shifts = slice_shifts(layer.weight_bits, crossbar.bits_per_cell)
    largest_cell = (1 << crossbar.bits_per_cell) - 1
    worst, nonzero = [0] * len(shifts), [0] * len(shifts)
    for sign in SIGNS:
        held = layer.magnitudes * (layer.signs == sign)
        for group, shift in enumerate(shifts):
            cells = (held >> shift) & np.uint8(largest_cell)
            worst[group] = max(worst[group], _largest_sum(cells, crossbar))
            nonzero[group] += int(np.count_nonzero(cells))
    return SliceStatistics(
        nonzero_ratio=tuple(count / layer.magnitudes.size for count in nonzero),
        worst_column_sum=tuple(worst),
        lossless_adc_bits=tuple(lossless_bits(value) for value in worst),
    )


def _largest_sum(cells: NDArray[np.uint8], crossbar: Crossbar) -> int:
    """Largest sum of a column over the rows that are read at once; cells are (groups, K, N)."""
    groups, rows, columns = cells.shape
    at_once = crossbar.rows_per_read
    if crossbar.wordlines % at_once:  # reads of an array are not of one height
        starts = [block.start for block in row_blocks(rows, crossbar.wordlines, at_once)]
        return int(np.add.reduceat(cells, starts, axis=1, dtype=np.uint32).max())
    whole = rows - rows % at_once  # sums over an axis are 20 times faster than reduceat
    reads = cells[:, :whole].reshape(groups, -1, at_once, columns)
    sums = [reads.sum(axis=2, dtype=np.uint32), cells[:, whole:].sum(axis=1, dtype=np.uint32)]
    return max(int(each.max(initial=0)) for each in sums)


def lossless_adc_bits(layer: CodedLayer, crossbar: Crossbar) -> tuple[int, ...]:
    """Smallest ADC resolution per slice group that never clips, most significant first."""
    return slice_statistics(layer, crossbar).lossless_adc_bits
