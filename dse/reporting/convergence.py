"""convergence(): how the hypervolume of a study grew, over its results and over time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dse.dominance import non_dominated
from dse.hypervolume import hypervolume
from dse.objectives import Objective
from dse.reading.columns import TrialColumns

MAX_POINTS = 200
_MANY_OBJECTIVES, _FEWER_POINTS = 4, 40
"""From so many objectives on a hypervolume is dear."""


def convergence(
    columns: TrialColumns, objectives: tuple[Objective, ...], reference: tuple[float, ...]
) -> dict[str, Any]:
    """Hypervolume to one reference point, after some of the results, in the order they came.

    The front of a point is made from the one before and the results since then.

    Returns:
        `results`, `hours` since the first trial began (None where the database does not say) and
        `hypervolume`, all of one length; `reached`, results and hours after which 99 % of
        the last hypervolume was reached. Empty lists if no result is feasible.
    """
    rows = columns.results()
    times = columns.times()
    ended = times[rows, 1]
    order = np.argsort(ended, kind="stable")  # NaT last
    rows, ended = rows[order], ended[order]
    signs = np.array([1.0 if o.direction == "minimize" else -1.0 for o in objectives])
    losses = columns.values()[rows] * signs
    feasible = ~columns.broken()[rows]
    worst = np.array(reference) * signs
    points = _volumes(losses, feasible, worst) if feasible.any() else []
    began = times[:, 0][~np.isnat(times[:, 0])]
    hours = np.full(len(rows), np.nan)
    if len(began):
        hours = (ended - began.min()) / np.timedelta64(1, "h")
    spent = [float(hours[at - 1]) for at, _ in points]
    told = [None if np.isnan(each) else round(each, 5) for each in spent]
    volumes = [volume for _, volume in points]
    reached = next((i for i, v in enumerate(volumes) if v >= 0.99 * volumes[-1]), None)
    return {
        "results": [at for at, _ in points],
        "hours": told,
        "hypervolume": volumes,
        "reached": None
        if reached is None
        else {"results": points[reached][0], "hours": told[reached], "share": 0.99},
    }


def _volumes(
    losses: NDArray[np.float64], feasible: NDArray[np.bool_], worst: NDArray[np.float64]
) -> list[tuple[int, float]]:
    """(Results so far, hypervolume) at each stop."""
    n_points = MAX_POINTS if losses.shape[1] < _MANY_OBJECTIVES else _FEWER_POINTS
    stops = np.unique(np.linspace(1, len(losses), n_points).round().astype(int))
    front = losses[:0]
    points, done = [], 0
    for stop in stops.tolist():
        new = losses[done:stop][feasible[done:stop]]
        if len(new):
            front = np.concatenate([front, new])
            front = front[non_dominated(front)]
        points.append((stop, hypervolume(front, worst) if len(front) else 0.0))
        done = stop
    return points
