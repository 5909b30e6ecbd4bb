"""Knobs of the weight quantisers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from search_spaces.domains import Choice, IntRange


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedPointKnobs:
    """Dynamic fixed point [Zhang2019], Eqs. (1) to (3).

    Attributes:
        bits: Magnitude bits; the sign is kept apart.
        rounding: To the nearest step, as the paper's code does, or down, as the paper prints.

    [Zhang2019] J. Zhang et al., "Exploring Bit-Slice Sparsity in Deep Neural Networks for
        Efficient ReRAM-Based Deployment", EMC2 workshop, 2019.
    """

    bits: Annotated[int, IntRange(2, 8)] = 8
    rounding: Annotated[str, Choice("round", "floor")] = "round"

    @property
    def code_bits(self) -> int:
        """Magnitude bits of the integer codes that reach the crossbars."""
        return self.bits
