"""Knobs of the weight quantisers."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Annotated

from hw_models.published.bits_net import CODE_BITS, FRACTION_BITS
from search_spaces.domains import Choice, IntRange, Text

PRINTED_DIGITS = 4
"""Decimals that papers print of a level; one that is off by no more than that is taken."""


def read_levels(text: str) -> tuple[float, ...]:
    """Level set from text such as `0, 12/32, 16/32, 20/32, 1`.

    A level is a decimal number or a fraction. It has to be a multiple of 1/64, which the codes of
    a crossbar (unsigned Q2.6) hold exactly; a decimal may be rounded to four digits.

    Raises:
        ValueError: The set does not ascend from 0 to 1 in multiples of 1/64.
    """
    unit = 2**FRACTION_BITS
    codes: list[int] = []
    for word in text.split(","):
        try:
            level = Fraction(word.strip().replace(" ", ""))
        except (ValueError, ZeroDivisionError):
            raise ValueError(
                f"a level is a number such as 0.5 or 16/32, got {word.strip()!r} in {text!r}. "
                "Separate levels by commas"
            ) from None
        nearest = round(level * unit)
        if abs(level - Fraction(nearest, unit)) > Fraction(1, 2 * 10**PRINTED_DIGITS):
            raise ValueError(
                f"a level is a multiple of 1/{unit}, got {word.strip()} in {text!r}, which would "
                f"round to {nearest}/{unit}. Write {nearest}/{unit} if that is meant"
            )
        codes.append(nearest)
    if codes[0] != 0 or codes[-1] != unit:
        raise ValueError(
            f"a level set starts at 0 and ends at 1, got {text!r}. Levels are magnitudes relative "
            "to the clipping threshold, the sign is kept apart"
        )
    if any(after <= before for before, after in pairwise(codes)):
        raise ValueError(f"levels ascend, each once, got {text!r}. Sort them")
    return tuple(code / unit for code in codes)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ExponentKnobs:
    """Sums of few powers of two.

    Attributes:
        bits: Magnitude bits; the sign is kept apart.
        terms: Set bits of a code at most; 1 is power-of-two, `bits` is off.
        rule: Whether the set bits stand anywhere, or in a window of `terms` places from the
            leading one.
    """

    bits: Annotated[int, IntRange(2, 8)] = 8
    terms: Annotated[int, IntRange(1, 8)] = 2
    rule: Annotated[str, Choice("free", "window")] = "free"

    @property
    def code_bits(self) -> int:
        """Magnitude bits of the integer codes that reach the crossbars."""
        return self.bits


@dataclass(frozen=True, slots=True, kw_only=True)
class _Q26Knobs:
    """Knobs of a quantiser whose levels are stored in unsigned Q2.6."""

    @property
    def code_bits(self) -> int:
        """Magnitude bits of the integer codes that reach the crossbars."""
        return CODE_BITS


@dataclass(frozen=True, slots=True, kw_only=True)
class PotKnobs(_Q26Knobs):
    """Powers of two.

    Attributes:
        bits: Bits of a level, with the sign; codes on the crossbar have 8 whatever it is.
    """

    bits: Annotated[int, IntRange(3, 8)] = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ApotKnobs(_Q26Knobs):
    """Additive powers of two.

    Attributes:
        bits: Bits of a level, with the sign; codes on the crossbar have 8 whatever it is.
    """

    bits: Annotated[int, IntRange(3, 8)] = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class BitsNetKnobs(_Q26Knobs):
    """Level sets of BitS-Net.

    Attributes:
        set: Number of the set: 1 has eight magnitudes, 2 has five.
    """

    set: Annotated[int, IntRange(1, 2)] = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelSetKnobs(_Q26Knobs):
    """A user's own level set.

    Attributes:
        levels: Magnitudes relative to the clipping threshold, from 0 to 1, as in `read_levels`.
    """

    levels: Annotated[
        str, Text(read_levels, "levels from 0 to 1 in multiples of 1/64, such as 0,12/32,1")
    ] = "0,12/32,16/32,20/32,1"
