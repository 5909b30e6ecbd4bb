"""A study as a sampler sees it: with what is known of designs that have no full result."""

from __future__ import annotations

import copy
from collections.abc import Container, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from optuna import Study
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from dse.samplers.counter_seeded import DESIGN
from dse.samplers.directions import signs_of
from dse.trials import LOST, PROMOTED_FROM, RULED_OUT, RUNG_RESULT

_CONSTRAINT = "constraints:"


def informed(study: Study, *, ruled_out: bool = True) -> Study:
    """The study with its pruned trials as results, as far as something is known of them.

    * A result of a lower rung counts as what its design may come to: its values and violations,
      moved by the median difference between the rungs over the designs that climbed. Once the
      design has a result on a higher rung, the lower one is not shown.
    * A design that was ruled out has the worst values of all results, and its violations.

    Samplers that learn trial by trial (such as `pso`) read the trials themselves.

    Args:
        study: As it is.
        ruled_out: Whether designs that were ruled out are shown as results; else as they are.
    """
    return cast("Study", _Informed(study, ruled_out))


class _Informed:
    """Shows pruned trials of a study as complete; everything else is the study's own."""

    def __init__(self, study: Study, ruled_out: bool) -> None:
        self._study = study
        self._ruled_out = ruled_out

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    @property
    def trials(self) -> list[FrozenTrial]:
        return self.get_trials()

    def get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        return self._get_trials(deepcopy, states)

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        trials = self._study._get_trials(deepcopy=deepcopy, use_cache=use_cache)
        if any(_is_informative(trial) for trial in trials):
            trials = _as_results(trials, self._study.directions, self._ruled_out)
        return [t for t in trials if states is None or t.state in states]


def _is_informative(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.PRUNED and (
        RUNG_RESULT in trial.user_attrs or RULED_OUT in trial.user_attrs
    )


def _as_results(
    trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection], ruled_out: bool
) -> list[FrozenTrial]:
    by_number = {trial.number: trial for trial in trials}
    shifts = _shifts(trials, by_number)
    climbed = {_before(trial) for trial in trials if _numbers(trial) is not None}
    signs = signs_of(directions)
    losses = [
        found[: len(signs)] * signs for trial in trials if (found := _numbers(trial)) is not None
    ]
    worst = np.max(losses, axis=0) * signs if losses else None
    shown = []
    for trial in trials:
        if not _is_informative(trial):
            shown.append(trial)
            continue
        found = _numbers(trial)
        if found is None:
            if not ruled_out:
                shown.append(trial)
            elif worst is not None:
                shown.append(_complete(trial, worst.tolist(), trial.constraints))
            continue
        if trial.number in climbed:
            continue
        moved = found + shifts.get(trial.user_attrs[RUNG_RESULT]["fidelity"], 0.0)
        violations = dict(
            zip(sorted(trial.constraints), moved[len(signs) :].tolist(), strict=True)
        )
        shown.append(_complete(trial, moved[: len(signs)].tolist(), violations))
    return shown


def _before(trial: FrozenTrial) -> int | None:
    number: int | None = trial.user_attrs.get(DESIGN, {}).get(PROMOTED_FROM)
    return number


def _numbers(trial: FrozenTrial) -> NDArray[np.float64] | None:
    """Values and violations of a result, of whatever rung."""
    if trial.state == TrialState.COMPLETE:
        values = trial.values
    elif trial.state == TrialState.PRUNED and RUNG_RESULT in trial.user_attrs:
        values = trial.user_attrs[RUNG_RESULT]["values"]
    else:
        return None
    violations = trial.constraints
    return np.array([*values, *(violations[name] for name in sorted(violations))])


def _shifts(
    trials: Sequence[FrozenTrial], by_number: dict[int, FrozenTrial]
) -> dict[str, NDArray[np.float64]]:
    """By fidelity, what full evaluation adds to its numbers: the sum of the median steps above."""
    steps: dict[str, list[NDArray[np.float64]]] = {}
    above: dict[str, str] = {}
    for trial in trials:
        before, found = _before(trial), _numbers(trial)
        if before is None or found is None or LOST in trial.user_attrs:
            continue
        low = by_number[before]
        numbers = _numbers(low)
        if numbers is None:
            continue
        fidelity = low.user_attrs[RUNG_RESULT]["fidelity"]
        steps.setdefault(fidelity, []).append(found - numbers)
        above[fidelity] = trial.user_attrs.get(RUNG_RESULT, {}).get("fidelity", "")
    shifts: dict[str, NDArray[np.float64]] = {}

    def shift(fidelity: str) -> NDArray[np.float64] | float:
        if fidelity not in steps:
            return 0.0
        if fidelity not in shifts:
            shifts[fidelity] = np.median(steps[fidelity], axis=0) + shift(above[fidelity])
        return shifts[fidelity]

    for fidelity in list(steps):
        shift(fidelity)
    return shifts


def _complete(
    trial: FrozenTrial, values: list[float], violations: dict[str, float]
) -> FrozenTrial:
    """The trial as if it had these results."""
    found = copy.copy(trial)
    found.state = TrialState.COMPLETE
    found._values = list(values)
    found._system_attrs = {
        **trial.system_attrs,
        **{_CONSTRAINT + name: violation for name, violation in violations.items()},
    }
    return found
