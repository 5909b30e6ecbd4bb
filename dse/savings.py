"""Training seconds: what was spent on every rung, and what rungs and early endings saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dse.spec_sections import BudgetSpec
from dse.trial_attributes import (
    DUPLICATE_OF,
    PROMOTED_FROM,
    RETRY_OF,
    RULED_OUT,
    RUNG_RESULT,
    SECONDS,
    STAGES,
    WAITING,
    StoredTrial,
    design_of,
    is_result,
)

COMPRESS, ADC_TUNING = "compress", "adc_tuning"
TRAINING_STAGES = (COMPRESS, ADC_TUNING)
"""Stages of a design's own training; the fp32 network is shared by all."""


def training_seconds(trial: StoredTrial) -> float:
    """Seconds that a trial trained; what it found in the store took none."""
    stages: Mapping[str, Mapping[str, Any]] = trial.user_attrs.get(STAGES, {})
    return sum(
        float(stages[stage]["seconds"])
        for stage in TRAINING_STAGES
        if stage in stages and not stages[stage]["cached"]
    )


def savings(trials: Sequence[StoredTrial], budget: BudgetSpec) -> dict[str, Any] | None:
    """Designs and training seconds by rung, and the seconds that were saved.

    Saved is the mean training of a full evaluation, times the networks that did not get one, less
    what was spent on them. Designs that were found to be trained already are no further network.
    None for a study without rungs and early endings, or without a full
    evaluation that was trained.
    """
    ladder = budget.ladder()
    if len(ladder) == 1 and not budget.stop_hopeless:
        return None
    rungs = {rung: {"designs": 0, "went_on": 0, "training_seconds": 0.0} for rung in ladder}
    ended, ended_seconds = 0, 0.0
    tunes = any(ADC_TUNING in trial.user_attrs.get(STAGES, {}) for trial in trials)
    networks: dict[int, str | int] = {}
    trained_in_full: set[str | int] = set()
    for trial in trials:
        design = design_of(trial)
        if design is None or DUPLICATE_OF in trial.user_attrs:
            continue
        if PROMOTED_FROM in design and RETRY_OF not in design and trial.state != WAITING:
            before = trials[design[PROMOTED_FROM]]
            rungs[before.user_attrs[RUNG_RESULT]["fidelity"]]["went_on"] += 1
        if RULED_OUT in trial.user_attrs:
            trained = trial.user_attrs[RULED_OUT]["trained"]
            ended += trained
            if trained:
                networks[trial.number] = networks.get(design.get(PROMOTED_FROM, -1), trial.number)
            ended_seconds += trial.user_attrs[SECONDS] if trained else 0.0
        elif is_result(trial) or RUNG_RESULT in trial.user_attrs:
            low = trial.user_attrs.get(RUNG_RESULT)
            rung = rungs[low["fidelity"] if low else ladder[-1]]
            below = networks.get(design.get(PROMOTED_FROM, -1))
            network = (trial.number if tunes else _network(trial)) if below is None else below
            if low is None:
                trained_in_full.add(network)
            else:
                networks[trial.number] = network
            rung["designs"] += 1
            rung["training_seconds"] += training_seconds(trial)
    full = [s for t in trials if is_result(t) and (s := training_seconds(t)) > 0]
    if not full:
        return None
    spared = len(set(networks.values()) - trained_in_full)
    spent = sum(rung["training_seconds"] for rung in list(rungs.values())[:-1]) + ended_seconds
    return {
        "rungs": {
            name: {**rung, "training_seconds": round(rung["training_seconds"], 2)}
            for name, rung in rungs.items()
        },
        "ended_early": ended,
        "saved_seconds": round(spared * sum(full) / len(full) - spent, 2),
    }


def _network(trial: StoredTrial) -> str | int:
    """What designs of one training have in common; the trial itself if that is not known."""
    trace = trial.user_attrs.get(STAGES, {}).get(COMPRESS)
    return trial.number if trace is None else str(trace["key"])
