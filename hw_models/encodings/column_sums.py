"""The columns of a layer on a chip, in whatever encoding, and the largest sums they can reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hw_models.crossbar import lossless_bits
from hw_models.encodings.bit_slices import row_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def worst_column_sums(layer: CodedLayer, chip: Chip) -> tuple[int, ...]:
    """Largest column sum that any input can drive, per slice group, most significant first.

    Every wordline at its largest digit; for 1-bit digits and the differential encoding the same
    as `hw_models.encodings.bit_slices.slice_statistics`.
    """
    digit = (1 << chip.dac_bits) - 1
    groups = chip.encoding.slice_groups(layer.weight_bits, chip.crossbar.bits_per_cell)
    worst = [0] * groups
    for _, _, planes in planes_of(layer, chip):
        for plane in planes:
            largest = int(plane.cells.sum(axis=0, dtype=np.int64).max())
            worst[plane.group] = max(worst[plane.group], digit * largest)
    return tuple(worst)


def lossless_bits_of(layer: CodedLayer, chip: Chip) -> tuple[int, ...]:
    """Smallest ADC resolution per slice group that never clips, most significant first."""
    return tuple(lossless_bits(worst) for worst in worst_column_sums(layer, chip))
