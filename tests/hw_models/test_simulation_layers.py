from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from hw_models.encodings.bit_slices import lossless_adc_bits
from hw_models.errors import HardwareError, MappingError
from hw_models.layer import CodedLayer
from hw_models.simulation.input_codes import input_codes
from hw_models.simulation.layers import CrossbarConv2d, CrossbarLinear
from tests.hw_models.coded_layers import chip, coded_layer, real_weights

TINY_ADCS = chip((2, 2, 2, 2))


def dequantised(layer: CodedLayer, inputs: Tensor) -> Tensor:
    codes = input_codes(
        inputs.double(), step=layer.input_step, offset=layer.input_offset, bits=layer.input_bits
    )
    return codes * layer.input_step + layer.input_offset


def bias(layer: CodedLayer) -> Tensor | None:
    return None if layer.bias is None else torch.from_numpy(layer.bias)


def random_inputs(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=generator, dtype=torch.float64) * 3 - 0.8


@pytest.mark.parametrize("offset", [0.0, -0.75])
@pytest.mark.parametrize("shape", [(5, 40), (40,), (2, 3, 40)])
def test_linear_computes_with_the_dequantised_values(
    offset: float, shape: tuple[int, ...]
) -> None:
    layer = coded_layer(wordlines=40, outputs=6, input_offset=offset)
    inputs = random_inputs(*shape)
    expected = F.linear(
        dequantised(layer, inputs), torch.from_numpy(real_weights(layer)), bias(layer)
    )
    result = CrossbarLinear(nn.Linear(40, 6), layer, None)(inputs)
    torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-12)


CONVOLUTIONS: list[dict[str, Any]] = [
    {},
    {"padding": 1},
    {"padding": (2, 0), "stride": (2, 1)},
    {"padding": 2, "dilation": 2},
    {"padding": "same", "dilation": (1, 2)},
    {"padding": "same", "kernel_size": (2, 4)},
    {"padding": "valid", "stride": 3},
    {"padding": 1, "groups": 2},
    {"padding": 1, "groups": 4},
    {"kernel_size": 1},
    {"kernel_size": 1, "stride": 2, "padding": 1},
    {"padding": 1, "padding_mode": "reflect"},
    {"padding": (1, 2), "padding_mode": "circular"},
    {"padding": "same", "padding_mode": "replicate"},
]


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
@pytest.mark.parametrize("offset", [0.0, -0.75])
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # torch's own Conv2d
def test_conv2d_computes_with_the_dequantised_values(
    options: dict[str, Any], offset: float
) -> None:
    module = nn.Conv2d(4, 8, **{"kernel_size": 3, **options})
    per_group = module.weight[0].numel()
    layer = coded_layer(
        wordlines=per_group,
        outputs=8 // module.groups,
        groups=module.groups,
        input_offset=offset,
    )
    images = random_inputs(3, 4, 9, 7)
    module = module.double()
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(real_weights(layer)).reshape(module.weight.shape))
        module.bias.copy_(bias(layer))
        expected = module(dequantised(layer, images))
    ideal = CrossbarConv2d(module, layer, None)
    torch.testing.assert_close(ideal(images), expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(ideal(images[0]), ideal(images)[0])

    lossless = chip(lossless_adc_bits(layer, TINY_ADCS.crossbar))
    assert torch.equal(CrossbarConv2d(module, layer, lossless)(images), ideal(images))


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
def test_clipping_conv2d_equals_clipping_linear_on_its_windows(options: dict[str, Any]) -> None:
    module = nn.Conv2d(4, 8, **{"kernel_size": 3, **options})
    per_group = module.weight[0].numel()
    outputs = 8 // module.groups
    layer = coded_layer(wordlines=per_group, outputs=outputs, groups=module.groups, bias=False)
    images = random_inputs(70, 4, 9, 7).clamp_(min=0.0)
    clipping = CrossbarConv2d(module, layer, TINY_ADCS)
    result = clipping(images)

    # Without offset a padded zero has code 0, so windows of the padded image tell the same.
    padding = module._reversed_padding_repeated_twice
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    windows = F.unfold(
        F.pad(images, padding, mode=mode),
        module.kernel_size,
        dilation=module.dilation,
        stride=module.stride,
    )
    for group in range(module.groups):
        part = CodedLayer(
            shape=coded_layer(wordlines=per_group, outputs=outputs).shape,
            magnitudes=layer.magnitudes[group : group + 1],
            signs=layer.signs[group : group + 1],
            weight_step=layer.weight_step,
            input_step=layer.input_step,
        )
        linear = CrossbarLinear(nn.Linear(per_group, outputs), part, TINY_ADCS)
        rows = windows[:, group * per_group : (group + 1) * per_group].transpose(1, 2)
        expected = linear(rows).transpose(1, 2).reshape(70, outputs, *result.shape[2:])
        assert torch.equal(result[:, group * outputs : (group + 1) * outputs], expected)
    assert not torch.equal(result, CrossbarConv2d(module, layer, None)(images))


def test_zero_padding_is_a_true_zero_with_an_offset() -> None:
    """Code 0 stands for -1 here; a padded tap must still add nothing."""
    layer = coded_layer(
        wordlines=9, outputs=1, weight_bits=2, input_offset=-1.0, bias=False, zero_share=0.0
    )
    layer.signs[...] = 1
    module = nn.Conv2d(1, 1, 3, padding=1)
    ones = torch.full((1, 1, 1, 1), -1.0)
    result = CrossbarConv2d(module, layer, TINY_ADCS)(ones)
    centre = float(layer.magnitudes[0, 4, 0]) * layer.weight_step
    assert result.item() == -centre


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), offset=st.sampled_from([0.0, -0.5]))
def test_lossless_equals_ideal_bit_for_bit_in_float32(seed: int, offset: float) -> None:
    layer = coded_layer(seed, wordlines=260, outputs=7, input_offset=offset, zero_share=0.9)
    inputs = random_inputs(9, 260, seed=seed % 1000).float()
    lossless = chip(lossless_adc_bits(layer, TINY_ADCS.crossbar))
    module = nn.Linear(260, 7)
    ideal = CrossbarLinear(module, layer, None)(inputs)
    assert ideal.dtype == torch.float32
    assert torch.equal(CrossbarLinear(module, layer, lossless)(inputs), ideal)
    assert not torch.equal(CrossbarLinear(module, layer, TINY_ADCS)(inputs), ideal)


