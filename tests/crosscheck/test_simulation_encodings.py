"""Every encoding, cell, OU, input digit and ADC against arrays built bit by bit in Python."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_models.chip import Chip
from hw_models.crossbar import Crossbar
from hw_models.encodings.column_sums import lossless_bits_of
from hw_models.encodings.differential import DIFFERENTIAL
from hw_models.encodings.encoding import Encoding
from hw_models.encodings.offset import ISAAC_FLIP, OFFSET
from hw_models.encodings.twos_complement import TWOS_COMPLEMENT
from hw_models.errors import HardwareError
from hw_models.layer import CodedLayer
from hw_models.simulation.mvm import Backend, SlicedWeights
from tests.hw_models.coded_layers import chip, coded_layer

ENCODINGS: tuple[Encoding, ...] = (DIFFERENTIAL, OFFSET, ISAAC_FLIP, TWOS_COMPLEMENT)


@dataclass(frozen=True)
class Converter:
    bits: int
    step: int

    def read(self, current: int) -> int:
        if self.step == 1:
            return min(current, 2**self.bits - 1)
        code, rest = divmod(current, self.step)
        if 2 * rest >= self.step:  # halves round up
            code += 1
        return min(code, 2**self.bits - 1) * self.step


def digits_of(value: int, base: int, count: int) -> list[int]:
    """Least significant first."""
    found = []
    for _ in range(count):
        value, digit = divmod(value, base)
        found.append(digit)
    return found


def one_read(
    encoding: str,
    weights: list[int],
    inputs: list[int],
    layer: CodedLayer,
    design: Chip,
    converters: list[Converter],
) -> int:
    """One output of the rows that are read together in one cycle; `inputs` are its digits."""
    bits, base = layer.weight_bits, 2**design.crossbar.bits_per_cell
    total = 0
    if encoding == "differential":
        for significance, converter in enumerate(reversed(converters)):
            plus = minus = 0
            for weight, digit in zip(weights, inputs, strict=True):
                cell = digits_of(abs(weight), base, len(converters))[significance]
                plus += digit * cell * (weight > 0)
                minus += digit * cell * (weight < 0)
            total += base**significance * (converter.read(plus) - converter.read(minus))
        return total
    if encoding == "twos_complement":
        stored = [weight % 2 ** (bits + 1) for weight in weights]
        negative = sum(d for s, d in zip(stored, inputs, strict=True) if s >= 2**bits)
        total -= 2**bits * converters[0].read(negative)
        for significance, converter in enumerate(reversed(converters[1:])):
            column = [digits_of(s % 2**bits, base, 9)[significance] for s in stored]
            current = sum(c * d for c, d in zip(column, inputs, strict=True))
            total += base**significance * converter.read(current)
        return total
    full_adc = design.crossbar.full_column_adc_bits(dac_bits=design.dac_bits)
    for significance, converter in enumerate(reversed(converters)):
        column = [digits_of(w + 2**bits, base, 9)[significance] for w in weights]
        turned = encoding == "isaac_flip" and (
            sum(column) * (2**design.dac_bits - 1) >= 2 ** (full_adc - 1)
        )
        if turned:
            column = [base - 1 - cell for cell in column]
        value = converter.read(sum(c * d for c, d in zip(column, inputs, strict=True)))
        unit = converter.read(sum(1 * d for d in inputs))  # a cell of 1 on every wordline
        total += base**significance * ((base - 1) * unit - value if turned else value)
        if significance == len(converters) - 1:
            total -= 2**bits * unit
    return total


def brute_force(
    layer: CodedLayer,
    design: Chip,
    steps: tuple[int, ...],
    codes: list[int],
    matrix: int,
    out: int,
) -> int:
    groups = design.encoding.slice_groups(layer.weight_bits, design.crossbar.bits_per_cell)
    resolutions = design.adc_bits[len(design.adc_bits) - groups :]
    converters = [Converter(b, 2**k) for b, k in zip(resolutions, steps, strict=True)]
    weights = [
        int(m) * int(s)
        for m, s in zip(layer.magnitudes[matrix, :, out], layer.signs[matrix, :, out], strict=True)
    ]
    array, read = design.crossbar.wordlines, design.crossbar.ou_wordlines
    cycles = -(-layer.input_bits // design.dac_bits)
    total = 0
    for first in range(0, len(weights), array):
        in_array = list(range(len(weights)))[first : first + array]
        while in_array:
            together, in_array = in_array[: read or array], in_array[read or array :]
            for cycle in range(cycles):
                digits = [digits_of(codes[k], 2**design.dac_bits, cycles)[cycle] for k in together]
                total += 2 ** (design.dac_bits * cycle) * one_read(
                    design.encoding.name,
                    [weights[k] for k in together],
                    digits,
                    layer,
                    design,
                    converters,
                )
    return total


@st.composite
def cases(draw: st.DrawFn) -> tuple[CodedLayer, Chip, tuple[int, ...]]:
    encoding = draw(st.sampled_from(ENCODINGS))
    cell_bits = draw(st.sampled_from([1, 2, 4]))
    weight_bits = draw(st.integers(2, 8))
    wordlines = draw(st.sampled_from([8, 24, 64]))
    layer = coded_layer(
        draw(st.integers(0, 2**32 - 1)),
        wordlines=draw(st.integers(1, 90)),
        outputs=draw(st.integers(1, 5)),
        groups=draw(st.integers(1, 2)),
        weight_bits=weight_bits,
        input_bits=draw(st.sampled_from([1, 5, 8, 10])),
        zero_share=draw(st.sampled_from([0.0, 0.5, 0.95])),
    )
    groups = encoding.slice_groups(weight_bits, cell_bits)
    bits = draw(st.lists(st.integers(1, 8), min_size=groups, max_size=groups))
    steps = draw(
        st.one_of(
            st.just([0] * groups), st.lists(st.integers(0, 4), min_size=groups, max_size=groups)
        )
    )
    design = replace(
        chip(tuple(bits)),
        crossbar=Crossbar(
            wordlines=wordlines,
            bitlines=16,
            bits_per_cell=cell_bits,
            ou_wordlines=draw(st.sampled_from([None, 1, 3, 8])),
        ),
        encoding=encoding,
        dac_bits=draw(st.sampled_from([1, 2, 3])),
    )
    return layer, design, tuple(steps)


@settings(max_examples=120, deadline=None)
@given(cases(), st.integers(0, 2**32 - 1), st.sampled_from([0.1, 0.5, 1.0]))
def test_both_backends_equal_the_brute_force(
    case: tuple[CodedLayer, Chip, tuple[int, ...]], seed: int, driven_share: float
) -> None:
    layer, design, steps = case
    shape = layer.shape
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 1 << layer.input_bits, (shape.groups, shape.wordlines, 2))
    if driven_share == 1.0:
        codes[:, :, 0] = (1 << layer.input_bits) - 1
    else:
        codes[rng.random(codes.shape) > driven_share] = 0
    expected = [
        [
            [
                brute_force(layer, design, steps, codes[g, :, m].tolist(), g, n)
                for m in range(codes.shape[2])
            ]
            for n in range(shape.outputs)
        ]
        for g in range(shape.groups)
    ]
    backends: tuple[Backend, ...] = ("numba", "torch")
    for backend in backends:
        weights = SlicedWeights(layer, design, step_bits=steps, backend=backend)
        assert weights.backend(torch.device("cpu")) in (backend, "none")
        assert weights.product(torch.from_numpy(codes)).tolist() == expected, backend


@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda encoding: encoding.name)
@pytest.mark.parametrize("cell_bits", [1, 2, 4])
@pytest.mark.parametrize("outputs", [1, 16, 33, 64, 130])
def test_backends_agree_on_large_arrays_and_odd_widths(
    encoding: Encoding, cell_bits: int, outputs: int
) -> None:
    """Sums on both sides of a byte, chunks that are not full, several tiles of MVMs."""
    layer = coded_layer(outputs, wordlines=300, outputs=outputs, zero_share=0.2)
    groups = encoding.slice_groups(8, cell_bits)
    crossbar = Crossbar(wordlines=128, bitlines=128, bits_per_cell=cell_bits)
    design = replace(chip((5,) * groups), crossbar=crossbar, encoding=encoding, dac_bits=2)
    steps = tuple(group % 3 for group in range(groups))
    codes = torch.randint(0, 256, (1, 300, 700), generator=torch.Generator().manual_seed(1))
    ours = SlicedWeights(layer, design, step_bits=steps, backend="numba").product(codes)
    reference = SlicedWeights(layer, design, step_bits=steps, backend="torch").product(codes)
    assert torch.equal(ours, reference)
    assert not torch.equal(ours, SlicedWeights(layer, None).product(codes))


@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda encoding: encoding.name)
def test_with_wide_converters_every_encoding_is_the_exact_product(encoding: Encoding) -> None:
    layer = coded_layer(4, wordlines=140, outputs=5)
    groups = encoding.slice_groups(8, 2)
    codes = torch.randint(0, 256, (1, 140, 4), generator=torch.Generator().manual_seed(2))
    weights = SlicedWeights(layer, replace(chip((9,) * groups), encoding=encoding))
    exact = torch.from_numpy(layer.signed_codes()[0].astype(np.int64)).t() @ codes[0]
    assert not weights.can_clip
    assert torch.equal(weights.product(codes)[0].long(), exact)


@settings(max_examples=60, deadline=None)
@given(cases())
def test_lossless_bits_never_clip_and_one_bit_less_does(
    case: tuple[CodedLayer, Chip, tuple[int, ...]],
) -> None:
    layer, design, _ = case
    lossless = lossless_bits_of(layer, design)
    assert not SlicedWeights(layer, replace(design, adc_bits=lossless)).can_clip
    for group, bits in enumerate(lossless):
        if bits > 1:
            fewer = (*lossless[:group], bits - 1, *lossless[group + 1 :])
            assert SlicedWeights(layer, replace(design, adc_bits=fewer)).can_clip


def test_the_fallback_without_numba_gives_the_same_bits(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    layer, design = coded_layer(6), chip((3, 4, 5, 4))
    codes = torch.randint(0, 256, (1, 150, 9), generator=torch.Generator().manual_seed(3))
    expected = SlicedWeights(layer, design, backend="numba").product(codes)
    monkeypatch.setitem(sys.modules, "hw_models.simulation.lookup", None)
    found = SlicedWeights(layer, design)
    assert torch.equal(found.product(codes), expected)
    assert found.backend(torch.device("cpu")) == "torch"
    assert "column sums are computed with torch" in caplog.text
    with pytest.raises(HardwareError, match="backend numba needs numba, which does not load here"):
        SlicedWeights(layer, design, backend="numba").product(codes)


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_what_an_input_gives_does_not_depend_on_its_batch(backend: Backend) -> None:
    """A converter's range is a property of the chip, not of the data that is run."""
    layer = coded_layer(8, outputs=3)
    codes = torch.randint(0, 256, (1, 150, 9), generator=torch.Generator().manual_seed(4))
    weights = SlicedWeights(layer, chip((4,) * 4), step_bits=(0, 1, 2, 3), backend=backend)
    alone = [weights.product(codes[:, :, m : m + 1]) for m in range(9)]
    assert torch.equal(weights.product(codes), torch.cat(alone, dim=2))


