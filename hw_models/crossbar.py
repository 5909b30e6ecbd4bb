"""One array of memory cells, and the ADC resolution that its columns ask for."""

from __future__ import annotations

from dataclasses import dataclass

from hw_models.errors import HardwareError

MAX_BITS_PER_CELL = 7
"""Largest cell value 127: a cell fits a signed byte. Published ReRAM cells store 1 to 5 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossbar:
    """An array: all bitlines sensed in a read, all wordlines driven or those of an OU.

    Attributes:
        wordlines: Input rows R.
        bitlines: Output columns C.
        bits_per_cell: Weight bits that one memory cell stores.
        ou_wordlines: Rows of the operation unit (OU) that is read at once; None is all of them.
    """

    wordlines: int
    bitlines: int
    bits_per_cell: int
    ou_wordlines: int | None = None

    def __post_init__(self) -> None:
        for field in ("wordlines", "bitlines"):
            if getattr(self, field) < 1:
                raise HardwareError(
                    f"crossbar.{field} must be at least 1, got {getattr(self, field)}. "
                    "Published arrays have 32 to 512."
                )
        if not 1 <= self.bits_per_cell <= MAX_BITS_PER_CELL:
            raise HardwareError(
                f"cell.bits must be 1 to {MAX_BITS_PER_CELL}, got {self.bits_per_cell}. "
                "Store a weight in more slices instead."
            )
        if self.ou_wordlines is not None and not 1 <= self.ou_wordlines <= self.wordlines:
            raise HardwareError(
                f"crossbar.ou_wordlines must be 1 to the {self.wordlines} wordlines of the array, "
                f"got {self.ou_wordlines}. Lower it, or None to read the whole array at once."
            )

    @property
    def rows_per_read(self) -> int:
        """Wordlines whose currents add up before one conversion."""
        return self.wordlines if self.ou_wordlines is None else self.ou_wordlines

    def slice_groups(self, weight_bits: int) -> int:
        """Cells G that one magnitude of `weight_bits` bits is spread over."""
        return -(-weight_bits // self.bits_per_cell)

    def full_column_adc_bits(self, *, dac_bits: int = 1) -> int:
        """ADC resolution of a column whose cells and inputs may all be at their maximum.

        [Shafiee2016], the two equations on ADC resolution: log2(R) + v + w with v input bits and
        w cell bits, one less if v or w is 1, R the wordlines that are read at once. Printed for R
        a power of two; for another R we round log2(R) up. 9 bits for 128 rows
        of 2-bit cells and 1-bit inputs.

        [Shafiee2016] A. Shafiee et al., "ISAAC", ISCA 2016.
        """
        if dac_bits < 1:
            raise HardwareError(
                f"dac_bits must be at least 1, got {dac_bits}. 1 is bit-serial input."
            )
        row_bits = (self.rows_per_read - 1).bit_length()
        both_wide = dac_bits > 1 and self.bits_per_cell > 1
        return row_bits + dac_bits + self.bits_per_cell - (0 if both_wide else 1)

    def encoded_adc_bits(self, *, dac_bits: int = 1) -> int:
        """The same with ISAAC's encoding: columns of large sum are stored flipped.

        A flipped column leaves the top bit of every sum zero, so one bit less is enough
        ([Shafiee2016], the encoding scheme: 9 bits become 8). The unit column must fit as well:
        128 rows of ones sum to 128, so with 1-bit cells the bit is not saved.
        """
        unit_sum = self.rows_per_read * ((1 << dac_bits) - 1)
        return max(lossless_bits(unit_sum), self.full_column_adc_bits(dac_bits=dac_bits) - 1)


def lossless_bits(column_sum: int) -> int:
    """Smallest ADC resolution whose range 0 .. 2**bits - 1 holds `column_sum`."""
    if column_sum < 0:
        raise HardwareError(
            f"a column of cells sums to at least 0, got {column_sum}. Pass magnitudes."
        )
    return max(1, int(column_sum).bit_length())
