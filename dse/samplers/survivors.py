"""Who survives in an evolution: ranks by Deb's rules, then crowding."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dse.dominance import crowding_distances

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


def constrained_ranks(violations: Array, losses: Array) -> Indices:
    """Ranks by constrained domination [Deb2002], section VI; 0 is the best.

    The feasible come first, by fronts: rank 0 is dominated by none, rank 1 by rank 0 only, and so
    on. The infeasible follow, by their violation alone.

    Shapes:
        violations: `(trials,)`, 0 where all constraints are met.
        losses: `(trials, objectives)`, all to be small; ignored where infeasible.
        output: `(trials,)`.

    [Deb2002] K. Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II",
        IEEE Trans. Evol. Comput. 6(2), 2002.
    """
    ranks = np.zeros(len(violations), dtype=np.int64)
    feasible = np.flatnonzero(violations == 0)
    fronts = 0
    if len(feasible):
        ranks[feasible] = front_numbers(losses[feasible])
        fronts = int(ranks[feasible].max()) + 1
    broken = np.flatnonzero(violations > 0)
    if len(broken):
        ranks[broken] = fronts + np.unique(violations[broken], return_inverse=True)[1]
    return ranks


def front_numbers(losses: Array, *, enough: int | None = None) -> Indices:
    """Number of the non-dominated front of every row, from 0.

    Args:
        losses: `(trials, objectives)`, all to be small.
        enough: The fronts after those that hold so many rows are one.

    Shapes:
        output: `(trials,)`.
    """
    count = len(losses)
    if losses.shape[1] == 1:
        return np.asarray(np.unique(losses[:, 0], return_inverse=True)[1], dtype=np.int64)
    no_worse = np.ones((count, count), dtype=bool)
    for column in losses.T:
        no_worse &= column[:, None] <= column
    dominates = no_worse & ~no_worse.T
    numbers = np.full(count, -1)
    left = dominates.sum(axis=0)
    number = placed = 0
    while placed < (count if enough is None else min(count, enough)):
        front = (left == 0) & (numbers < 0)
        numbers[front] = number
        placed, number = placed + int(front.sum()), number + 1
        left -= dominates[front].sum(axis=0)
    numbers[numbers < 0] = number
    return numbers


def survivors(violations: Array, losses: Array, count: int) -> Indices:
    """The best `count` rows by rank, those of the last rank that fits partly by crowding.

    Shapes:
        violations: `(trials,)`.
        losses: `(trials, objectives)`.
        output: `(count,)`, ascending; all rows if there are fewer.
    """
    if len(violations) <= count:
        return np.arange(len(violations))
    feasible = np.flatnonzero(violations == 0)
    if len(feasible) <= count:
        broken = np.flatnonzero(violations > 0)
        broken = broken[np.argsort(violations[broken], kind="stable")]
        return np.sort(np.concatenate([feasible, broken[: count - len(feasible)]]))
    fronts = front_numbers(losses[feasible], enough=count)
    last = int(np.sort(fronts)[count - 1])
    kept, partly = feasible[fronts < last], feasible[fronts == last]
    if len(kept) + len(partly) > count:
        distances = crowding_distances(losses[partly])
        partly = partly[np.argsort(-distances, kind="stable")]
    return np.sort(np.concatenate([kept, partly[: count - len(kept)]]))


def crowding_by_rank(ranks: Indices, violations: Array, losses: Array) -> Array:
    """Crowding distances within each rank; 0 among the infeasible; `(trials,)`."""
    found = np.zeros(len(ranks))
    for rank in np.unique(ranks[violations == 0]):
        front = np.flatnonzero(ranks == rank)
        found[front] = crowding_distances(losses[front])
    return found
