"""What the page of a study is drawn from: all of it in the payload, little of it read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import yaml

from dse.database import Database
from dse.errors import StudyError
from dse.evaluation import Evaluation, Failure, Job, Outcome
from dse.pareto import pareto_front
from dse.published_points import place_given
from dse.reading.source import open_source
from dse.reporting import views
from dse.reporting.design import explain_json
from dse.reporting.designs import commands
from dse.reporting.views import design_view, study_view
from dse.resuming import driving, load_optuna
from dse.spec import StudySpec
from tests.dse.fakes import database_in, made_up, small_spec

REPORT: Mapping[str, Any] = {
    "components": {
        "adc": {"energy_j": 6e-8, "area_m2": 1e-7},
        "edram": {"energy_j": 2e-8, "area_m2": 3e-7},
    },
    "layers": [
        {
            "name": "fc1",
            "k": 784,
            "n": 100,
            "v": 1,
            "groups": 1,
            "crossbars": 56,
            "energy_j": {"adc": 6e-8, "edram": 2e-8},
            "latency_s": 8e-7,
            "adc_bits": {"used": [1, 7, 7, 7], "lossless": [4, 7, 7, 7]},
            "nonzero_slice_ratio": [0.004, 0.1, 0.2, 0.3],
        }
    ],
    "nonzero_slice_ratios": [0.004, 0.1, 0.2, 0.3],
}
POINTS = [{"regularizer": "none", "adc.bits": 8}, {"regularizer": "none", "adc.bits": 1}]


def evaluated(job: Job) -> Evaluation:
    """Two of three designs need more energy than they should, so that not all are on the front."""
    result = made_up(job.point)
    energy = result.metrics["energy_j"] * (1 + job.number % 3)
    return replace(result, metrics={**result.metrics, "energy_j": energy}, report=REPORT)


def ran(
    database: Database,
    spec: StudySpec,
    designs: int,
    evaluate: Callable[[Job], Outcome] = evaluated,
) -> optuna.Study:
    with driving(database, spec) as study:
        for _ in range(designs):
            if (job := study.ask()) is not None:
                study.tell(job, evaluate(job))
    return load_optuna(database, spec.name)


def view_of(database: Database, name: str = "small") -> dict[str, Any]:
    """The view, as a page gets it."""
    with open_source(str(database.storage.url)) as source:
        found: dict[str, Any] = json.loads(json.dumps(study_view(source, name), allow_nan=False))
    return found


def column(view: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in view["columns"] if each["id"] == name)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return database_in(tmp_path)


def test_all_designs_of_a_small_study_are_drawn_with_their_numbers(database: Database) -> None:
    spec = small_spec(points=POINTS)
    study = ran(database, spec, 12)
    view = view_of(database)
    designs = view["designs"]
    front = pareto_front(study.trials, spec.parsed_objectives())
    n_front = len(front.trials)
    assert sorted(designs["trial"]) == list(range(12))
    assert designs["trial"][:n_front] == [trial.number for trial in front.trials]
    assert sum(designs["front"]) == n_front == view["drawn"]["front_total"]
    assert view["drawn"]["results"] == 12
    assert view["hypervolume"] == front.hypervolume
    assert [o["reference"] for o in view["objectives"]] == list(front.reference_point)
    for at, number in enumerate(designs["trial"]):
        trial = study.trials[number]
        told = [column(view, o.name)["values"][at] for o in spec.parsed_objectives()]
        assert told == pytest.approx(trial.values, rel=1e-6)
        for path, value in trial.params.items():
            knob = column(view, path)
            shown = knob["values"][at]
            assert (knob["words"][shown] if knob["words"] else shown) == pytest.approx(value)
    absent = "regularizer.l1.strength"
    having = sum(value is not None for value in column(view, absent)["values"])
    assert having == sum(absent in trial.params for trial in study.trials) < 12


def test_knee_extremes_and_given_designs_are_told(database: Database) -> None:
    ran(database, small_spec(points=POINTS), 12)
    view = view_of(database)
    designs = view["designs"]
    marks = dict(zip(designs["trial"], designs["marks"], strict=True))
    assert "best accuracy" in marks[view["extremes"]["accuracy"]]
    assert "best energy_uj" in marks[view["extremes"]["energy_uj"]]
    assert view["knee"] is None or "knee" in marks[view["knee"]]
    given = dict(zip(designs["trial"], designs["given"], strict=True))
    assert given[0] == "given 0"
    assert given[1] == "given 1"
    assert [given[n] for n in range(2, 12)] == [""] * 10


def test_a_given_design_is_told_what_beats_it_by_how_much(database: Database) -> None:
    spec = small_spec(points=[*POINTS, {"regularizer": "none", "adc.bits": 4}])
    study = ran(database, spec, 16)
    published = view_of(database)["published"]
    assert published["given"] == 3
    assert published["of_papers"] == 0
    front = pareto_front(study.trials, spec.parsed_objectives())
    losses = np.array([[-t.values[0], t.values[1]] for t in front.trials])
    span = np.ptp(losses, axis=0)
    beaten = 0
    for each in published["designs"]:
        own = np.array([-each["values"][0], each["values"][1]])
        if each["beaten_by"] is None:
            assert each["shortfall"] == 0
            assert not (losses < own).all(axis=1).any()
            continue
        beaten += 1
        better = study.trials[each["beaten_by"]].values
        assert each["beaten_by_values"] == better
        gains = (own - np.array([-better[0], better[1]])) / span
        assert min(gains) == pytest.approx(each["shortfall"])
        assert each["shortfall"] > 0
    assert beaten


def test_of_a_large_study_a_sample_is_drawn_and_the_page_says_so(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "MAX_OTHERS", 3)
    monkeypatch.setattr(views, "MAX_FRONT", 2)
    spec = small_spec(points=POINTS)
    study = ran(database, spec, 14)
    view = view_of(database)
    n_front = len(pareto_front(study.trials, spec.parsed_objectives()).trials)
    drawn = view["drawn"]
    assert drawn["front_total"] == n_front > 2
    stand_out = set(view["extremes"].values()) | {view["knee"]} - {None}
    assert 2 <= drawn["front"] <= 2 + len(stand_out) + 2
    assert drawn["others"] == 3
    assert drawn["others_total"] == 14 - n_front - sum(
        not on_front
        for on_front, given in zip(view["designs"]["front"], view["designs"]["given"], strict=True)
        if given
    )
    assert stand_out <= set(view["designs"]["trial"])
    assert {0, 1} <= set(view["designs"]["trial"])
    assert view == view_of(database)


def test_with_many_knobs_fewer_designs_are_drawn(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "_MAX_CELLS", 17 * 6)
    monkeypatch.setattr(views, "_MIN_DESIGNS", 4)
    ran(database, small_spec(), 14)
    view = view_of(database)
    assert len(view["designs"]["trial"]) < 10
    assert view["drawn"]["results"] == 14


def test_the_history_ends_at_the_hypervolume_of_the_front(database: Database) -> None:
    study = ran(database, small_spec(), 12)
    view = view_of(database)
    told = view["convergence"]
    assert told["results"] == list(range(1, 13))
    assert told["hypervolume"][-1] == view["hypervolume"]
    assert told["hypervolume"] == sorted(told["hypervolume"])
    assert told["hours"] == sorted(told["hours"])
    seconds = (study.trials[11].datetime_complete - study.trials[0].datetime_start).total_seconds()
    assert told["hours"][-1] * 3600 == pytest.approx(seconds, abs=0.05)
    first = next(
        v
        for v, h in zip(told["results"], told["hypervolume"], strict=True)
        if h >= 0.99 * view["hypervolume"]
    )
    assert told["reached"]["results"] == first


def test_failures_are_told_and_designs_tried_again_are_not(database: Database) -> None:
    def evaluate(job: Job) -> Outcome:
        if job.number == 2:
            return Failure(reason="worker died", lost=True)
        return Failure(reason="out of memory") if job.number == 4 else evaluated(job)

    ran(database, small_spec(), 8, evaluate)
    view = view_of(database)
    assert view["failures"] == {"total": 1, "rows": [[4, "out of memory"]]}
    assert view["counts"]["lost"] == 1
    assert view["counts"]["failed"] == 2
    assert {"dse", "optuna", "torch"} <= set(view["versions"])


def test_a_study_without_trials_has_a_view(database: Database) -> None:
    ran(database, small_spec(), 0)
    view = view_of(database)
    assert view["designs"]["trial"] == []
    assert view["drawn"]["results"] == 0
    assert view["convergence"]["hypervolume"] == []
    assert view["latest"] is None
    assert "too few" in view["importance"][0]["note"]


def test_a_study_without_feasible_design_has_no_front(database: Database) -> None:
    ran(database, small_spec(constraints=["accuracy >= 0.999"]), 5)
    view = view_of(database)
    assert view["drawn"]["front_total"] == 0
    assert view["drawn"]["infeasible"] == 5
    assert not any(view["designs"]["feasible"])
    assert view["convergence"]["reached"] is None


def test_there_is_no_view_of_no_study(database: Database) -> None:
    ran(database, small_spec(), 1)
    with pytest.raises(StudyError, match=r"there is no study 'other'.*studies: small"):
        view_of(database, "other")


def test_a_drill_down_holds_what_explain_prints(database: Database) -> None:
    spec = small_spec()
    study = ran(database, spec, 5)
    found = design_view(database, "small", 3)
    assert found["explained"] == explain_json(study, database, spec, 3)
    assert found["explained"]["layers"] == REPORT["layers"]
    assert found["missing"] == ""
    assert found["seconds"] == 0.1
    assert found["metrics"][0]["name"] == "accuracy"
    assert {each["name"] for each in found["metrics"]} == set(found["explained"]["metrics"])


def test_a_drill_down_gives_the_design_as_a_point_of_a_study_file(database: Database) -> None:
    spec = small_spec()
    study = ran(database, spec, 4)
    (point,) = yaml.safe_load(design_view(database, "small", 3)["points"])["points"]
    assert place_given(spec.design_space(), point) == study.trials[3].params


def test_commands_name_the_database_unless_it_is_the_usual_one() -> None:
    assert commands("small", 3, "sqlite:///dse.db") == [
        "dse explain small 3",
        "dse export small 3 --out small-3",
        "dse score small-3",
    ]
    assert commands("small", 3, "sqlite:////my data/dse.db")[0] == (
        "dse explain small 3 --storage 'sqlite:////my data/dse.db'"
    )


def test_a_missing_report_is_named_and_the_rest_is_there(database: Database) -> None:
    ran(database, small_spec(), 3)
    shutil.rmtree(database.home / "artifacts")
    found = design_view(database, "small", 1)
    assert "move that folder along with the database" in found["missing"]
    assert found["explained"]["layers"] == []
    assert found["explained"]["values"]["accuracy"] > 0
    assert found["explained"]["stages"]


@pytest.mark.parametrize(
    "broken",
    [
        {"components": {"adc": 3}, "layers": [], "nonzero_slice_ratios": []},
        {"components": {}, "layers": "none", "nonzero_slice_ratios": []},
        {"components": {}, "layers": []},
        {**REPORT, "layers": [{**REPORT["layers"][0], "k": "<b>"}]},
    ],
    ids=["component", "layers", "ratios", "number"],
)
def test_a_report_of_another_shape_is_not_drawn(
    database: Database, broken: dict[str, Any]
) -> None:
    ran(database, small_spec(), 2, lambda job: replace(evaluated(job), report=broken))
    found = design_view(database, "small", 1)
    assert "the report of trial 1 is not as expected" in found["missing"]
    assert found["explained"]["layers"] == []


def test_a_drill_down_of_no_result_says_why(database: Database) -> None:
    ran(database, small_spec(), 2, lambda job: Failure(reason="out of memory"))
    with pytest.raises(StudyError, match="trial 1 has no results, it is FAIL: out of memory"):
        design_view(database, "small", 1)
    with pytest.raises(StudyError, match="has no trial 9; its trials are 0 to 1"):
        design_view(database, "small", 9)


def test_a_copy_of_a_known_design_has_the_report_of_that_design(database: Database) -> None:
    spec = small_spec(space={"regularizer": ["none"], "adc.bits": "1..2"})
    study = ran(database, spec, 10)
    copy = next(trial for trial in study.trials if trial.user_attrs.get("duplicate_of", -1) >= 0)
    found = design_view(database, "small", copy.number)
    assert found["missing"] == ""
    assert found["explained"]["layers"] == REPORT["layers"]
    assert found["explained"] == explain_json(study, database, spec, copy.number)
    assert copy.number not in view_of(database)["designs"]["trial"]
    assert view_of(database)["counts"]["copies"] > 0
