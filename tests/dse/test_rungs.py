"""A ladder of fidelities: who climbs, what is stored, and that a resumed study climbs alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from dse.errors import ResumeError, SpecError
from dse.evaluation import Evaluation, Failure, Job, Outcome, RuledOut
from dse.pareto import pareto_front
from dse.promotion import RungResult, is_due, next_promotion
from dse.resuming import IDENTITY, SPEC, driving, load_spec
from dse.rungs import Rungs
from dse.samplers.informed import informed
from dse.spec_sections import BudgetSpec
from dse.trials import (
    DUPLICATE_OF,
    LOST,
    PROMOTED_FROM,
    RULED_OUT,
    RUNG_RESULT,
    design_of,
    is_result,
)
from tests.dse.fakes import database_in, made_up, run_in_pieces, small_spec

LADDER = {"trials": 12, "epochs": 3, "rungs": ["post_training", "short", "full"], "reduction": 2}


def climbing(job: Job) -> Evaluation:
    """More training, more accuracy."""
    found = made_up(job.point)
    gain = {"post_training": -0.2, "short": -0.05, "full": 0.0}[job.fidelity]
    metrics = dict(found.metrics)
    metrics["accuracy"] += gain
    metrics["accuracy_loss"] -= gain
    return Evaluation(
        metrics=metrics, stages=found.stages, report=found.report, seconds=found.seconds
    )


def run(folder: Path, *, stop_after: int | None = None, **changes: Any) -> list[Any]:
    """Trials of a study; of one that is run in pieces of so many evaluations if told."""
    spec = small_spec(**{"budget": LADDER, **changes})
    return run_in_pieces(folder, spec, climbing, stop_after).trials()


def test_half_of_each_rung_climbs(tmp_path: Path) -> None:
    trials = run(tmp_path / "a")
    rungs = [t.user_attrs.get(RUNG_RESULT, {}).get("fidelity", "full") for t in trials]
    assert {rung: rungs.count(rung) for rung in set(rungs)} == {
        "post_training": 12,
        "short": 6,
        "full": 3,
    }
    for trial in trials:
        is_full = RUNG_RESULT not in trial.user_attrs
        assert trial.state == (TrialState.COMPLETE if is_full else TrialState.PRUNED)


def test_only_full_results_reach_the_front(tmp_path: Path) -> None:
    trials = run(tmp_path / "a")
    front = pareto_front(trials, small_spec().parsed_objectives())
    assert front.trials
    assert all(RUNG_RESULT not in trial.user_attrs for trial in front.trials)


def test_a_climbing_design_is_the_same_design(tmp_path: Path) -> None:
    trials = run(tmp_path / "a")
    climbed = [t for t in trials if PROMOTED_FROM in (design_of(t) or {})]
    assert len(climbed) == 9
    for trial in climbed:
        before = trials[design_of(trial)[PROMOTED_FROM]]  # type: ignore[index]
        assert trial.params == before.params
        assert len({design_of(t)["digest"] for t in (trial, before)}) == 1  # type: ignore[index]


@pytest.mark.parametrize(
    ("sampler", "promotion"),
    [
        ("tpe", "rank"),
        ("nsga3", "rank"),
        ("pso", "expected"),
        ("ehvi", "expected"),
    ],
)
def test_a_study_in_pieces_climbs_as_one_in_a_row(
    tmp_path: Path, sampler: str, promotion: str
) -> None:
    trials = 12 if promotion == "rank" else 18
    rungs = LADDER["rungs"] if promotion == "rank" else ["post_training", "full"]
    budget = {**LADDER, "promotion": promotion, "trials": trials, "rungs": rungs}
    chosen = {"name": sampler, "seed": 5}
    wanted = run(tmp_path / "whole", sampler=chosen, budget=budget)
    found = run(tmp_path / "pieces", stop_after=6, sampler=chosen, budget=budget)

    def told(trials: list[Any]) -> list[Any]:
        return [
            (t.params, t.state, t.values, t.user_attrs.get(RUNG_RESULT), t.constraints)
            for t in trials
            if t.state != TrialState.FAIL  # interrupted
        ]

    assert told(found) == told(wanted)


def result(number: int, *losses: float, **violations: float) -> RungResult:
    return RungResult(number=number, losses=losses, violations=violations)


def test_rank_decides_then_crowding() -> None:
    results = [result(0, 5, 5), result(1, 1, 3), result(2, 2, 2), result(3, 3, 1)]
    order: list[int] = []
    for _ in results:
        due = next_promotion(results, order, gains={})
        assert due is not None
        order.append(due)
    assert order == [1, 3, 2, 0]  # the ends of the front stand alone


def test_nobody_is_due_before_there_are_enough() -> None:
    assert not is_due([result(0, 1, 1), result(1, 2, 2)], (), reduction=3)


def on(number: int, network: str) -> RungResult:
    return RungResult(number=number, losses=(number, -number), violations={}, network=network)


def test_designs_of_one_network_count_once() -> None:
    results = [on(0, "a"), on(1, "a"), on(2, "b"), on(3, "c")]
    assert is_due(results, {0, 1}, reduction=2)
    assert not is_due(results, {0, 2}, reduction=2)
    assert not is_due(results, {0}, reduction=2, first=False)  # three networks came
    assert is_due(results, {0}, reduction=1, first=False)


def test_a_study_of_before_there_was_a_choice_goes_on_by_rank(tmp_path: Path) -> None:
    spec = small_spec(budget={**LADDER, "promotion": "rank"})
    wanted = run_in_pieces(tmp_path / "whole", spec, climbing, None).trials()
    (tmp_path / "old").mkdir()
    database = database_in(tmp_path / "old")
    with driving(database, spec) as study:
        stored = study.optuna.user_attrs
        for name, place in ((SPEC, stored[SPEC]["budget"]), (IDENTITY, stored[IDENTITY])):
            del place["promotion"]
            study.optuna.set_user_attr(name, stored[name])
    found = run_in_pieces(tmp_path / "old", load_spec(database, "small"), climbing, None).trials()
    assert [t.params for t in found] == [t.params for t in wanted]
    with (
        pytest.raises(ResumeError, match=r"promotion was rank, is expected\. Choose another name"),
        driving(database, small_spec(budget=LADDER)),
    ):
        pass


def test_nobody_is_left_to_go_on() -> None:
    results = [on(0, "a"), on(1, "a")]
    assert not is_due(results, {0, 1}, reduction=1)
    assert next_promotion(results, {0, 1}, gains={}) is None


def by_network(job: Job, *, networks: int) -> Evaluation:
    """As `climbing`; so many regularisers make so many networks, the converters none."""
    strength = getattr(job.point.regularizer.knobs, "strength", 0.0)
    network = f"{job.point.regularizer.name} {min(int(strength), networks)}"
    stages = {"compress": {"key": network, "cached": False, "seconds": 1.0}}
    return replace(climbing(job), stages=stages)


BITS = {"adc.bits.slice0": "1..8", "adc.bits.slice1": "1..8"}


@pytest.mark.parametrize("stop_after", [None, 4])
@pytest.mark.parametrize(("tunes", "full"), [("0", 24), ("0..1", 3)])
def test_designs_of_a_trained_network_go_on_at_once_unless_each_is_trained_itself(
    tmp_path: Path, stop_after: int | None, tunes: str, full: int
) -> None:
    spec = small_spec(
        budget={"trials": 24, "epochs": 3, "rungs": ["post_training", "full"], "reduction": 8},
        space={"regularizer": ["none", "l1"], "regularizer.strength": 1, **BITS}
        | ({} if tunes == "0" else {"adc.tune_epochs": tunes}),
    )
    study = run_in_pieces(
        tmp_path, spec, lambda job: by_network(job, networks=0), stop_after=stop_after
    )
    assert sum(map(is_result, study.trials())) == full


def test_designs_that_cost_no_training_make_no_room_on_the_rung_above(tmp_path: Path) -> None:
    spec = small_spec(
        budget={**LADDER, "trials": 40, "reduction": 2, "promotion": "rank"},
        space={"regularizer": ["none", "l1"], "regularizer.strength": "1..100", **BITS},
    )
    study = run_in_pieces(tmp_path, spec, lambda job: by_network(job, networks=9), None)
    trained: dict[str, set[str]] = {"post_training": set(), "short": set(), "full": set()}
    for trial in study.trials():
        if (is_result(trial) or RUNG_RESULT in trial.user_attrs) and (
            DUPLICATE_OF not in trial.user_attrs
        ):
            rung = trial.user_attrs.get(RUNG_RESULT, {}).get("fidelity", "full")
            trained[rung].add(trial.user_attrs["stages"]["compress"]["key"])
    assert len(trained["full"]) == len(trained["short"]) // 2


def in_flight(*, failed: bool) -> int | None:
    """Who is due while the first of two designs of a network climbs, or after it failed."""
    budget = BudgetSpec(trials=4, rungs=("short", "full"), reduction=2)
    rungs = Rungs(budget, small_spec().parsed_objectives())
    stages = {"compress": {"key": "same"}}
    study = optuna.create_study(directions=["maximize", "minimize"])
    for number in range(4):
        design = {"draw": number, "digest": str(number)}
        attrs = {"design": design, RUNG_RESULT: {"fidelity": "short", "values": [number, 1.0]}}
        attrs |= {"stages": stages if number in (2, 3) else {"compress": {"key": str(number)}}}
        study.add_trial(optuna.create_trial(state=TrialState.PRUNED, user_attrs=attrs))
    for trial in study.trials:
        rungs.note(trial)
    assert rungs.due() == 3
    rungs.promoted(3)
    state = TrialState.FAIL if failed else TrialState.RUNNING
    design = {"draw": 3, "digest": "3", "rung": 1, PROMOTED_FROM: 3}
    study.add_trial(optuna.create_trial(state=state, user_attrs={"design": design}))
    rungs.note(study.trials[-1])
    return rungs.due()


def in_vain(job: Job) -> Outcome:
    """As `by_network`; nothing comes of a full evaluation."""
    if job.fidelity != "full":
        return by_network(job, networks=9)
    if job.point.regularizer.name == "none":
        return Failure(reason="StageError: compress: no")
    return RuledOut(reason="hopeless", violations={}, trained=True, seconds=0.3)


def test_what_came_to_nothing_counts_and_is_not_tried_on_a_twin(tmp_path: Path) -> None:
    spec = small_spec(
        budget={"trials": 24, "epochs": 3, "rungs": ["post_training", "full"], "reduction": 3},
        space={"regularizer": ["none", "l1"], "regularizer.strength": "1..6", **BITS},
    )
    runs = []
    for stop_after in (None, 1, 5):
        study = run_in_pieces(tmp_path / str(stop_after), spec, in_vain, stop_after)
        trials = [trial for trial in study.trials() if LOST not in trial.user_attrs]
        runs.append([(trial.params, trial.state) for trial in trials])
        above = [t for t in trials if PROMOTED_FROM in (design_of(t) or {})]
        ended = [t.params["regularizer.l1.strength"] for t in above if RULED_OUT in t.user_attrs]
        assert len(above) == 8 or len(set(ended)) == 6
        assert len(ended) == len(set(ended))
        assert 0 < len(ended) < len(above)
    assert runs[0] == runs[1] == runs[2]


def test_no_network_is_trained_twice_at_the_same_time() -> None:
    assert in_flight(failed=False) == 1
    assert in_flight(failed=True) == 2


def test_violations_count_less_than_what_training_mended() -> None:
    results = [result(0, 1, 1, loss=0.3), result(1, 2, 2, loss=0.05), result(2, 3, 3, loss=0.4)]
    assert next_promotion(results, (), gains={}) == 0  # all may be mended
    assert next_promotion(results, (), gains={"loss": 0.1}) == 1
    assert next_promotion(results, {1}, gains={"loss": 0.1}) == 0


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (
            {"rungs": ["full", "short"]},
            "test: budget.rungs: two or three of post_training, short, full, in this order and "
            "with full at the end, not full, short",
        ),
        (
            {"rungs": ["short", "full"], "promotion": "luck"},
            "test: budget.promotion: Input should be 'rank' or 'expected', got 'luck'",
        ),
        (
            {"rungs": ["short", "full"], "fidelity": "short"},
            "test: budget.rungs: they end with full, not short; leave budget.fidelity out",
        ),
    ],
)
def test_a_ladder_ascends(budget: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        small_spec(budget={"trials": 5, **budget})
    assert str(caught.value) == message


def test_samplers_see_what_a_design_may_come_to(tmp_path: Path) -> None:
    run(tmp_path / "a")
    spec = small_spec(budget=LADDER)
    with driving(database_in(tmp_path / "a"), spec) as study:
        seen = informed(study.optuna).get_trials(deepcopy=False)
        trials = study.trials()
    climbed = {(design_of(t) or {}).get(PROMOTED_FROM) for t in trials}
    shown = {trial.number for trial in seen}
    gains = {"post_training": 0.2, "short": 0.05}
    compared = 0
    for trial in trials:
        low = trial.user_attrs.get(RUNG_RESULT)
        assert (trial.number in shown) == (trial.number not in climbed)
        if low is None or trial.number in climbed:
            continue
        found = next(t for t in seen if t.number == trial.number)
        gain = gains[low["fidelity"]]
        assert found.state == TrialState.COMPLETE
        assert found.values[0] == pytest.approx(low["values"][0] + gain)
        assert found.values[1] == pytest.approx(low["values"][1])
        name = "accuracy_loss <= 0.5"
        assert found.constraints[name] == pytest.approx(trial.constraints[name] - gain)
        compared += 1
    assert compared > 5


def test_a_known_design_takes_no_place_on_a_rung(tmp_path: Path) -> None:
    space = {"adc.bits.slice0": "1..3", "adc.bits.slice1": "1..2"}  # six designs, asked again
    wanted = run(tmp_path / "whole", space=space, sampler={"name": "random", "seed": 1})
    found = run(
        tmp_path / "pieces", stop_after=3, space=space, sampler={"name": "random", "seed": 1}
    )
    for trials in (wanted, found):
        own = [t for t in trials if DUPLICATE_OF not in t.user_attrs]
        rungs = [t.user_attrs[RUNG_RESULT]["fidelity"] for t in own if RUNG_RESULT in t.user_attrs]
        assert (rungs.count("post_training"), rungs.count("short")) == (6, 3)
    assert any(DUPLICATE_OF in t.user_attrs for t in wanted)
