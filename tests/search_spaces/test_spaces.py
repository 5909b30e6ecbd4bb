"""Domains, narrowing and drawing."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dse.catalogue import catalogue
from search_spaces.design_point import DesignPoint
from search_spaces.domains import (
    Choice,
    Domain,
    FloatRange,
    IntRange,
    Value,
    is_single,
    is_within,
    only_value,
)
from search_spaces.draw import draw_design
from search_spaces.narrowing import NarrowingError, narrow, place

CATALOGUE = catalogue()


def randomly(seed: int) -> Any:
    generator = random.Random(seed)

    def choose(path: str, domain: Domain) -> Value:
        if isinstance(domain, Choice):
            return generator.choice(domain.values)
        if isinstance(domain, IntRange):
            return generator.randint(domain.low, domain.high)
        return generator.uniform(domain.low, domain.high)

    return choose


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(-60, 60))
def test_a_range_holds_what_lies_between_its_ends(a: int, b: int, value: int) -> None:
    low, high = sorted((a, b))
    assert (value in IntRange(low, high)) == (low <= value <= high)
    assert (value in FloatRange(low, high)) == (low <= value <= high)
    assert float(value) + 0.5 not in IntRange(low, high)


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_a_domain_is_within_another_if_all_its_values_are(a: int, b: int, c: int, d: int) -> None:
    inner, outer = IntRange(*sorted((a, b))), IntRange(*sorted((c, d)))
    values = range(inner.low, inner.high + 1)
    assert is_within(inner, outer) == all(v in outer for v in values)
    assert is_within(inner, Choice(*range(outer.low, outer.high + 1))) == is_within(inner, outer)


def test_true_is_no_number() -> None:
    assert True not in IntRange(0, 2)
    assert True not in FloatRange(0, 2)
    assert True not in Choice(1, 2)
    assert 2.0 in Choice(1, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: IntRange(3, 1), "from low to high, got 3..1"),
        (lambda: FloatRange(0, 1, log=True), "a log range starts above 0"),
        (lambda: FloatRange(0, float("inf")), "finite ends"),
        (lambda: Choice(), "at least one value"),
        (lambda: Choice(1, 1), "every value once"),
    ],
)
def test_a_domain_that_cannot_be_says_why(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_without_narrowing_every_knob_stands_at_its_default() -> None:
    space = narrow(CATALOGUE, {}, {})
    assert not space.free()
    point = draw_design(space, randomly(0))
    assert point.engine.name == "isaac"
    assert point.crossbar.wordlines == 128
    assert point.adc.bits == (8, 8, 8, 8)
    assert point.quantizer.name == "fixed_point"


def test_a_path_may_stop_early_or_leave_out_the_technique() -> None:
    space = narrow(
        CATALOGUE,
        {"cell": {"bits": 2}},
        {
            "adc.bits": "2..6",
            "regularizer": ["l1", "bit_slice_l1"],
            "regularizer.strength": "1..2",
        },
    )
    assert space.domains["adc.bits.slice0"] == IntRange(2, 6)
    assert space.domains["adc.bits.slice7"] == IntRange(2, 6)
    assert space.domains["regularizer.l1.strength"] == FloatRange(1, 2, log=True)
    assert space.domains["regularizer.bit_slice_l1.strength"] == FloatRange(1, 2, log=True)


@given(st.integers(0, 10_000))
def test_only_the_knobs_of_chosen_techniques_and_slices_are_asked(seed: int) -> None:
    space = narrow(
        CATALOGUE,
        {},
        {
            "regularizer": ["none", "l1", "bit_slice_l1"],
            "regularizer.strength": "log 0.1..5",
            "cell.bits": [1, 2, 4],
            "quantizer.fixed_point.bits": "2..8",
            "adc.bits": "1..9",
        },
    )
    choose = randomly(seed)
    asked: dict[str, Value] = {}

    def remember(path: str, domain: Domain) -> Value:
        asked[path] = choose(path, domain)
        return asked[path]

    point = draw_design(space, remember)
    slices = -(-int(asked["quantizer.fixed_point.bits"]) // int(asked["cell.bits"]))
    assert {p for p in asked if p.startswith("adc.bits")} == {
        f"adc.bits.slice{s}" for s in range(slices)
    }
    assert point.adc.bits == tuple(asked[f"adc.bits.slice{s}"] for s in reversed(range(slices)))
    strengths = {p for p in asked if p.endswith("strength")}
    chosen = point.regularizer.name
    assert strengths == (set() if chosen == "none" else {f"regularizer.{chosen}.strength"})
    # What was asked is enough to draw the very same design again.
    again = draw_design(space, lambda path, _: asked[path])
    assert again == point
    assert again.digest() == point.digest()


def test_the_digest_tells_designs_apart_and_ignores_how_values_were_written() -> None:
    def point(**fixed: Any) -> DesignPoint:
        return draw_design(narrow(CATALOGUE, fixed, {}), randomly(0))

    assert point().digest() == point(**{"pruning.threshold": 0.01}).digest()
    assert (
        point(**{"pruning.threshold": 0}).digest() == point(**{"pruning.threshold": 0.0}).digest()
    )
    assert point(**{"crossbar.wordlines": 64}).digest() != point().digest()
    assert point(**{"adc.bits.slice0": 7}).digest() != point(**{"adc.bits.slice1": 7}).digest()


@pytest.mark.parametrize(
    ("fixed", "space", "message"),
    [
        ({}, {"regulariser": ["l1"]}, r"space\.regulariser: there .*mean 'regularizer'\?"),
        ({}, {"crossbar.wordline": [64]}, r"did you mean 'crossbar\.wordlines'\?"),
        ({}, {"adc.bits": {"slice9": 3}}, r"space\.adc\.bits\.slice9: there is no such knob"),
        ({}, {"adc.bits": "0..6"}, r"0\.\.6 leaves the domain 1\.\.14 of adc\.bits\.slice0"),
        ({"crossbar.wordlines": 100}, {}, r"fixed\.crossbar\.wordlines: \[100\] leaves"),
        ({"cell.bits": [1, 2]}, {}, r"a fixed knob has one value"),
        ({}, {"regularizer": ["l2"]}, r"\[l2\] leaves the domain \[bit_slice_l1, l1, none\]"),
        ({}, {"cell.bits": "5..6"}, r"5\.\.6 holds none of \[1, 2, 4\]"),
        ({}, {"regularizer": "1..2"}, r"takes a list of .*, not a range"),
        ({}, {"adc.bits": "log 1..4"}, r"only a real-valued knob takes a log range"),
        ({}, {"adc.bits": "6..1"}, r"'6\.\.1' is no range here"),
        ({}, {"adc.bits": []}, r"a list holds plain values, at least one"),
        ({}, {"adc.bits": [1, 1]}, r"every value once"),
        ({}, {"adc.bits": None}, r"expected a value, a list, or a range"),
        ({"cell.bits": 2}, {"cell.bits": [1, 2]}, r"cell\.bits already stands under fixed"),
    ],
)  # fmt: skip
def test_a_narrowing_that_cannot_hold_says_what_should(
    fixed: dict[str, Any], space: dict[str, Any], message: str
) -> None:
    with pytest.raises(NarrowingError, match=message):
        narrow(CATALOGUE, fixed, space)


def test_a_given_point_takes_defaults_and_must_lie_inside() -> None:
    space = narrow(CATALOGUE, {}, {"adc.bits": "1..8", "regularizer": ["none", "l1"]})
    assert place(space, {"adc.bits": {"slice3": 1}}) == {
        "regularizer": "none",
        "adc.bits.slice3": 1,
        "adc.bits.slice2": 8,
        "adc.bits.slice1": 8,
        "adc.bits.slice0": 8,
    }
    with pytest.raises(NarrowingError, match=r"points\.adc\.bits: 9 is outside 1\.\.8"):
        place(space, {"adc.bits": 9})
    with pytest.raises(NarrowingError, match=r"a point has one value, got '1\.\.2'"):
        place(space, {"adc.bits": "1..2"})
    tight = narrow(CATALOGUE, {}, {"adc.bits": "1..4"})
    with pytest.raises(NarrowingError, match=r"its default 8 is outside; name it"):
        place(tight, {"regularizer": "none"})


def test_a_domain_of_one_value_is_fixed() -> None:
    assert is_single(IntRange(3, 3))
    assert only_value(IntRange(3, 3)) == 3
    assert only_value(Choice("a")) == "a"
    assert not is_single(FloatRange(1, 2))
