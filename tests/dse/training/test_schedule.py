from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dse.errors import TaskError
from dse.training.schedule import Constant, Cosine, Steps


def test_a_constant_schedule_never_changes_the_rate() -> None:
    assert {Constant().factor(epoch, 7) for epoch in range(1, 8)} == {1.0}


def test_the_bit_slice_schedule_halves_every_30_of_150_epochs() -> None:
    schedule = Steps(milestones=(0.2, 0.4, 0.6, 0.8), by=0.5)
    found = [schedule.factor(epoch, 150) for epoch in (1, 30, 31, 60, 61, 91, 121, 150)]
    assert found == [1, 1, 0.5, 0.5, 0.25, 0.125, 0.0625, 0.0625]


def test_a_shortened_training_keeps_the_form_of_its_steps() -> None:
    schedule = Steps(milestones=(0.5, 0.75), by=0.1)
    found = [schedule.factor(epoch, 4) for epoch in range(1, 5)]
    assert found == pytest.approx([1, 1, 0.1, 0.01])


@given(st.integers(1, 200), st.floats(0, 1))
def test_a_cosine_falls_from_one_and_stays_above_its_end(epochs: int, last: float) -> None:
    found = [Cosine(last=last).factor(epoch, epochs) for epoch in range(1, epochs + 1)]
    assert found[0] == pytest.approx(1)
    assert all(a >= b for a, b in pairwise(found))
    assert found[-1] >= last - 1e-12


def test_half_way_a_cosine_is_at_one_half() -> None:
    assert Cosine().factor(6, 10) == pytest.approx(0.5)


@pytest.mark.parametrize("milestones", [(), (0.0,), (1.0,), (0.5, 0.5), (0.6, 0.3), (30.0, 60.0)])
def test_milestones_that_are_no_ascending_shares_are_refused(
    milestones: tuple[float, ...],
) -> None:
    with pytest.raises(TaskError, match="ascending shares of the training between 0 and 1, got"):
        Steps(milestones=milestones)


@pytest.mark.parametrize("by", [0.0, 1.5, 10.0])
def test_a_factor_outside_its_range_is_refused(by: float) -> None:
    with pytest.raises(TaskError, match=f"by above 0 to 1, got {by}"):
        Steps(milestones=(0.5,), by=by)


def test_a_cosine_ends_in_a_share() -> None:
    with pytest.raises(TaskError, match=r"a factor from 0 to 1, got 1\.5"):
        Cosine(last=1.5)
