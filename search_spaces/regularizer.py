"""Knobs of the regularisers used while fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from search_spaces.domains import FloatRange


@dataclass(frozen=True, slots=True, kw_only=True)
class NoRegularizerKnobs:
    """Nothing to choose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class L1Knobs:
    """Penalty on the magnitude of the weights.

    Attributes:
        strength: Factor `alpha` of `|W|_1 / N`; the bit-slice paper's code uses 10 to 20.
    """

    strength: Annotated[float, FloatRange(0.01, 1000.0, log=True)] = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BitSliceL1Knobs:
    """Penalty on the values of the bit slices of the weights.

    Attributes:
        strength: Factor `alpha` of `Bl1(W) / (slices * N)`; the bit-slice paper's code uses 0.5.
    """

    strength: Annotated[float, FloatRange(0.001, 100.0, log=True)] = 0.5
