"""Which designs no other one dominates, and how crowded they stand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def non_dominated(losses: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices of the rows that no other row dominates; of equal rows the first.

    Shapes:
        losses: `(trials, objectives)`, all to be small.
        output: `(front,)`, ascending.
    """
    order = np.lexsort(losses.T[::-1])
    front: list[int] = []
    kept = np.empty_like(losses)
    for index in order:  # nothing later in this order can dominate anything earlier
        if not (kept[: len(front)] <= losses[index]).all(axis=1).any():
            kept[len(front)] = losses[index]
            front.append(int(index))
    return np.array(sorted(front), dtype=np.int64)


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
