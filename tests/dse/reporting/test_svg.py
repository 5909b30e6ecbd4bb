from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dse.reporting.svg import Axis, Mark, history, linear_ticks, padded_axis, scatter

X = Axis(label="energy (µJ)", low=0.0, high=10.0)
Y = Axis(label="accuracy", low=0.5, high=1.0)


def mark(x: float, y: float, kind: str = "feasible", label: str = "", tooltip: str = "") -> Mark:
    return Mark(x=x, y=y, kind=kind, tooltip=tooltip, label=label)  # type: ignore[arg-type]


def drawn(marks: list[Mark], **more: object) -> ET.Element:
    text = scatter(marks, X, Y, title="t", legend=[], **more)  # type: ignore[arg-type]
    return ET.fromstring(text)


def circles(root: ET.Element, kind: str) -> list[ET.Element]:
    return root.findall(f"./g[@class='{kind}']/circle")


RANGES = st.builds(
    lambda start, span: (start * span, start * span + span),
    st.floats(-1e4, 1e4),
    st.floats(1e-9, 1e9),
)


@given(ends=RANGES, about=st.integers(3, 12))
def test_ticks_are_evenly_spaced_round_and_within_the_range(
    ends: tuple[float, float], about: int
) -> None:
    low, high = ends
    values = [value for value, _ in linear_ticks(low, high, about)]
    assert 1 <= len(values) <= about + 1
    slack = 1e-6 * (high - low)
    assert all(low - slack <= value <= high + slack for value in values)
    steps = [b - a for a, b in pairwise(values)]
    for step in steps:
        assert step == pytest.approx(steps[0], rel=1e-4)
        power = 10.0 ** math.floor(math.log10(step * 1.001))
        assert round(step / power, 2) in (1, 2, 5)


@given(ends=RANGES, about=st.integers(3, 12))
def test_the_texts_of_ticks_tell_them_apart(ends: tuple[float, float], about: int) -> None:
    texts = [text for _, text in linear_ticks(*ends, about)]
    assert len(set(texts)) == len(texts)


def test_ticks_carry_as_many_decimals_as_they_need() -> None:
    assert [text for _, text in linear_ticks(0.0, 1.0, 5)] == [
        "0.0", "0.2", "0.4", "0.6", "0.8", "1.0"
    ]  # fmt: skip
    assert [text for _, text in linear_ticks(0.0, 300.0, 3)] == ["0", "100", "200", "300"]


def test_a_logarithmic_axis_puts_decades_at_equal_distances() -> None:
    axis = Axis(label="", low=0.01, high=100.0, log=True)
    assert [axis.place(v) for v in (0.01, 0.1, 1, 10, 100)] == pytest.approx(
        [0, 0.25, 0.5, 0.75, 1]
    )
    assert [text for _, text in axis.ticks(5)] == ["0.01", "0.1", "1", "10", "100"]


@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5),
    log=st.booleans(),
)
def test_a_padded_axis_holds_every_value_and_has_a_width(values: list[float], log: bool) -> None:
    if log:
        values = [abs(value) + 1e-3 for value in values]
    axis = padded_axis("x", min(values), max(values), log=log)
    assert axis.low < axis.high
    assert all(axis.contains(value) and 0 <= axis.place(value) <= 1 for value in values)


def test_costs_do_not_get_an_axis_below_zero() -> None:
    assert padded_axis("energy", 0.1, 10.0).low == 0.0


def test_better_designs_lie_higher_and_more_costly_ones_further_right() -> None:
    left, right = circles(drawn([mark(2, 0.6), mark(8, 0.9)]), "feasible")
    assert float(left.get("cx", "")) < float(right.get("cx", ""))
    assert float(left.get("cy", "")) > float(right.get("cy", ""))


def test_marks_outside_the_axes_are_left_out_unless_they_are_labelled() -> None:
    root = drawn([mark(5, 0.7), mark(50, 0.7), mark(5, 0.1, label="#1 given")])
    assert len(circles(root, "feasible")) == 2
    edge = circles(root, "feasible")[1]
    assert float(edge.get("cy", "")) == pytest.approx(460 - 52)
    assert root.findtext("./g[@class='labels']/text") == "#1 given"


def test_labels_keep_off_one_another() -> None:
    root = drawn([mark(5 + 0.1 * i, 0.7, label=f"#{i} given") for i in range(4)])
    texts = root.findall("./g[@class='labels']/text")
    assert len(texts) == 4
    places = [(float(t.get("x", "")), float(t.get("y", ""))) for t in texts]
    for i, (x, y) in enumerate(places):
        for u, v in places[i + 1 :]:
            assert abs(y - v) >= 14 or abs(x - u) >= 50


def test_the_staircase_goes_along_x_before_it_goes_down() -> None:
    root = drawn([], staircase=[(0.0, 0.5), (5.0, 0.75), (10.0, 1.0)])
    path = root.find("./path[@class='staircase']")
    assert path is not None
    assert path.get("d") == "M78.0 408.0H479.0V222.0H880.0V36.0H880.0"


def test_text_from_outside_stays_text() -> None:
    hostile = "</title><script>alert(1)</script> & \x00\ud800 \"'"
    root = drawn([mark(5, 0.7, tooltip=hostile, label=hostile)])
    assert root.find(".//script") is None
    title = root.find("./g[@class='feasible']/circle/title")
    assert title is not None
    assert title.text == "</title><script>alert(1)</script> & \ufffd\ufffd \"'"


def test_a_history_is_a_step_line_that_ends_at_its_last_value() -> None:
    root = ET.fromstring(history([(0, 0.5), (5, 0.75), (10, 1.0)], X, Y, title="hypervolume"))
    line = root.find("./path[@class='history']")
    assert line is not None
    assert line.get("d") == "M78.0 248.0H479.0V142.0H880.0V36.0"
    assert root.findtext("./circle/title") == "1 after 10"
    assert root.get("aria-label") == "hypervolume"
