"""Knobs of the ADCs: one resolution for every slice group."""

from __future__ import annotations

from dataclasses import dataclass

from search_spaces.domains import IntRange

BITS = IntRange(1, 14)
"""Resolutions that the converter models cover."""

DEFAULT_BITS = 8
"""ISAAC's converter."""

MAX_SLICES = 8
"""8-bit codes in 1-bit cells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdcKnobs:
    """Converters of a chip.

    Attributes:
        model: Name of the converter model that prices a conversion.
        bits: Resolution of each slice group, most significant first.
    """

    model: str
    bits: tuple[int, ...]


def slice_path(significance: int) -> str:
    """Path of the resolution of one slice group; 0 is the least significant."""
    return f"adc.bits.slice{significance}"
