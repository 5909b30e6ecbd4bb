"""A window shows the best and the newest trials, and all that run."""

from __future__ import annotations

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from dse.samplers.gp import gp
from dse.samplers.tpe import tpe
from dse.samplers.window import windowed


def study_of(values: list[tuple[float, ...]], **trial: object) -> optuna.Study:
    study = optuna.create_study(directions=["minimize"] * len(values[0]))
    for i, v in enumerate(values):
        study.add_trial(
            optuna.create_trial(
                params={"x": i / len(values)},
                distributions={"x": FloatDistribution(0, 1)},
                values=v,
                **trial,  # type: ignore[arg-type]
            )
        )
    return study


def numbers(study: optuna.Study, window: int) -> list[int]:
    return [t.number for t in windowed(study, window)._get_trials(deepcopy=False)]


def test_a_study_that_fits_is_shown_whole() -> None:
    assert numbers(study_of([(1.0,)] * 10), 10) == list(range(10))


def test_of_one_objective_the_best_half_and_the_newest_are_shown() -> None:
    study = study_of([(abs(i - 20.0),) for i in range(100)])
    assert numbers(study, 10) == [18, 19, 20, 21, 22, 95, 96, 97, 98, 99]


def test_of_several_objectives_the_feasible_front_is_shown() -> None:
    study = study_of([(1.0, 1.0), (0.0, 0.0), (0.5, 0.2), (0.2, 0.5), *[(2.0, 2.0)] * 40])
    trial = study.get_trials(deepcopy=False)[1]
    trial._system_attrs["constraints:area"] = 0.1
    assert numbers(study, 10) == [2, 3, *range(36, 44)]


def test_running_trials_are_always_shown_and_states_are_told_apart() -> None:
    study = study_of([(1.0,)] * 30)
    study.ask()
    assert numbers(study, 10)[-1] == 30
    running = windowed(study, 10)._get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    assert [t.number for t in running] == [30]


@pytest.mark.parametrize("make", [tpe, gp])
def test_what_a_sampler_does_not_see_does_not_change_its_proposal(make: object) -> None:
    def proposal(far_away: float) -> float:
        values = [(9.0 + i,) for i in range(10)] + [(1.0 + i % 7,) for i in range(20)]
        study = study_of(values)
        for trial in study.get_trials(deepcopy=False)[:9]:
            trial._params["x"] = far_away
        study.sampler = make(3, window=20)  # type: ignore[operator]
        return study.ask({"x": FloatDistribution(0, 1)}).params["x"]

    assert proposal(0.1) == proposal(0.9)
