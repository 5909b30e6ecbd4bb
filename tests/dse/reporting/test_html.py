from __future__ import annotations

import re
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import optuna
import pytest

from dse.database import Database
from dse.evaluation import Evaluation, Failure, Job, Outcome
from dse.metrics import metric_name
from dse.pareto import pareto_front
from dse.reporting import figures, html
from dse.reporting.drill_down import number
from dse.reporting.figures import metric_label
from dse.reporting.html import html_report
from dse.resuming import driving, load_optuna
from dse.spec import StudySpec
from tests.dse.fakes import database_in, made_up, small_spec

HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)> & \"quoted\""
REPORT: Mapping[str, Any] = {
    "components": {
        "adc": {"energy_j": 6e-8, "area_m2": 1e-7},
        "edram": {"energy_j": 2e-8, "area_m2": 3e-7},
        "pooling": {"energy_j": 0.0, "area_m2": 0.0},
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
}


class Page(HTMLParser):
    """What a browser makes of the page: elements by name, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def evaluated(job: Job) -> Evaluation:
    """Two of three designs need more energy than they should, so that not all are on the front."""
    result = made_up(job.point)
    energy = result.metrics["energy_j"] * (1 + job.number % 3)
    return replace(result, metrics={**result.metrics, "energy_j": energy}, report=REPORT)


def ran(
    database: Database, spec: StudySpec, evaluate: Callable[[Job], Outcome], designs: int
) -> optuna.Study:
    with driving(database, spec) as study:
        for _ in range(designs):
            if (job := study.ask()) is not None:
                study.tell(job, evaluate(job))
    return load_optuna(database, spec.name)


def charts(text: str) -> list[ET.Element]:
    return [ET.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return database_in(tmp_path)


def test_a_page_fetches_nothing_and_its_charts_are_xml(database: Database) -> None:
    spec = small_spec()
    text = html_report(ran(database, spec, evaluated, 8), database, spec)
    assert "http:" not in text
    assert "https:" not in text
    page = Page(text)
    assert not page.all("link")
    assert not page.all("img")
    assert all("src" not in attributes for _, attributes in page.elements)
    assert all((a["href"] or "").startswith("#design-") for a in page.all("a"))
    assert len(charts(text)) == 2


def test_front_designs_have_a_row_a_mark_and_a_drill_down(database: Database) -> None:
    spec = small_spec()
    study = ran(database, spec, evaluated, 10)
    front = pareto_front(study.get_trials(), spec.parsed_objectives())
    text = html_report(study, database, spec)
    page = Page(text)
    numbers = {str(trial.number) for trial in front.trials}
    assert len(numbers) > 1
    marks = charts(text)[0].findall("./g[@class='front']/circle")
    assert {m.get("data-trial") for m in marks} == numbers
    assert {row["data-trial"] for row in page.all("tr") if "data-trial" in row} == numbers
    assert {d["id"] for d in page.all("details") if "id" in d} == {f"design-{n}" for n in numbers}
    for trial in front.trials:
        assert f"dse explain small {trial.number}" in page.text
        assert f"{trial.values[0]:.4f}" in page.text


def test_designs_that_break_a_constraint_are_drawn_hollow_and_never_on_the_front(
    database: Database,
) -> None:
    spec = small_spec(constraints=["accuracy_loss <= 0.3"])
    study = ran(database, spec, evaluated, 12)
    text = html_report(study, database, spec)
    chart = charts(text)[0]
    bad = {t.number for t in study.get_trials() if max(t.constraints.values()) > 0}
    assert bad
    legend = [t.text for t in chart.findall("./g[@class='legend']/text")]
    assert f"breaks a constraint ({len(bad)})" in legend
    assert chart.findall("./g[@class='infeasible']/circle")
    for group in ("front", "feasible"):
        titles = [t.text or "" for t in chart.findall(f"./g[@class='{group}']/circle/title")]
        assert titles
        assert not any("breaks" in title for title in titles)
    assert "svg .infeasible circle { fill: none;" in text


def test_outliers_do_not_stretch_the_axes_and_are_counted(database: Database) -> None:
    spec = small_spec(constraints=["accuracy >= 0.3"])

    def evaluate(job: Job) -> Outcome:
        result = evaluated(job)
        far = {"accuracy": 0.05, "accuracy_loss": 0.92, "energy_j": 1.0}
        return replace(result, metrics={**result.metrics, **(far if job.number == 4 else {})})

    text = html_report(ran(database, spec, evaluate, 12), database, spec)
    assert "1 of 12 results (1 of them infeasible) lie outside the axes." in text
    assert not charts(text)[0].findall("./g[@class='infeasible']/circle")
    ticks = [float(t.text or "") for t in charts(text)[0].findall("./text[@class='tick']")]
    assert max(ticks) < 5


def test_a_single_feasible_design_is_shown_among_the_others(database: Database) -> None:
    spec = small_spec(constraints=["energy_uj <= 0.0001"])

    def evaluate(job: Job) -> Outcome:
        result = evaluated(job)
        energy = 1e-11 if job.number == 3 else result.metrics["energy_j"]
        return replace(result, metrics={**result.metrics, "energy_j": energy})

    chart = charts(html_report(ran(database, spec, evaluate, 12), database, spec))[0]
    assert len(chart.findall("./g[@class='front']/circle")) == 1
    assert len(chart.findall("./g[@class='infeasible']/circle")) >= 8


def test_given_designs_are_ringed_labelled_and_compared(database: Database) -> None:
    points = [{"regularizer": "none", "adc.bits": 8}, {"regularizer": "none", "adc.bits": 1}]
    spec = small_spec(points=points)
    text = html_report(ran(database, spec, evaluated, 9), database, spec)
    chart = charts(text)[0]
    labels = [t.text or "" for t in chart.findall("./g[@class='labels']/text")]
    assert len(labels) == 2
    assert all(re.match(r"#[01] given", label) for label in labels)
    assert len(chart.findall(".//path[@class='ring']")) == 3  # and the one of the legend
    assert Page(text).text.count("◇") == 2


def test_hostile_reasons_and_parameters_are_shown_as_text(database: Database) -> None:
    spec = small_spec()

    def evaluate(job: Job) -> Outcome:
        if job.number == 2:
            return Failure(reason=HOSTILE)
        parts = {HOSTILE: {"energy_j": 1e-9, "area_m2": 1e-9}}
        layers = [{**REPORT["layers"][0], "name": HOSTILE}]
        return replace(
            evaluated(job),
            report={"components": parts, "layers": layers},
            stages={HOSTILE: {"key": HOSTILE, "cached": False, "seconds": 1.0}},
        )

    study = ran(database, spec, evaluate, 6)
    knob = optuna.distributions.CategoricalDistribution([HOSTILE])
    front = pareto_front(study.get_trials(), spec.parsed_objectives())
    study.add_trial(
        optuna.trial.create_trial(
            values=[0.99, 1e-3],
            params={HOSTILE: HOSTILE},
            distributions={HOSTILE: knob},
            user_attrs={**front.trials[0].user_attrs, "design": {"draw": 99}},
            constraints=front.trials[0].constraints,
        )
    )
    page = Page(html_report(study, database, spec))
    assert len(page.all("script")) == 1
    assert not page.all("img")
    assert page.text.count("alert('x')") > 5
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)


def test_a_study_without_trials_says_so(database: Database) -> None:
    spec = small_spec()
    page = Page(html_report(ran(database, spec, evaluated, 0), database, spec))
    assert "has no results yet" in page.text
    assert "dse resume small" in page.text
    assert not page.all("svg")


def test_a_study_whose_designs_all_failed_says_so_and_why(database: Database) -> None:
    spec = small_spec()
    study = ran(database, spec, lambda job: Failure(reason="out of memory"), 3)
    page = Page(html_report(study, database, spec))
    assert "has no results yet" in page.text
    assert page.text.count("out of memory") == 3


def test_a_study_without_feasible_design_shows_its_designs(database: Database) -> None:
    spec = small_spec(constraints=["accuracy >= 0.999"])
    text = html_report(ran(database, spec, evaluated, 5), database, spec)
    assert "No design meets every constraint" in text
    assert len(charts(text)) == 1
    assert charts(text)[0].findall("./g[@class='infeasible']/circle")


def test_a_missing_report_is_named_where_it_is_missing(database: Database) -> None:
    spec = small_spec()
    study = ran(database, spec, evaluated, 5)
    shutil.rmtree(database.home / "artifacts")
    page = Page(html_report(study, database, spec))
    assert "Costs by component and layer are not available" in page.text
    assert "move that folder along with the database" in page.text
    assert "Stages of the evaluation" in page.text


def test_a_report_of_another_shape_does_not_break_the_page(database: Database) -> None:
    spec = small_spec()
    broken = {"components": {"adc": 3}, "layers": "none"}
    study = ran(database, spec, lambda job: replace(made_up(job.point), report=broken), 4)
    assert re.search(
        r"the report of trial \d is not as expected", html_report(study, database, spec)
    )


def test_a_drill_down_splits_costs_and_marks_resolutions_that_clip(database: Database) -> None:
    spec = small_spec()
    text = html_report(ran(database, spec, evaluated, 3), database, spec)
    assert "Energy of one inference: 80 nJ" in text
    assert "Area: 0.4 mm²" in text
    assert "75.0 %" in text
    assert '<span class="clips">1</span> / <span>7</span>' in text
    assert "784 × 100" in text
    assert "pooling" not in text


def test_every_other_objective_gets_a_chart(database: Database) -> None:
    spec = small_spec(
        objectives=["maximize accuracy", "minimize energy_uj", "minimize adc_energy_vs_8bit"]
    )
    text = html_report(ran(database, spec, evaluated, 6), database, spec)
    titles = [[t.text for t in c.findall("./text[@class='axis']")] for c in charts(text)]
    assert titles[0] == ["← better    energy (µJ)", "accuracy (fraction)    better →"]
    assert titles[1][0] == "← better    ADC energy vs 8 bit"
    assert all(chart.find("./path[@class='staircase']") is None for chart in charts(text))


def test_one_objective_is_drawn_over_the_trials(database: Database) -> None:
    spec = small_spec(objectives=["minimize energy_uj"])
    text = html_report(ran(database, spec, evaluated, 6), database, spec)
    assert charts(text)[0].findtext("./text[@class='axis']") == "trial"


def test_the_history_ends_at_the_hypervolume_of_the_front(database: Database) -> None:
    spec = small_spec()
    study = ran(database, spec, evaluated, 12)
    front = pareto_front(study.get_trials(), spec.parsed_objectives())
    history = charts(html_report(study, database, spec))[-1]
    assert history.findtext("./circle/title") == f"{front.hypervolume:.6g} after 12"


def test_large_studies_draw_a_sample_and_say_so(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "MAX_CROWD", 3)
    monkeypatch.setattr(html, "MAX_ROWS", 2)
    spec = small_spec()
    study = ran(database, spec, evaluated, 12)
    text = html_report(study, database, spec)
    n_front = len(pareto_front(study.get_trials(), spec.parsed_objectives()).trials)
    assert f"3 of {12 - n_front} designs are drawn" in text
    assert f"2 of {n_front}, evenly chosen" in text
    chart = charts(text)[0]
    assert len(chart.findall("./g[@class='front']/circle")) == 2
    assert len(chart.findall("./g[@class='feasible']/circle")) <= 3
    assert text == html_report(study, database, spec)


@pytest.mark.parametrize(
    ("written", "label"),
    [
        ("energy_uj", "energy (µJ)"),
        ("adc_energy_pj", "ADC energy (pJ)"),
        ("area_mm2", "area (mm²)"),
        ("latency_s", "latency (s)"),
        ("accuracy_ideal", "accuracy ideal"),
        ("adc_energy_vs_8bit", "ADC energy vs 8 bit"),
    ],
)
def test_metrics_are_titled_with_their_unit(written: str, label: str) -> None:
    assert metric_label(metric_name(written)) == label


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.03607, "0.03607"), (45440.0, "45,440"), (45440.4, "45,440"), (64.0, "64"), (7, "7"),
     ("l1", "l1"), (None, ""), (True, "True"), (1e12, "1,000,000,000,000")],
)  # fmt: skip
def test_numbers_are_short_and_thousands_apart(value: object, text: str) -> None:
    assert number(value) == text
