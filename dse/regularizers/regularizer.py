"""What a regulariser is: a penalty whose gradient is added by hand, without a graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import nn

from dse.quantizers.quantizer import Grid


class Penalty(Protocol):
    """A term of the loss over the real weights and biases of the mapped layers."""

    def add_gradient_(self, parameters: Sequence[nn.Parameter]) -> None:
        """Add the term's gradient to every `grad`, in place; each has one already."""

    def value(self, parameters: Sequence[nn.Parameter]) -> float:
        """The term itself, for reports."""


class Regularizer(Protocol):
    """A regulariser as the entry points `dse.regularizers` name it."""

    @property
    def knobs(self) -> type:
        """Class of the knobs."""

    def penalty(self, knobs: Any, *, grids: Sequence[Grid], slice_bits: int) -> Penalty:
        """The penalty for parameters on these grids, one each, in cells of `slice_bits` bits.

        The parameters that the penalty is given later are those of the grids, in their order.
        """
