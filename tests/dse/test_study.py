"""Study and driver: budget, duplicates, failures, lost designs; with made-up evaluations."""

from __future__ import annotations

import math
import os
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

import dse.study
from dse.database import Database
from dse.errors import ResumeError, StudyError
from dse.evaluation import Failure, Job, Outcome
from dse.launching.driver import Summary, drive
from dse.pareto import pareto_front
from dse.plugins import installed
from dse.resuming import driving, load_optuna, load_spec
from dse.spec import StudySpec
from dse.study import Study
from dse.trial_reports import read_report
from dse.trials import DUPLICATE_OF, ERROR, LOST, METRICS, design_of
from search_spaces.adc import MAX_SLICES
from tests.dse.fakes import FakeExecutor, database_in, made_up, small_spec

SAMPLERS: dict[str, dict[str, int]] = {
    "ehvi": {"startup_trials": 5},
    "gp": {"startup_trials": 9},
    "nsga2": {"population": 4},
    "nsga3": {"population": 4},
    "pq_pim": {"particles": 4},
    "pso": {"particles": 4},
    "qmc": {},
    "random": {},
    "tpe": {"startup_trials": 4},
}
"""Every installed sampler, small enough to learn within a dozen trials (fits of gp are slow)."""

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return database_in(tmp_path)


def run(
    database: Database, spec: StudySpec, executor: FakeExecutor, *, trials: int | None = None
) -> Summary:
    with driving(database, spec) as study:
        return drive(
            study,
            executor,
            trials=trials or spec.budget.trials,
            timeout_s=None,
            progress=lambda job, outcome: None,
        )


def test_a_study_holds_as_many_designs_as_its_budget_says(database: Database) -> None:
    summary = run(database, small_spec(), FakeExecutor())
    assert (summary.completed, summary.failed, summary.stopped) == (12, 0, "")
    trials = load_optuna(database, "small").trials
    assert [t.state for t in trials] == [TrialState.COMPLETE] * 12
    assert all(
        t.constraints == {"accuracy_loss <= 0.5": t.user_attrs[METRICS]["accuracy_loss"] - 0.5}
        for t in trials
    )


def test_values_are_stored_in_the_unit_of_the_study_file(database: Database) -> None:
    run(database, small_spec(), FakeExecutor(), trials=1)
    trial = load_optuna(database, "small").trials[0]
    assert trial.values[1] == pytest.approx(trial.user_attrs[METRICS]["energy_j"] * 1e6)


def test_running_again_adds_nothing_and_a_larger_budget_adds_the_difference(
    database: Database,
) -> None:
    run(database, small_spec(), FakeExecutor())
    again = FakeExecutor()
    assert run(database, small_spec(), again).completed == 0
    more = FakeExecutor()
    assert run(database, small_spec(budget={"trials": 15, "epochs": 1}), more).completed == 3
    assert len(again.evaluated) == 0


def test_a_known_design_takes_the_known_result_and_is_not_evaluated(database: Database) -> None:
    spec = small_spec(space={"adc.bits.slice0": [1, 2, 3, 4]}, budget={"trials": 4, "epochs": 1})
    executor = FakeExecutor()
    summary = run(database, spec, executor)
    assert summary.completed == 4
    assert max(Counter(executor.evaluated).values()) == 1
    trials = load_optuna(database, "small").trials
    copies = [t for t in trials if DUPLICATE_OF in t.user_attrs]
    assert copies, "four of four values by random draws without a repetition"
    for copy in copies:
        original = trials[copy.user_attrs[DUPLICATE_OF]]
        assert (copy.values, copy.params) == (original.values, original.params)
    assert len(pareto_front(trials, spec.parsed_objectives()).trials) <= 4


def test_an_exhausted_space_ends_the_run_and_says_so(database: Database) -> None:
    spec = small_spec(space={"adc.bits.slice0": [1, 2]})
    summary = run(database, spec, FakeExecutor())
    assert summary.completed == 2
    assert summary.stopped == "the space looks exhausted"


