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
from dse.samplers.surrogate import Surrogate
from dse.samplers.told import LEAST_PAIRS, told_by
from dse.trials import DUPLICATE_OF, LOST, PROMOTED_FROM, RUNG, RUNG_RESULT
from tests.dse.samplers.problems import study_with

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


def climbing_study(climbed: int, *, limit: float | None = None) -> optuna.Study:
    """24 designs on the first rung, the first of which have climbed.

    Two objectives: x, and 1 - x plus what only training removes, from designs with `kind` b.

    Args:
        climbed: Number of designs that have.
        limit: Unit of a constraint that designs with `kind` b meet in full, and nobody below;
            both kinds are equally good then.
    """
    study = optuna.create_study(directions=["minimize"] * 2)
    rng = RNG(3)
    designs: list[tuple[float, str]] = [
        (float(rng.random()), "ab"[number % 2]) for number in range(24)
    ]
    for x, kind in designs:
        low(study, x, kind, limit=limit)
    for number in range(climbed):
        x, kind = designs[number]
        trial = ask(study, x, kind, {RUNG: 1, PROMOTED_FROM: number})
        if limit is not None:
            trial.set_constraint("limit", limit * (0.5 if kind == "a" else -0.5))
        study.tell(trial, [x, 1 - x + (kind == "a" and limit is None)])
    return study


def low(
    study: optuna.Study,
    x: float,
    kind: str,
    *,
    second: float | None = None,
    limit: float | None = None,
) -> int:
    """A design on the first rung; number of its trial."""
    trial = ask(study, x, kind, {})
    values = [x, 2 - x if second is None else second]
    trial.set_user_attr(RUNG_RESULT, {"fidelity": "post_training", "values": values})
    if limit is not None:
        trial.set_constraint("limit", limit)
    study.tell(trial, state=TrialState.PRUNED)
    return trial.number


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


@pytest.mark.parametrize("unit", [1e-9, 1e-3, 1.0, 1e6])
def test_who_meets_a_constraint_is_learned_whatever_its_unit(unit: float) -> None:
    study = climbing_study(8, limit=unit)
    numbers = list(range(8, 24))
    for _ in range(4):
        chosen = most_promising(study, numbers, seed=0)
        assert chosen is not None
        assert chosen % 2 == 1
        numbers.remove(chosen)


def test_an_objective_that_is_the_same_for_all_is_no_obstacle() -> None:
    study = optuna.create_study(directions=["minimize"] * 2)
    for number in range(12):
        low(study, number / 12, "a", second=3e-7)
    for number in range(6):
        trial = ask(study, number / 12, "a", {RUNG: 1, PROMOTED_FROM: number})
        study.tell(trial, [number / 12 + 0.1, 3e-7])
    assert most_promising(study, [7, 9], seed=0) in (7, 9, None)
    assert np.isfinite(list(Surrogate(told_by(study, 300), 2).promises([7, 9], RNG(0)))).all()


def test_before_anyone_is_on_the_last_rung_nothing_is_concluded() -> None:
    """A ladder of three, as far as its second rung."""
    study = climbing_study(0)
    for number in range(8):
        trial = ask(study, 0.1 * number, "a", {RUNG: 1, PROMOTED_FROM: number})
        trial.set_user_attr(RUNG_RESULT, {"fidelity": "short", "values": [1, 1]})
        study.tell(trial, state=TrialState.PRUNED)
    assert most_promising(study, list(range(24, 32)), seed=0) is None


def test_while_one_climbs_its_twin_does_not() -> None:
    study = climbing_study(8)
    first = most_promising(study, list(range(8, 24)), seed=0)
    assert first is not None
    params = study.trials[first].params
    ask(study, params["x"], params["kind"], {RUNG: 1, PROMOTED_FROM: first})
    twin = low(study, params["x"] + 1e-4, params["kind"])
    left = [number for number in range(8, 24) if number != first]
    assert most_promising(study, [*left, twin], seed=0) in left


def test_the_ends_of_the_front_are_reached() -> None:
    """Only the middle has climbed; both ends are beyond the worst full results."""
    study = optuna.create_study(directions=["minimize"] * 2)
    places = np.linspace(0.02, 0.98, 25)
    for x in places.tolist():
        low(study, x, "b")
    for number in range(10, 16):
        x = float(places[number])
        study.tell(ask(study, x, "b", {RUNG: 1, PROMOTED_FROM: number}), [x, 1 - x])
    told = told_by(study, 300)
    ends = [place for place, each in enumerate(told) if each.numbers[0] in (0, 24)]
    assert (Surrogate(told, 2).promises(ends, RNG(0)) > 1e-3).all()


def test_a_window_holds_what_has_climbed_and_the_newest_that_wait() -> None:
    study = climbing_study(8)
    for number in range(40):
        low(study, 0.02 * number, "a")
    told = told_by(study, 20)
    assert [each.numbers for each in told[:8]] == [(n, 24 + n) for n in range(8)]
    assert [each.numbers for each in told[8:]] == [(n,) for n in range(60, 72)]


def test_many_that_have_climbed_leave_room_for_those_that_wait() -> None:
    study = climbing_study(20)
    told = told_by(study, 10)
    assert [each.numbers for each in told[6:]] == [(n,) for n in range(20, 24)]
    for number in range(20):
        low(study, 0.9 - 0.01 * number, "a")
    told = told_by(study, 10)
    assert [each.numbers for each in told[5:]] == [(n,) for n in range(59, 64)]
    assert {13, 15, 17, 19} < {each.numbers[0] for each in told}  # on the front


def test_a_failure_is_as_bad_as_the_worst_even_where_all_are_equal() -> None:
    study = study_with(ehvi(0, startup_trials=4), 1)
    for _ in range(12):
        trial = study.ask()
        if trial.suggest_float("x", 0, 1) < 0.5:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, 7.0)
    later = [t for t in study.trials[7:] if t.state == TrialState.FAIL]
    assert len(later) <= 1


def test_designs_that_climb_count_as_finished() -> None:
    study = climbing_study(8)
    for number in (8, 9, 10):
        params = study.trials[number].params
        ask(study, params["x"], params["kind"], {RUNG: 1, PROMOTED_FROM: number})
    assert Surrogate(told_by(study, 300), 2).finished == 24


def test_trials_outside_the_window_are_not_chosen() -> None:
    assert most_promising(climbing_study(8), [99], seed=0) is None


@pytest.mark.parametrize("tells", [True, False])
def test_proposals_add_to_what_those_that_wait_may_come_to(tells: bool) -> None:
    """With one worker, and with several that ask before anything is told."""
    study = climbing_study(8)
    study.sampler = ehvi(0)
    places = []
    for _ in range(6):
        trial = study.ask()
        x, kind = trial.suggest_float("x", 0, 1), trial.suggest_categorical("kind", ["a", "b"])
        trial.set_user_attr("design", {"draw": trial.number})
        if tells:
            trial.set_user_attr(RUNG_RESULT, {"fidelity": "post_training", "values": [x, 2 - x]})
            study.tell(trial, state=TrialState.PRUNED)
        assert kind == "b"
        places.append(x)
    assert np.diff(sorted(places)).min() > 0.005
