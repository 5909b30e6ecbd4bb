"""HardwareSpace: the choices of a sweep, as chips and the ADC resolutions tried on each."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from itertools import product
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from hw_models.chip import Chip
from hw_models.converters.converter import MAX_ADC_BITS, MIN_ADC_BITS
from hw_models.crossbar import Crossbar
from hw_models.encodings.differential import DIFFERENTIAL
from hw_models.engines.isaac import ISAAC
from hw_models.errors import HardwareError
from hw_models.sweep.adcs_per_array import AdcsPerArray

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from hw_models.converters.converter import AdcModel
    from hw_models.encodings.encoding import Encoding
    from hw_models.engines.engine import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class HardwareSpace:
    """Every combination of these values is one design.

    Attributes:
        engine: How arrays are walked.
        wordlines: Rows of an array.
        bitlines: Columns of an array.
        ou_wordlines: Rows of an array that are read at once; None reads all of them. A chip
            whose arrays have fewer rows is left out.
        bits_per_cell: Cells.
        encodings: How signed weights sit in cells.
        dac_bits: Bits of an input digit.
        adcs_per_array: Converters of an array.
        adcs: Converter models; those of one space should be comparable, for a front over models
            that price the same converter differently prefers the optimist.
        adc_bits: Resolutions of a slice group by its significance (0 is the least). A group that
            is not named takes the smallest up to the one at which it never clips on this network:
            more bits change no sum. A model that refuses a resolution has no design with it.
    """

    engine: Engine = ISAAC
    wordlines: tuple[int, ...] = (32, 64, 128, 256, 512)
    bitlines: tuple[int, ...] = (32, 64, 128, 256, 512)
    ou_wordlines: tuple[int | None, ...] = (None,)
    bits_per_cell: tuple[int, ...] = (2,)
    encodings: tuple[Encoding, ...] = (DIFFERENTIAL,)
    dac_bits: tuple[int, ...] = (1,)
    adcs_per_array: tuple[int, ...] = (1,)
    adcs: tuple[AdcModel, ...]
    adc_bits: Mapping[int, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (each.name for each in fields(self)):
            if getattr(self, name) == ():
                raise HardwareError(f"a sweep needs at least one value of {name}, got none.")
        for significance, resolutions in self.adc_bits.items():
            if not resolutions:
                raise HardwareError(
                    f"a sweep needs at least one resolution for slice{significance}, got none."
                )

    def chips(self, weight_bits: int) -> Iterator[Chip]:
        """Every chip, its ADC resolutions still to be set.

        Args:
            weight_bits: Bits of the network's widest magnitudes.
        """
        for encoding, dac, cell, rows, together, columns, count, adc in product(
            self.encodings,
            self.dac_bits,
            self.bits_per_cell,
            self.wordlines,
            self.ou_wordlines,
            self.bitlines,
            self.adcs_per_array,
            self.adcs,
        ):
            if together is not None and together > rows:
                continue
            groups = encoding.slice_groups(weight_bits, cell)
            yield Chip(
                crossbar=Crossbar(
                    wordlines=rows, bitlines=columns, bits_per_cell=cell, ou_wordlines=together
                ),
                adc=adc,
                adc_bits=(supported_bits(adc)[0],) * groups,
                engine=AdcsPerArray(engine=self.engine, count=count),
                encoding=encoding,
                dac_bits=dac,
            )

    def resolutions(self, chip: Chip, lossless: NDArray[np.int64]) -> tuple[tuple[int, ...], ...]:
        """Resolutions to try on each slice group of a chip, most significant first.

        Args:
            chip: Its converter model says which there are.
            lossless: (G,) from `network_lossless_bits`.
        """
        there = supported_bits(chip.adc)
        last = len(lossless) - 1
        found = []
        for group, needed in enumerate(lossless.tolist()):
            named = self.adc_bits.get(last - group)
            if named is None:
                enough = min((bits for bits in there if bits >= needed), default=there[-1])
                found.append(tuple(bits for bits in there if bits <= enough))
            else:
                found.append(tuple(bits for bits in named if bits in there))
        return tuple(found)


def supported_bits(adc: AdcModel) -> tuple[int, ...]:
    """Resolutions that a converter model prices, ascending."""
    there = []
    for bits in range(MIN_ADC_BITS, MAX_ADC_BITS + 1):
        try:
            adc.conversion_time_s(np.array(bits))
            adc.area_m2(np.array(bits))
        except HardwareError:
            continue
        there.append(bits)
    if not there:
        raise HardwareError(
            f"{adc.name}: a converter model prices at least one resolution of {MIN_ADC_BITS} to "
            f"{MAX_ADC_BITS} bits, got none. Repair the model."
        )
    return tuple(there)


def n_combinations(resolutions: Sequence[Sequence[int]]) -> int:
    """How many designs one chip gives."""
    return prod(len(values) for values in resolutions)


def combinations(resolutions: Sequence[Sequence[int]], start: int, stop: int) -> NDArray[np.int64]:
    """Rows `start` to `stop` of the product of the resolutions; the last group runs fastest.

    Shapes:
        output: `(stop - start, G)`.
    """
    numbers = np.arange(start, stop, dtype=np.int64)
    columns = []
    for values in reversed(resolutions):
        numbers, digit = np.divmod(numbers, len(values))
        columns.append(np.asarray(values, dtype=np.int64)[digit])
    return np.stack(columns[::-1], axis=1)
