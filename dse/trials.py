"""What a trial carries besides Optuna's own fields, and how it goes back to the queue."""

from __future__ import annotations

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from dse.trial_attributes import DESIGN as DESIGN
from dse.trial_attributes import DRIVER as DRIVER
from dse.trial_attributes import DUPLICATE_OF as DUPLICATE_OF
from dse.trial_attributes import ERROR as ERROR
from dse.trial_attributes import LOST as LOST
from dse.trial_attributes import METRICS as METRICS
from dse.trial_attributes import NESTED_IN as NESTED_IN
from dse.trial_attributes import NETWORK as NETWORK
from dse.trial_attributes import PROMOTED_FROM as PROMOTED_FROM
from dse.trial_attributes import RETRY_OF as RETRY_OF
from dse.trial_attributes import RULED_OUT as RULED_OUT
from dse.trial_attributes import RUNG as RUNG
from dse.trial_attributes import RUNG_RESULT as RUNG_RESULT
from dse.trial_attributes import SECONDS as SECONDS
from dse.trial_attributes import STAGES as STAGES
from dse.trial_attributes import SWEEP as SWEEP
from dse.trial_attributes import design_of as design_of
from dse.trial_attributes import is_given as is_given
from dse.trial_attributes import is_result as is_result


def is_feasible(trial: FrozenTrial) -> bool:
    """Whether every constraint is met."""
    return all(violation <= 0 for violation in trial.constraints.values())


def fail(study: optuna.Study, number: int, *, reason: str, lost: bool = False) -> None:
    """End a running trial as failed, with the reason in its attributes."""
    trial = study.get_trials(deepcopy=False)[number]
    study._storage.set_trial_user_attr(trial._trial_id, ERROR, reason)
    if lost:
        study._storage.set_trial_user_attr(trial._trial_id, LOST, True)
    study.tell(number, state=TrialState.FAIL)


def reclaim(study: optuna.Study, trial: FrozenTrial, *, attempts: int) -> None:
    """Put the design of a trial whose driver died back to the queue.

    Args:
        study: Driven by the caller.
        trial: RUNNING.
        attempts: How often one design is tried.
    """
    design = design_of(trial)
    if design is None or DUPLICATE_OF in trial.user_attrs:
        fail(study, trial.number, reason="the driver died while proposing it", lost=True)
    elif design["attempt"] >= attempts:
        fail(study, trial.number, reason=f"lost {design['attempt']} times, given up: driver lost")
    else:
        requeue(study, trial.number, reason="driver lost", attempt=design["attempt"] + 1)


def requeue(study: optuna.Study, number: int, *, reason: str, attempt: int) -> None:
    """End a running trial as lost and put its design back to the queue.

    The new trial is written first: whoever dies in between leaves both, and the next driver sees
    that the design waits already.
    """
    trials = study.get_trials(deepcopy=False)
    trial = trials[number]
    design = design_of(trial)
    assert design is not None, "only a trial that was drawn to its end has a design"
    if trial.state.is_finished():
        raise UpdateFinishedTrialError(f"trial {number} is {trial.state.name} already")
    waiting = any((design_of(t) or {}).get(RETRY_OF) == number for t in trials[number:])
    if not waiting:
        again = {**design, "attempt": attempt, RETRY_OF: number}
        again.pop(DRIVER, None)
        # One that died while it was asked has no parameters yet, but those that it was given.
        params = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        study.enqueue_trial(params, user_attrs={DESIGN: again})
    fail(study, number, reason=reason, lost=True)
