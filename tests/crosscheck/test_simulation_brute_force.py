"""The simulation against a chip walked cell by cell with Python integers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_models.encodings.bit_slices import lossless_adc_bits
from hw_models.layer import CodedLayer
from hw_models.simulation.mvm import SlicedWeights, clipping_possible
from tests.hw_models.coded_layers import chip, coded_layer


def walk_the_chip(
    layer: CodedLayer,
    codes: list[int],
    matrix: int,
    output: int,
    *,
    rows: int,
    cell_bits: int,
    adc_bits: tuple[int, ...],
) -> int:
    """One output of one MVM: array by array, input bit by input bit, one ADC at a time."""
    total = 0
    row_count = layer.shape.wordlines
    for first in range(0, row_count, rows):
        array_rows = list(range(first, row_count))[:rows]
        for significance, resolution in enumerate(reversed(adc_bits)):
            for cycle in range(layer.input_bits):
                currents = {1: 0, -1: 0}
                for row in array_rows:
                    magnitude = int(layer.magnitudes[matrix, row, output])
                    cell = magnitude // 2 ** (cell_bits * significance) % 2**cell_bits
                    sign = int(layer.signs[matrix, row, output])
                    if sign and codes[row] // 2**cycle % 2 == 1:
                        currents[sign] += cell
                positive, negative = (
                    current if current < 2**resolution else 2**resolution - 1
                    for current in (currents[1], currents[-1])
                )
                total += (positive - negative) * 2 ** (cell_bits * significance + cycle)
    return total


@st.composite
def cases(draw: st.DrawFn) -> tuple[CodedLayer, int, int, tuple[int, ...]]:
    cell_bits = draw(st.sampled_from([1, 2, 3, 4, 7]))
    weight_bits = draw(st.integers(2, 8))
    rows = draw(st.sampled_from([1, 5, 16, 33, 64, 128]))
    layer = coded_layer(
        draw(st.integers(0, 2**32 - 1)),
        wordlines=draw(st.integers(1, 150)),
        outputs=draw(st.integers(1, 7)),
        groups=draw(st.integers(1, 2)),
        weight_bits=weight_bits,
        input_bits=draw(st.sampled_from([1, 4, 8, 9, 16])),
        zero_share=draw(st.sampled_from([0.0, 0.5, 0.9, 1.0])),
    )
    slice_groups = -(-weight_bits // cell_bits)
    bits = draw(st.lists(st.integers(1, 9), min_size=slice_groups, max_size=slice_groups))
    return layer, rows, cell_bits, tuple(bits)


@settings(max_examples=60, deadline=None)
@given(cases(), st.integers(0, 2**32 - 1), st.sampled_from([0.05, 0.2, 0.5, 1.0]))
def test_the_simulation_equals_a_walk_over_every_cell(
    case: tuple[CodedLayer, int, int, tuple[int, ...]], seed: int, driven_share: float
) -> None:
    layer, rows, cell_bits, adc_bits = case
    shape = layer.shape
    rng = np.random.default_rng(seed)
    columns = 2
    codes = rng.integers(0, 1 << layer.input_bits, (shape.groups, shape.wordlines, columns))
    if driven_share == 1.0:
        codes[:, :, 0] = (1 << layer.input_bits) - 1  # every wordline driven in every cycle
    else:
        codes[rng.random(codes.shape) > driven_share] = 0

    weights = SlicedWeights(layer, chip(adc_bits, wordlines=rows, bits_per_cell=cell_bits))
    simulated = weights.product(torch.from_numpy(codes))

    for matrix in range(shape.groups):
        for output in range(shape.outputs):
            for column in range(columns):
                expected = walk_the_chip(
                    layer,
                    codes[matrix, :, column].tolist(),
                    matrix,
                    output,
                    rows=rows,
                    cell_bits=cell_bits,
                    adc_bits=adc_bits,
                )
                assert simulated[matrix, output, column].item() == expected


@pytest.mark.parametrize("wide", [False, True])
def test_every_chunk_of_a_large_batch_equals_the_walk(wide: bool) -> None:
    # Wide: 4-bit cells, whose sums leave a byte; narrow: three columns share a float32.
    cell_bits, adc_bits = (4, (7, 6)) if wide else (2, (3, 4, 5, 6))
    layer = coded_layer(3, wordlines=200, outputs=3)
    codes = torch.randint(0, 256, (1, 200, 4100), generator=torch.Generator().manual_seed(1))
    weights = SlicedWeights(layer, chip(adc_bits, bits_per_cell=cell_bits))
    simulated = weights.product(codes.to(torch.uint8))
    assert weights.can_clip
    assert not torch.equal(simulated, SlicedWeights(layer, None).product(codes.to(torch.uint8)))
    for column in (0, 2047, 2048, 4099):
        for output in range(3):
            expected = walk_the_chip(
                layer,
                codes[0, :, column].tolist(),
                0,
                output,
                rows=128,
                cell_bits=cell_bits,
                adc_bits=adc_bits,
            )
            assert simulated[0, output, column].item() == expected


@settings(max_examples=60, deadline=None)
@given(cases(), st.integers(0, 2**32 - 1))
def test_lossless_adc_bits_give_the_exact_product_and_one_bit_less_can_clip(
    case: tuple[CodedLayer, int, int, tuple[int, ...]], seed: int
) -> None:
    layer, rows, cell_bits, _ = case
    shape = layer.shape
    lossless = lossless_adc_bits(layer, chip(wordlines=rows, bits_per_cell=cell_bits).crossbar)
    codes = np.random.default_rng(seed).integers(
        0, 1 << layer.input_bits, (shape.groups, shape.wordlines, 3)
    )
    codes[:, :, 0] = (1 << layer.input_bits) - 1
    exact = np.einsum("gkn,gkm->gnm", layer.signed_codes().astype(np.int64), codes)

    design = chip(lossless, wordlines=rows, bits_per_cell=cell_bits)
    weights = SlicedWeights(layer, design)
    assert not clipping_possible(layer, design)
    assert np.array_equal(weights.product(torch.from_numpy(codes)).numpy(), exact)

    for group, bits in enumerate(lossless):
        if bits > 1:
            fewer = (*lossless[:group], bits - 1, *lossless[group + 1 :])
            tight = chip(fewer, wordlines=rows, bits_per_cell=cell_bits)
            assert clipping_possible(layer, tight)


@pytest.mark.parametrize("driven", [1, 2, 3, 6, 12, 24, 48])
def test_columns_that_few_driven_wordlines_cannot_clip_are_left_out_and_no_others(
    driven: int,
) -> None:
    layer = coded_layer(5, wordlines=128, outputs=9, zero_share=0.5)
    adc_bits = (3, 3, 5, 4)
    codes = np.zeros(128, dtype=np.int64)
    codes[np.random.default_rng(driven).permutation(128)[:driven]] = 255
    simulated = SlicedWeights(layer, chip(adc_bits)).product(
        torch.from_numpy(codes)[None, :, None]
    )
    for output in range(9):
        expected = walk_the_chip(
            layer, codes.tolist(), 0, output, rows=128, cell_bits=2, adc_bits=adc_bits
        )
        assert simulated[0, output, 0].item() == expected


@pytest.mark.parametrize("full_cells", [83, 84, 85, 86, 100, 128])
@pytest.mark.parametrize("bits", [5, 7, 8])
def test_columns_around_and_above_a_byte_are_clipped_alike(full_cells: int, bits: int) -> None:
    """Sums of 249 to 384: 85 full 2-bit cells sum to 255, one more leaves a byte."""
    layer = coded_layer(0, wordlines=128, outputs=5, zero_share=0.0)
    layer.magnitudes[0, :full_cells] = 255
    layer.magnitudes[0, full_cells:] = 0
    layer.magnitudes[0, :3, 1:] = 170
    layer.signs[...] = layer.magnitudes > 0
    layer.signs[0, :, 3:] *= -1
    codes = [255] * 128
    weights = SlicedWeights(layer, chip((bits,) * 4))
    simulated = weights.product(torch.tensor(codes, dtype=torch.uint8)[None, :, None])
    for output in range(5):
        expected = walk_the_chip(
            layer, codes, 0, output, rows=128, cell_bits=2, adc_bits=(bits,) * 4
        )
        assert simulated[0, output, 0].item() == expected


def test_the_adc_clips_at_two_to_the_n_minus_one() -> None:
    layer = coded_layer(0, wordlines=4, outputs=1, weight_bits=2, input_bits=1, zero_share=0.0)
    layer.magnitudes[...] = 1
    layer.signs[...] = 1
    weights = SlicedWeights(layer, chip((2,)))  # four cells of 1 sum to 4, the range ends at 3
    assert weights.product(torch.ones(1, 4, 1, dtype=torch.uint8)).item() == 3


def test_positive_and_negative_arrays_are_clipped_before_the_subtraction() -> None:
    layer = coded_layer(0, wordlines=8, outputs=1, weight_bits=2, input_bits=1, zero_share=0.0)
    layer.magnitudes[...] = 1
    layer.signs[0, :, 0] = [1, 1, 1, 1, 1, -1, -1, -1]
    ones = torch.ones(1, 8, 1, dtype=torch.uint8)
    assert SlicedWeights(layer, None).product(ones).item() == 2
    assert SlicedWeights(layer, chip((2,))).product(ones).item() == 3 - 3
    assert SlicedWeights(layer, chip((1,))).product(ones).item() == 1 - 1


def test_the_last_rows_of_an_uneven_matrix_are_computed() -> None:
    layer = coded_layer(0, wordlines=129, outputs=1, zero_share=0.0)
    codes = torch.zeros(1, 129, 1, dtype=torch.uint8)
    codes[0, 128] = 1
    weight = int(layer.signed_codes()[0, 128, 0])
    for adc_bits in ((8, 8, 8, 8), (2, 2, 2, 2)):
        assert SlicedWeights(layer, chip(adc_bits)).product(codes).item() == weight