def test_a_design_that_runs_already_is_not_evaluated_beside_itself(database: Database) -> None:
    spec = small_spec(space={"adc.bits.slice0": [1, 2]})
    executor = FakeExecutor(workers=2)
    run(database, spec, executor)
    assert max(Counter(executor.evaluated).values()) == 1
    assert not [t for t in load_optuna(database, "small").trials if not t.state.is_finished()]


def test_given_points_come_first_and_once(database: Database) -> None:
    points = [
        {"adc.bits": 8},
        {"regularizer": "l1", "regularizer.strength": 2, "adc.bits": {"slice3": 1}},
    ]
    spec = small_spec(points=points)
    run(database, spec, FakeExecutor(), trials=3)
    run(database, spec, FakeExecutor(), trials=5)
    trials = load_optuna(database, "small").trials
    assert trials[0].params["adc.bits.slice3"] == 8
    assert trials[0].params["regularizer"] == "none"
    assert trials[1].params["regularizer"] == "l1"
    assert trials[1].params["adc.bits.slice3"] == 1
    assert len(trials) == 5


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_run_in_pieces_equals_a_run_in_one(tmp_path: Path, sampler: str) -> None:
    spec = small_spec(sampler={"name": sampler, "seed": 11, **SAMPLERS[sampler]})
    params = []
    for pieces in ([12], [1, 5, 6, 12]):
        folder = tmp_path / str(len(pieces))
        folder.mkdir()
        database = database_in(folder)
        for trials in pieces:
            run(database, spec, FakeExecutor(), trials=trials)
        params.append([t.params for t in load_optuna(database, "small").trials])
    assert params[0] == params[1]


def test_every_installed_sampler_is_tested_here() -> None:
    assert set(SAMPLERS) == set(installed("dse.samplers"))


