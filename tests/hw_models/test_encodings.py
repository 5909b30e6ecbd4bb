from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_models.crossbar import Crossbar
from hw_models.encodings.bit_slices import row_blocks
from hw_models.encodings.differential import DIFFERENTIAL
from hw_models.encodings.encoding import Encoding
from hw_models.encodings.offset import ISAAC_FLIP, OFFSET
from hw_models.encodings.twos_complement import TWOS_COMPLEMENT
from tests.hw_models.coded_layers import coded_layer

ENCODINGS: tuple[Encoding, ...] = (DIFFERENTIAL, OFFSET, ISAAC_FLIP, TWOS_COMPLEMENT)


@settings(max_examples=60, deadline=None)
@given(
    encoding=st.sampled_from(ENCODINGS),
    cell_bits=st.integers(1, 7),
    weight_bits=st.integers(1, 8),
    dac_bits=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_factors_times_column_sums_are_the_product(
    encoding: Encoding, cell_bits: int, weight_bits: int, dac_bits: int, seed: int
) -> None:
    layer = coded_layer(seed, wordlines=20, outputs=3, weight_bits=weight_bits)
    crossbar = Crossbar(wordlines=32, bitlines=8, bits_per_cell=cell_bits)
    planes = list(encoding.planes(layer, 0, slice(4, 16), crossbar, dac_bits))
    weights = layer.signed_codes()[0, 4:16].astype(np.int64)
    worth = sum(plane.factors * plane.cells.astype(np.int64) for plane in planes)
    assert (worth == weights).all()
    for plane in planes:
        assert plane.cells.shape == (12, 1 if plane.unit else 3)
        assert not plane.unit or (plane.cells == 1).all()
        assert plane.factors.shape == (3,)
    assert max(int(plane.cells.max()) for plane in planes) < 2**cell_bits
    groups = encoding.slice_groups(weight_bits, cell_bits)
    assert {plane.group for plane in planes} == set(range(groups))


@pytest.mark.parametrize(
    ("encoding", "cell_bits", "groups"),
    [
        (DIFFERENTIAL, 2, 4),
        (OFFSET, 2, 5),
        (ISAAC_FLIP, 4, 3),
        (TWOS_COMPLEMENT, 2, 5),
        (TWOS_COMPLEMENT, 1, 9),
    ],
)
def test_slice_groups_of_eight_bit_magnitudes(
    encoding: Encoding, cell_bits: int, groups: int
) -> None:
    assert encoding.slice_groups(8, cell_bits) == groups


def test_reads_stay_within_an_array() -> None:
    starts = [(rows.start, rows.stop) for rows in row_blocks(10, 4, 3)]
    assert starts == [(0, 3), (3, 4), (4, 7), (7, 8), (8, 10)]
