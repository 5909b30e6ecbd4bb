"""The surrogate's sampler keeps Optuna's promises and ours, and needs few trials."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import optuna
import pytest
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
)
from optuna.trial import TrialState

from dse.errors import SpecError
from dse.samplers.ehvi import ehvi
from tests.dse.samplers.problems import front_problem, mixed, study_with
from tests.dse.samplers.test_contracts import sampler_of
from tests.dse.samplers.test_pso_quality import hypervolume


class TestEhvi(BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: sampler_of("ehvi", startup_trials=4)


class TestEhviAlone(TestEhvi):
    """As a stranger takes it, without our seeding around it."""

    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: ehvi(5, startup_trials=2)


def test_a_study_continued_by_a_new_sampler_equals_one_that_never_stopped() -> None:
    whole, broken = (study_with(ehvi(3, startup_trials=5)) for _ in range(2))
    whole.optimize(mixed, n_trials=10)
    for _ in range(10):
        broken.sampler = ehvi(3, startup_trials=5)
        broken.optimize(mixed, n_trials=1)
    assert [t.params for t in whole.trials] == [t.params for t in broken.trials]


def test_a_third_of_the_trials_give_more_volume_than_all_of_optunas_default() -> None:
    study, default = study_with(ehvi(0)), study_with(optuna.samplers.TPESampler(seed=0))
    study.optimize(front_problem, n_trials=30)
    default.optimize(front_problem, n_trials=90)
    assert hypervolume(study, (1.0, 4.0)) > hypervolume(default, (1.0, 4.0))


def test_a_single_objective_is_brought_down() -> None:
    study = study_with(ehvi(0), 1)
    study.optimize(lambda trial: (trial.suggest_float("x", -5, 5) - 1.1) ** 2, n_trials=18)
    assert study.best_value < 1e-3


def test_after_the_start_most_designs_meet_a_constraint_that_few_meet_by_chance() -> None:
    def objective(trial: optuna.Trial) -> tuple[float, float]:
        x, y = (trial.suggest_float(name, 0, 1) for name in "xy")
        trial.set_constraint("corner", 1.6 - x - y)  # met by 8 % of the box
        return x, y

    study = study_with(ehvi(1, startup_trials=6))
    study.optimize(objective, n_trials=24)
    met = [t.constraints["corner"] <= 0 for t in study.trials]
    assert np.mean(met[12:]) >= 0.5


def test_no_design_is_proposed_twice_while_there_are_others() -> None:
    def objective(trial: optuna.Trial) -> tuple[float, float]:
        bits, kind = trial.suggest_int("bits", 1, 6), trial.suggest_categorical("kind", "abcd")
        return float(bits), (6 - bits) + float("abcd".index(kind))

    study = study_with(ehvi(0, startup_trials=6))
    study.optimize(objective, n_trials=24)
    later = [tuple(t.params.values()) for t in study.trials[6:]]
    assert len(set(later)) == len(later)


def test_workers_that_ask_before_anything_is_told_get_different_designs() -> None:
    study = study_with(ehvi(0, startup_trials=5))
    study.optimize(front_problem, n_trials=8)
    asked = [study.ask() for _ in range(4)]
    designs = []
    for trial in asked:
        front_problem(trial)
        designs.append(tuple(trial.params.values()))
    rows = np.array(designs)
    apart = np.abs(rows[:, None] - rows).max(axis=2)
    assert apart[np.triu_indices(4, 1)].min() > 1e-3


def test_failures_teach_and_do_not_stop_the_search() -> None:
    study = study_with(ehvi(0, startup_trials=4))
    for _ in range(14):
        trial = study.ask()
        x = trial.suggest_float("x", 0, 1)
        if x < 0.5:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, (x, (1 - x) ** 2))
    later = [t for t in study.trials[7:] if t.state == TrialState.FAIL]
    assert len(later) <= 2


def test_a_start_covers_every_knob_evenly() -> None:
    study = study_with(ehvi(2, startup_trials=8))
    study.optimize(front_problem, n_trials=8)
    for name in ("x0", "x5"):
        eighths = sorted(int(t.params[name] * 8) for t in study.trials)
        assert eighths == list(range(8))


@pytest.mark.parametrize("value", [1, 2.5, "many"])
def test_startup_trials_outside_their_range(value: object) -> None:
    with pytest.raises(SpecError, match=r"sampler\.startup_trials: a number from 2, got"):
        ehvi(0, startup_trials=value)  # type: ignore[arg-type]


def test_a_window_outside_its_range() -> None:
    with pytest.raises(SpecError, match=r"sampler\.window: a number of trials from 10, got 3"):
        ehvi(0, window=3)
