"""The feasible Pareto front of a study and its hypervolume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from optuna._hypervolume import compute_hypervolume
from optuna.trial import FrozenTrial, TrialState

from dse.dominance import crowding_distances as crowding_distances  # for importers elsewhere
from dse.dominance import non_dominated as non_dominated
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
