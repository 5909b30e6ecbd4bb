"""Patched layers against a walk over patches, bits and windows in plain Python."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hw_models.chip import Chip
from hw_models.converters.saberi import SABERI
from hw_models.crossbar import Crossbar
from hw_models.encodings.twos_complement import TWOS_COMPLEMENT
from hw_models.engines.isaac import ISAAC
from hw_models.engines.observed import Observed
from hw_models.engines.ou_patch import OU_PATCH
from hw_models.estimation.estimate import estimate
from hw_models.layer import CodedLayer
from hw_models.simulation.layers import CrossbarConv2d, CrossbarLinear
from hw_models.simulation.mvm import SlicedWeights
from tests.hw_models.patched_layers import patched_layer

SEEDS = st.integers(0, 2**32 - 1)


def design(layer: CodedLayer, adc_bits: tuple[int, ...], *, dac_bits: int = 1) -> Chip:
    return Chip(
        crossbar=Crossbar(wordlines=16, bitlines=16, bits_per_cell=1),
        adc=SABERI,
        adc_bits=adc_bits,
        engine=OU_PATCH.for_layers([layer]),
        encoding=TWOS_COMPLEMENT,
        dac_bits=dac_bits,
    )


def window_codes(layer: CodedLayer, codes: list[int]) -> tuple[list[int], list[int]]:
    """Codes of one window after the activation rule, and the bits of each input patch."""
    patches = layer.patches
    assert patches is not None
    driven, bits = list(codes), []
    for start in range(0, len(codes), patches.size):
        part = codes[start : start + patches.size]
        small = len([code for code in part if code <= patches.small_input])
        if patches.weak_input_share is None or small < patches.weak_input_share * len(part):
            bits.append(layer.input_bits)
            continue
        bits.append(min(4, layer.input_bits))
        step = 2 ** max(0, layer.input_bits - 4)
        for k in range(start, start + len(part)):
            driven[k] = min(int(codes[k] / step + 0.5), 2 ** bits[-1] - 1) * step
    return driven, bits


def walk(
    layer: CodedLayer, chip: Chip, matrix: int, out: int, codes: list[int]
) -> tuple[int, int, int]:
    """Output, OU reads and conversions of one output and window."""
    patches = layer.patches
    assert patches is not None
    columns = layer.weight_bits + 1
    resolutions = chip.adc_bits[len(chip.adc_bits) - columns :]
    weights = layer.signed_codes()[matrix, :, out].tolist()
    driven, input_bits = window_codes(layer, codes)
    product = reads = conversions = 0
    for j, start in enumerate(range(0, layer.shape.wordlines, patches.size)):
        kept = int(patches.bits[matrix, j, out])
        if kept == 0:
            continue
        rows = range(start, min(start + patches.size, layer.shape.wordlines))
        width = columns if kept == 8 else min(4, columns)
        unit = 1 if kept == 8 else 2**patches.weak_shift
        cycles = range(0, input_bits[j], chip.dac_bits)
        reads += len(cycles)
        conversions += len(cycles) * width
        for cycle in cycles:
            shift = cycle + layer.input_bits - input_bits[j]  # weak codes end in zeros
            for column in range(width):  # least significant first
                current = 0
                for k in rows:
                    code = weights[k] // unit
                    digit = (driven[k] >> shift) % 2**chip.dac_bits
                    current += digit * ((code % 2**width) >> column & 1)
                worth = -(2**column) if column == width - 1 else 2**column
                seen = min(current, 2 ** resolutions[columns - 1 - column] - 1)
                product += 2**shift * unit * worth * seen
    return product, reads, conversions


@st.composite
def cases(draw: st.DrawFn) -> tuple[CodedLayer, Chip]:
    weight_bits = draw(st.sampled_from([2, 3, 4, 7, 8]))
    layer = patched_layer(
        draw(SEEDS),
        size=draw(st.sampled_from([2, 4, 8])),
        wordlines=draw(st.integers(1, 21)),
        outputs=draw(st.integers(1, 3)),
        groups=draw(st.integers(1, 2)),
        weight_bits=weight_bits,
        input_bits=draw(st.sampled_from([2, 6, 8])),
        weak_input_share=draw(st.sampled_from([None, 0.5, 0.75, 1.0])),
        small_input=3,
    )
    adc_bits = draw(st.lists(st.integers(1, 4), min_size=weight_bits + 1, max_size=9))
    return layer, design(layer, tuple(adc_bits), dac_bits=draw(st.sampled_from([1, 2])))


def some_codes(layer: CodedLayer, seed: int) -> np.ndarray:
    """Codes (groups, K, 3), most of them small."""
    rng = np.random.default_rng(seed)
    size = (layer.shape.groups, layer.shape.wordlines, 3)
    return np.where(
        rng.random(size) < 0.6,
        rng.integers(0, 4, size),
        rng.integers(0, 2**layer.input_bits, size),
    )


@settings(max_examples=40, deadline=None)
@given(cases(), SEEDS)
def test_simulator_and_engine_do_what_a_walk_over_patches_does(
    case: tuple[CodedLayer, Chip], seed: int
) -> None:
    layer, chip = case
    shape = layer.shape
    codes = some_codes(layer, seed)
    expected = np.zeros((shape.groups, shape.outputs, 3), dtype=np.int64)
    reads = conversions = 0
    for index in np.ndindex(expected.shape):
        matrix, out, window = index
        expected[index], more_reads, more = walk(
            layer, chip, matrix, out, codes[matrix, :, window].tolist()
        )
        reads, conversions = reads + more_reads, conversions + more

    module = CrossbarLinear(
        nn.Linear(shape.wordlines, shape.outputs),
        replace(layer, shape=replace(shape, groups=1), **_first_matrix(layer)),
        chip,
    )
    real = torch.from_numpy(codes[0].T * layer.input_step)
    unit = layer.input_step * layer.weight_step  # powers of two: exact
    assert (module(real).t() / unit).tolist() == expected[0].tolist()

    three = replace(layer, shape=replace(shape, positions=3))
    observed = [Observed(input_codes=codes.transpose(0, 2, 1))]
    result = estimate([three], chip, observed=observed)
    assert result.adc_conversions == conversions
    terms = chip.engine.cost_terms([three], chip, observed)
    rows = terms.held_power_w_reads[0, terms.components.index("input_register")]
    assert rows / chip.ima.input_register_power_w == pytest.approx(
        reads * layer.patches.size  # type: ignore[union-attr]
    )


def _first_matrix(layer: CodedLayer) -> dict[str, Any]:
    patches = layer.patches
    assert patches is not None
    return {
        "magnitudes": layer.magnitudes[:1],
        "signs": layer.signs[:1],
        "bias": None,
        "patches": replace(patches, bits=patches.bits[:1]),
    }


@settings(max_examples=40, deadline=None)
@given(
    seed=SEEDS,
    size=st.sampled_from([3, 4, 8]),
    weight_bits=st.integers(2, 8),
    ou=st.integers(1, 9),
)
def test_every_way_of_reading_a_patched_layer_gives_its_product(
    seed: int, size: int, weight_bits: int, ou: int
) -> None:
    """Row blocks inside a patch or across several, on an engine that knows no patches."""
    layer = patched_layer(seed, size=size, groups=2, weight_bits=weight_bits)
    crossbar = Crossbar(wordlines=16, bitlines=16, bits_per_cell=1, ou_wordlines=ou)
    chip = Chip(
        crossbar=crossbar,
        adc=SABERI,
        adc_bits=(5,) * 9,
        engine=ISAAC,
        encoding=TWOS_COMPLEMENT,
    )
    planes = [
        plane
        for rows in (slice(0, ou), slice(size, size + 2), slice(1, size + 1))
        for plane in TWOS_COMPLEMENT.planes(layer, 1, rows, crossbar, 1)
    ]
    assert max(int(plane.cells.max()) for plane in planes) <= 1
    for rows in (slice(0, ou), slice(size, size + 2), slice(1, size + 1)):
        found = sum(
            plane.factors * plane.cells.astype(np.int64)
            for plane in TWOS_COMPLEMENT.planes(layer, 1, rows, crossbar, 1)
        )
        assert np.array_equal(found, layer.signed_codes()[1, rows])
    codes = torch.from_numpy(some_codes(layer, seed))
    assert torch.equal(
        SlicedWeights(layer, chip).product(codes), SlicedWeights(layer, None).product(codes)
    )


CONVOLUTIONS: list[dict[str, Any]] = [
    {},
    {"padding": 1, "stride": 2},
    {"padding": 1, "groups": 2},
    {"padding": 1, "padding_mode": "reflect", "dilation": 2},
]


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
@pytest.mark.parametrize("offset", [0.0, -0.05])
@pytest.mark.parametrize("adc_bits", [None, 2])
def test_a_convolution_rounds_the_weak_patches_of_each_window(
    options: dict[str, Any], offset: float, adc_bits: int | None
) -> None:
    module = nn.Conv2d(4, 6, **{"kernel_size": 3, **options})
    layer = replace(
        patched_layer(
            1,
            size=4,
            wordlines=module.weight[0].numel(),
            outputs=6 // module.groups,
            groups=module.groups,
            weak_input_share=0.75,
        ),
        input_offset=offset,
    )
    chip = None if adc_bits is None else design(layer, (adc_bits,) * 8)
    images = torch.rand(3, 4, 7, 6, generator=torch.Generator().manual_seed(2)) ** 4 * 2
    found = CrossbarConv2d(module, layer, chip)(images)

    one_bit = design(layer, (8,) * 8) if chip is None else chip
    raw = CrossbarConv2d(module, layer, None).input_columns(images)
    products = torch.zeros(module.groups, layer.shape.outputs, raw.shape[2], dtype=torch.float64)
    for matrix, out, window in np.ndindex(*products.shape):
        products[matrix, out, window] = walk(
            layer, one_bit, matrix, out, raw[matrix, :, window].tolist()
        )[0]
    inside = F.pad(torch.ones_like(images), module._reversed_padding_repeated_twice)
    if module.padding_mode == "reflect":
        inside = torch.ones_like(inside)
    taps = F.unfold(inside.double(), 3, dilation=module.dilation, stride=module.stride)
    taps = taps.reshape(3, module.groups, -1, taps.shape[2])
    weights = torch.from_numpy(layer.signed_codes()).double()
    offsets = torch.einsum("gkn,bgkp->bgnp", weights, taps).reshape(3, 6, -1)
    images_first = products.reshape(6, 3, -1).transpose(0, 1)
    assert layer.bias is not None
    expected = (
        layer.input_step * layer.weight_step * images_first
        + offset * layer.weight_step * offsets
        + torch.from_numpy(layer.bias)[:, None]
    )
    torch.testing.assert_close(found, expected.reshape(found.shape).float())
    plain = replace(layer, patches=replace(layer.patches, weak_input_share=None))  # type: ignore[type-var]
    assert not torch.equal(CrossbarConv2d(module, plain, chip)(images), found)