def test_sums_beyond_sixteen_bits_are_left_to_torch() -> None:
    layer = coded_layer(0, wordlines=600, outputs=1, zero_share=0.0)
    layer.magnitudes[...] = 255
    layer.signs[...] = 1
    crossbar = Crossbar(wordlines=600, bitlines=8, bits_per_cell=7)
    design = replace(chip((8, 14)), crossbar=crossbar, dac_bits=2)
    weights = SlicedWeights(layer, design)
    assert weights.backend(torch.device("cpu")) == "torch"
    codes = torch.full((1, 600, 1), 255, dtype=torch.uint8)
    low, high = min(600 * 127 * 3, 2**14 - 1), min(600 * 1 * 3, 255)
    assert weights.product(codes).item() == (low + 128 * high) * (1 + 4 + 16 + 64)


def test_flipped_columns_are_exact_with_one_adc_bit_less_than_a_full_column() -> None:
    layer = coded_layer(0, wordlines=128, outputs=6, zero_share=0.0)
    layer.magnitudes[...] = 255
    layer.signs[...] = 1
    layer.signs[:, :, 3:] = -1
    flipped = replace(chip((8,) * 5), encoding=ISAAC_FLIP)
    assert flipped.crossbar.full_column_adc_bits() == 9
    assert not SlicedWeights(layer, flipped).can_clip
    assert SlicedWeights(layer, replace(flipped, encoding=OFFSET)).can_clip


