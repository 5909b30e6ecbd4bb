from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from dse.quantizers.clipped import ClippedGrid
from dse.quantizers.exponent import ExponentGrid
from dse.quantizers.fixed_point import FixedPointGrid
from dse.quantizers.quantizer import Grid
from dse.regularizers.bit_slice_l1 import BIT_SLICE_L1, BitSlicePenalty, gradient_table
from dse.regularizers.table_gradient import add_from_table_, add_from_table_by_torch_
from hw_models.published.bits_net import SET_1
from search_spaces.regularizer import BitSliceL1Knobs


def straight_through(function: object, value: Tensor) -> Tensor:
    """`function(value)` with the gradient of `value`, the textbook way."""
    return value + (function(value) - value).detach()  # type: ignore[operator]


def by_autograd(weights: Tensor, *, bits: int, slice_bits: int) -> Tensor:
    """Sum of the slices as the paper's code builds it: straight-through round and floor."""
    s = math.ceil(math.log2(max(float(weights.detach().abs().max()), 1e-5)))
    rest = straight_through(torch.round, weights.abs() / 2.0 ** (s - bits))
    rest = rest - (rest - rest.clamp(max=2**bits - 1)).detach()
    total = torch.zeros((), dtype=weights.dtype)
    for group in reversed(range(math.ceil(bits / slice_bits))):
        place = 2.0 ** (slice_bits * group)
        one_slice = straight_through(torch.floor, rest / place)
        total = total + one_slice.abs().sum()
        rest = rest - (one_slice * place).detach()
    return total


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 1000),
    bits=st.integers(2, 8),
    slice_bits=st.integers(1, 4),
    scale=st.floats(0.01, 20),
)
def test_the_table_is_the_gradient_that_autograd_computes(
    seed: int, bits: int, slice_bits: int, scale: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    weights = (torch.randn(500, generator=generator, dtype=torch.float64) * scale).pow(3)
    parameter = nn.Parameter(weights.float().double())
    by_autograd(parameter, bits=bits, slice_bits=slice_bits).backward()
    expected = parameter.grad
    assert expected is not None

    slices = math.ceil(bits / slice_bits)
    penalty = BIT_SLICE_L1.penalty(
        BitSliceL1Knobs(strength=float(slices * 500)),
        grids=[FixedPointGrid(bits)],
        slice_bits=slice_bits,
    )
    parameter.grad = torch.zeros_like(parameter)
    penalty.add_gradient_([parameter])
    assert torch.equal(parameter.grad, expected)


@given(st.integers(0, 1000))
def test_the_value_is_the_mean_of_the_slices(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    tensors = [nn.Parameter(torch.randn(n, generator=generator)) for n in (30, 7)]
    penalty = penalty_of(strength=0.5, tensors=2)
    expected = sum(by_autograd(p.data.double(), bits=8, slice_bits=2) for p in tensors)
    assert penalty.value(tensors) == pytest.approx(0.5 * float(expected) / (4 * 37))


def penalty_of(strength: float, tensors: int = 1) -> BitSlicePenalty:
    return BIT_SLICE_L1.penalty(
        BitSliceL1Knobs(strength=strength),
        grids=[FixedPointGrid(8) for _ in range(tensors)],
        slice_bits=2,
    )


def test_the_published_closed_form_holds() -> None:
    """[B0>0] + [B1>0]/4 + [B2>0]/16 + [B3>0]/64; largest 85/64, and a lone top slice 1/64."""
    table = gradient_table(8, 2)
    assert table.shape == (256,)
    assert table[0] == 0
    assert table[1] == 1
    assert table[64] == 1 / 64
    assert table.max() == 85 / 64
    assert table[0b01_10_00_11] == 1 + 1 / 16 + 1 / 64


def test_the_gradient_adds_to_what_is_there_in_every_tensor() -> None:
    tensors = [nn.Parameter(torch.tensor([0.75, -0.75, 0.0])), nn.Parameter(torch.tensor([2.0]))]
    for tensor in tensors:
        tensor.grad = torch.ones_like(tensor)
    penalty_of(strength=16.0, tensors=2).add_gradient_(tensors)  # strength / (G N) = 1
    # 0.75 has s = 0 and B = 192, 2.0 has s = 1 and B = 255
    assert tensors[0].grad is not None
    assert tensors[1].grad is not None
    assert tensors[0].grad.tolist() == [1 + 256 / 64, 1 - 256 / 64, 1]
    assert tensors[1].grad.tolist() == [1 + 128 * 85 / 64]


def test_the_shape_of_a_convolution_is_kept() -> None:
    weight = nn.Parameter(torch.randn(4, 3, 3, 3).to(memory_format=torch.channels_last))
    weight.grad = torch.zeros_like(weight)
    penalty_of(strength=1.0).add_gradient_([weight])
    assert torch.equal(weight.grad.sign() * (weight.grad != 0), weight.sign() * (weight.grad != 0))


GRIDS = {
    "fixed_point": lambda: FixedPointGrid(8),
    "narrow": lambda: FixedPointGrid(3),
    "exponent": lambda: ExponentGrid(8, terms=2, rule="free"),
    "level_set": lambda: ClippedGrid(SET_1, normalised=False),
    "absorbed": lambda: ClippedGrid(SET_1, normalised=True),
}


@pytest.mark.parametrize("slice_bits", [1, 2, 4])
@pytest.mark.parametrize("kind", list(GRIDS))
def test_on_any_grid_it_is_the_table_of_its_own_codes(kind: str, slice_bits: int) -> None:
    """Codes to slices by hand; the slope of a code in the real weight by a finite difference."""
    grid: Grid = GRIDS[kind]()
    real = nn.Parameter(torch.randn(60, generator=torch.Generator().manual_seed(4)) * 0.3)
    real.grad = torch.zeros_like(real)
    penalty = BIT_SLICE_L1.penalty(
        BitSliceL1Knobs(strength=0.7), grids=[grid], slice_bits=slice_bits
    )
    penalty.add_gradient_([real])
    codes = grid.codes(real.detach())
    count = math.ceil(grid.bits / slice_bits)
    normalisation = 0.7 / (60 * count)
    if isinstance(grid, ClippedGrid):
        per_unit = 64 / (grid.threshold.item() * float(real.detach().double().std()))
    else:
        per_unit = 1 / codes.step
    value = 0.0
    for index in range(60):
        slices = [
            (int(codes.magnitudes[index]) >> (slice_bits * k)) % 2**slice_bits
            for k in range(count)
        ]
        push = sum((digit > 0) / 2 ** (slice_bits * k) for k, digit in enumerate(slices))
        expected = normalisation * per_unit * int(codes.signs[index]) * push
        assert float(real.grad[index]) == pytest.approx(expected, rel=1e-5)
        value += normalisation * sum(slices)
    assert penalty.value([real]) == pytest.approx(value)


def test_layers_of_different_width_share_the_mean_over_cells() -> None:
    grids = [FixedPointGrid(8), FixedPointGrid(3)]
    tensors = [nn.Parameter(torch.tensor([1.0, 0.5])), nn.Parameter(torch.tensor([1.0]))]
    penalty = BIT_SLICE_L1.penalty(BitSliceL1Knobs(strength=1.0), grids=grids, slice_bits=2)
    # codes 255 = 3 3 3 3, 128 = 2 0 0 0, 7 = 1 3; cells 4 + 4 + 2
    assert penalty.value(tensors) == pytest.approx((12 + 2 + 4) / 10)


def test_the_levels_of_the_forward_pass_are_taken_again() -> None:
    class Counting(FixedPointGrid):
        calls = 0

        def levels(self, real: Tensor) -> object:  # type: ignore[override]
            type(self).calls += 1
            return super().levels(real)

    grid, real = Counting(8), nn.Parameter(torch.randn(9))
    penalty = BIT_SLICE_L1.penalty(BitSliceL1Knobs(strength=1.0), grids=[grid], slice_bits=2)
    grid(real).sum().backward()
    assert Counting.calls == 1
    penalty.add_gradient_([real])
    assert Counting.calls == 1
    torch.optim.SGD([real], lr=0.1, fused=True).step()
    penalty.add_gradient_([real])
    assert Counting.calls == 2


@given(st.integers(0, 1000), st.sampled_from([torch.float32, torch.float64, torch.int16]))
def test_compiled_and_torch_give_the_same_bits(seed: int, kind: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(seed)
    table = torch.randn(511, generator=generator, dtype=torch.float64)
    signed = torch.randint(-255, 256, (7, 3, 2), generator=generator).to(kind)
    start = torch.randn(7, 3, 2, generator=generator)
    start = start.double() if kind == torch.float64 else start
    compiled, by_torch = start.clone(), start.clone()
    table = table.to(start.dtype)
    add_from_table_(compiled, table, signed)
    add_from_table_by_torch_(by_torch, table, signed)
    assert torch.equal(compiled, by_torch)
    turned = start.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    add_from_table_(turned, table, signed)  # another layout in memory
    assert torch.equal(turned, by_torch)
