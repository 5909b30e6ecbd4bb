from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dse.quantizers.slices import nonzero_slice_ratios, slice_count, slice_table


@given(st.integers(1, 8), st.integers(1, 4))
def test_slices_add_up_to_the_magnitude(bits: int, slice_bits: int) -> None:
    table = slice_table(bits, slice_bits)
    count = slice_count(bits, slice_bits)
    assert table.shape == (count, 2**bits)
    assert int(table.max()) < 2**slice_bits
    significance = torch.tensor([2 ** (slice_bits * (count - 1 - g)) for g in range(count)])
    assert torch.equal(significance @ table, torch.arange(2**bits))


def test_the_most_significant_slice_comes_first() -> None:
    assert slice_table(8, 2)[:, 0b11_00_10_01].tolist() == [3, 0, 2, 1]


def test_ratios_count_all_tensors_together() -> None:
    tensors = [torch.tensor([[64, 1]], dtype=torch.uint8), torch.tensor([0, 5], dtype=torch.uint8)]
    assert nonzero_slice_ratios(tensors, bits=8, slice_bits=2) == (0.25, 0.0, 0.25, 0.5)


def test_a_slice_has_bits() -> None:
    with pytest.raises(ValueError, match="a slice has at least 1 bit, got slice_bits=0"):
        slice_table(8, 0)
