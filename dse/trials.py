"""What a trial carries besides Optuna's own fields, and how it goes back to the queue."""

from __future__ import annotations

from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from dse.samplers.counter_seeded import DESIGN

METRICS = "metrics"
STAGES = "stages"
SECONDS = "seconds"
ERROR = "error"
DUPLICATE_OF = "duplicate_of"
LOST = "lost"
RUNG_RESULT = "rung"
"""Result of a trial below the last rung: `fidelity` and `values`. It is no result of the study."""
RULED_OUT = "ruled_out"
"""Of a design that breaks a constraint: `reason`, and whether it was `trained` at all."""

RETRY_OF = "retry_of"
PROMOTED_FROM = "promoted_from"
NESTED_IN = "nested_in"
"""Entries of the attribute `design`: the trial that a trial follows, tried again, evaluated
better, or swept from the same network."""
RUNG = "rung"
"""Entry of the attribute `design`: which rung; the first if left out."""
SWEEP = "sweep"
NETWORK = "network"
"""Entries of the attribute `design` in a nested search: whether the trial sweeps the hardware of
its network, and the network's digest."""


def design_of(trial: FrozenTrial) -> dict[str, Any] | None:
    """The attribute `design` of a trial that was drawn to its end."""
    design: dict[str, Any] | None = trial.user_attrs.get(DESIGN)
    return design


def is_feasible(trial: FrozenTrial) -> bool:
    """Whether every constraint is met."""
    return all(violation <= 0 for violation in trial.constraints.values())


def is_result(trial: FrozenTrial) -> bool:
    """Whether the trial holds the result of a design, and not a copy of one."""
    return trial.state == TrialState.COMPLETE and DUPLICATE_OF not in trial.user_attrs


def is_given(trial: FrozenTrial, n_given: int) -> bool:
    """Whether the trial is the result of one of the designs that the study file gives."""
    design = design_of(trial)
    return (
        is_result(trial)
        and design is not None
        and design["draw"] < n_given
        and NESTED_IN not in design
    )


def fail(study: optuna.Study, number: int, *, reason: str, lost: bool = False) -> None:
    """End a running trial as failed, with the reason in its attributes."""
    trial = study.get_trials(deepcopy=False)[number]
    study._storage.set_trial_user_attr(trial._trial_id, ERROR, reason)
    if lost:
        study._storage.set_trial_user_attr(trial._trial_id, LOST, True)
    study.tell(number, state=TrialState.FAIL)


def requeue(study: optuna.Study, number: int, *, reason: str, attempt: int) -> None:
    """End a running trial as lost and put its design back to the queue.

    The new trial is written first: whoever dies in between leaves both, and the next driver sees
    that the design waits already.
    """
    trials = study.get_trials(deepcopy=False)
    trial = trials[number]
    design = design_of(trial)
    assert design is not None, "only a trial that was drawn to its end has a design"
    waiting = any((design_of(t) or {}).get(RETRY_OF) == number for t in trials[number:])
    if not waiting:
        again = {**design, "attempt": attempt, RETRY_OF: number}
        study.enqueue_trial(trial.params, user_attrs={DESIGN: again})
    fail(study, number, reason=reason, lost=True)