def test_the_unit_column_clips_in_the_converter_of_its_array() -> None:
    """100 rows of weight -64 store 0 in 7 bits: nothing but unit columns conducts."""
    layer = coded_layer(wordlines=100, outputs=2, weight_bits=6, input_bits=1, zero_share=0.0)
    layer.magnitudes[...] = 63
    layer.signs[...] = -1  # stored as 1: the lowest of four 2-bit cells
    ones = torch.ones(1, 100, 1, dtype=torch.uint8)
    wide = replace(chip((7, 7, 7, 7)), encoding=OFFSET)
    assert SlicedWeights(layer, wide).product(ones).flatten().tolist() == [-6300, -6300]
    # The offset is a bit of the top group; its unit column has 100 rows of 1.
    low_top = replace(chip((5, 7, 7, 7)), encoding=OFFSET)
    assert lossless_bits_of(layer, low_top) == (7, 1, 1, 7)
    expected = 100 - 64 * 31
    assert SlicedWeights(layer, low_top).product(ones).flatten().tolist() == [expected] * 2
    low_others = replace(chip((7, 1, 1, 7)), encoding=OFFSET)
    assert not SlicedWeights(layer, low_others).can_clip


def test_flipping_saves_no_bit_where_the_unit_column_needs_it() -> None:
    """128 rows of 1-bit cells: columns need 7 bits when flipped, the unit column 8."""
    layer = coded_layer(wordlines=128, outputs=2, weight_bits=1, zero_share=0.0)
    layer.magnitudes[...] = 1
    layer.signs[...] = 1  # stored as 3
    design = replace(chip((8, 8), bits_per_cell=1), encoding=ISAAC_FLIP)
    assert design.crossbar.encoded_adc_bits() == design.crossbar.full_column_adc_bits() == 8
    assert not SlicedWeights(layer, design).can_clip
    assert SlicedWeights(layer, replace(design, adc_bits=(7, 7))).can_clip


def test_an_ou_never_joins_rows_of_two_arrays() -> None:
    """10 rows in arrays of 4 with OUs of 3: reads of 3, 1, 3, 1 and 2 rows."""
    layer = coded_layer(0, wordlines=10, outputs=1, weight_bits=2, input_bits=1, zero_share=0.0)
    layer.magnitudes[...] = 1
    layer.signs[...] = 1
    crossbar = Crossbar(wordlines=4, bitlines=4, bits_per_cell=2, ou_wordlines=3)
    design = replace(chip((1,)), crossbar=crossbar)
    ones = torch.ones(1, 10, 1, dtype=torch.uint8)
    assert SlicedWeights(layer, design).product(ones).item() == 5


def test_steps_that_do_not_fit_the_slice_groups_are_refused() -> None:
    with pytest.raises(HardwareError, match=r"layer: ADC steps must be 4 powers of two .* \(1,\)"):
        SlicedWeights(coded_layer(), chip(), step_bits=(1,))


def test_a_backend_that_does_not_exist_is_refused() -> None:
    with pytest.raises(HardwareError, match="must be auto, numba or torch, got 'cuda'"):
        SlicedWeights(coded_layer(), chip(), backend="cuda")  # type: ignore[arg-type]
