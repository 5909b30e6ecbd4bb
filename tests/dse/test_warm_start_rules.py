"""Warm start without a database: crowding, nearest values, and what a study file may say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dse.errors import SpecError
from dse.pareto import crowding_distances
from dse.warm_start import nearest
from search_spaces.domains import Choice, Domain, FloatRange, IntRange
from tests.dse.fakes import small_spec


def test_crowding_is_infinite_at_the_ends_and_larger_where_designs_are_rare() -> None:
    losses = np.array([[0.0, 1.0], [0.1, 0.9], [0.2, 0.8], [0.7, 0.1], [1.0, 0.0]])
    distance = crowding_distances(losses)
    assert [math.isinf(d) for d in distance] == [True, False, False, False, True]
    assert distance[1] == pytest.approx(0.4)
    assert distance[1] < distance[2] < distance[3] + 1e-9
    assert crowding_distances(np.ones((3, 2))).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("domain", "value", "expected"),
    [
        (IntRange(2, 6), 9, 6),
        (IntRange(2, 6), 3.4, 3),
        (FloatRange(0.5, 2.0, log=True), 0.1, 0.5),
        (FloatRange(0.5, 2.0), 1, 1.0),
        (Choice(32, 64, 128), 96, 64),
        (Choice(32, 64, 128), 500, 128),
        (Choice(1.0, 2.0), 2, 2.0),
        (Choice("a", "b"), "b", "b"),
        (Choice("a", "b"), "c", None),
        (Choice("a", "b"), 3, None),
        (Choice(0, 1), True, None),
        (IntRange(0, 3), "x", None),
        (IntRange(0, 3), False, None),
    ],
)
def test_the_nearest_value(domain: Domain, value: Any, expected: Any) -> None:
    found = nearest(domain, value)
    assert found == expected
    assert type(found) is type(expected)


@given(
    low=st.integers(-50, 50),
    width=st.integers(0, 50),
    value=st.floats(-200, 200, allow_nan=False),
)
def test_the_nearest_value_is_allowed_and_no_other_is_nearer(
    low: int, width: int, value: float
) -> None:
    whole = IntRange(low, low + width)
    found = nearest(whole, value)
    assert found in whole
    assert isinstance(found, int)
    assert all(abs(found - value) <= abs(other - value) for other in range(low, low + width + 1))
    listed = nearest(Choice(*range(low, low + width + 1)), value)
    assert isinstance(listed, int)
    assert abs(listed - value) == abs(found - value)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            {"study": "small"},
            "test: warm_start.study: a study cannot start from itself; name another one, or give "
            "the database of the other one",
        ),
        (
            {"study": "a", "database": "postgresql+psycopg://me:secret@host/dse"},
            "test: warm_start.database: its password would be stored in the study; leave it out "
            "of the URL and give it as PGPASSWORD or in ~/.pgpass",
        ),
        (
            {"study": "a", "design": 3},
            "test: warm_start.design: there is no such entry; did you mean 'designs'? "
            "Entries: database, designs, study",
        ),
        ({"designs": 3}, "test: warm_start.study: is missing"),
        (
            {"study": "a", "designs": 0},
            "test: warm_start.designs: Input should be greater than or equal to 1, got 0",
        ),
    ],
)
def test_a_section_that_cannot_hold_is_told(section: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        small_spec(warm_start=section)
    assert str(caught.value) == message