class Died(BaseException):
    """Stands for SIGKILL: nothing may be cleaned up."""


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_driver_that_dies_loses_nothing_and_shifts_nothing(
    tmp_path: Path, sampler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = small_spec(sampler={"name": sampler, "seed": 11, **SAMPLERS[sampler]})
    whole = tmp_path / "whole"
    whole.mkdir()
    run(database_in(whole), spec, FakeExecutor())

    monkeypatch.setattr(Study, "give_back", lambda *_, **__: None)  # the dead clean up nothing
    broken = database_in(tmp_path)
    evaluated: list[str] = []
    for dies_at in (0, 3, 0, 2):

        def evaluate(job: Job, left: list[int] = [dies_at]) -> Outcome:  # noqa: B006
            if left[0] == 0:
                raise Died
            left[0] -= 1
            return made_up(job.point)

        executor = FakeExecutor(evaluate)
        with pytest.raises(Died):
            run(broken, spec, executor)
        evaluated += executor.evaluated[:-1]
    executor = FakeExecutor()
    run(broken, spec, executor)

    def results(database: Database) -> list[tuple[object, object]]:
        trials = load_optuna(database, "small").trials
        return [(t.params, t.values) for t in trials if t.state == TrialState.COMPLETE]

    assert results(broken) == results(database_in(whole))
    assert not [t for t in load_optuna(broken, "small").trials if not t.state.is_finished()]
    assert max(Counter(evaluated + executor.evaluated).values()) == 1


def test_a_lost_design_is_tried_again_with_the_same_parameters(database: Database) -> None:
    def dies_once(job: Job) -> Outcome:
        if job.attempt == 1 and job.number == 2:
            return Failure(reason="worker lost", lost=True)
        return made_up(job.point)

    summary = run(database, small_spec(), FakeExecutor(dies_once))
    assert (summary.completed, summary.failed) == (12, 0)
    trials = load_optuna(database, "small").trials
    lost, again = trials[2], trials[3]
    assert lost.state == TrialState.FAIL
    assert lost.user_attrs[LOST]
    assert again.params == lost.params
    assert (design_of(again) or {})["retry_of"] == 2
    assert (design_of(again) or {})["attempt"] == 2
    assert len(trials) == 13


def test_a_design_that_kills_every_worker_ends_failed_with_its_reason(database: Database) -> None:
    poison: set[str] = set()

    def kills(job: Job) -> Outcome:
        if job.number == 0 or job.point.digest() in poison:
            poison.add(job.point.digest())
            return Failure(reason="worker lost: out of memory", lost=True)
        return made_up(job.point)

    summary = run(database, small_spec(), FakeExecutor(kills))
    assert summary.completed == 11
    trials = load_optuna(database, "small").trials
    final = [t for t in trials if ERROR in t.user_attrs and LOST not in t.user_attrs]
    assert [t.user_attrs[ERROR] for t in final] == [
        "lost 3 times, given up: worker lost: out of memory"
    ]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_value_that_is_no_number_fails_its_trial_only(database: Database, bad: float) -> None:
    def sometimes(job: Job) -> Outcome:
        good = made_up(job.point)
        if job.number != 1:
            return good
        return replace(good, metrics={**good.metrics, "energy_j": bad})

    summary = run(database, small_spec(), FakeExecutor(sometimes))
    assert (summary.completed + summary.failed) == 12
    trials = load_optuna(database, "small").trials
    assert trials[1].state == TrialState.FAIL
    assert trials[1].user_attrs[ERROR].startswith("energy_uj: must be a finite number")


def test_a_missing_metric_fails_its_trial_and_says_which(database: Database) -> None:
    def without(job: Job) -> Outcome:
        good = made_up(job.point)
        left = {k: v for k, v in good.metrics.items() if k != "accuracy_loss"}
        return good if job.number else replace(good, metrics=left)

    run(database, small_spec(), FakeExecutor(without))
    trial = load_optuna(database, "small").trials[0]
    assert trial.user_attrs[ERROR] == (
        "accuracy_loss <= 0.5: the evaluation gave no accuracy_loss"
    )


def test_a_study_whose_first_designs_all_fail_stops(database: Database) -> None:
    executor = FakeExecutor(lambda job: Failure(reason="always"))
    summary = run(database, small_spec(), executor)
    assert summary.completed == 0
    assert summary.failed == 5
    assert summary.stopped == "the first 5 designs failed; see `dse status`"


def test_an_interrupted_run_puts_designs_in_flight_back_to_the_queue(database: Database) -> None:
    def interrupted(job: Job) -> Outcome:
        if job.number == 2:
            raise KeyboardInterrupt
        return made_up(job.point)

    with pytest.raises(KeyboardInterrupt):
        run(database, small_spec(), FakeExecutor(interrupted, workers=2))
    states = [t.state for t in load_optuna(database, "small").trials]
    assert TrialState.RUNNING not in states
    assert states.count(TrialState.WAITING) == 2
    run(database, small_spec(), FakeExecutor())
    trials = load_optuna(database, "small").trials
    assert sum(t.state == TrialState.COMPLETE for t in trials) == 12
    assert not [t for t in trials if not t.state.is_finished()]


@pytest.mark.parametrize("moment", ["draw_design", "fail"])
def test_an_interrupt_while_a_trial_is_written_waits_until_it_is_whole(
    database: Database, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    original = getattr(dse.study, moment)
    calls: list[int] = []

    def interrupted(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return original(*arguments, **named)

    def sometimes(job: Job) -> Outcome:
        return Failure(reason="odd") if job.number % 2 else made_up(job.point)

    monkeypatch.setattr(dse.study, moment, interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(database, small_spec(), FakeExecutor(sometimes))
    assert len(calls) >= 3
    states = {t.state for t in load_optuna(database, "small").trials}
    assert TrialState.RUNNING not in states
    run(database, small_spec(), FakeExecutor(sometimes))
    trials = load_optuna(database, "small").trials
    assert sum(design_of(t) is not None and LOST not in t.user_attrs for t in trials) == 12


def test_the_report_of_a_design_and_of_its_copies_is_kept_as_an_artifact(
    database: Database,
) -> None:
    spec = small_spec(space={"adc.bits.slice0": [1, 2]})
    run(database, spec, FakeExecutor())
    study = load_optuna(database, "small")
    for trial in study.trials:
        assert read_report(study, database, trial)["nonzero_slice_ratios"] == [0.1]
    for file in (database.home / "artifacts").iterdir():
        file.unlink()
    with pytest.raises(StudyError, match=r"report of trial 0 is not under .*move that folder"):
        read_report(study, database, study.trials[0])


def test_a_changed_search_is_refused_with_the_difference(database: Database) -> None:
    run(database, small_spec(), FakeExecutor(), trials=2)
    changed = small_spec(space={"adc.bits": "1..6"})
    with pytest.raises(
        ResumeError, match=r"domains\.adc\.bits\.slice0 was 1\.\.8, is 1\.\.6.*another name"
    ):
        run(database, changed, FakeExecutor())
    with pytest.raises(ResumeError, match=r"sampler\.seed was 3, is 4"):
        run(database, small_spec(sampler={"name": "random", "seed": 4}), FakeExecutor())
    assert len(load_optuna(database, "small").trials) == 2


def test_another_spelling_of_the_same_search_is_the_same_search(database: Database) -> None:
    run(database, small_spec(), FakeExecutor(), trials=2)
    spelled = small_spec(
        space={
            "adc.bits": {f"slice{s}": "1 .. 8" for s in range(MAX_SLICES)},
            "regularizer": ["none", "l1", "bit_slice_l1"],
            "regularizer.l1.strength": "0.05..5",
            "regularizer.bit_slice_l1.strength": "log 5e-2..5",
        },
        objectives=["maximize  accuracy", "minimize energy_uj"],
    )
    assert run(database, spelled, FakeExecutor(), trials=3).completed == 1


def test_a_foreign_study_of_the_same_name_is_left_alone(database: Database) -> None:
    foreign = optuna.create_study(
        study_name="small", storage=database.storage, directions=["maximize", "minimize"]
    )
    foreign.add_trial(optuna.create_trial(values=[1.0, 1.0]))
    with pytest.raises(ResumeError, match="a study 'small' that dse did not make"):
        run(database, small_spec(), FakeExecutor())
    with pytest.raises(StudyError, match="was not made by dse"):
        load_spec(database, "small")
    assert len(load_optuna(database, "small").trials) == 1


def test_a_study_that_does_not_exist_lists_those_that_do(database: Database) -> None:
    run(database, small_spec(), FakeExecutor(), trials=1)
    with pytest.raises(StudyError, match=r"no study 'tiny' in sqlite.*studies: small"):
        load_spec(database, "tiny")


def test_a_trial_enqueued_outside_the_space_fails_and_the_study_goes_on(
    database: Database,
) -> None:
    run(database, small_spec(), FakeExecutor(), trials=1)
    load_optuna(database, "small").enqueue_trial({"adc.bits.slice3": 99})
    with pytest.warns(UserWarning, match="out of range"):
        summary = run(database, small_spec(), FakeExecutor(), trials=3)
    assert summary.completed == 2
    trials = load_optuna(database, "small").trials
    assert trials[1].state == TrialState.FAIL
    assert "outside the study's space" in trials[1].user_attrs[ERROR]


def test_optuna_finds_the_same_front(database: Database) -> None:
    run(database, small_spec(), FakeExecutor())
    study = optuna.load_study(study_name="small", storage=database.url)
    ours = pareto_front(study.trials, small_spec().parsed_objectives()).trials
    assert {t.number for t in ours} == {t.number for t in study.best_trials}
