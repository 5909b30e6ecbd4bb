"""Hypervolumes equal Optuna's, and the front of three objectives the one by comparing all."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from optuna._hypervolume import compute_hypervolume

from dse.dominance import non_dominated
from dse.hypervolume import hypervolume


@st.composite
def points(draw: st.DrawFn, objectives: tuple[int, int] = (1, 4)) -> NDArray[np.float64]:
    width = draw(st.integers(*objectives))
    row = st.lists(st.integers(0, 6), min_size=width, max_size=width)
    return np.array(draw(st.lists(row, min_size=1, max_size=25)), dtype=np.float64)


@settings(max_examples=150)
@given(points(), st.integers(0, 2))
def test_the_volume_is_optunas(losses: NDArray[np.float64], beyond: int) -> None:
    reference = losses.max(axis=0) + beyond
    expected = compute_hypervolume(losses, reference)
    assert hypervolume(losses, reference) == pytest.approx(expected, rel=1e-12)


@settings(max_examples=150)
@given(points(objectives=(3, 3)))
def test_of_three_objectives_the_front_is_who_nobody_dominates(
    losses: NDArray[np.float64],
) -> None:
    rows = [tuple(row) for row in losses.tolist()]
    expected = [
        i
        for i, row in enumerate(rows)
        if not any(
            all(a <= b for a, b in zip(other, row, strict=True)) and (other != row or j < i)
            for j, other in enumerate(rows)
        )
    ]
    assert non_dominated(losses).tolist() == expected


def test_large_fronts_take_no_time_worth_mentioning() -> None:
    rng = np.random.default_rng(0)
    sphere = np.abs(rng.normal(size=(20_000, 3)))
    losses = 1 - sphere / np.linalg.norm(sphere, axis=1, keepdims=True)
    assert len(non_dominated(losses)) == 20_000
    # Above an eighth of the unit ball, less what 20 000 steps leave open.
    assert hypervolume(losses, np.ones(3)) == pytest.approx(math.pi / 6, rel=0.02)


def test_what_is_infinite_and_what_is_not_there() -> None:
    one = np.array([[0.0, -math.inf]])
    assert hypervolume(one, np.ones(2)) == math.inf
    assert hypervolume(np.zeros((1, 2)), np.array([1.0, math.inf])) == math.inf
    assert hypervolume(np.zeros((0, 3)), np.ones(3)) == 0.0
