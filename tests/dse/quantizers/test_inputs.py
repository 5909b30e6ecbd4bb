from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dse.datasets.mnist import MNIST
from dse.errors import TrainingError
from dse.quantizers.inputs import (
    InputGrid,
    InputQuantizer,
    clipped_input_grid,
    input_grid,
    on_grid,
)


def test_inputs_behind_a_relu_get_a_power_of_two_step() -> None:
    grid = input_grid(0.0, 5.0)
    assert (grid.step, grid.offset) == (8 / 256, 0.0)


def test_normalised_pixels_become_the_pixels_again() -> None:
    data = MNIST.load()
    pixels = data.test_images[:300]
    quantizer = InputQuantizer().train()
    shown = quantizer(data.normalised(pixels)).double()
    grid = quantizer.grid()
    codes = (shown - grid.offset) / grid.step
    assert float((codes - pixels.double()).abs().max()) < 1e-4
    assert grid.offset == pytest.approx(-0.1307 / 0.3081)
    assert grid.step == pytest.approx(1 / (255 * 0.3081))


@given(st.lists(st.floats(-8, 8, width=32), min_size=2, max_size=30))
def test_inputs_move_by_half_a_step_at_most(values: list[float]) -> None:
    inputs = torch.tensor(values)
    quantizer = InputQuantizer().train()
    shown = quantizer(inputs)
    grid = quantizer.grid()
    top = grid.offset + grid.step * 255
    inside = inputs.double() <= top
    error = (shown.double() - inputs.double()).abs()
    assert bool((error[inside] <= grid.step * 0.5 * (1 + 1e-4) + 1e-6).all())
    assert bool((error[~inside] <= grid.step + 1e-6).all())


def test_the_range_grows_over_an_epoch_and_starts_anew_in_the_next() -> None:
    quantizer = InputQuantizer().train()
    quantizer(torch.tensor([-1.0, 1.0]))
    quantizer(torch.tensor([0.0, 3.0]))
    assert quantizer.seen.tolist() == [-1.0, 3.0]
    quantizer.reset()
    quantizer(torch.tensor([0.25, 0.5]))
    assert quantizer.seen.tolist() == [0.25, 0.5]


def test_evaluation_clips_at_the_frozen_range() -> None:
    quantizer = InputQuantizer().train()
    quantizer(torch.tensor([-1.0, 1.55]))
    quantizer.eval()
    shown = quantizer(torch.tensor([-7.0, 7.0]))
    assert shown.tolist() == pytest.approx([-1.0, 1.55])
    assert quantizer.seen.tolist() == pytest.approx([-1.0, 1.55])


def test_the_gradient_passes_inside_the_range_only() -> None:
    quantizer = InputQuantizer().train()
    inputs = torch.tensor([-1.0, 0.3, 1.0], requires_grad=True)
    quantizer(inputs).sum().backward()
    assert inputs.grad is not None
    assert inputs.grad.tolist() == [1, 1, 1]

    quantizer.eval()
    inputs = torch.tensor([-3.0, 0.3, 3.0], requires_grad=True)
    quantizer(inputs).sum().backward()
    assert inputs.grad is not None
    assert inputs.grad.tolist() == [0, 1, 0]


def test_inputs_are_left_as_they_are() -> None:
    inputs = torch.tensor([0.1, 0.7])
    InputQuantizer().train()(inputs)
    assert torch.equal(inputs, torch.tensor([0.1, 0.7]))


def test_a_range_that_was_never_seen_is_an_error() -> None:
    with pytest.raises(TrainingError, match=r"inputs of a finite range, got inf .. -inf"):
        InputQuantizer().eval()(torch.zeros(1))


def test_infinite_inputs_are_an_error() -> None:
    with pytest.raises(TrainingError, match=r"finite range, got 0.0 .. inf"):
        InputQuantizer().train()(torch.tensor([0.0, math.inf]))


