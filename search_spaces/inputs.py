"""Knobs of the codes that word-line drivers send."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from search_spaces.domains import Choice, IntRange


@dataclass(frozen=True, slots=True, kw_only=True)
class InputKnobs:
    """Quantisation of the inputs of mapped layers.

    Attributes:
        bits: Bits of an input code, one read of the array each.
        clip: Where the codes end: at the range that was seen, or at a threshold that is trained
            with the weights.
    """

    bits: Annotated[int, IntRange(2, 8)] = 8
    clip: Annotated[str, Choice("range", "trained")] = "range"
