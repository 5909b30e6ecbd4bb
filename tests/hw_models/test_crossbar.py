from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw_models.crossbar import Crossbar, lossless_bits
from hw_models.errors import HardwareError


@given(rows=st.integers(1, 1024), cell_bits=st.integers(1, 7), dac_bits=st.integers(1, 4))
def test_full_column_bits_hold_the_largest_sum(rows: int, cell_bits: int, dac_bits: int) -> None:
    crossbar = Crossbar(wordlines=rows, bitlines=1, bits_per_cell=cell_bits)
    largest = rows * (2**dac_bits - 1) * (2**cell_bits - 1)
    assert lossless_bits(largest) <= crossbar.full_column_adc_bits(dac_bits=dac_bits)


@pytest.mark.parametrize(("total", "bits"), [(0, 1), (1, 1), (2, 2), (255, 8), (256, 9)])
def test_lossless_range_ends_at_two_to_the_n_minus_one(total: int, bits: int) -> None:
    assert lossless_bits(total) == bits


@pytest.mark.parametrize(("cell_bits", "groups"), [(1, 8), (2, 4), (3, 3), (4, 2), (7, 2)])
def test_slice_groups_of_eight_bit_weights(cell_bits: int, groups: int) -> None:
    crossbar = Crossbar(wordlines=128, bitlines=128, bits_per_cell=cell_bits)
    assert crossbar.slice_groups(8) == groups


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((0, 8, 2), "crossbar.wordlines must be at least 1, got 0"),
        ((8, -1, 2), "crossbar.bitlines must be at least 1, got -1"),
        ((8, 8, 0), "cell.bits must be 1 to 7, got 0"),
        ((8, 8, 8), "cell.bits must be 1 to 7, got 8"),
    ],
)
def test_an_impossible_array_is_refused(sizes: tuple[int, int, int], message: str) -> None:
    with pytest.raises(HardwareError, match=message):
        Crossbar(wordlines=sizes[0], bitlines=sizes[1], bits_per_cell=sizes[2])


def test_a_dac_without_bits_and_a_negative_sum_are_refused() -> None:
    crossbar = Crossbar(wordlines=8, bitlines=8, bits_per_cell=2)
    with pytest.raises(HardwareError, match="dac_bits must be at least 1, got 0"):
        crossbar.full_column_adc_bits(dac_bits=0)
    with pytest.raises(HardwareError, match="sums to at least 0, got -1"):
        lossless_bits(-1)


def test_an_ou_taller_than_the_array_is_refused() -> None:
    message = "ou_wordlines must be 1 to the 8 wordlines of the array, got 9"
    with pytest.raises(HardwareError, match=message):
        Crossbar(wordlines=8, bitlines=8, bits_per_cell=2, ou_wordlines=9)
    with pytest.raises(HardwareError, match="got 0"):
        Crossbar(wordlines=8, bitlines=8, bits_per_cell=2, ou_wordlines=0)


def test_an_ou_asks_for_the_adc_of_its_rows() -> None:
    crossbar = Crossbar(wordlines=128, bitlines=8, bits_per_cell=2, ou_wordlines=16)
    assert crossbar.rows_per_read == 16
    assert crossbar.full_column_adc_bits() == 6


@given(
    rows=st.integers(1, 600),
    cell_bits=st.integers(1, 4),
    dac_bits=st.integers(1, 3),
    share=st.floats(0.0, 1.0),
)
def test_flipped_columns_and_their_unit_column_fit_the_encoded_bits(
    rows: int, cell_bits: int, dac_bits: int, share: float
) -> None:
    crossbar = Crossbar(wordlines=rows, bitlines=1, bits_per_cell=cell_bits)
    bits = crossbar.encoded_adc_bits(dac_bits=dac_bits)
    full = crossbar.full_column_adc_bits(dac_bits=dac_bits)
    assert full - 1 <= bits <= full
    digit, largest = 2**dac_bits - 1, 2**cell_bits - 1
    column = int(share * rows * largest)
    if column * digit >= 2 ** (full - 1):
        column = rows * largest - column
    assert max(column, rows) * digit <= 2**bits - 1


def test_isaacs_encoding_saves_one_bit_of_nine() -> None:
    crossbar = Crossbar(wordlines=128, bitlines=128, bits_per_cell=2)
    assert (crossbar.full_column_adc_bits(), crossbar.encoded_adc_bits()) == (9, 8)
