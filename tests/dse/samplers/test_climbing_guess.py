"""What is guessed of the last rung from all rungs, and who goes on by it."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import pytest
from numpy.typing import NDArray
from optuna.trial import TrialState

from dse.samplers.climbing_guess import ClimbingGuess
from dse.samplers.ehvi import ehvi
from dse.samplers.gaussian_process import GaussianProcess
from dse.samplers.promising import most_promising
from dse.samplers.told import LEAST_PAIRS, told_by
from dse.trials import DUPLICATE_OF, LOST, PROMOTED_FROM, RUNG, RUNG_RESULT

RNG = np.random.default_rng
KNOBS = np.array([0, 1])
Array = NDArray[np.float64]


def low_of(x: Array) -> Array:
    return np.asarray(np.sin(6 * x[:, 0]) + 0.5 * x[:, 1])


def full_of(x: Array) -> Array:
    return np.asarray(low_of(x) + 0.4 * x[:, 1])


def two_rungs(designs: int = 60, climbed: int = 8) -> tuple[Array, Array]:
    x = RNG(0).random((designs, 2))
    numbers = np.full((designs, 2), np.nan)
    numbers[:, 0] = low_of(x)
    numbers[:climbed, 1] = full_of(x[:climbed])
    return x, numbers


def test_low_results_tell_of_full_ones_where_hardly_any_are_known() -> None:
    x, numbers = two_rungs()
    guess = ClimbingGuess(x, numbers, KNOBS, RNG(0))
    alone = GaussianProcess(x[:8], numbers[:8, 1], KNOBS, RNG(0))
    fresh = RNG(1).random((50, 2))
    errors = [np.abs(g.predict(fresh)[0] - full_of(fresh)).mean() for g in (guess, alone)]
    assert 10 * errors[0] < errors[1]
    assert errors[0] < 0.01


def test_a_result_below_leaves_only_the_doubt_of_the_step() -> None:
    x, numbers = two_rungs(designs=12)
    guess = ClimbingGuess(x, numbers, KNOBS, RNG(0))
    waiting = list(range(8, 12))
    mean, deviation = guess.predict(x[waiting], waiting)
    _, without = guess.predict(x[waiting])
    assert np.abs(mean - full_of(x[waiting])).max() < 0.1
    assert (deviation <= without).all()
    assert deviation.mean() < 0.8 * without.mean()


def test_a_design_that_has_climbed_is_known() -> None:
    x, numbers = two_rungs()
    mean, deviation = ClimbingGuess(x, numbers, KNOBS, RNG(0)).predict(x[:8], range(8))
    assert mean == pytest.approx(numbers[:8, 1])
    assert deviation.max() < 1e-5


def test_what_climbing_leaves_unchanged_is_known_before_it() -> None:
    x, numbers = two_rungs()
    numbers[:8, 1] = numbers[:8, 0] - 0.25
    mean, deviation = ClimbingGuess(x, numbers, KNOBS, RNG(0)).predict(x[8:], range(8, 60))
    assert mean == pytest.approx(numbers[8:, 0] - 0.25)
    assert deviation.max() < 1e-5


def test_three_rungs_are_climbed_one_by_one() -> None:
    x, two = two_rungs(climbed=20)
    numbers = np.column_stack([two, np.full(60, np.nan)])
    numbers[:6, 2] = numbers[:6, 1] - 0.3 * x[:6, 0]
    mean, _ = ClimbingGuess(x, numbers, KNOBS, RNG(0)).predict(x[6:], range(6, 60))
    assert np.abs(mean - (full_of(x) - 0.3 * x[:, 0])[6:]).mean() < 0.05


def test_a_full_result_of_a_design_that_did_not_climb_counts() -> None:
    x, numbers = two_rungs(climbed=20)
    numbers[:20:2, 0] = np.nan
    mean, _ = ClimbingGuess(x, numbers, KNOBS, RNG(0)).predict(x[20:], range(20, 60))
    assert np.abs(mean - full_of(x[20:])).mean() < 0.06


@pytest.mark.parametrize("rung", [0, 1])
def test_a_running_design_leaves_less_doubt_about_itself(rung: int) -> None:
    x, numbers = two_rungs(designs=12)
    design = 11
    if rung == 0:
        numbers[design] = np.nan
    guess = ClimbingGuess(x, numbers, KNOBS, RNG(0))
    _, before = guess.predict(x[[design]], [design])
    running = np.zeros((12, 2), dtype=bool)
    running[design, rung] = True
    guess.believe(running)
    _, after = guess.predict(x[[design]], [design])
    assert after[0] < before[0]


def climbing_study(climbed: int) -> optuna.Study:
    """24 designs on the first rung, the first of which have climbed.

    Two objectives: x, and 1 - x plus what only training removes, from designs with `kind` b.
    """
    study = optuna.create_study(directions=["minimize"] * 2)
    rng = RNG(3)
    designs: list[tuple[float, str]] = [
        (float(rng.random()), "ab"[number % 2]) for number in range(24)
    ]
    for x, kind in designs:
        trial = ask(study, x, kind, {})
        trial.set_user_attr(RUNG_RESULT, {"fidelity": "post_training", "values": [x, 2 - x]})
        study.tell(trial, state=TrialState.PRUNED)
    for number in range(climbed):
        x, kind = designs[number]
        trial = ask(study, x, kind, {RUNG: 1, PROMOTED_FROM: number})
        study.tell(trial, [x, 1 - x + (kind == "a")])
    return study


def ask(study: optuna.Study, x: float, kind: str, design: dict[str, Any]) -> optuna.Trial:
    study.enqueue_trial({"x": x, "kind": kind}, user_attrs={"design": {"draw": 0, **design}})
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    trial.suggest_categorical("kind", ["a", "b"])
    return trial


def test_designs_are_told_with_all_their_rungs() -> None:
    study = climbing_study(6)
    told = told_by(study, 300)
    assert [each.numbers for each in told[:7]] == [(n, 24 + n) for n in range(6)] + [(6,)]
    assert len(told) == 24
    low, full = (None if reached is None else reached.losses for reached in told[1].rungs)
    assert low is not None
    assert full == pytest.approx(low - np.array([0.0, 1.0]))
    assert told[6].rungs[1] is None
    assert told[6].last is told[6].rungs[0]


def test_before_enough_have_climbed_low_results_count_as_what_they_may_come_to() -> None:
    study = climbing_study(LEAST_PAIRS - 1)
    told = told_by(study, 300)
    assert {len(each.rungs) for each in told} == {1}
    assert len(told) == 24  # of those that climbed the full result
    assert most_promising(study, [10, 11], seed=0) is None


def test_copies_and_lost_trials_tell_nothing_and_a_window_holds_whole_designs() -> None:
    study = climbing_study(6)
    copied, lost = ask(study, 0.5, "a", {}), ask(study, 0.6, "b", {})
    copied.set_user_attr(DUPLICATE_OF, 3)
    copied.set_user_attr(RUNG_RESULT, {"fidelity": "post_training", "values": [1, 1]})
    study.tell(copied, state=TrialState.PRUNED)
    lost.set_user_attr(LOST, "driver lost")
    study.tell(lost, state=TrialState.FAIL)
    numbers = {number for each in told_by(study, 300) for number in each.numbers}
    assert numbers == set(range(30))
    few = told_by(study, 10)
    assert len(few) < 24
    for each in few:
        assert each.numbers in [(n, 24 + n) for n in range(6)] + [(n,) for n in range(6, 24)]


def test_who_promises_most_is_learned_from_those_that_climbed() -> None:
    study = climbing_study(8)
    numbers = list(range(8, 24))  # even ones have kind a, and nothing to hope for
    for _ in range(4):
        chosen = most_promising(study, numbers, seed=0)
        assert chosen is not None
        assert chosen % 2 == 1
        numbers.remove(chosen)


class Curious(optuna.samplers.RandomSampler):
    """Looks at the trials when it is told one, which is still running then; Optuna keeps them."""

    def after_trial(self, study: optuna.Study, *args: Any) -> None:
        study._get_trials(deepcopy=False, use_cache=True)


def test_what_was_told_a_moment_ago_counts() -> None:
    study = climbing_study(LEAST_PAIRS - 1)
    study.sampler = Curious()
    trial = ask(study, 0.5, "a", {RUNG: 1, PROMOTED_FROM: LEAST_PAIRS - 1})
    study.tell(trial, [0.5, 1.5])
    assert most_promising(study, [10, 11], seed=0) is not None


def test_trials_outside_the_window_are_not_chosen() -> None:
    assert most_promising(climbing_study(8), [99], seed=0) is None


def test_proposals_add_to_what_those_that_wait_may_come_to() -> None:
    study = climbing_study(8)
    study.sampler = ehvi(0)
    places = []
    for _ in range(6):
        trial = study.ask()
        x, kind = trial.suggest_float("x", 0, 1), trial.suggest_categorical("kind", ["a", "b"])
        trial.set_user_attr("design", {"draw": trial.number})
        trial.set_user_attr(RUNG_RESULT, {"fidelity": "post_training", "values": [x, 2 - x]})
        study.tell(trial, state=TrialState.PRUNED)
        assert kind == "b"
        places.append(x)
    assert np.diff(sorted(places)).min() > 0.005
