from __future__ import annotations

import json
import re
from typing import Any

import pandas as pd
import pytest
from matplotlib.colors import to_hex

from dse.reporting import palette
from dse.reporting.front_plot import Standing, front_figure, front_html

RESULTS = pd.DataFrame(
    {
        "accuracy": [0.9, 0.8, 0.7, 0.6, 0.5],
        "energy_uj": [4.0, 2.0, 1.0, 3.0, 5.0],
        "feasible": [True, True, True, True, False],
        "regularizer": ["l1"] * 5,
    },
    index=pd.Index([10, 11, 12, 13, 14], name="trial"),
)
FRONT = RESULTS.loc[[10, 11, 12]]
STANDING = Standing(
    knee=11,
    extremes={"accuracy": 10, "energy_uj": 12},
    given=[(13, "bit_slice_2019"), (99, "given 3")],
)
AXES: dict[str, Any] = {"x": "energy_uj", "y": "accuracy", "title": "<b>three</b>"}


def test_the_picture_marks_what_stands_out_in_the_colours_of_the_report() -> None:
    figure = front_figure(RESULTS, FRONT, standing=STANDING, **AXES)
    (axes,) = figure.axes
    drawn = {
        points.get_label(): (
            [tuple(at) for at in points.get_offsets()],
            {to_hex(c) for c in (*points.get_facecolor(), *points.get_edgecolor())},
        )
        for points in axes.collections
    }
    assert drawn["front"][0] == [(4.0, 0.9), (2.0, 0.8), (1.0, 0.7)]
    assert drawn["feasible, off the front"][0] == [(3.0, 0.6)]
    assert drawn["breaks a constraint"][0] == [(5.0, 0.5)]
    assert drawn["knee"] == ([(2.0, 0.8)], {palette.KNEE})
    assert drawn["best of an objective"] == ([(4.0, 0.9), (1.0, 0.7)], {palette.EXTREME})
    assert drawn["given in the study file"] == ([(3.0, 0.6)], {palette.GIVEN})
    assert palette.FRONT in drawn["front"][1]
    assert [text.get_text() for text in axes.texts] == ["bit_slice_2019"]
    assert axes.get_xlabel() == "energy (µJ)"
    assert axes.get_ylabel() == "accuracy (fraction)"


def test_nothing_is_marked_without_being_told() -> None:
    (axes,) = front_figure(RESULTS, FRONT, **AXES).axes
    assert len(axes.collections) == 3


@pytest.fixture(scope="module")
def page() -> str:
    return front_html(RESULTS, FRONT, standing=STANDING, **AXES)


def test_the_page_marks_the_same_and_reads_no_markup(page: str) -> None:
    call = page[page.rindex("Plotly.newPlot(") :]
    traces = json.JSONDecoder().raw_decode(call[call.index("[") :])[0]
    named = {trace["name"]: trace for trace in traces}
    assert named["knee"]["x"] == [2.0]
    assert named["knee"]["marker"]["color"] == palette.KNEE
    assert named["best of an objective"]["y"] == [0.9, 0.7]
    assert named["given in the study file"]["marker"]["symbol"] == "diamond"
    assert "trial 13" in named["given in the study file"]["hovertext"][0]
    assert "bit_slice_2019" in call
    assert "\\u003cb\\u003ethree" not in call
    assert re.search(r"&lt;b|\\u0026lt;b", call)
    assert 'src="http' not in page
