"""Unsigned input codes of a layer: what its word-line drivers send, bit by bit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dse.errors import TrainingError
from dse.quantizers.fixed_point import on_cpu, range_exponent
from dse.quantizers.kernels import round_inputs
from dse.quantizers.quantizer import short
from dse.training.straight_through import replace_straight_through
from search_spaces.inputs import InputKnobs

INPUT_THRESHOLD = 8.0
"""Start of a trained clipping threshold ([APoT], public code for CIFAR-10)."""

SMALLEST_THRESHOLD = 1e-3
"""Floor of the threshold: an optimiser may push it to zero or beyond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputGrid:
    """Real inputs as `step * code + offset` with `code` in `0 .. 2**bits - 1`."""

    step: float
    offset: float
    bits: int = InputKnobs().bits


def input_grid(low: float, high: float, *, bits: int = InputKnobs().bits) -> InputGrid:
    """The grid of inputs seen between `low` and `high`.

    Inputs that are never negative (behind a ReLU) get a power-of-two step and no offset, the rule
    of the weights. Others get `offset = low` and a step that spans the range exactly, so that
    normalised 8-bit pixels become the pixels again.
    """
    if low >= 0:
        return InputGrid(step=math.ldexp(1.0, range_exponent(high) - bits), offset=0.0, bits=bits)
    spread = max(high - low, math.ldexp(1.0, range_exponent(0.0)))
    return InputGrid(step=spread / (2**bits - 1), offset=low, bits=bits)


def clipped_input_grid(low: float, threshold: float, *, bits: int) -> InputGrid:
    """The uniform grid below a trained threshold, [APoT] with uniform levels.

    Inputs that are never negative lie in `0 .. threshold`; others in `-threshold .. threshold`,
    with the lower end as offset.
    """
    clip = max(threshold, SMALLEST_THRESHOLD)
    if low >= 0:
        return InputGrid(step=short(clip / (2**bits - 1)), offset=0.0, bits=bits)
    step = short(2 * clip / (2**bits - 1))
    return InputGrid(step=step, offset=-step * (2**bits - 1) / 2, bits=bits)


def on_grid(inputs: Tensor, grid: InputGrid) -> Tensor:
    """The nearest values of the grid, without a graph."""
    top = 2**grid.bits - 1
    if on_cpu(inputs):
        shown = torch.empty_like(inputs)
        round_inputs(
            inputs.view(-1).numpy(),
            np.float32(grid.offset),
            np.float32(grid.step),
            np.float32(top),
            shown.view(-1).numpy(),
        )
        return shown
    levels = inputs - grid.offset if grid.offset else inputs.clone()
    levels.div_(grid.step).round_().clamp_(0, top).mul_(grid.step)
    return levels.add_(grid.offset) if grid.offset else levels


class InputQuantizer(nn.Module):
    """Shows a layer its inputs on a grid: of the range seen in this epoch, or below a threshold.

    In training the range grows with every batch, from nothing at `reset()`; in evaluation it
    stays as it is and inputs outside are clipped. The gradient passes straight through inside
    the range, which in training holds the whole batch.

    With `clip="trained"` the upper end is a trainable threshold `b` [APoT]: the gradient of an
    input is 1 inside and 0 outside, that of `b` is the sign of the input outside and
    `(x_q - x) / b` inside. Levels are uniform, so that codes are whole numbers. The range still
    tells whether inputs go below zero.

    [APoT] Y. Li et al., "Additive Powers-of-Two Quantization: An Efficient Non-uniform
        Discretization for Neural Networks", ICLR 2020.

    Attributes:
        seen: Smallest and largest input, `(2,)`, float64; infinities before the first.
        threshold: `b`, `()`; None where the range decides.
    """

    seen: Tensor
    threshold: nn.Parameter | None

    def __init__(self, *, bits: int = InputKnobs().bits, clip: str = InputKnobs().clip) -> None:
        super().__init__()
        self.bits = bits
        self.threshold = nn.Parameter(torch.tensor(INPUT_THRESHOLD)) if clip == "trained" else None
        self.register_buffer("seen", torch.empty(2, dtype=torch.float64))
        self.reset()

    def reset(self) -> None:
        """Forget the range; an epoch starts so."""
        self.seen[0], self.seen[1] = math.inf, -math.inf

    def grid(self) -> InputGrid:
        """The grid of the inputs seen so far."""
        low, high = self.seen.tolist()
        if not (math.isfinite(low) and math.isfinite(high)):
            raise TrainingError(
                f"a layer quantises inputs of a finite range, got {low} .. {high}. Calibrate it "
                "first; if it was trained, training diverged: lower the learning rate"
            )
        if self.threshold is None:
            return input_grid(low, high, bits=self.bits)
        return clipped_input_grid(low, float(self.threshold.detach()), bits=self.bits)

    @torch.no_grad()
    def lower_threshold(self) -> None:
        """Bring a threshold that no input reached down to the largest magnitude seen."""
        if self.threshold is not None:
            self.grid()  # refuses a range that was never seen
            self.threshold.clamp_(max=float(self.seen.abs().max()), min=SMALLEST_THRESHOLD)

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs on the grid, in their own shape."""
        if self.training:
            self._observe(inputs)
        grid = self.grid()
        levels = on_grid(inputs.detach(), grid)
        if self.threshold is not None:
            shown: Tensor = _Clip.apply(  # type: ignore[no-untyped-call]
                inputs, self.threshold, levels, grid
            )
            return shown
        if not self.training and inputs.requires_grad:
            inputs = inputs.clamp(grid.offset, grid.offset + grid.step * (2**grid.bits - 1))
        return replace_straight_through(inputs, levels)

    def _observe(self, inputs: Tensor) -> None:
        low, high = torch.aminmax(inputs.detach())
        seen_low, seen_high = self.seen.tolist()
        new_low, new_high = low.item(), high.item()
        if new_low < seen_low:
            self.seen[0] = new_low
        if new_high > seen_high:
            self.seen[1] = new_high


class _Clip(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, threshold: Tensor, shown: Tensor, grid: InputGrid
    ) -> Tensor:
        ctx.save_for_backward(inputs, shown)
        ctx.low = grid.offset
        ctx.high = grid.offset + grid.step * (2**grid.bits - 1)
        return shown

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        inputs, shown = ctx.saved_tensors
        inside = (inputs >= ctx.low) & (inputs <= ctx.high)
        to_inputs = gradient * inside if ctx.needs_input_grad[0] else None
        to_threshold = None
        if ctx.needs_input_grad[1]:
            # outside, `shown` is the end of the grid: its own slope, 0 at an end that is 0
            slope = torch.where(inside, shown - inputs, shown) / ctx.high
            to_threshold = (gradient * slope).sum()
        return to_inputs, to_threshold, None, None
