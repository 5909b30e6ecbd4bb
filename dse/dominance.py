"""Which designs no other one dominates, and how crowded they stand."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

import numpy as np
from numpy.typing import NDArray


def non_dominated(losses: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices of the rows that no other row dominates; of equal rows the first.

    Shapes:
        losses: `(trials, objectives)`, all to be small.
        output: `(front,)`, ascending.
    """
    order = np.lexsort(losses.T[::-1])  # nothing later in it can dominate anything earlier
    if losses.shape[1] == 3 and not np.isnan(losses).any():
        return np.sort(order[_staircase(losses[order, 1].tolist(), losses[order, 2].tolist())])
    front: list[int] = []
    kept = np.empty_like(losses)
    for index in order:
        if not (kept[: len(front)] <= losses[index]).all(axis=1).any():
            kept[len(front)] = losses[index]
            front.append(int(index))
    return np.array(sorted(front), dtype=np.int64)


def _staircase(seconds: list[float], thirds: list[float]) -> list[int]:
    """Places of the points that none before them beats in both coordinates.

    The points seen so far that matter form a staircase: ascending in one coordinate, descending
    in the other. H. T. Kung et al., "On finding the maxima of a set of vectors", J. ACM 22(4),
    1975: O(n log n), but for the places in a list that are moved.
    """
    front: list[int] = []
    ups: list[float] = []
    downs: list[float] = []
    for place, (up, down) in enumerate(zip(seconds, thirds, strict=True)):
        at = bisect_right(ups, up)
        if at and downs[at - 1] <= down:
            continue
        front.append(place)
        first = bisect_left(ups, up, hi=at)
        last = first
        while last < len(downs) and downs[last] >= down:
            last += 1
        ups[first:last], downs[first:last] = [up], [down]
    return front


def crowding_distances(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Crowding distances of [Deb2002], section III.B; infinite at the ends of every objective.

    An objective that is the same for all rows has no ends and adds nothing.

    Shapes:
        losses: `(front, objectives)`.
        output: `(front,)`.

    [Deb2002] K. Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II",
        IEEE Trans. Evol. Comput. 6(2), 2002.
    """
    if not len(losses):
        return np.zeros(0)
    order, columns = np.argsort(losses, axis=0, kind="stable"), np.arange(losses.shape[1])
    ranked = losses[order, columns]
    extent = ranked[-1] - ranked[0]
    differs = extent > 0
    gaps = np.empty_like(ranked)
    gaps[0] = gaps[-1] = np.where(differs, np.inf, 0.0)
    np.divide(ranked[2:] - ranked[:-2], np.where(differs, extent, 1.0), out=gaps[1:-1])
    distances = np.empty_like(gaps)
    distances[order, columns] = gaps
    return np.asarray(distances.sum(axis=1))
