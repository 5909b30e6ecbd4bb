"""Rules that choose the ADC resolution of a slice group from its codes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from hw_models.crossbar import lossless_bits
from hw_models.errors import HardwareError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

INPUT_BIT_DENSITY = 0.5
"""Share of input bits that are one, assumed by the `mean` rule."""


def mean_bits(
    nonzero_ratio: Sequence[float],
    *,
    wordlines: int = 128,
    input_density: float = INPUT_BIT_DENSITY,
) -> tuple[int, ...]:
    """Bits that hold the mean number of conducting cells of a column; the mean can clip a lot.

    ceil(log2(1 + wordlines * ratio * density)), at least 1. Our reconstruction of the rule behind
    [Zhang2019] Table 3, which the paper does not state: it gives the printed 1 and 3 bits from
    the printed ratios. For a resolution that never clips use
    `hw_models.encodings.bit_slices.lossless_adc_bits`.

    Args:
        nonzero_ratio: Share of non-zero cells per slice group, 0 to 1.
        wordlines: Rows that are read together.
        input_density: Share of input bits that are one.

    [Zhang2019] J. Zhang et al., "Exploring Bit-Slice Sparsity in Deep Neural Networks for
        Efficient ReRAM-Based Deployment", 2019.
    """
    for ratio in nonzero_ratio:
        if not 0.0 <= ratio <= 1.0:
            raise HardwareError(
                f"a non-zero ratio is between 0 and 1, got {ratio}. Divide percentages by 100."
            )
    return tuple(
        max(1, math.ceil(math.log2(1.0 + wordlines * ratio * input_density)))
        for ratio in nonzero_ratio
    )


def percentile_bits(column_sums: Sequence[ArrayLike], percentile: float) -> tuple[int, ...]:
    """Bits that hold `percentile` percent of the sums of each slice group; the rest clips.

    The smallest resolution N such that at least that share of the sums is at most 2^N - 1, so
    100 is lossless on the sums given.

    Args:
        column_sums: Per slice group, sums that its converters saw, or the cell sums of its
            columns; of any shape.
        percentile: Above 0, at most 100.
    """
    if not 0.0 < percentile <= 100.0:
        raise HardwareError(
            f"a percentile is above 0 and at most 100, got {percentile}. 100 never clips."
        )
    bits = []
    for group, sums in enumerate(column_sums):
        seen = np.asarray(sums)
        if not seen.size or not np.issubdtype(seen.dtype, np.integer):
            raise HardwareError(
                f"slice group {group}: column sums must be integers, at least one, got "
                f"{seen.size} of {seen.dtype}. Count them on calibration images."
            )
        held = np.percentile(seen, percentile, method="inverted_cdf")
        bits.append(lossless_bits(int(held)))
    return tuple(bits)