def test_the_integer_product_is_exact_where_float32_is_not() -> None:
    """2048 rows of 255 x 255 leave float32's 24 bits."""
    layer = coded_layer(wordlines=2049, outputs=1, zero_share=0.0, bias=False)
    layer.magnitudes[...] = 255
    layer.signs[...] = 1
    layer.magnitudes[0, 0, 0] = 1
    inputs = torch.full((1, 2049), 255 * layer.input_step, dtype=torch.float64)
    result = CrossbarLinear(nn.Linear(2049, 1), layer, None)(inputs)
    exact = 255 * (2048 * 255 + 1)
    assert exact > 2**24
    assert exact % 2 == 1
    assert result.item() == exact * layer.input_step * layer.weight_step


@pytest.mark.parametrize("bits", [1, 8, 16])
def test_input_codes_round_half_to_even_and_clamp(bits: int) -> None:
    inputs = torch.tensor([-3.0, 0.5, 1.5, 2.5, 1e9])
    top = 2**bits - 1
    expected = torch.tensor([0.0, 0.0, 2.0, 2.0, 1e9]).clamp(0, top)
    assert torch.equal(input_codes(inputs, step=1.0, offset=0.0, bits=bits), expected)


def test_reduced_float32_precision_is_refused_on_the_cpu() -> None:
    linear = CrossbarLinear(nn.Linear(40, 6), coded_layer(wordlines=40, outputs=6), None)
    torch.set_float32_matmul_precision("medium")
    try:
        with pytest.raises(HardwareError, match=r"needs full float32 products, got .* 'medium'"):
            linear(random_inputs(2, 40))
    finally:
        torch.set_float32_matmul_precision("highest")
    assert linear(random_inputs(2, 40)).shape == (2, 6)


def test_codes_of_another_module_are_refused() -> None:
    layer = coded_layer(wordlines=40, outputs=6, name="fc1")
    message = r"fc1: the module has .* = \(1, 41, 6\), its codes have \(1, 40, 6\)"
    with pytest.raises(MappingError, match=message):
        CrossbarLinear(nn.Linear(41, 6), layer, None)
    with pytest.raises(MappingError, match=r"= \(2, 18, 3\), its codes have \(1, 40, 6\)"):
        CrossbarConv2d(nn.Conv2d(4, 6, 3, groups=2), layer, None)
