"""The swarm: its state is the study, any number of workers, Deb's rules, any space."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from dse.samplers.counter_seeded import DESIGN
from dse.samplers.pso import SLOT, PSOSampler, pq_pim, pso
from dse.samplers.swarm_settings import SwarmSettings
from dse.trials import LOST
from tests.dse.samplers.problems import mixed, sphere, study_with


def slots(study: optuna.Study) -> list[dict[str, object]]:
    return [t.system_attrs[SLOT] for t in study.get_trials(deepcopy=False)]


# -- the study is the state ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: pso(3, particles=4),
        lambda: pso(3, particles=4, topology="ring", archive=3),
        lambda: pq_pim(3, particles=4),
    ],
)
def test_a_new_object_goes_on_as_the_old_one_would(make: Callable[[], PSOSampler]) -> None:
    whole, broken = study_with(make()), study_with(make())
    whole.optimize(mixed, n_trials=40)
    for _ in range(40):
        broken.sampler = make()
        broken.optimize(mixed, n_trials=1)
    assert [t.params for t in whole.trials] == [t.params for t in broken.trials]
    assert slots(whole) == slots(broken)


def test_with_workers_that_finish_in_any_order_a_new_object_still_agrees() -> None:
    study, order = study_with(pso(1, particles=5, archive=4)), np.random.default_rng(0)
    running: list[tuple[optuna.Trial, tuple[float, float]]] = []
    for _ in range(80):
        trial = study.ask()
        running.append((trial, mixed(trial)))
        while len(running) >= 7:
            ended, values = running.pop(int(order.integers(len(running))))
            study.tell(ended, values)
    old, new = study.sampler, pso(1, particles=5, archive=4)
    assert isinstance(old, PSOSampler)
    assert isinstance(new, PSOSampler)
    assert old.ask_batch(study, 12) == new.ask_batch(study, 12)


@pytest.mark.parametrize("written", [True, False])
def test_a_driver_killed_in_a_trial_repeats_it_and_goes_on(written: bool) -> None:
    """`written`: whether the killed trial had its attribute `design` already."""

    def run(*kills: int) -> list[dict[str, object]]:
        study = study_with(pso(7, particles=3))
        for draw in range(24):
            trial = study.ask()
            if draw in kills:
                mixed(trial)
                trial.set_user_attr(LOST, True)
                if written:
                    trial.set_user_attr(DESIGN, {"draw": draw})
                    again = {"draw": draw, "retry_of": trial.number}
                    study.enqueue_trial(trial.params, user_attrs={DESIGN: again})
                study.tell(trial, state=TrialState.FAIL)
                study.sampler = pso(7, particles=3)
                trial = study.ask()
                _ = trial.relative_params  # as our Study does, also for given designs
            values = mixed(trial)
            trial.set_user_attr(DESIGN, {"draw": draw})
            study.tell(trial, values)
        return [t.params for t in study.trials if t.state == TrialState.COMPLETE]

    assert run(0, 2, 3, 11, 23) == run()


def test_a_database_gives_back_the_swarm_to_the_last_bit(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    study = optuna.create_study(
        storage=url, study_name="s", directions=["minimize"] * 2, sampler=pso(7, particles=3)
    )
    study.optimize(mixed, n_trials=8)
    loaded = optuna.load_study(study_name="s", storage=url)
    old, new = study.sampler, pso(7, particles=3)
    assert isinstance(old, PSOSampler)
    assert isinstance(new, PSOSampler)
    assert old.ask_batch(study, 3) == new.ask_batch(loaded, 3)


def test_another_study_is_another_swarm() -> None:
    sampler = pso(2, particles=3)
    first, second = study_with(sampler), study_with(sampler)
    first.optimize(mixed, n_trials=10)
    second.optimize(mixed, n_trials=10)
    assert [t.params for t in first.trials] == [t.params for t in second.trials]


def test_a_slot_is_plain_json() -> None:
    study = study_with(pso(2, particles=3))
    study.optimize(mixed, n_trials=8)
    assert json.loads(json.dumps(slots(study))) == slots(study)


# -- workers ------------------------------------------------------------------------------------


def test_idle_particles_go_first_and_nobody_waits() -> None:
    study = study_with(pso(0, particles=3), 1)
    trials = [study.ask() for _ in range(3)]
    values = [sphere(trial) for trial in trials]
    assert [s["p"] for s in slots(study)] == [0, 1, 2]
    study.tell(trials[1], values[1])
    sphere(study.ask())
    assert slots(study)[-1]["p"] == 1
    assert slots(study)[-1]["m"] == 1
    sphere(study.ask())  # all are busy: one goes on without its result
    assert (slots(study)[-1]["p"], slots(study)[-1]["m"]) == (0, 1)


def test_a_batch_moves_every_particle_once_before_any_moves_twice() -> None:
    study = study_with(pso(0, particles=4))
    study.optimize(mixed, n_trials=4)
    sampler = study.sampler
    assert isinstance(sampler, PSOSampler)
    found = [p.system_attrs[SLOT] for p in sampler.ask_batch(study, 6)]
    assert [(s["p"], s["m"]) for s in found] == [(0, 1), (1, 1), (2, 1), (3, 1), (0, 2), (1, 2)]


def test_stored_batches_are_learned_from() -> None:
    study = study_with(pso(0, particles=8), 1)
    study.optimize(sphere, n_trials=1)
    sampler = study.sampler
    assert isinstance(sampler, PSOSampler)
    for _ in range(40):
        for proposal in sampler.ask_batch(study, 8):
            value = sum((x - 1.1) ** 2 for x in proposal.params.values())
            study.add_trial(
                optuna.create_trial(
                    params=proposal.params,
                    distributions=proposal.distributions,
                    system_attrs=proposal.system_attrs,
                    value=value,
                )
            )
    assert study.best_value < 0.05
    again = PSOSampler(SwarmSettings(particles=8), seed=0)
    assert again.ask_batch(study, 8) == sampler.ask_batch(study, 8)


def test_trials_handed_over_are_learned_as_if_they_were_read() -> None:
    studies = [study_with(optuna.samplers.RandomSampler(0), 1) for _ in range(2)]
    read, handed = PSOSampler(seed=0), PSOSampler(seed=0)
    for study in studies:
        study.optimize(sphere, n_trials=5)
    assert read.ask_batch(studies[0], 3) == handed.ask_batch(studies[1], 3)
    for study in studies:
        study.optimize(sphere, n_trials=5)
    new = studies[1].trials[5:]
    assert read.ask_batch(studies[0], 3) == handed.ask_batch(studies[1], 3, new=new)
    with pytest.raises(ValueError, match=r"every trial from number 10 on, in order, got \[5, 6"):
        handed.ask_batch(studies[1], 3, new=new)


def test_a_batch_before_any_result_says_what_to_do() -> None:
    sampler = PSOSampler(seed=0)
    with pytest.raises(ValueError, match=r"at least one finished trial.*study\.ask\(\)"):
        sampler.ask_batch(study_with(sampler), 4)


# -- constraints, failures, knowns --------------------------------------------------------------


def leader_of(study: optuna.Study) -> FrozenTrial:
    """The trial that leads a swarm that learned the study."""
    sampler = PSOSampler(SwarmSettings(), seed=0)
    sampler.ask_batch(study, 1)
    x = sampler._search.archive.positions[0, 0]
    return next(t for t in study.trials if t.params["x"] == pytest.approx(x))


def add(
    study: optuna.Study, x: float, value: float | None, size: float | None, state: str = "COMPLETE"
) -> None:
    study.add_trial(
        optuna.create_trial(
            state=TrialState[state],
            params={"x": x},
            distributions={"x": FloatDistribution(0, 1)},
            value=value,
            system_attrs={} if size is None else {"constraints:size": size},
        )
    )


def test_the_feasible_leads_however_good_the_infeasible_is() -> None:
    study = study_with(optuna.samplers.RandomSampler(), 1)
    add(study, 0.1, -100.0, size=0.5)
    assert leader_of(study).number == 0
    add(study, 0.2, -1.0, size=0.2)
    assert leader_of(study).number == 1, "less violation"
    add(study, 0.3, 50.0, size=0.0)
    assert leader_of(study).number == 2, "met at 0"
    add(study, 0.4, 60.0, size=-1.0)
    add(study, 0.5, -200.0, size=0.01)
    assert leader_of(study).number == 2


def test_a_point_known_to_be_infeasible_teaches_and_a_failure_never_leads() -> None:
    study = study_with(optuna.samplers.RandomSampler(), 1)
    add(study, 0.1, None, None, "FAIL")
    add(study, 0.2, None, -1.0, "PRUNED")
    add(study, 0.3, 1.0, 5.0)
    assert leader_of(study).number == 2
    add(study, 0.4, None, 3.0, "FAIL")
    assert leader_of(study).number == 3, "violates less, though it was never evaluated"


def test_most_proposals_meet_a_tight_constraint_after_a_while() -> None:
    def objective(trial: optuna.Trial) -> tuple[float]:
        x = [trial.suggest_float(f"x{i}", 0, 1) for i in range(5)]
        trial.set_constraint("corner", max(x) - 0.3)  # 0.24 % of the space
        return (-sum(x),)

    study = study_with(pso(0, particles=10), 1)
    study.optimize(objective, n_trials=400)
    feasible = [t.constraints["corner"] <= 0 for t in study.trials]
    assert sum(feasible[300:]) > 50
    best = min(t.value for t, ok in zip(study.trials, feasible, strict=True) if ok and t.value)
    assert best < -1.4


def test_a_study_of_failures_keeps_drawing_new_designs() -> None:
    study = study_with(pso(0, particles=3), 1)
    for _ in range(30):
        trial = study.ask()
        sphere(trial)
        study.tell(trial, state=TrialState.FAIL)
    assert len({t.params["x0"] for t in study.trials}) == 30


def test_known_designs_are_not_proposed_again_while_others_are_left() -> None:
    def objective(trial: optuna.Trial) -> tuple[float]:
        a, b = trial.suggest_int("a", 0, 5), trial.suggest_categorical("b", list("uvwxyz"))
        return (float(a + "uvwxyz".index(b)),)

    study = study_with(pso(0, particles=4), 1)
    study.optimize(objective, n_trials=30)
    assert len({(t.params["a"], t.params["b"]) for t in study.trials}) >= 28


def test_given_designs_lead_without_being_anyones_move() -> None:
    study = study_with(pso(0, particles=3), 1)
    study.enqueue_trial({f"x{i}": 1.1 for i in range(4)})
    study.optimize(sphere, n_trials=60)
    assert SLOT not in study.trials[0].system_attrs
    assert slots_of(study, 1)["p"] == 0
    near = [t for t in study.trials[30:] if all(abs(v - 1.1) < 1 for v in t.params.values())]
    assert len(near) > 10


def slots_of(study: optuna.Study, number: int) -> dict[str, object]:
    found: dict[str, object] = study.trials[number].system_attrs[SLOT]
    return found


# -- spaces -------------------------------------------------------------------------------------


def test_the_first_moves_cover_every_knob_evenly_even_before_the_space_is_known() -> None:
    study = study_with(pso(4, particles=8), 1)
    trials = [study.ask() for _ in range(8)]
    values = sorted(t.suggest_float("x", 0, 1) for t in trials)
    assert [int(v * 8) for v in values] == list(range(8))


def test_an_absent_knob_pulls_nobody() -> None:
    sampler = PSOSampler(SwarmSettings(particles=4), seed=0)
    study = study_with(sampler)
    study.optimize(mixed, n_trials=30)
    sampler.ask_batch(study, 1)
    column = sampler._search.codec.columns["depth"].start
    kinds = sampler._search.codec
    for row in sampler._search.archive.positions:
        values = kinds.knobs["kind"].decode(row[kinds.columns["kind"]].tolist())
        assert np.isnan(row[column]) == (values != "b")
