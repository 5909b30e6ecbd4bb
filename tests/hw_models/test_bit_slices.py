from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hw_models.encodings.bit_slices import (
    nonzero_slice_ratio,
    row_blocks,
    slice_magnitudes,
    slice_shifts,
)


@given(weight_bits=st.integers(1, 8), cell_bits=st.integers(1, 7))
def test_slices_put_together_are_the_magnitude(weight_bits: int, cell_bits: int) -> None:
    magnitudes = np.arange(1 << weight_bits, dtype=np.uint8)
    cells = slice_magnitudes(magnitudes, weight_bits, cell_bits)
    shifts = slice_shifts(weight_bits, cell_bits)
    assert cells.dtype == np.uint8
    assert cells.max() < 1 << cell_bits
    together = sum(plane.astype(int) << shift for plane, shift in zip(cells, shifts, strict=True))
    assert np.array_equal(together, magnitudes)


def test_the_most_significant_slice_comes_first() -> None:
    cells = slice_magnitudes(np.array([0b11_10_01_00], dtype=np.uint8), 8, 2)
    assert cells[:, 0].tolist() == [3, 2, 1, 0]
    assert slice_shifts(8, 2) == (6, 4, 2, 0)
    assert slice_shifts(8, 3) == (6, 3, 0)


def test_nonzero_ratio_counts_weights_per_slice() -> None:
    magnitudes = np.array([0, 1, 4, 255], dtype=np.uint8)
    assert nonzero_slice_ratio(slice_magnitudes(magnitudes, 8, 2)) == (0.25, 0.25, 0.5, 0.5)


@given(rows=st.integers(1, 500), wordlines=st.integers(1, 200))
def test_row_blocks_cover_every_row_once(rows: int, wordlines: int) -> None:
    blocks = list(row_blocks(rows, wordlines))
    covered = [row for block in blocks for row in range(rows)[block]]
    assert covered == list(range(rows))
    assert all(block.stop - block.start <= wordlines for block in blocks)
