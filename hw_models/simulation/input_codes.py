"""From real activations to the integer codes that drive the wordlines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def input_codes(inputs: Tensor, *, step: float, offset: float, bits: int) -> Tensor:
    """clamp(round_half_even((x - offset) / step), 0, 2**bits - 1).

    Shapes:
        inputs: any.
        returns: the same, integers in the type of the inputs.
    """
    shifted = inputs if offset == 0.0 else inputs - offset
    return (shifted / step).round_().clamp_(0, (1 << bits) - 1)
