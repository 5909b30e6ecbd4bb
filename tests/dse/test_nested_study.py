"""A nested search: the budget counts networks, and the sweep's designs are trials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState

from dse.evaluation import Evaluation, Job
from dse.launching.driver import drive
from dse.pareto import pareto_front
from dse.pipeline.hardware_choices import with_hardware
from dse.resuming import driving
from dse.trial_reports import read_report
from dse.trials import NESTED_IN, NETWORK, PROMOTED_FROM, RUNG_RESULT, SWEEP, design_of
from tests.dse.fakes import FakeExecutor, database_in, made_up, run_in_pieces, small_spec


def sweeping(job: Job) -> Evaluation:
    """Two more designs of the network."""
    found = made_up(job.point)
    if not job.sweep:
        return found
    more = [with_hardware(job.point, {f"adc.bits.slice{s}": n for s in range(4)}) for n in (2, 7)]
    return Evaluation(
        metrics=found.metrics,
        stages=found.stages,
        report=found.report,
        seconds=found.seconds,
        nested=tuple((point, made_up(point)) for point in more),
    )


def run(folder: Path, *, stop_after: int | None = None, **changes: Any) -> list[FrozenTrial]:
    spec = small_spec(search="nested", budget={"trials": 6, "epochs": 1}, **changes)
    study = run_in_pieces(folder, spec, sweeping, stop_after)
    assert study.n_designs == 6
    return study.trials()


def kinds(trials: list[FrozenTrial]) -> tuple[list[FrozenTrial], list[FrozenTrial]]:
    designs = [(t, design_of(t) or {}) for t in trials if t.state == TrialState.COMPLETE]
    return [t for t, d in designs if NESTED_IN not in d], [t for t, d in designs if NESTED_IN in d]


def test_the_budget_counts_networks_and_the_sweep_adds_trials(tmp_path: Path) -> None:
    trials = run(tmp_path)
    asked, nested = kinds(trials)
    swept = [t for t in asked if design_of(t)[SWEEP]]  # type: ignore[index]
    assert len(swept) == 6
    assert len({design_of(t)[NETWORK] for t in swept}) == 6  # type: ignore[index]
    assert len(nested) == 12
    front = pareto_front(trials, small_spec().parsed_objectives())
    assert {t.number for t in nested} & {t.number for t in front.trials}


def test_a_nested_trial_is_whole(tmp_path: Path) -> None:
    trials = run(tmp_path)
    database = database_in(tmp_path)
    with driving(database, small_spec(search="nested", budget={"trials": 6, "epochs": 1})) as s:
        _, nested = kinds(trials)
        for trial in nested:
            parent = trials[design_of(trial)[NESTED_IN]]  # type: ignore[index]
            assert set(parent.params) == set(trial.params)
            assert parent.distributions == trial.distributions
            assert trial.params["regularizer"] == parent.params["regularizer"]
            assert set(trial.constraints) == {"accuracy_loss <= 0.5"}
            assert read_report(s.optuna, database, trial)["nonzero_slice_ratios"] == [0.1]


@pytest.mark.parametrize("sampler", ["tpe", "pso"])
def test_a_nested_study_in_pieces_is_the_one_in_a_row(tmp_path: Path, sampler: str) -> None:
    wanted = run(tmp_path / "whole", sampler={"name": sampler, "seed": 2})
    found = run(tmp_path / "pieces", stop_after=2, sampler={"name": sampler, "seed": 2})

    def told(trials: list[FrozenTrial]) -> list[Any]:
        return [(t.params, t.values) for t in trials if t.state != TrialState.FAIL]

    assert told(found) == told(wanted)


def test_a_known_network_is_not_swept_again(tmp_path: Path) -> None:
    space = {"regularizer": ["none", "l1"], "regularizer.l1.strength": [1.0], "adc.bits": "1..8"}
    spec = small_spec(
        search="nested",
        space=space,
        budget={"trials": 5, "epochs": 1},
    )
    executor = FakeExecutor(sweeping)
    with driving(database_in(tmp_path), spec) as study:
        summary = drive(
            study, executor, trials=5, timeout_s=None, progress=lambda job, outcome: None
        )
        assert study.n_designs == 2  # there are no more networks
        assert summary.stopped == "the space looks exhausted"
        assert sum(bool((design_of(t) or {}).get(SWEEP)) for t in study.trials()) == 2


def test_only_the_last_rung_is_swept(tmp_path: Path) -> None:
    budget = {"trials": 4, "epochs": 2, "rungs": ["short", "full"], "reduction": 2}
    spec = small_spec(search="nested", budget=budget)
    asked: list[Job] = []

    def evaluate(job: Job) -> Evaluation:
        asked.append(job)
        return sweeping(job)

    trials = run_in_pieces(tmp_path, spec, evaluate, None).trials()
    assert {job.sweep for job in asked if job.fidelity == "short"} == {False}
    assert any(job.sweep for job in asked if job.fidelity == "full")
    full = {t.number for t in trials if PROMOTED_FROM in (design_of(t) or {})}
    _, nested = kinds(trials)
    assert nested
    assert {design_of(t)[NESTED_IN] for t in nested} <= full  # type: ignore[index]


CLIMBING = {"trials": 8, "epochs": 2, "rungs": ["short", "full"], "reduction": 2}


@pytest.mark.parametrize("rungs", [["short", "full"], ["post_training", "short", "full"]])
def test_a_nested_study_that_climbs_goes_on_in_pieces_as_in_a_row(
    tmp_path: Path, rungs: list[str]
) -> None:
    """What a sweep found is no result of the first rung, also for a driver that reads it."""
    budget = {**CLIMBING, "rungs": rungs}
    spec = small_spec(search="nested", budget=budget, sampler={"name": "tpe", "seed": 2})

    def told(stop_after: int | None) -> list[Any]:
        folder = tmp_path / str(stop_after)
        trials = run_in_pieces(folder, spec, sweeping, stop_after).trials()
        climbed = [t for t in trials if PROMOTED_FROM in (design_of(t) or {})]
        assert {
            RUNG_RESULT in trials[design_of(t)[PROMOTED_FROM]].user_attrs for t in climbed
        } == {  # type: ignore[index]
            True
        }
        return [(t.params, t.values) for t in trials if t.state != TrialState.FAIL]

    assert told(2) == told(None)


def test_a_network_is_swept_when_its_first_design_to_climb_gets_there(tmp_path: Path) -> None:
    """Two networks, and the rung sends on designs that did not bring theirs into the study."""
    space = {"regularizer": ["none", "l1"], "regularizer.l1.strength": [1.0], "adc.bits": "1..8"}
    points = [{"regularizer": r, "adc.bits": bits} for bits in (1, 5, 8) for r in ("none", "l1")]
    spec = small_spec(
        search="nested",
        space=space,
        points=points,
        constraints=[],
        budget={**CLIMBING, "trials": 2},
    )
    jobs: list[Job] = []

    def evaluate(job: Job) -> Evaluation:
        jobs.append(job)
        return sweeping(job)

    trials = run_in_pieces(tmp_path, spec, evaluate, None).trials()
    full = [design_of(t) or {} for t in trials if PROMOTED_FROM in (design_of(t) or {})]
    networks = [design[NETWORK] for design in full]
    assert len(full) == 3
    assert [d[SWEEP] for d in full] == [n not in networks[:i] for i, n in enumerate(networks)]
    assert [job.sweep for job in jobs if job.fidelity == "full"] == [d[SWEEP] for d in full]
    assert any(not (design_of(trials[d[PROMOTED_FROM]]) or {})[SWEEP] for d in full if d[SWEEP])
