"""The feasible Pareto front of a study and its hypervolume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from optuna._hypervolume import compute_hypervolume
from optuna.trial import FrozenTrial, TrialState

from dse.objectives import Objective
from dse.trials import is_feasible, is_result


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """The non-dominated designs among those that meet every constraint.

    Attributes:
        objectives: In the study's order.
        trials: Sorted by the first objective, best first.
        reference_point: Worst value of every objective among all results, in the objectives' own
            units and directions; hypervolumes of different moments or studies compare only for
            the same reference point.
        hypervolume: Between the front and the reference point, in the objectives' units.
    """

    objectives: tuple[Objective, ...]
    trials: tuple[FrozenTrial, ...]
    reference_point: tuple[float, ...]
    hypervolume: float


def pareto_front(
    trials: Sequence[FrozenTrial],
    objectives: tuple[Objective, ...],
    *,
    reference_point: Sequence[float] | None = None,
) -> Front:
    """The front of the trials of a study; copies of known designs are left out.

    Args:
        trials: Of any state.
        objectives: What the values of a trial mean.
        reference_point: Instead of the worst values seen.
    """
    results = [trial for trial in trials if is_result(trial)]
    signs = np.array([1.0 if o.direction == "minimize" else -1.0 for o in objectives])
    losses = np.array([t.values for t in results]).reshape(len(results), len(signs)) * signs
    if reference_point is not None:
        worst = np.asarray(reference_point, dtype=float) * signs
    else:
        worst = losses.max(axis=0) if results else np.zeros(len(signs))
    feasible = np.array([is_feasible(trial) for trial in results], dtype=bool)
    chosen = np.flatnonzero(feasible)[non_dominated(losses[feasible])]
    chosen = chosen[np.lexsort(losses[chosen].T[::-1])]
    inside = losses[chosen][(losses[chosen] <= worst).all(axis=1)]
    volume = float(compute_hypervolume(inside, worst)) if len(inside) else 0.0
    return Front(
        objectives=objectives,
        trials=tuple(results[i] for i in chosen),
        reference_point=tuple(float(v) for v in worst * signs),
        hypervolume=volume,
    )


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


def count_states(trials: Sequence[FrozenTrial]) -> dict[str, int]:
    """Trials by state, and how many of the complete ones break a constraint."""
    names = {
        TrialState.COMPLETE: "complete",
        TrialState.FAIL: "failed",
        TrialState.RUNNING: "running",
        TrialState.WAITING: "waiting",
        TrialState.PRUNED: "pruned",
    }
    counts = {name: sum(t.state == state for t in trials) for state, name in names.items()}
    counts["infeasible"] = sum(
        t.state == TrialState.COMPLETE and not is_feasible(t) for t in trials
    )
    return counts
