"""The columns of a layer on a chip, in whatever encoding, and the largest sums they can reach."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hw_models.crossbar import lossless_bits
from hw_models.encodings.bit_slices import SliceStatistics, row_blocks, slice_statistics
from hw_models.encodings.differential import DIFFERENTIAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from hw_models.chip import Chip
    from hw_models.encodings.encoding import ColumnPlane
    from hw_models.layer import CodedLayer


def rows_per_read(chip: Chip) -> int:
    """Wordlines whose currents add up before one conversion: the engine's, within an OU."""
    return min(chip.engine.rows_per_read(chip.crossbar), chip.crossbar.rows_per_read)


def planes_of(layer: CodedLayer, chip: Chip) -> Iterator[tuple[int, slice, list[ColumnPlane]]]:
    """Every (matrix, rows that are read at once, columns) of a layer."""
    for matrix in range(layer.shape.groups):
        for rows in row_blocks(
            layer.shape.wordlines, chip.crossbar.wordlines, rows_per_read(chip)
        ):
            planes = chip.encoding.planes(layer, matrix, rows, chip.crossbar, chip.dac_bits)
            yield matrix, rows, list(planes)


def column_statistics(layer: CodedLayer, chip: Chip) -> SliceStatistics:
    """A layer's cells in the chip's encoding, and the largest sums that any input can drive.

    The worst sum has every wordline at its largest digit. Unit columns count for the sums (they
    are converted) and not for the share of non-zero cells.
    """
    digit = (1 << chip.dac_bits) - 1
    if chip.encoding == DIFFERENTIAL:
        read = replace(chip.crossbar, ou_wordlines=rows_per_read(chip))
        counted = slice_statistics(layer, read)
        worst = [digit * largest for largest in counted.worst_column_sum]
        ratios = counted.nonzero_ratio
    else:
        worst, ratios = _walked(layer, chip, digit)
    return SliceStatistics(
        nonzero_ratio=ratios,
        worst_column_sum=tuple(worst),
        lossless_adc_bits=tuple(lossless_bits(largest) for largest in worst),
    )


def _walked(layer: CodedLayer, chip: Chip, digit: int) -> tuple[list[int], tuple[float, ...]]:
    """Worst column sums and shares of non-zero cells per slice group."""
    groups = chip.encoding.slice_groups(layer.weight_bits, chip.crossbar.bits_per_cell)
    worst, nonzero = [0] * groups, [0] * groups
    for _, _, planes in planes_of(layer, chip):
        for plane in planes:
            largest = int(plane.cells.sum(axis=0, dtype=np.int64).max())
            worst[plane.group] = max(worst[plane.group], digit * largest)
            if not plane.unit:
                nonzero[plane.group] += int(np.count_nonzero(plane.cells))
    return worst, tuple(count / layer.magnitudes.size for count in nonzero)


def network_statistics(layers: Sequence[CodedLayer], chip: Chip) -> tuple[SliceStatistics, ...]:
    """`column_statistics` of every layer, for estimates of several chips that share them.

    They depend on the chip's wordlines, operation unit, cells, encoding and DAC and on the rows
    that its engine reads together; not on bitlines, converters or blocks.
    """
    return tuple(column_statistics(layer, chip) for layer in layers)


def lossless_bits_of(layer: CodedLayer, chip: Chip) -> tuple[int, ...]:
    """Smallest ADC resolution per slice group that never clips, most significant first."""
    return column_statistics(layer, chip).lossless_adc_bits


def network_lossless_bits(layers: Sequence[CodedLayer], chip: Chip) -> NDArray[np.int64]:
    """(G,) smallest resolution of each of the chip's slice groups at which no layer clips."""
    most = np.ones(len(chip.adc_bits), dtype=np.int64)
    for layer in layers:
        bits = lossless_bits_of(layer, chip)
        most[len(most) - len(bits) :] = np.maximum(most[len(most) - len(bits) :], bits)
    return most
