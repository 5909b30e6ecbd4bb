"""Designs found to break a constraint before their evaluation is over; samplers learn of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.trial import TrialState

from dse.evaluation import Job, Outcome, RuledOut
from dse.launching.driver import Summary, drive
from dse.pareto import pareto_front
from dse.resuming import driving
from dse.samplers.informed import informed
from dse.study import Study
from dse.trials import RULED_OUT, design_of
from tests.dse.fakes import FakeExecutor, database_in, made_up, small_spec

LIMIT = 18


def limited(job: Job) -> Outcome:
    """Sums of more than so many ADC bits are too large for the chip."""
    bits = sum(job.point.adc.bits)
    if bits > LIMIT:
        return RuledOut(
            reason=f"before training, even an empty network misses area by {bits - LIMIT}",
            violations={"area_mm2 <= 1": float(bits - LIMIT)},
            trained=False,
            seconds=0.01,
        )
    return made_up(job.point)


def run(folder: Path, evaluate: Any = limited, **changes: Any) -> tuple[Study, Summary]:
    spec = small_spec(**changes)
    executor = FakeExecutor(evaluate)
    with driving(database_in(folder), spec) as study:
        summary = drive(
            study,
            executor,
            trials=spec.budget.trials,
            timeout_s=None,
            progress=lambda job, outcome: None,
        )
    return study, summary


def test_the_budget_counts_designs_that_were_trained(tmp_path: Path) -> None:
    study, summary = run(tmp_path)
    trials = study.trials()
    complete = [t for t in trials if t.state == TrialState.COMPLETE]
    ruled_out = [t for t in trials if RULED_OUT in t.user_attrs]
    assert summary.completed == len(complete) == 12
    assert len(ruled_out) > 3
    assert {t.state for t in ruled_out} == {TrialState.PRUNED}
    for trial in ruled_out:
        assert trial.constraints["area_mm2 <= 1"] > 0
        assert trial.user_attrs[RULED_OUT]["reason"].startswith("before training, even an empty")
    front = pareto_front(trials, study.objectives)
    assert all(RULED_OUT not in t.user_attrs for t in front.trials)


def test_a_study_that_continues_counts_alike(tmp_path: Path) -> None:
    run(tmp_path, budget={"trials": 5, "epochs": 1})
    study, _ = run(tmp_path)
    whole, _ = run(_folder(tmp_path / "whole"))
    assert [t.params for t in study.trials()] == [t.params for t in whole.trials()]
    assert study.n_designs == whole.n_designs == 12


@pytest.mark.parametrize("sampler", ["tpe", "pso", "nsga2"])
def test_samplers_learn_to_stay_within(tmp_path: Path, sampler: str) -> None:
    study, _ = run(
        tmp_path, sampler={"name": sampler, "seed": 1}, budget={"trials": 45, "epochs": 1}
    )
    asked = [t for t in study.trials() if (design_of(t) or {}).get("draw") is not None]
    outside = np.array([RULED_OUT in t.user_attrs for t in asked], dtype=float)
    third = len(outside) // 3
    assert outside[-third:].mean() < outside[:third].mean()


def test_one_that_was_given_up_while_training_counts(tmp_path: Path) -> None:
    def hopeless(job: Job) -> Outcome:
        if sum(job.point.adc.bits) > LIMIT:
            return RuledOut(
                reason="hopeless",
                violations={"accuracy_loss <= 0.5": 0.1},
                trained=True,
                seconds=1,
            )
        return made_up(job.point)

    study, summary = run(tmp_path, hopeless)
    assert study.n_designs == 12
    assert 0 < summary.completed < 12


def test_a_space_without_room_ends_with_a_reason(tmp_path: Path) -> None:
    def never(job: Job) -> Outcome:
        return RuledOut(reason="too large", violations={"x": 1.0}, trained=False, seconds=0)

    spec = small_spec(space={"regularizer.l1.strength": "log 1..30"}, fixed={"regularizer": "l1"})
    with driving(database_in(tmp_path), spec) as study:
        study.ruled_out_in_a_row = 197
        summary = drive(
            study, FakeExecutor(never), trials=12, timeout_s=None, progress=lambda j, o: None
        )
    assert summary.stopped == (
        "200 designs in a row break constraints whatever their network; see `dse status`, and "
        "loosen the constraints or narrow the space"
    )


def test_a_sampler_sees_the_worst_values_and_the_violation(tmp_path: Path) -> None:
    study, _ = run(tmp_path)
    seen = informed(study.optuna).get_trials(deepcopy=False)
    complete = [t for t in study.trials() if t.state == TrialState.COMPLETE]
    worst = [min(t.values[0] for t in complete), max(t.values[1] for t in complete)]
    shown = [t for t in seen if RULED_OUT in t.user_attrs]
    assert shown
    for trial in shown:
        assert trial.state == TrialState.COMPLETE
        assert trial.values == worst
        assert trial.constraints == study.trials()[trial.number].constraints
    assert {t.state for t in study.trials() if RULED_OUT in t.user_attrs} == {TrialState.PRUNED}


def _folder(path: Path) -> Path:
    path.mkdir()
    return path
