"""Counts of the estimator against a walk over arrays, reads and columns."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_models.encodings.bit_slices import slice_statistics
from hw_models.engines.isaac import ISAAC
from hw_models.estimation.estimate import estimate
from hw_models.layer import CodedLayer
from tests.hw_models.coded_layers import chip, coded_layer


def walk(layer: CodedLayer, *, rows: int, columns: int, slice_groups: int) -> Counter[str]:
    """Place every cell, then read every array once per input bit and position."""
    count: Counter[str] = Counter()
    arrays: dict[tuple[int, ...], tuple[set[int], set[int]]] = {}
    for matrix in range(layer.shape.groups):
        for k in range(layer.shape.wordlines):
            for n in range(layer.shape.outputs):
                for sign in (0, 1):
                    for group in range(slice_groups):
                        place = (matrix, sign, group, k // rows, n // columns)
                        used = arrays.setdefault(place, (set(), set()))
                        used[0].add(k)
                        used[1].add(n)
    count["crossbars"] = len(arrays)
    for place, (used_rows, used_columns) in arrays.items():
        for _ in range(layer.shape.positions):
            for _ in range(layer.input_bits):
                count["conversions"] += len(used_columns)
                count[f"conversions of group {place[2]}"] += len(used_columns)
                count["driven rows"] += len(used_rows)
                count["read cells"] += len(used_rows) * len(used_columns)
    count["reads in a row"] = layer.shape.positions * layer.input_bits
    return count


@settings(max_examples=40, deadline=None)
@given(
    wordlines=st.integers(1, 40),
    outputs=st.integers(1, 20),
    groups=st.integers(1, 3),
    positions=st.integers(1, 3),
    weight_bits=st.integers(1, 8),
    input_bits=st.integers(1, 4),
    rows=st.sampled_from([4, 16, 64]),
    columns=st.sampled_from([3, 8, 32]),
    bits_per_cell=st.sampled_from([1, 2, 4]),
)
def test_the_estimator_counts_what_a_walk_over_the_arrays_counts(
    wordlines: int,
    outputs: int,
    groups: int,
    positions: int,
    weight_bits: int,
    input_bits: int,
    rows: int,
    columns: int,
    bits_per_cell: int,
) -> None:
    layer = coded_layer(
        wordlines=wordlines,
        outputs=outputs,
        groups=groups,
        positions=positions,
        weight_bits=weight_bits,
        input_bits=input_bits,
    )
    slice_groups = -(-weight_bits // bits_per_cell)
    design = chip(
        (6,) * slice_groups, wordlines=rows, bitlines=columns, bits_per_cell=bits_per_cell
    )
    expected = walk(layer, rows=rows, columns=columns, slice_groups=slice_groups)

    result = estimate([layer], design)
    terms = ISAAC.cost_terms([layer], design)
    assert result.crossbars == result.layers[0].crossbars == expected["crossbars"]
    assert result.adc_conversions == expected["conversions"]
    assert terms.conversions[0].tolist() == [
        expected[f"conversions of group {group}"] for group in range(slice_groups)
    ]
    assert terms.serial_reads[0] == expected["reads in a row"]
    assert int(terms.adcs.sum()) == expected["crossbars"]
    energy = result.layers[0].energy_j
    array = design.array
    assert energy["dac"] == pytest.approx(
        expected["driven rows"] * array.dac_power_w * array.read_time_s, rel=1e-12
    )
    assert energy["array"] == pytest.approx(
        expected["read cells"] * array.cell_power_w * array.read_time_s, rel=1e-12
    )


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    wordlines=st.integers(1, 60),
    rows=st.sampled_from([1, 7, 32]),
    bits_per_cell=st.sampled_from([1, 2, 3, 4]),
    weight_bits=st.integers(1, 8),
)
def test_slice_statistics_equal_a_walk_over_the_codes(
    seed: int, wordlines: int, rows: int, bits_per_cell: int, weight_bits: int
) -> None:
    layer = coded_layer(
        seed, wordlines=wordlines, outputs=3, groups=2, weight_bits=weight_bits, zero_share=0.5
    )
    slice_groups = -(-weight_bits // bits_per_cell)
    sums: Counter[tuple[int, ...]] = Counter()
    nonzero = [0] * slice_groups
    for (matrix, k, n), magnitude in np.ndenumerate(layer.magnitudes):
        digits = []
        rest = int(magnitude)
        for _ in range(slice_groups):
            rest, digit = divmod(rest, 2**bits_per_cell)
            digits.append(digit)
        for group, digit in enumerate(reversed(digits)):
            nonzero[group] += digit > 0
            sums[group, matrix, int(layer.signs[matrix, k, n]), k // rows, n] += digit
    worst = [max(v for key, v in sums.items() if key[0] == g) for g in range(slice_groups)]

    found = slice_statistics(layer, chip(wordlines=rows, bits_per_cell=bits_per_cell).crossbar)
    assert list(found.worst_column_sum) == worst
    assert list(found.nonzero_ratio) == [count / layer.magnitudes.size for count in nonzero]
    for bits, total in zip(found.lossless_adc_bits, worst, strict=True):
        assert 2**bits - 1 >= total
        assert bits == 1 or 2 ** (bits - 1) - 1 < total
