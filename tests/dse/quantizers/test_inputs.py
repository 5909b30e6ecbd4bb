from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dse.datasets.mnist import MNIST
from dse.errors import TrainingError
from dse.quantizers.inputs import InputQuantizer, input_grid


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
