"""Compiled rounding of float32 arrays on the CPU, one pass each; importing it loads numba.

The results have the bits of the torch code beside each call, but for the sign of a zero. NaN stays
NaN, so that a diverged training shows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def round_to_levels(
    real: Any, per_step: Any, step: Any, limit: Any, shown: Any, signed: Any
) -> None:
    """`signed = clamp(round(real * per_step))`, `shown = signed * step`, over flat arrays.

    Args:
        real: float32.
        per_step: float32, a power of two.
        step: float32, its inverse.
        limit: float32, the largest level.
        shown: float32, written.
        signed: int16, written.
    """
    for i in range(real.size):
        level = np.rint(real[i] * per_step)
        if level > limit:
            level = limit
        if level < -limit:
            level = -limit
        signed[i] = np.int16(level)
        shown[i] = level * step


@njit(nogil=True, cache=True)
def round_inputs(inputs: Any, offset: Any, step: Any, top: Any, shown: Any) -> None:
    """`shown = clamp(round((inputs - offset) / step), 0, top) * step + offset`, flat float32."""
    for i in range(inputs.size):
        level = np.rint((inputs[i] - offset) / step)
        if level > top:
            level = top
        if level < np.float32(0):
            level = np.float32(0)
        shown[i] = level * step + offset
