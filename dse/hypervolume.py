"""hypervolume(): what a front dominates; with two and three objectives in O(n log n)."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right

import numpy as np
from numpy.typing import NDArray


def hypervolume(losses: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """Volume between points and a reference point that none of them exceeds.

    Three objectives: points in the order of the third one; between two of them the dominated area
    of the first two, kept as a staircase, does not change (N. Beume et al., "On the complexity of
    computing the hypervolume indicator", IEEE Trans. Evol. Comput. 13(5), 2009). More: Optuna's.

    Args:
        losses: All to be small; duplicates and dominated points change nothing.
        reference: At least as large in every objective.

    Returns:
        Infinite where the reference point or a point is.

    Shapes:
        losses: `(points, objectives)`.
        reference: `(objectives,)`.
    """
    if not np.isfinite(reference).all():
        return math.inf
    if not len(losses):
        return 0.0
    if not np.isfinite(losses).all():
        return math.inf
    gaps = reference - losses
    if gaps.shape[1] == 1:
        return float(gaps.max())
    if gaps.shape[1] == 2:
        return _Staircase.of(gaps).area
    if gaps.shape[1] == 3:
        return _volume(gaps)
    from optuna._hypervolume import compute_hypervolume

    return float(compute_hypervolume(losses, reference))


class _Staircase:
    """The corners of rectangles at the origin that no other one covers: widths ascend."""

    def __init__(self) -> None:
        self.area = 0.0
        self._widths: list[float] = []
        self._heights: list[float] = []

    @classmethod
    def of(cls, corners: NDArray[np.float64]) -> _Staircase:
        stairs = cls()
        for width, height in corners[np.argsort(-corners[:, 0], kind="stable")].tolist():
            stairs.add(width, height)
        return stairs

    def add(self, width: float, height: float) -> None:
        """Take in a rectangle, and grow `area` by what only it covers."""
        widths, heights = self._widths, self._heights
        last = bisect_left(widths, width)
        if last < len(widths) and heights[last] >= height:
            return
        below = heights[last] if last < len(heights) else 0.0
        right, first = width, last
        while first and heights[first - 1] <= height:  # covered from now on
            first -= 1
            self.area += (right - widths[first]) * (height - below)
            right, below = widths[first], heights[first]
        left = widths[first - 1] if first else 0.0
        self.area += (right - left) * (height - below)
        end = bisect_right(widths, width)
        widths[first:end], heights[first:end] = [width], [height]


def _volume(gaps: NDArray[np.float64]) -> float:
    stairs, volume, depth = _Staircase(), 0.0, 0.0
    for width, height, deep in gaps[np.argsort(-gaps[:, 2], kind="stable")].tolist():
        volume += stairs.area * (depth - deep)
        depth = deep
        stairs.add(width, height)
    return volume + stairs.area * depth
