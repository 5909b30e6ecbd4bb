"""The views in a browser with made-up studies: hostile text, newer data, leaving."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from dse.evaluation import Failure, Job, Outcome
from tests.browser.test_report import dse, visit
from tests.dse.fakes import database_in, small_spec
from tests.dse.reporting.test_html import HOSTILE, add_hostile_design
from tests.dse.reporting.test_views import POINTS, evaluated, ran

pytestmark = [
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
    pytest.mark.usefixtures("browser"),
]


def test_text_of_the_database_is_never_markup(
    page: Page, page_errors: list[str], tmp_path: Path
) -> None:
    def evaluate(job: Job) -> Outcome:
        return Failure(reason=HOSTILE) if job.number == 2 else evaluated(job)

    database = database_in(tmp_path)
    study = ran(database, small_spec(), 6, evaluate)
    add_hostile_design(study)
    file = tmp_path / "report.html"
    dse("report", "small", "--out", str(file), "--storage", str(database.storage.url))
    alerts: list[str] = []
    page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
    visit(page, file)
    page.locator("[data-view=failures] details").evaluate("each => { each.open = true; }")
    page.locator("tr[data-trial='6'] button").click()
    expect(page.locator("dialog.dse-design[open]")).to_contain_text("alert(1)")
    page.keyboard.press("Escape")
    page.locator("[data-view=front]").get_by_label("x", exact=True).select_option(HOSTILE)
    page.wait_for_timeout(300)
    assert "alert(1)" in page.locator("[data-view=failures]").inner_text()
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 5
    assert not alerts
    assert not page_errors


@pytest.fixture
def opened(page: Page, tmp_path: Path) -> Page:
    """The report of twenty made-up designs."""
    database = database_in(tmp_path)
    ran(database, small_spec(points=POINTS), 20)
    file = tmp_path / "report.html"
    dse("report", "small", "--out", str(file), "--storage", str(database.storage.url))
    visit(page, file)
    return page


@pytest.fixture
def mounted(opened: Page) -> Callable[[str], Any]:
    """Views of our own in the page, as `dse serve` mounts them."""
    opened.evaluate(
        """() => {
          const root = document.createElement("div");
          root.id = "own";
          document.body.append(root);
          window.own = document.getElementById("own");
          window.given = JSON.parse(document.getElementById("view").textContent);
          window.mounted = window.dseViews.mount(root, { view: window.given,
            design: async () => { throw new Error("the service is away"); } });
          return window.mounted.ready;
        }"""
    )
    return opened.evaluate


def test_newer_data_keep_what_was_chosen(
    opened: Page, mounted: Callable[[str], Any], page_errors: list[str]
) -> None:
    own = opened.locator("#own")
    own.get_by_role("searchbox").fill("accuracy>0.5")
    own.locator("th[data-column=energy_uj] button").click()
    own.get_by_label("y", exact=True).select_option("adc.bits.slice3")
    before = own.locator("tbody tr[data-trial]").count()
    mounted(
        """() => {
          const newer = structuredClone(window.given);
          const { trial, feasible, front, given, marks } = newer.designs;
          trial.push(99); feasible.push(1); front.push(0); given.push(""); marks.push("");
          for (const column of newer.columns) column.values.push(column.values[0]);
          newer.drawn.results += 1;
          return window.mounted.update(newer);
        }"""
    )
    rows = own.locator("tbody tr[data-trial]")
    assert rows.count() == before + 1
    assert own.locator("tr[data-trial='99']").count() == 1
    assert own.locator("th[data-column=energy_uj]").get_attribute("aria-sort") == "ascending"
    expect(own.locator("[data-role=front] .ytitle")).to_have_text("adc.bits.slice3")
    own.locator("tr[data-trial='99'] button").click()
    expect(own.locator("dialog[open]")).to_contain_text("the service is away")
    mounted("() => window.mounted.destroy()")
    assert mounted("() => window.own.childElementCount") == 0
    assert not page_errors


def test_a_hopeless_design_is_shown_when_asked_for(page: Page, tmp_path: Path) -> None:
    def evaluate(job: Job) -> Outcome:
        result = evaluated(job)
        far = {"energy_j": 1.0} if job.number == 4 else {}
        return replace(result, metrics={**result.metrics, **far})

    database = database_in(tmp_path)
    ran(database, small_spec(points=POINTS), 12, evaluate)
    file = tmp_path / "report.html"
    dse("report", "small", "--out", str(file), "--storage", str(database.storage.url))
    visit(page, file)
    page.locator("[data-view=front]").get_by_label("log").first.uncheck()
    outside = page.locator("[data-role=front-note]")
    expect(outside).to_contain_text("1 drawn design lies outside the axes.")
    high = "() => document.querySelector('[data-role=front]')._fullLayout.xaxis.range[1]"
    assert page.evaluate(high) < 10
    page.locator("[data-view=front]").get_by_label("outliers too").check()
    expect(outside).not_to_contain_text("outside the axes")
    assert page.evaluate(high) >= 1e6


@pytest.mark.parametrize(
    ("changes", "designs", "words"),
    [
        ({}, 0, "No design of this study has been evaluated to its end yet."),
        ({"constraints": ["accuracy >= 0.999"]}, 5, "No design meets every constraint"),
        ({"objectives": ["minimize energy_uj"]}, 6, "Drag to select designs"),
        (
            {
                "objectives": [
                    "maximize accuracy",
                    "minimize energy_uj",
                    "minimize adc_energy_vs_8bit",
                    "maximize accuracy_ideal",
                ]
            },
            9,
            "The front is that of all 4 objectives",
        ),
    ],
    ids=["empty", "infeasible", "one objective", "four objectives"],
)
def test_studies_of_every_kind_have_a_page(
    page: Page,
    page_errors: list[str],
    tmp_path: Path,
    changes: dict[str, Any],
    designs: int,
    words: str,
) -> None:
    database = database_in(tmp_path)
    ran(database, small_spec(**changes), designs)
    file = tmp_path / "report.html"
    dse("report", "small", "--out", str(file), "--storage", str(database.storage.url))
    page.goto(file.as_uri())
    page.wait_for_selector("#views[data-first-front]", state="attached")
    expect(page.locator("[data-role=front-note]")).to_contain_text(words)
    expect(page.locator("[data-view=table] tbody tr")).to_have_count(designs)
    assert not page_errors
