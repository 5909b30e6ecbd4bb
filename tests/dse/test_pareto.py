"""The front against brute force, and its hypervolume."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dse.objectives import Objective
from dse.pareto import count_states, non_dominated, pareto_front
from dse.trials import DUPLICATE_OF

OBJECTIVES = (Objective.parse("maximize accuracy"), Objective.parse("minimize energy_uj"))


@given(
    st.integers(1, 3).flatmap(
        lambda width: st.lists(
            st.lists(st.integers(0, 5), min_size=width, max_size=width), min_size=1, max_size=40
        )
    )
)
def test_the_front_is_what_brute_force_finds(rows: list[list[int]]) -> None:
    losses = np.array(rows, dtype=float)
    expected = [
        i
        for i, row in enumerate(losses)
        if not any(
            (other <= row).all() and ((other < row).any() or j < i)
            for j, other in enumerate(losses)
            if j != i
        )
    ]
    assert non_dominated(losses).tolist() == expected


def trial(accuracy: float, energy: float, violation: float = 0.0) -> optuna.trial.FrozenTrial:
    return optuna.create_trial(values=[accuracy, energy], constraints={"c": violation})


def test_infeasible_designs_and_copies_stay_off_the_front() -> None:
    trials = [trial(0.9, 2.0), trial(0.99, 1.0, violation=0.1), trial(0.8, 1.0), trial(0.8, 3.0)]
    copy = trial(0.9, 2.0)
    copy.set_user_attr(DUPLICATE_OF, 0)
    front = pareto_front([*trials, copy], OBJECTIVES)
    assert [t.values for t in front.trials] == [[0.9, 2.0], [0.8, 1.0]]
    assert front.reference_point == (0.8, 3.0)
    # (0.9, 2) covers 0.1 x 1; (0.8, 1) lies on the edge of the reference point.
    assert front.hypervolume == pytest.approx(0.1)


def test_a_given_reference_point_makes_hypervolumes_comparable() -> None:
    front = pareto_front([trial(0.9, 2.0)], OBJECTIVES, reference_point=(0.5, 4.0))
    assert front.hypervolume == pytest.approx(0.4 * 2.0)
    outside = pareto_front([trial(0.9, 5.0)], OBJECTIVES, reference_point=(0.5, 4.0))
    assert outside.hypervolume == 0.0
    assert len(outside.trials) == 1


def test_a_study_without_results_has_an_empty_front() -> None:
    failed = optuna.create_trial(state=optuna.trial.TrialState.FAIL)
    front = pareto_front([failed], OBJECTIVES)
    assert front.trials == ()
    assert front.hypervolume == 0.0
    assert count_states([failed, trial(1, 1, 1)]) == {
        "complete": 1,
        "failed": 1,
        "running": 0,
        "waiting": 0,
        "pruned": 0,
        "infeasible": 1,
    }
