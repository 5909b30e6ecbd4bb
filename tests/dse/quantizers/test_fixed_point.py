from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dse.quantizers.fixed_point import FIXED_POINT, FixedPointGrid, range_exponent
from dse.quantizers.prepare import parameter_codes, prepare
from dse.quantizers.quantizer import codes
from search_spaces.quantizer import FixedPointKnobs

KNOBS = FixedPointKnobs()
floats = st.floats(-100, 100, width=32, allow_nan=False, allow_subnormal=False)


@given(
    st.lists(floats, min_size=1, max_size=40),
    st.integers(2, 8),
    st.sampled_from(["round", "floor"]),
)
def test_codes_follow_the_equations(values: list[float], bits: int, rounding: str) -> None:
    """Written with Python numbers, one weight at a time."""
    found = codes(torch.tensor(values), FIXED_POINT, FixedPointKnobs(bits=bits, rounding=rounding))
    largest = max(max(abs(v) for v in values), 1e-5)
    s = next(e for e in range(-20, 20) if 2.0**e >= largest)
    assert found.step == 2.0 ** (s - bits)
    for value, magnitude, sign in zip(values, found.magnitudes, found.signs, strict=True):
        exact = abs(value) / found.step
        expected = min(round(exact) if rounding == "round" else math.floor(exact), 2**bits - 1)
        assert magnitude == expected
        assert sign == (0 if expected == 0 else math.copysign(1, value))


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("exponent", [-6, 0, 3])
def test_a_largest_weight_that_is_a_power_of_two_makes_no_fifth_level(
    bits: int, exponent: int
) -> None:
    largest = 2.0**exponent
    weights = torch.tensor([largest, -largest, largest * (1 - 2.0**-12), 0.0])
    found = codes(weights, FIXED_POINT, FixedPointKnobs(bits=bits))
    assert found.magnitudes.tolist() == [2**bits - 1] * 3 + [0]
    assert found.step == largest / 2**bits


def test_ties_round_to_even() -> None:
    weights = torch.tensor([0.5, 1.5, 2.5, 3.5, 256.0]) / 256
    found = codes(weights, FIXED_POINT, KNOBS)
    assert found.magnitudes.tolist() == [0, 2, 2, 4, 255]


@pytest.mark.parametrize(
    ("largest", "exponent"),
    [(1.0, 0), (1.0 + 2**-23, 1), (0.5, -1), (0.3, -1), (3.0, 2), (0.0, -16), (1e-5, -16)],
)
def test_the_range_exponent_is_the_next_power_of_two(largest: float, exponent: int) -> None:
    assert range_exponent(largest) == exponent


def test_an_all_zero_tensor_has_codes_of_zero() -> None:
    found = codes(torch.zeros(3), FIXED_POINT, KNOBS)
    assert found.magnitudes.tolist() == [0, 0, 0]
    assert found.step == 2.0**-24


@given(st.lists(floats, min_size=1, max_size=40), st.integers(2, 8))
def test_quantising_twice_changes_nothing_below_the_clamp(values: list[float], bits: int) -> None:
    knobs = FixedPointKnobs(bits=bits)
    once = codes(torch.tensor(values), FIXED_POINT, knobs)
    top = int(once.magnitudes.max()) * once.step
    twice = codes(once.dequantised().float(), FIXED_POINT, knobs)
    if range_exponent(top) - bits == math.log2(once.step):
        assert torch.equal(once.magnitudes, twice.magnitudes)
        assert torch.equal(once.signs, twice.signs)


def test_a_prepared_layer_computes_with_its_codes_and_learns_through_them() -> None:
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Linear(4, 3))
    prepared = prepare(layer, ["0"], FIXED_POINT, KNOBS)
    linear = prepared.get_submodule("0")
    weight = parameter_codes(linear, "weight")
    assert weight is not None
    assert torch.equal(linear.weight.double(), weight.dequantised())
    assert torch.equal(
        weight.dequantised(), codes(layer[0].weight, FIXED_POINT, KNOBS).dequantised()
    )

    pull = torch.randn(3, 4)
    (linear.weight * pull).sum().backward()
    assert torch.equal(linear.parametrizations.weight.original.grad, pull)


@given(st.lists(floats, min_size=1, max_size=40), st.integers(2, 8))
def test_compiled_and_torch_levels_are_the_same(values: list[float], bits: int) -> None:
    weights = torch.tensor(values)
    compiled, by_torch = (FixedPointGrid(bits).levels(w) for w in (weights, weights.double()))
    assert compiled.shown is not None
    assert by_torch.shown is None
    assert compiled.step == by_torch.step
    assert torch.equal(compiled.signed.double(), by_torch.signed)
    assert torch.equal(compiled.shown.double(), by_torch.signed * by_torch.step)


def test_a_weight_that_is_no_number_shows() -> None:
    shown = FixedPointGrid(8)(torch.tensor([math.nan, 1.0]))
    assert shown.isnan().tolist() == [True, False]
