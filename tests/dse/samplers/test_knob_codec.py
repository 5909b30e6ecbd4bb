"""Every value of a knob has coordinates that lead back to it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from dse.samplers.knob_codec import Knob, KnobCodec

LEVELS: list[tuple[BaseDistribution, list[Any]]] = [
    (IntDistribution(3, 10), list(range(3, 11))),
    (IntDistribution(3, 9, step=2), [3, 5, 7, 9]),
    (IntDistribution(1, 6, log=True), [1, 2, 3, 4, 5, 6]),
    (FloatDistribution(-1.0, 1.0, step=0.5), [-1.0, -0.5, 0.0, 0.5, 1.0]),
    (CategoricalDistribution([32, 4, 8]), [4, 8, 32]),
    (CategoricalDistribution([False, True]), [False, True]),
    (CategoricalDistribution(["a", "b", "c", None]), ["a", "b", "c", None]),
    (CategoricalDistribution([True, 1, "1"]), [True, 1, "1"]),
]


@pytest.mark.parametrize(("distribution", "values"), LEVELS)
def test_every_level_leads_back_to_itself(distribution: BaseDistribution, values: Any) -> None:
    knob = Knob(distribution)
    for value in values:
        block = knob.encode(value)
        assert len(block) == knob.width
        assert all(0 <= c <= 1 for c in block)
        back = knob.decode(block)
        assert (type(back), back) == (type(value), value)


@pytest.mark.parametrize(("distribution", "values"), LEVELS)
def test_even_draws_reach_every_level(distribution: BaseDistribution, values: Any) -> None:
    knob = Knob(distribution)
    drawn = {repr(knob.decode(knob.spread(u))) for u in np.linspace(0, 1, 200).tolist()}
    assert drawn == {repr(v) for v in values}


@pytest.mark.parametrize(
    "distribution", [FloatDistribution(-2.0, 5.0), FloatDistribution(1e-7, 10.0, log=True)]
)
@given(unit=st.floats(0, 1))
def test_floats_lead_back_to_their_place(distribution: FloatDistribution, unit: float) -> None:
    knob = Knob(distribution)
    value = knob.decode([unit])
    assert distribution.low <= value <= distribution.high
    assert knob.encode(value) == pytest.approx([unit], abs=1e-9)


def test_the_middle_of_a_log_axis_is_the_geometric_mean() -> None:
    assert Knob(FloatDistribution(0.01, 100.0, log=True)).decode([0.5]) == pytest.approx(1.0)


def test_numbers_lie_by_size_and_names_beside_one_another() -> None:
    assert Knob(CategoricalDistribution([32, 4, 8])).decode([0.0]) == 4
    assert Knob(CategoricalDistribution([32, 4, 8])).width == 1
    assert Knob(CategoricalDistribution(["a", "b", "c"])).decode([0.1, 0.9, 0.3]) == "b"


def test_a_knob_without_a_choice_has_no_coordinate() -> None:
    codec = KnobCodec()
    codec.learn({"x": IntDistribution(1, 1), "y": CategoricalDistribution(["a"])})
    assert codec.width == 0
    assert codec.decode([]) == {}


def test_knobs_met_later_stand_behind_those_met_before() -> None:
    codec = KnobCodec()
    codec.learn({"b": FloatDistribution(0, 1)})
    layout = codec.layouts[1]
    codec.learn({"c": CategoricalDistribution(["x", "y", "z"]), "a": FloatDistribution(0, 1)})
    assert codec.columns == {"b": slice(0, 1), "a": slice(1, 2), "c": slice(2, 5)}
    assert codec.layouts[1] == layout
    assert set(codec.layouts) == {0, 1, 2, 5}


def test_proposed_coordinates_stay_where_the_trial_took_their_values_and_only_there() -> None:
    codec = KnobCodec()
    space: dict[str, BaseDistribution] = {
        "a": IntDistribution(1, 4),
        "b": IntDistribution(1, 4),
        "c": FloatDistribution(0, 1),
    }
    codec.learn(space)
    found = codec.encode({"a": 1, "b": 4}, space, (0.2, 0.3, 0.4))
    assert found[0] == 0.2
    assert found[1] == pytest.approx(0.875)
    assert math.isnan(found[2])


def test_a_new_range_replaces_the_old_one() -> None:
    codec = KnobCodec()
    codec.learn({"x": IntDistribution(0, 10)})
    codec.learn({"x": IntDistribution(20, 30)})
    assert codec.width == 1
    assert codec.decode([0.0]) == {"x": 20}