def test_constant_negative_inputs_have_a_step() -> None:
    grid = input_grid(-2.0, -2.0)
    assert grid.step > 0
    assert grid.offset == -2.0


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_trained_threshold_clips_and_has_the_published_gradient(bits: int, signed: bool) -> None:
    """x_q = b * level(clip(x / b)); to b: sign(x) outside, (x_q - x) / b inside."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(200, generator=generator) * 4
    if not signed:
        inputs = inputs.relu()
    inputs.requires_grad_()
    quantizer = InputQuantizer(bits=bits, clip="trained").train()
    assert quantizer.threshold is not None
    assert quantizer.threshold.item() == 8
    torch.nn.init.constant_(quantizer.threshold, 3.0)
    pull = torch.randn(200, generator=generator)
    shown = quantizer(inputs)
    (shown * pull).sum().backward()

    x, top = inputs.detach().double(), 2**bits - 1
    low = -3.0 if signed else 0.0
    expected = low + ((x.clamp(low, 3.0) - low) / (3.0 - low) * top).round() * (3.0 - low) / top
    torch.testing.assert_close(shown.detach().double(), expected, rtol=1e-4, atol=1e-4)
    inside = (x >= low) & (x <= 3.0)
    assert inputs.grad is not None
    assert torch.equal(inputs.grad, pull * inside)
    slope = torch.where(inside, (expected - x) / 3.0, torch.where(x > 0, 1.0, low / 3.0))
    assert quantizer.threshold.grad is not None
    assert float(quantizer.threshold.grad) == pytest.approx(float((slope * pull).sum()), rel=2e-3)
    assert 0 < int(inside.sum()) < 200


@given(
    st.floats(-5, 5, width=32),
    st.floats(-1, 20),
    st.integers(2, 8),
    st.lists(st.floats(-9, 9, width=32)),
)
def test_codes_below_a_threshold_are_whole_and_unsigned(
    low: float, threshold: float, bits: int, values: list[float]
) -> None:
    quantizer = InputQuantizer(bits=bits, clip="trained").train()
    assert quantizer.threshold is not None
    torch.nn.init.constant_(quantizer.threshold, threshold)
    shown = quantizer(torch.tensor([low, *values])).detach().double()
    grid = quantizer.grid()
    codes = (shown - grid.offset) / grid.step
    assert float((codes - codes.round()).abs().max()) < 1e-4
    assert int(codes.round().min()) >= 0
    assert int(codes.round().max()) <= 2**bits - 1
    assert (grid.offset == 0) == (min([low, *values]) >= 0)
    assert grid.step > 0


def test_unsigned_inputs_below_a_threshold_are_exact_products() -> None:
    """Code times step has no rounding error in float32, so integers compute the same."""
    inputs = torch.rand(500, generator=torch.Generator().manual_seed(3)) * 9
    quantizer = InputQuantizer(clip="trained").train()
    shown = quantizer(inputs).detach().double()
    step = clipped_input_grid(0.0, 8.0, bits=8).step
    assert torch.equal(shown, (shown / step).round() * step)


def test_a_threshold_that_nothing_reaches_comes_down() -> None:
    quantizer = InputQuantizer(clip="trained").train()
    quantizer(torch.tensor([0.0, 2.5]))
    quantizer.lower_threshold()
    assert quantizer.grid().step * 255 == pytest.approx(2.5, rel=2**-15)
    quantizer(torch.tensor([40.0]))
    quantizer.lower_threshold()
    assert quantizer.grid().step * 255 == pytest.approx(2.5, rel=2**-15)
    InputQuantizer().lower_threshold()  # a range has none: nothing happens


def test_few_bits_make_few_levels() -> None:
    quantizer = InputQuantizer(bits=2).train()
    assert len(quantizer(torch.linspace(0, 1, 100)).unique()) == 4


@given(
    st.lists(st.floats(-9, 9, width=32), min_size=1),
    st.floats(-3, 0, width=32),
    st.floats(0.001, 9),
    st.integers(2, 8),
)
def test_compiled_and_torch_inputs_have_the_same_bits(
    values: list[float], low: float, high: float, bits: int
) -> None:
    grid, inputs = input_grid(low, high, bits=bits), torch.tensor(values)
    strided = torch.stack([inputs, inputs], dim=1)[:, 0]
    assert strided.is_contiguous() == (len(values) == 1)
    assert torch.equal(on_grid(inputs, grid), on_grid(strided, grid))
    assert torch.equal(on_grid(inputs, grid), levels_by_torch(inputs, grid))


def levels_by_torch(inputs: torch.Tensor, grid: InputGrid) -> torch.Tensor:
    codes = ((inputs - grid.offset) / grid.step).round().clamp(0, 2**grid.bits - 1)
    return codes * grid.step + grid.offset


def test_a_number_that_is_none_stays_none() -> None:
    shown = on_grid(torch.tensor([math.nan, 1.0]), input_grid(0.0, 1.0))
    assert shown.isnan().tolist() == [True, False]
