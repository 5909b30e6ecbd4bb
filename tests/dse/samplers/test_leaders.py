"""Deb's rules order trials as he says, and the archive keeps what nothing beats."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dse.pareto import crowding_distances
from dse.samplers.leaders import INFEASIBLE, Archive, Score, beats

levels = st.integers(0, 4).map(float)
scores = st.builds(
    Score,
    violation=st.sampled_from([0.0, 0.0, 0.0, 0.5, 2.0, INFEASIBLE]),
    losses=st.tuples(levels, levels),
)


@given(scores, scores)
def test_of_two_trials_at_most_one_is_better_and_none_beats_itself(a: Score, b: Score) -> None:
    assert not (beats(a, b) and beats(b, a))
    assert not beats(a, a)


@given(scores, scores, scores)
def test_better_than_the_better_one_is_better(a: Score, b: Score, c: Score) -> None:
    if beats(a, b) and beats(b, c):
        assert beats(a, c)


@given(scores, scores)
def test_feasible_beats_infeasible_and_less_violation_beats_more(a: Score, b: Score) -> None:
    if a.violation < b.violation:
        assert beats(a, b)
    if a.violation == b.violation > 0:
        assert not beats(a, b)


@given(st.tuples(levels, levels), st.tuples(levels, levels))
def test_between_feasible_trials_dominance_decides(
    a: tuple[float, float], b: tuple[float, float]
) -> None:
    dominates = a[0] <= b[0] and a[1] <= b[1] and a != b
    assert beats(Score(0.0, a), Score(0.0, b)) == dominates


@given(st.lists(scores, max_size=40), st.integers(1, 5))
def test_no_member_of_the_archive_is_beaten_by_another_or_by_what_it_never_took(
    offered: list[Score], size: int
) -> None:
    archive = Archive(size)
    archive.widen(1)
    for i, score in enumerate(offered):
        archive.offer(score, np.array([float(i)]))
    assert len(archive) <= size
    assert (len(archive) == 0) == all(s.violation == INFEASIBLE for s in offered)
    members = [Score(archive.violation, tuple(row)) for row in archive.losses.tolist()]
    assert len(set(members)) == len(members)
    assert not any(beats(a, b) for a in members for b in members)
    if members:
        assert archive.violation == min(s.violation for s in offered)
    for place, member in zip(archive.positions[:, 0], members, strict=True):
        assert offered[int(place)] == member, "losses and positions belong together"


@given(st.lists(scores, min_size=1, max_size=40))
def test_an_archive_with_room_for_all_holds_the_whole_front(offered: list[Score]) -> None:
    archive = Archive(100)
    for score in offered:
        archive.offer(score, np.empty(0))
    feasible = {s for s in offered if s.violation == 0}
    front = {a.losses for a in feasible if not any(beats(b, a) for b in feasible)}
    if feasible:
        assert {tuple(row) for row in archive.losses.tolist()} == front


def test_a_full_archive_drops_the_most_crowded_and_keeps_the_ends() -> None:
    archive = Archive(4)
    for x in (0.0, 0.1, 0.15, 0.6, 1.0):
        archive.offer(Score(0.0, (x, 1 - x)), np.empty(0))
    assert sorted(archive.losses[:, 0].tolist()) == [0.0, 0.15, 0.6, 1.0]


def test_crowding_is_the_size_of_the_gap_around_a_point() -> None:
    found = crowding_distances(np.array([[0.0, 1.0], [0.25, 0.5], [1.0, 0.0]]))
    assert found.tolist() == [np.inf, pytest.approx(2.0), np.inf]


def test_leaders_are_more_often_those_that_stand_alone() -> None:
    archive = Archive(10)
    archive.widen(1)
    for x in (0.0, 0.01, 0.02, 0.03, 0.5, 1.0):
        archive.offer(Score(0.0, (x, 1 - x)), np.array([x]))
    drawn = archive.draw(4000, np.random.default_rng(0))[:, 0]
    shares = {x: (drawn == x).mean() for x in (0.01, 0.02, 0.5)}
    assert shares[0.5] > 2 * shares[0.01]
    assert shares[0.5] > 2 * shares[0.02]
