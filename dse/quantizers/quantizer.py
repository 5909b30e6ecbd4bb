"""What a weight quantiser is: a grid per parameter, with integer levels that crossbars hold."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from dse.errors import StageError
from dse.training.straight_through import replace_straight_through

Refinement = Callable[[Tensor], Tensor]
"""Moves signed levels (floats in the shape of the parameter) to other signed levels."""

STEP_BITS = 16
"""Significant bits of a step: a level of 8 bits times a step is then exact in float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a quantised parameter stands in its network.

    Attributes:
        parameter: Which one of its layer.
        first: It belongs to the first mapped layer.
        last: It belongs to the last mapped layer.
        normalised: The output of its layer goes straight into a batch norm and nowhere else, and
            no bias is added before, which would have to be in the unit of the output.
    """

    parameter: Literal["weight", "bias"] = "weight"
    first: bool = False
    last: bool = False
    normalised: bool = False


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Levels:
    """A parameter on its grid: `signed * step`.

    Attributes:
        signed: Whole levels, -(2**bits - 1) to 2**bits - 1, int16 or of the parameter's type, in
            its shape.
        step: Real value of one level, of few enough bits that the product is exact in float32.
        per_unit: Levels that the real parameter moves by when it grows by one, the slope that
            penalties on levels need; `1 / step` unless weights are normalised.
        shown: `signed * step` where it is known already.
    """

    signed: Tensor
    step: float
    per_unit: float
    shown: Tensor | None = None

    def values(self, dtype: torch.dtype) -> Tensor:
        """`signed * step`."""
        return self.signed.to(dtype) * self.step if self.shown is None else self.shown


class Grid(nn.Module):
    """Parametrisation that shows a parameter on its grid; the optimiser moves the real one.

    A grid computes levels; what training shows and what `lower` stores are these levels times
    one step. Subclasses give `levels`, and `show` where the gradient is more than straight
    through.

    Attributes:
        bits: Bits of a magnitude.
        refine: Applied to the levels that the grid gives, None for none.
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits
        self.refine: Refinement | None = None
        self._last: tuple[tuple[object, ...], Levels] | None = None

    def levels(self, real: Tensor) -> Levels:
        """Levels of a parameter, without a graph and before any refinement."""
        raise NotImplementedError

    def show(self, real: Tensor, levels: Levels) -> Tensor:
        """`levels` as real values, with the gradient of `real`."""
        return replace_straight_through(real, levels.values(real.dtype))

    def forward(self, real: Tensor) -> Tensor:
        """The values on the grid that stand for `real`."""
        levels = self.refined(real)
        self._last = (self._state_of(real), levels)
        return self.show(real, levels)

    def refined(self, real: Tensor) -> Levels:
        """Levels as training shows and crossbars hold them."""
        levels = self.levels(real.detach())
        if self.refine is None:
            return levels
        signed = self.refine(levels.signed.to(real.dtype))
        return Levels(signed=signed, step=levels.step, per_unit=levels.per_unit)

    def take_recent(self, real: Tensor) -> Levels:
        """Levels of the last forward pass, at no cost; for what belongs to the same step.

        They are given away once, since fused optimisers change a parameter without counting its
        version, and computed anew where there are none or the parameter did change.
        """
        last, self._last = self._last, None
        if last is not None and last[0] == self._state_of(real):
            return last[1]
        return self.refined(real)

    def codes(self, real: Tensor) -> Codes:
        """The integer codes of what `forward` shows.

        Raises:
            StageError: A refinement left the codes of `bits` bits.
        """
        levels = self.refined(real)
        signed = levels.signed.to(torch.int16)
        largest = int(signed.abs().max()) if signed.numel() else 0
        if largest > 2**self.bits - 1 or bool((signed != levels.signed).any()):
            raise StageError(
                f"refined levels are whole numbers up to {2**self.bits - 1}, got a largest "
                f"magnitude of {float(levels.signed.abs().max()):g}. Keep the refinement of this "
                f"layer inside its {self.bits} bits"
            )
        return Codes(
            magnitudes=signed.abs().to(torch.uint8),
            signs=signed.sign().to(torch.int8),
            step=levels.step,
            bits=self.bits,
        )

    def _state_of(self, real: Tensor) -> tuple[object, ...]:
        own = ((p.data_ptr(), p._version) for p in self._parameters.values() if p is not None)
        return (real.data_ptr(), real._version, *own)

    def __getstate__(self) -> dict[str, Any]:
        """A copy starts without what the last forward pass left: its versions count anew."""
        return {**self.__dict__, "_last": None}


class Quantizer(Protocol):
    """A weight quantiser as the entry points `dse.quantizers` name it."""

    @property
    def knobs(self) -> type:
        """Class of the knobs."""

    @property
    def ends_in_8_bits(self) -> bool:
        """Whether first and last layer keep 8-bit weights and inputs whatever the knobs say."""

    def bits(self, knobs: Any) -> int:
        """Bits of a magnitude, at most 8."""

    def grid(self, knobs: Any, place: Place) -> Grid:
        """The grid of one parameter, new: it may hold a clipping threshold of its own."""


def codes(tensor: Tensor, quantizer: Quantizer, knobs: Any, place: Place | None = None) -> Codes:
    """The integer codes of a tensor; the same levels that training starts with."""
    return quantizer.grid(knobs, place or Place()).codes(tensor.detach())


def short(value: float) -> float:
    """`value` rounded to `STEP_BITS` significant bits, for a step."""
    fraction, exponent = math.frexp(value)
    return math.ldexp(round(math.ldexp(fraction, STEP_BITS)), exponent - STEP_BITS)
