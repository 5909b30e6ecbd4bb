"""Column sums from tables against one product and one minimum per digit and plane."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hw_models.chip import Chip
from hw_models.crossbar import Crossbar
from hw_models.encodings.column_sums import planes_of
from hw_models.encodings.differential import DIFFERENTIAL
from hw_models.encodings.encoding import Encoding
from hw_models.encodings.offset import ISAAC_FLIP, OFFSET
from hw_models.encodings.twos_complement import TWOS_COMPLEMENT
from hw_models.layer import CodedLayer
from hw_models.simulation import table_sums
from hw_models.simulation.mvm import SlicedWeights
from hw_models.simulation.torch_sums import TorchSums
from tests.hw_models.coded_layers import chip, coded_layer

ENCODINGS: tuple[Encoding, ...] = (DIFFERENTIAL, OFFSET, ISAAC_FLIP, TWOS_COMPLEMENT)


def by_planes(layer: CodedLayer, design: Chip, codes: Tensor) -> Tensor:
    """What the chip computes, (groups, N, M)."""
    adc_bits = design.adc_bits_for(layer.shape.name, layer.weight_bits)
    inputs = codes.numpy().astype(np.int64)
    result = np.zeros((len(inputs), layer.shape.outputs, inputs.shape[2]), dtype=np.int64)
    for matrix, rows, planes in planes_of(layer, design):
        for shift in range(0, layer.input_bits, design.dac_bits):
            digits = (inputs[matrix, rows] >> shift) & ((1 << design.dac_bits) - 1)
            for plane in planes:
                sums = plane.cells.T.astype(np.int64) @ digits
                value = np.minimum(sums, (1 << adc_bits[plane.group]) - 1)
                result[matrix] += plane.factors[:, np.newaxis] * value << shift
    return torch.from_numpy(result)


def tables_of(weights: SlicedWeights) -> dict[int, table_sums.TableSums]:
    sums = weights._sums_on(torch.device("cpu"))
    assert isinstance(sums, TorchSums)
    return sums._tables


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    encoding=st.sampled_from(ENCODINGS),
    cell_bits=st.sampled_from([1, 2, 4]),
    dac_bits=st.integers(1, 3),
    input_bits=st.sampled_from([1, 5, 8, 10]),
    bits=st.lists(st.integers(1, 8), min_size=9, max_size=9),
    sizes=st.tuples(st.integers(1, 100), st.integers(8, 24), st.integers(1, 2)),
    wordlines=st.sampled_from([8, 24, 60]),
    density=st.sampled_from([0.02, 0.2, 1.0]),
)
def test_tables_give_the_bits_of_single_planes(
    seed: int,
    encoding: Encoding,
    cell_bits: int,
    dac_bits: int,
    input_bits: int,
    bits: list[int],
    sizes: tuple[int, int, int],
    wordlines: int,
    density: float,
) -> None:
    rows, outputs, groups = sizes
    layer = coded_layer(
        seed, wordlines=rows, outputs=outputs, groups=groups, input_bits=input_bits
    )
    slices = encoding.slice_groups(8, cell_bits)
    crossbar = Crossbar(wordlines=wordlines, bitlines=64, bits_per_cell=cell_bits)
    design = replace(
        chip(tuple(bits[:slices])), crossbar=crossbar, encoding=encoding, dac_bits=dac_bits
    )
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, 1 << input_bits, (groups, rows, 40), generator=generator)
    codes *= torch.rand(codes.shape, generator=generator) < density
    weights = SlicedWeights(layer, design, backend="torch")
    assert torch.equal(weights.product(codes).long(), by_planes(layer, design, codes))


@pytest.mark.parametrize(
    ("bits_per_cell", "adc_bits", "wordlines", "biased"),
    [
        (2, 4, 128, True),  # a third of the columns sums to less than 128
        (4, 4, 40, False),  # hardly any does
        (2, 1, 128, True),
        (2, 6, 128, True),
    ],
)
def test_tables_hold_most_columns_of_narrow_converters(
    bits_per_cell: int, adc_bits: int, wordlines: int, biased: bool
) -> None:
    """Many words, several lots of MVMs, sums on both sides of 128, lanes that fill up."""
    layer = coded_layer(5, wordlines=700, outputs=100, zero_share=0.0)
    layer.magnitudes[:, ::2] //= 2
    layer.signs[...] = np.sign(layer.signs) * (layer.magnitudes > 0)
    groups = 8 // bits_per_cell
    crossbar = Crossbar(wordlines=wordlines, bitlines=128, bits_per_cell=bits_per_cell)
    design = replace(chip((adc_bits,) * groups), crossbar=crossbar)
    codes = torch.randint(0, 256, (1, 700, 9), generator=torch.Generator().manual_seed(0))
    codes = codes.repeat(1, 1, 250)  # 2250 MVMs
    codes[:, :, 2100:] &= 3
    weights = SlicedWeights(layer, design, backend="torch")
    (tables,) = tables_of(weights).values()
    assert tables._biased == biased
    found = weights.product(codes).long()
    expected = by_planes(layer, design, codes[:, :, :9])
    assert torch.equal(found[:, :, :9], expected)
    assert torch.equal(found[:, :, :2097], expected.repeat(1, 1, 233))
    assert torch.equal(found[:, :, 2241:], by_planes(layer, design, codes[:, :, 2241:]))
    assert torch.equal(weights.product(codes.to(torch.uint8)).long(), found)


def test_tables_that_are_not_kept_are_built_again(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, design = coded_layer(6, wordlines=200, outputs=40), chip((3, 4, 5, 4))
    codes = torch.randint(0, 256, (1, 200, 9), generator=torch.Generator().manual_seed(3))
    expected = SlicedWeights(layer, design, backend="torch").product(codes)
    monkeypatch.setattr(table_sums, "KEPT_BYTES", 0)
    monkeypatch.setattr(table_sums, "WORDS", 7)
    weights = SlicedWeights(layer, design, backend="torch")
    assert torch.equal(weights.product(codes), expected)
    assert torch.equal(weights.product(codes), expected)
    assert tables_of(weights)[0]._kept is None


def test_few_columns_are_left_to_matrix_products() -> None:
    layer = coded_layer(6, wordlines=200, outputs=40)
    assert not tables_of(SlicedWeights(layer, chip((7, 7, 7, 7)), backend="torch"))
