"""The feasible Pareto front of a study and its hypervolume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from dse.dominance import crowding_distances as crowding_distances  # for importers elsewhere
from dse.dominance import non_dominated as non_dominated
from dse.hypervolume import hypervolume
from dse.objectives import Objective
from dse.reading.columns import TrialColumns
from dse.trial_attributes import COMPLETE, FAIL, PRUNED, RUNNING, WAITING, is_result

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

TrialT = TypeVar("TrialT", covariant=True)
OtherT = TypeVar("OtherT")


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontOf(Generic[TrialT]):
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
    trials: tuple[TrialT, ...]
    reference_point: tuple[float, ...]
    hypervolume: float

    def of(self, trials: Sequence[OtherT]) -> FrontOf[OtherT]:
        """The same front, its designs in another form."""
        return FrontOf(
            objectives=self.objectives,
            trials=tuple(trials),
            reference_point=self.reference_point,
            hypervolume=self.hypervolume,
        )


Front: TypeAlias = "FrontOf[FrozenTrial]"


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
    values = np.array([t.values for t in results]).reshape(len(results), len(objectives))
    feasible = np.array(
        [all(v <= 0 for v in trial.constraints.values()) for trial in results], dtype=bool
    )
    chosen, worst, volume = _front(values, feasible, objectives, reference_point)
    return FrontOf(
        objectives=objectives,
        trials=tuple(results[i] for i in chosen),
        reference_point=worst,
        hypervolume=volume,
    )


def stored_front(
    columns: TrialColumns,
    objectives: tuple[Objective, ...],
    *,
    reference_point: Sequence[float] | None = None,
    rows: NDArray[np.int64] | None = None,
    values: NDArray[np.float64] | None = None,
) -> FrontOf[int]:
    """The same front, as rows of a study's columns.

    Args:
        columns: Of the study.
        objectives: What the values of a trial mean.
        reference_point: Instead of the worst values seen.
        rows: Results among which the front is looked for; all if left out.
        values: Of these rows, where the objectives are not those of the study.

    Shapes:
        rows: `(results,)`.
        values: `(results, objectives)`.
    """
    results = columns.results() if rows is None else rows
    if values is None:
        values = columns.values()[results]
    chosen, worst, volume = _front(values, ~columns.broken()[results], objectives, reference_point)
    return FrontOf(
        objectives=objectives,
        trials=tuple(results[chosen].tolist()),
        reference_point=worst,
        hypervolume=volume,
    )


def _front(
    values: NDArray[np.float64],
    feasible: NDArray[np.bool_],
    objectives: Sequence[Objective],
    reference_point: Sequence[float] | None,
) -> tuple[NDArray[np.int64], tuple[float, ...], float]:
    """Places of the front, the reference point, and the hypervolume.

    Shapes:
        values: `(results, objectives)`.
        feasible: `(results,)`.
    """
    signs = np.array([1.0 if o.direction == "minimize" else -1.0 for o in objectives])
    losses = values * signs
    if reference_point is not None:
        worst = np.asarray(reference_point, dtype=float) * signs
    else:
        worst = losses.max(axis=0) if len(losses) else np.zeros(len(signs))
    chosen = np.flatnonzero(feasible)[non_dominated(losses[feasible])]
    chosen = chosen[np.lexsort(losses[chosen].T[::-1])]
    inside = losses[chosen][(losses[chosen] <= worst).all(axis=1)]
    volume = hypervolume(inside, worst) if len(inside) else 0.0
    return chosen, tuple(float(v) for v in worst * signs), volume


def count_states(trials: Sequence[FrozenTrial]) -> dict[str, int]:
    """Trials by state, and how many of the complete ones break a constraint."""
    names = {
        COMPLETE: "complete",
        FAIL: "failed",
        RUNNING: "running",
        WAITING: "waiting",
        PRUNED: "pruned",
    }
    counts = {name: sum(t.state == state for t in trials) for state, name in names.items()}
    counts["infeasible"] = sum(
        t.state == COMPLETE and any(v > 0 for v in t.constraints.values()) for t in trials
    )
    return counts
