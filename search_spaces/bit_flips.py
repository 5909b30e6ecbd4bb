"""Knobs of the bit flips on integer codes after training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from search_spaces.domains import Choice, FloatRange, IntRange


@dataclass(frozen=True, slots=True, kw_only=True)
class NoBitFlipKnobs:
    """Nothing to choose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BitTransformerKnobs:
    """Few set bits per weight, empty columns, and a cap on the ones of a column.

    `terms`, `tau` and `cap` may differ from layer to layer.

    Attributes:
        terms: S, the most set bits of a magnitude; 8 is off.
        tau: Share of a column's sum of squares that emptying its planes may add as squared error;
            0 empties only what costs nothing. Useful values lie between 0.001 and 0.3.
        cap: P, the most ones in a column of a tile: ceil(log2(P + 1)) ADC bits are lossless with
            all its wordlines driven. 0 is no cap.
        rule: Which codes of S terms are allowed: `free`, or `window` (S places from the leading
            one on).
        weight_by_inputs: Whether squared errors count by the mean square of a wordline's input.
        correct_gain: Whether the step of a layer's weights grows by what flips take from them.
        correct_bias: Whether the mean change of every output is given back in its bias.
    """

    terms: Annotated[int, IntRange(1, 8)] = 2
    tau: Annotated[float, FloatRange(0.0, 0.3)] = 0.1
    cap: Annotated[int, Choice(0, 7, 15, 31, 63)] = 0
    rule: Annotated[str, Choice("free", "window")] = "free"
    weight_by_inputs: Annotated[bool, Choice(False, True)] = False
    correct_gain: Annotated[bool, Choice(True, False)] = True
    correct_bias: Annotated[bool, Choice(True, False)] = True
