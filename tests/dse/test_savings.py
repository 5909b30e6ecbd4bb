"""Seconds of training that a ladder saves: by networks, for designs of one need one training."""

from __future__ import annotations

from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from dse.savings import savings
from dse.spec_sections import BudgetSpec
from dse.trials import PROMOTED_FROM, RULED_OUT, RUNG_RESULT, SECONDS

LADDER = BudgetSpec(trials=6, rungs=("short", "full"), reduction=2, stop_hopeless=True)


def trial(number: int, network: str, seconds: float, **more: Any) -> FrozenTrial:
    """A short training, or a full one with `climbed`; 0 seconds where it was in the store."""
    climbed = more.pop("climbed", None)
    design = {"draw": number, "digest": str(number)}
    design |= {} if climbed is None else {"rung": 1, PROMOTED_FROM: climbed}
    stages = {"compress": {"key": network, "cached": seconds == 0, "seconds": seconds or 9.0}}
    attrs = {"design": design, "stages": stages, SECONDS: seconds, **more}
    state, values = TrialState.PRUNED, None
    if climbed is None:
        attrs[RUNG_RESULT] = {"fidelity": "short", "values": [1.0, 1.0]}
    elif RULED_OUT not in more:
        state, values = TrialState.COMPLETE, [1.0, 1.0]
    found = optuna.create_trial(state=state, values=values, user_attrs=attrs)
    found.number = number
    return found


def test_a_network_is_spared_once() -> None:
    trials = [
        trial(0, "short a", 1.0),
        trial(1, "short a", 0.0),
        trial(2, "short b", 1.0),
        trial(3, "short b", 0.0),
        trial(4, "short c", 1.0),
        trial(5, "full a", 10.0, climbed=0),
        trial(6, "full a", 0.0, climbed=1),
    ]
    found = savings(trials, LADDER)
    assert found is not None
    assert found["rungs"]["short"] == {"designs": 5, "went_on": 2, "training_seconds": 3.0}
    assert found["rungs"]["full"] == {"designs": 2, "went_on": 0, "training_seconds": 10.0}
    assert found["saved_seconds"] == 2 * 10.0 - 3.0  # b and c


def test_a_training_that_was_ended_is_spared_once() -> None:
    ended = {RULED_OUT: {"reason": "hopeless", "trained": True}}
    trials = [
        trial(0, "short a", 1.0),
        trial(1, "short b", 1.0),
        trial(2, "full a", 10.0, climbed=0),
        trial(3, "full b", 4.0, climbed=1, **ended),
    ]
    found = savings(trials, LADDER)
    assert found is not None
    assert found["ended_early"] == 1
    assert found["saved_seconds"] == 10.0 - (2.0 + 4.0)


def test_twins_that_were_ended_are_one_network() -> None:
    ended = {RULED_OUT: {"reason": "hopeless", "trained": True}}
    trials = [
        trial(0, "short a", 1.0),
        trial(1, "short b", 1.0),
        trial(2, "short b", 0.0),
        trial(3, "full a", 10.0, climbed=0),
        trial(4, "full b", 4.0, climbed=1, **ended),
        trial(5, "full b", 4.0, climbed=2, **ended),
    ]
    found = savings(trials, LADDER)
    assert found is not None
    assert found["ended_early"] == 2
    assert found["saved_seconds"] == 10.0 - (2.0 + 8.0)


def test_where_converters_are_tuned_every_design_has_a_training_of_its_own() -> None:
    trials = [
        *(trial(number, "short a", 0.0) for number in range(4)),
        trial(4, "full a", 10.0, climbed=0),
    ]
    trials[4].user_attrs["stages"]["adc_tuning"] = {"key": "t", "cached": False, "seconds": 5.0}
    found = savings(trials, LADDER)
    assert found is not None
    assert found["saved_seconds"] == 3 * 15.0
