from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hw_models.crossbar import Crossbar
from hw_models.encodings.offset import OFFSET
from hw_models.errors import HardwareError, MappingError
from hw_models.simulation.convert import to_crossbars
from hw_models.simulation.mvm import SlicedWeights
from hw_models.simulation.trainable import (
    MVM_TILE,
    CountedWeights,
    counts_fast,
    crossbar_of_a_step,
)
from tests.hw_models.coded_layers import chip, coded_layer

CPU = torch.device("cpu")


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    wordlines=st.integers(1, 200),
    rows=st.sampled_from([16, 60, 64, 128]),
    ou_rows=st.sampled_from([None, 9, 16]),
    cell_bits=st.sampled_from([1, 2, 3, 4]),
    dac_bits=st.sampled_from([1, 2, 3]),
    weight_bits=st.integers(1, 8),
    input_bits=st.integers(1, 9),
    groups=st.integers(1, 2),
    data=st.data(),
)
def test_counted_sums_are_those_of_the_simulator(
    seed: int,
    wordlines: int,
    rows: int,
    ou_rows: int | None,
    cell_bits: int,
    dac_bits: int,
    weight_bits: int,
    input_bits: int,
    groups: int,
    data: st.DataObject,
) -> None:
    layer = coded_layer(
        seed,
        wordlines=wordlines,
        outputs=3,
        groups=groups,
        weight_bits=weight_bits,
        input_bits=input_bits,
    )
    slices = -(-weight_bits // cell_bits)
    bits = data.draw(st.tuples(*[st.integers(1, 5)] * slices))
    steps = data.draw(st.none() | st.tuples(*[st.integers(0, 4)] * slices))
    design = replace(
        chip(bits),
        crossbar=Crossbar(
            wordlines=rows, bitlines=64, bits_per_cell=cell_bits, ou_wordlines=ou_rows
        ),
        dac_bits=dac_bits,
    )
    size = (groups, wordlines, 5)
    codes = torch.from_numpy(np.random.default_rng(seed).integers(0, 1 << input_bits, size))
    expected = SlicedWeights(layer, design, step_bits=steps, backend="torch").product(codes)
    assert torch.equal(CountedWeights(layer, design, step_bits=steps).product(codes), expected)


def test_many_mvms_are_counted_tile_by_tile() -> None:
    layer, design = coded_layer(wordlines=70, outputs=4), chip((2, 2, 2, 2))
    size = (1, 70, MVM_TILE + 7)
    codes = torch.from_numpy(np.random.default_rng(0).integers(0, 256, size))
    counted = CountedWeights(layer, design)
    clipped = counted.clipped(codes)
    assert torch.equal(clipped, SlicedWeights(layer, design).clipped(codes))
    assert torch.equal(counted.clipped(codes[:, :, -9:]), clipped[:, :, -9:])
    assert bool((clipped != 0).any())


@pytest.mark.parametrize("encoding", ["differential", "offset"])
@pytest.mark.parametrize("steps", [None, (0, 1, 2, 1)])
def test_layers_of_a_step_are_those_of_a_converted_network(
    encoding: str, steps: tuple[int, ...] | None
) -> None:
    network = nn.Sequential(
        nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), nn.Flatten(), nn.Linear(54, 5)
    )
    layers = {
        "0": coded_layer(1, wordlines=18, outputs=3, groups=2, input_offset=-0.4, name="0"),
        "2": coded_layer(2, wordlines=54, outputs=5, name="2"),
    }
    design = chip((2, 2, 2, 2))
    if encoding == "offset":
        design = replace(chip((2,) * 5), encoding=OFFSET)
        steps = None if steps is None else (0, *steps)
    given_steps = {} if steps is None else dict.fromkeys(layers, steps)
    images = torch.rand(70, 4, 6, 6, generator=torch.Generator().manual_seed(3))
    expected = to_crossbars(network, layers, design, adc_steps=given_steps)(images)
    found = images
    for name, module in network.named_children():
        if name in layers:
            module = crossbar_of_a_step(module, layers[name], design, CPU, step_bits=steps)
        found = module(found)
    assert torch.equal(found, expected)
    assert not torch.equal(found, to_crossbars(network, layers, None)(images))
    assert counts_fast(layers["0"], design, CPU) == (encoding == "differential")


def test_without_a_chip_nothing_is_clipped() -> None:
    layer, module = coded_layer(wordlines=30, outputs=4), nn.Linear(30, 4)
    inputs = torch.rand(6, 30, generator=torch.Generator().manual_seed(1))
    exact = to_crossbars(module, {"": layer}, None)(inputs)
    assert torch.equal(crossbar_of_a_step(module, layer, None, CPU)(inputs), exact)
    assert not torch.equal(crossbar_of_a_step(module, layer, chip((1,) * 4), CPU)(inputs), exact)


def test_what_crossbars_do_not_take_is_refused() -> None:
    layer = coded_layer(wordlines=30, outputs=4, name="fc")
    with pytest.raises(MappingError, match="fc is a ReLU, crossbars take Linear and Conv2d"):
        crossbar_of_a_step(nn.ReLU(), layer, chip(), CPU)
    with pytest.raises(MappingError, match=r"fc has 4 slice groups .* ADC resolutions for 2"):
        crossbar_of_a_step(nn.Linear(30, 4), layer, chip((3, 3)), CPU)
    with pytest.raises(HardwareError, match="ADC steps must be 4 powers of two"):
        crossbar_of_a_step(nn.Linear(30, 4), layer, chip(), CPU, step_bits=(1,))
