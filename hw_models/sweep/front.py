"""The exact Pareto front of many designs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MANTISSA = 2.0**40
"""Costs that agree to 12 digits are equal: sums differ in the last bits with their order."""


def non_dominated(losses: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices of the rows that no other row dominates; of equal rows the first.

    Shapes:
        losses: `(designs, objectives)`, all to be small.
        output: `(front,)`, ascending.
    """
    if not len(losses):
        return np.empty(0, dtype=np.int64)
    keys = rounded(losses)
    spread = keys.max(axis=0) - keys.min(axis=0)
    total = ((keys - keys.min(axis=0)) / np.where(spread > 0, spread, 1.0)).sum(axis=1)
    # A design that dominates another has no larger sum and, at the same sum, comes first in
    # lexicographic order; so the first of those that are left is never dominated.
    order = np.lexsort((np.arange(len(keys)), *keys.T[::-1], total))
    left, front = keys[order], []
    while len(order):
        front.append(int(order[0]))
        beaten = np.ones(len(left), dtype=np.bool_)
        for objective in range(left.shape[1]):
            beaten &= left[:, objective] >= left[0, objective]
        order, left = order[~beaten], left[~beaten]
    return np.array(sorted(front), dtype=np.int64)


def rounded(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """To 12 significant digits, as powers of two."""
    mantissa, exponent = np.frexp(losses)
    return np.asarray(np.ldexp(np.rint(mantissa * _MANTISSA) / _MANTISSA, exponent))
