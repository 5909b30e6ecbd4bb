"""Conditions, other objectives, the knee and the extremes of a front."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from typer.testing import CliRunner

import dse
from dse.cli.app import make_app
from dse.dominance import non_dominated
from dse.errors import DseError, SpecError
from dse.front_choice import Condition, chosen_objectives, extremes, knee, shortfall
from dse.launching.driver import drive
from dse.objectives import Objective
from dse.resuming import driving
from tests.dse.fakes import FakeExecutor, database_in, small_spec

OWN = (Objective.parse("maximize accuracy"), Objective.parse("minimize energy_uj"))
GIVEN = {"regularizer": "none", "adc.bits": 8}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("choice")
    spec = small_spec(points=[GIVEN], budget={"trials": 30, "epochs": 1})
    with driving(database_in(folder), spec) as study:
        drive(study, FakeExecutor(), trials=30, timeout_s=None, progress=lambda *_: None)
    return f"sqlite:///{folder / 'dse.db'}"


def pareto(url: str, *arguments: str) -> str:
    done = CliRunner(env={"COLUMNS": "200"}).invoke(
        make_app(["pareto"]), ["pareto", "small", "--storage", url, *arguments]
    )
    if done.exception is not None:
        raise done.exception
    return done.stdout


@pytest.mark.parametrize(
    ("text", "name", "sign", "bound"),
    [
        ("energy_uj<5", "energy_uj", "<", 5.0),
        (" adc.bits.slice3 <= 2 ", "adc.bits.slice3", "<=", 2.0),
        ("regularizer==none", "regularizer", "==", "none"),
        ("accuracy != 1e-3", "accuracy", "!=", 0.001),
    ],
)
def test_a_condition_reads_as_it_is_written(
    text: str, name: str, sign: str, bound: float | str
) -> None:
    assert Condition.parse(text) == Condition(name=name, sign=sign, bound=bound)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("energy_uj", r"a condition reads 'NAME<NUMBER', with .*got 'energy_uj'"),
        ("energy_uj=5", "got 'energy_uj=5'"),
        ("regularizer<none", "words are equal or not, so < takes a number, got 'none'"),
    ],
)
def test_a_condition_that_says_nothing_is_refused(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Condition.parse(text)


def test_a_knob_that_a_design_does_not_have_meets_nothing() -> None:
    assert not Condition.parse("x<5").holds(None)
    assert not Condition.parse("x!=5").holds(None)
    assert Condition.parse("x==True").holds(True)
    assert not Condition.parse("x<5").holds("none")
    assert Condition.parse("x!=5").holds("none")


def test_other_objectives_keep_or_get_a_direction() -> None:
    found = chosen_objectives("energy_uj, accuracy_ideal, maximize latency_us", OWN)
    assert list(map(str, found)) == [
        "minimize energy_uj",
        "maximize accuracy_ideal",
        "maximize latency_us",
    ]
    with pytest.raises(SpecError, match="names a metric twice: 'accuracy,accuracy'"):
        chosen_objectives("accuracy,accuracy", OWN)
    with pytest.raises(SpecError, match="there is no metric 'speed'"):
        chosen_objectives("speed", OWN)


def test_the_knee_is_where_the_front_bulges() -> None:
    assert knee(np.array([[0.0, 10.0], [1.0, 2.0], [10.0, 0.0]])) == 1
    assert knee(np.array([[0.0, 10.0], [9.0, 8.0], [10.0, 0.0]])) is None  # a dent
    assert knee(np.array([[0.0, 1.0], [1.0, 0.0]])) is None
    assert knee(np.zeros((4, 1))) is None


def test_the_best_in_an_objective_is_the_best_of_equals() -> None:
    front = np.array([[0.0, 5.0, 2.0], [0.0, 4.0, 3.0], [3.0, 0.0, 9.0], [4.0, 1.0, 0.0]])
    assert extremes(front) == [1, 2, 3]


@given(arrays(float, (7, 3), elements=st.integers(0, 9).map(float)))
def test_a_design_that_improves_by_its_shortfall_is_beaten_no_more(points: np.ndarray) -> None:
    own, others = points[0], points[1:]
    front = others[non_dominated(others)]
    low, span = front.min(axis=0), np.ptp(front, axis=0)
    unit = np.where(span > 0, span, np.where(low != 0, np.abs(low), 1.0))
    better = own - shortfall(own, front) * unit
    beaten = (front <= better - 1e-9).all(axis=1)
    assert not beaten.any()
    if shortfall(own, front) > 0:
        assert (front < own).all(axis=1).any()
        almost = own - 0.9 * shortfall(own, front) * unit
        assert (front < almost).all(axis=1).any()


def test_without_a_range_the_shortfall_is_a_part_of_the_value() -> None:
    for unit in (1.0, 1e-6):  # whatever the objective is written in
        assert shortfall(np.array([5.0]) * unit, np.array([[2.0]]) * unit) == pytest.approx(1.5)


def test_conditions_narrow_what_the_front_is_taken_of(url: str) -> None:
    results = dse.load("small", storage=url).results()
    found = json.loads(pareto(url, "--where", "adc.bits.slice3<=4", "--format", "json"))
    narrow = results[results["feasible"] & (results["adc.bits.slice3"] <= 4)]
    losses = np.column_stack([-narrow["accuracy"], narrow["energy_uj"]])
    expected = set(narrow.index[non_dominated(losses)])
    assert {design["trial"] for design in found["front"]} == expected
    both = json.loads(
        pareto(url, "--where", "adc.bits.slice3<=4", "--where", "area_mm2<0", "--format", "json")
    )
    assert both["front"] == []
    assert both["knee"] is None
    named = json.loads(pareto(url, "--where", "regularizer==none", "--format", "json"))
    assert {design["params"]["regularizer"] for design in named["front"]} == {"none"}


def test_other_objectives_have_another_front(url: str) -> None:
    results = dse.load("small", storage=url).results()
    found = json.loads(pareto(url, "--objectives", "adc_energy_uj,accuracy", "--format", "json"))
    assert [o["name"] for o in found["objectives"]] == ["adc_energy_uj", "accuracy"]
    feasible = results[results["feasible"]]
    losses = np.column_stack([feasible["adc_energy_uj"], -feasible["accuracy"]])
    assert {d["trial"] for d in found["front"]} == set(feasible.index[non_dominated(losses)])
    first = found["front"][0]
    assert first["values"]["adc_energy_uj"] == feasible["adc_energy_uj"].min()
    assert "energy_uj" in first["metrics"]


def test_knee_extremes_and_given_designs_are_named(url: str) -> None:
    found = json.loads(pareto(url, "--format", "json"))
    trials = [design["trial"] for design in found["front"]]
    assert found["extremes"] == {"accuracy": trials[0], "energy_uj": trials[-1]}
    assert found["knee"] in trials
    (own,) = found["given"]
    assert (own["name"], own["trial"]) == ("given 0", 0)
    assert own["on_front"] == (own["shortfall"] == 0.0)
    table = pareto(url)
    assert "best accuracy" in table
    assert "knee" in table


def test_files_hold_what_is_printed(url: str, tmp_path: Path) -> None:
    front = dse.load("small", storage=url).front()
    pareto(url, "--format", "parquet", "--out", str(tmp_path / "front.parquet"))
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "front.parquet"), front)
    pareto(url, "--format", "csv", "--out", str(tmp_path / "front.csv"))
    rows = list(csv.DictReader(io.StringIO((tmp_path / "front.csv").read_text())))
    assert [int(row["trial"]) for row in rows] == front.index.tolist()
    pareto(url, "--format", "json", "--out", str(tmp_path / "front.json"))
    assert len(json.loads((tmp_path / "front.json").read_text())["front"]) == len(front)


def test_a_plot_is_a_picture_or_a_page_of_its_own(url: str, tmp_path: Path) -> None:
    for name in ("front.png", "front.svg", "front.html"):
        pareto(url, "--plot", str(tmp_path / name), "--x", "area_mm2", "--where", "energy_uj>0")
    assert (tmp_path / "front.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "front.svg").read_text()
    page = (tmp_path / "front.html").read_text()
    assert "trial 0" in page
    assert 'src="http' not in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "parquet"], "--format parquet is not text; name a file with --out FILE"),
        (["--out", "x"], "--out takes --format json, csv or parquet; a table is printed"),
        (["--x", "area_mm2"], "axes of a plot; name its file with --plot FILE"),
        (["--plot", "front.bmp"], r"ends in .png, .svg, .pdf or .html, got 'front.bmp'"),
        (["--plot", "front.png", "--x", "regularizer"], "numbers on its axes, such as accuracy"),
        (["--plot", "no/such/front.png"], r"no/such/front.png: cannot be written \(No such"),
        (["--format", "csv", "--out", "no/such"], r"--out no/such: cannot be written \(No such"),
        (["--where", "speed<1"], "--where speed: neither a metric nor a knob of these designs"),
        (["--where", "area_mm2<0", "--plot", "a.png"], "'small' has no such results to plot"),
    ],
)
def test_what_cannot_be_shown_is_refused(url: str, arguments: list[str], message: str) -> None:
    with pytest.raises(DseError, match=message):
        pareto(url, *arguments)
