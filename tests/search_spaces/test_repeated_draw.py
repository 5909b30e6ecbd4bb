"""Designs drawn again and again are those that are drawn once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.domains import Choice, Domain, FloatRange, IntRange, Value
from search_spaces.draw import draw_design
from search_spaces.repeated_draw import RepeatedDraw
from tests.dse.fakes import small_spec

SPACE = small_spec(
    space={
        "quantizer": ["fixed_point", "pot", "bits_net"],
        "regularizer": ["none", "l1", "bit_slice_l1"],
        "regularizer.strength": "log 0.05..5",
        "patches": ["none", "pq_pim"],
        "patches.pq_pim.layer.fc1.tsv": "log 0.1..3",
        "patches.pq_pim.t_quant": "0..1",
        "engine": ["isaac", "bits_net", "sre"],
        "encoding": ["differential", "offset"],
        "cell.bits": [1, 2],
        "crossbar.wordlines": [64, 128],
        "adc.bits": "1..8",
        "adc.model": ["saberi", "survey"],
        "adc.per_array": [1, 2],
        "pruning.threshold": "0..0.1",
    }
).design_space()
DRAWS = RepeatedDraw(SPACE)


def values_of(domain: Domain) -> st.SearchStrategy[Any]:
    if isinstance(domain, Choice):
        return st.sampled_from(domain.values)
    if isinstance(domain, IntRange):
        return st.integers(domain.low, domain.high)
    assert isinstance(domain, FloatRange)
    return st.floats(domain.low, domain.high)


EVERY = st.fixed_dictionaries({path: values_of(d) for path, d in SPACE.free().items()})


@settings(max_examples=80)
@given(EVERY)
def test_a_repeated_draw_equals_a_single_one(params: dict[str, Value]) -> None:
    asked: dict[str, Value] = {}

    def choose(path: str, _domain: Domain) -> Value:
        asked[path] = params[path]
        return params[path]

    point = draw_design(SPACE, choose)
    own = DRAWS.asked(params)
    assert list(own.items()) == list(asked.items())
    assert DRAWS.point(own) == point
    assert DRAWS.digest(own) == point.digest()


def test_a_value_outside_its_domain_is_refused() -> None:
    params: dict[str, Value] = {
        path: d.values[0] if isinstance(d, Choice) else d.low  # type: ignore[union-attr]
        for path, d in SPACE.free().items()
    }
    DRAWS.asked(params)
    with pytest.raises(ValueError, match=r"pruning\.threshold: 0\.2 is outside 0\.\.0\.1"):
        DRAWS.asked({**params, "pruning.threshold": 0.2})
    with pytest.raises(ValueError, match=r"crossbar\.wordlines: 99 is outside \[64, 128\]"):
        DRAWS.asked({**params, "crossbar.wordlines": 99})
    with pytest.raises(KeyError, match="encoding"):
        DRAWS.asked({path: v for path, v in params.items() if path != "encoding"})
