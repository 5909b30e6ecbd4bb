"""Knobs of the ADCs: one resolution for every slice group."""

from __future__ import annotations

from dataclasses import dataclass

from search_spaces.domains import IntRange

BITS = IntRange(1, 14)
"""Resolutions that the converter models cover."""

DEFAULT_BITS = 8
"""ISAAC's converter."""

PER_ARRAY = IntRange(1, 512)
"""Converters of one array; ISAAC has one."""

MAX_SLICES = 9
"""8-bit magnitudes and a sign in 1-bit cells, two's complement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdcKnobs:
    """Converters of a chip.

    Attributes:
        model: Name of the converter model that prices a conversion.
        per_array: Converters that share the bitlines of an array.
        bits: Resolution of each slice group, most significant first.
    """

    model: str
    per_array: int
    bits: tuple[int, ...]


def slice_path(significance: int) -> str:
    """Path of the resolution of one slice group; 0 is the least significant."""
    return f"adc.bits.slice{significance}"
