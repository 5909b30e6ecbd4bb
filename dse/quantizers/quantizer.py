"""What a weight quantiser is: levels on a grid that the crossbars can hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from dse.training.straight_through import replace_straight_through


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Codes:
    """A tensor as the crossbars hold it: `signs * magnitudes * step`.

    Attributes:
        magnitudes: 0 to `2**bits - 1`, uint8, in the shape of the tensor.
        signs: -1, 0 or 1, int8, likewise; 0 where the magnitude is 0.
        step: Real value of one level.
        bits: Bits of a magnitude.
    """

    magnitudes: Tensor
    signs: Tensor
    step: float
    bits: int

    def dequantised(self) -> Tensor:
        """The real values, float64."""
        return self.magnitudes.double() * self.signs * self.step


class Quantizer(Protocol):
    """A weight quantiser as the entry points `dse.quantizers` name it."""

    @property
    def knobs(self) -> type:
        """Class of the knobs."""

    def bits(self, knobs: Any) -> int:
        """Bits of a magnitude, at most 8."""

    def levels(self, tensor: Tensor, knobs: Any) -> tuple[Tensor, float]:
        """Signed whole levels, as floats in the shape of `tensor`, and the step between them."""


def codes(tensor: Tensor, quantizer: Quantizer, knobs: Any) -> Codes:
    """The integer codes of a tensor; the same levels that training computes with."""
    levels, step = quantizer.levels(tensor.detach(), knobs)
    return Codes(
        magnitudes=levels.abs().to(torch.uint8),
        signs=levels.sign().to(torch.int8),
        step=step,
        bits=quantizer.bits(knobs),
    )


class QuantizedParameter(nn.Module):
    """Parametrisation that shows a parameter on its grid; the optimiser moves the real one."""

    def __init__(self, quantizer: Quantizer, knobs: Any) -> None:
        super().__init__()
        self.quantizer = quantizer
        self.knobs = knobs

    def forward(self, real: Tensor) -> Tensor:
        """The nearest values on the grid, with the gradient of `real`."""
        levels, step = self.quantizer.levels(real.detach(), self.knobs)
        return replace_straight_through(real, levels.mul_(step))

    def codes(self, real: Tensor) -> Codes:
        """The integer codes of what `forward` shows."""
        return codes(real, self.quantizer, self.knobs)
