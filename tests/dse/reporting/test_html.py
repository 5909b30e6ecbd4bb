"""The page as a file: all of it inside, its policy, and text that stays text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import optuna
import pytest
from typer.testing import CliRunner

from dse.cli.app import app
from dse.database import Database
from dse.evaluation import Failure, Job, Outcome
from dse.pareto import pareto_front
from dse.reading.source import open_source
from dse.reporting import front_end, html
from dse.reporting.html import html_report
from tests.dse.fakes import database_in, small_spec
from tests.dse.reporting.test_views import REPORT, evaluated, ran

HOSTILE = "</script><script>alert('x')</script><img src=x onerror=alert(1)> & \"quoted\""


class Page(HTMLParser):
    """What a browser makes of the page: elements by name, and the text each begins with."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.texts.append("")
        self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.texts[-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def scripts(self) -> list[str]:
        return [
            text
            for (name, attributes), text in zip(self.elements, self.texts, strict=True)
            if name == "script" and "type" not in attributes
        ]

    def data(self, name: str) -> dict[str, Any]:
        """What an element of JSON holds."""
        found: dict[str, Any] = next(
            json.loads(text)
            for (_, attributes), text in zip(self.elements, self.texts, strict=True)
            if attributes.get("id") == name
        )
        return found


def report(database: Database, name: str = "small") -> str:
    with open_source(str(database.storage.url)) as source:
        return html_report(source, database, name)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return database_in(tmp_path)


@pytest.fixture
def short_plotly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page without five megabytes of plotting library: these tests read it, and draw nothing."""
    monkeypatch.setattr(front_end, "plotly", lambda: "/* plotly */")


def test_the_page_holds_all_that_it_needs_and_may_fetch_nothing(database: Database) -> None:
    ran(database, small_spec(), 6)
    text = report(database)
    page = Page(text)
    assert not page.all("link")
    assert not page.all("img")
    assert all("src" not in attributes for _, attributes in page.elements)
    scripts = page.scripts()
    assert len(scripts) == 3
    assert "plotly.js" in scripts[0][:100]
    assert len(scripts[0]) > 1e6
    (policy,) = [m["content"] or "" for m in page.all("meta") if "http-equiv" in m]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


@pytest.mark.usefixtures("short_plotly")
def test_designs_of_the_front_are_in_the_file_in_full(database: Database) -> None:
    spec = small_spec(points=[{"regularizer": "none", "adc.bits": 8}])
    study = ran(database, spec, 10)
    front = pareto_front(study.trials, spec.parsed_objectives())
    page = Page(report(database))
    designs = page.data("designs")
    assert set(designs) == {"0"} | {str(trial.number) for trial in front.trials}
    for trial in front.trials:
        assert designs[str(trial.number)]["explained"]["layers"] == REPORT["layers"]
    assert page.data("view")["study"] == "small"


@pytest.mark.usefixtures("short_plotly")
def test_drill_downs_stay_within_their_bytes(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = small_spec(space={"regularizer": ["none", "l1"], "adc.bits": "1..8"})
    ran(database, spec, 20)
    whole = Page(report(database)).data("designs")
    assert len(whole) > 4
    size = max(len(json.dumps(each)) for each in whole.values())
    monkeypatch.setattr(html, "_DRILL_DOWN_BYTES", 3 * size)
    assert 1 <= len(Page(report(database)).data("designs")) <= 4


@pytest.mark.usefixtures("short_plotly")
def test_without_scripts_the_front_is_a_table(database: Database) -> None:
    spec = small_spec()
    study = ran(database, spec, 8)
    text = report(database)
    quiet = text[text.index("<noscript>") : text.index("</noscript>")]
    front = pareto_front(study.trials, spec.parsed_objectives())
    assert f"{len(front.trials)} of 8 designs are on the feasible Pareto front" in quiet
    first = re.findall(r"<tr><td>(\d+)</td><td>([\d.]+)</td>", quiet)
    assert [int(number) for number, _ in first] == [trial.number for trial in front.trials]
    assert float(first[0][1]) == pytest.approx(front.trials[0].values[0], rel=1e-3)


@pytest.mark.usefixtures("short_plotly")
def test_hostile_text_is_data_and_no_markup(database: Database) -> None:
    spec = small_spec()

    def evaluate(job: Job) -> Outcome:
        if job.number == 2:
            return Failure(reason=HOSTILE)
        parts = {HOSTILE: {"energy_j": 1e-9, "area_m2": 1e-9}}
        layers = [{**REPORT["layers"][0], "name": HOSTILE}]
        return replace(
            evaluated(job),
            report={**REPORT, "components": parts, "layers": layers},
            stages={HOSTILE: {"key": HOSTILE, "cached": False, "seconds": 1.0}},
        )

    study = ran(database, spec, 6, evaluate)
    add_hostile_design(study)
    page = Page(report(database))
    assert len(page.scripts()) == 3
    assert len(page.all("script")) == 5
    assert not page.all("img")
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert page.data("view")["failures"]["rows"] == [[2, HOSTILE]]
    knob = next(c for c in page.data("view")["columns"] if c["id"] == HOSTILE)
    assert knob["words"] == [HOSTILE]


def add_hostile_design(study: optuna.Study) -> None:
    """A design of the front whose knob and choice are markup."""
    knob = optuna.distributions.CategoricalDistribution([HOSTILE])
    like = next(trial for trial in study.trials if "metrics" in trial.user_attrs)
    study.add_trial(
        optuna.trial.create_trial(
            values=[0.99, 1e-3],
            params={HOSTILE: HOSTILE},
            distributions={HOSTILE: knob},
            user_attrs={**like.user_attrs, "design": {"draw": 99}},
            constraints=like.constraints,
        )
    )


@pytest.mark.usefixtures("short_plotly")
@pytest.mark.parametrize(
    "evaluate", [evaluated, lambda job: Failure(reason="no memory")], ids=["none", "failed"]
)
def test_a_study_without_results_has_a_page(
    database: Database, evaluate: Callable[[Job], Outcome]
) -> None:
    ran(database, small_spec(), 3 if evaluate is not evaluated else 0, evaluate)
    page = Page(report(database))
    assert page.data("designs") == {}
    assert page.data("view")["drawn"]["results"] == 0


@pytest.mark.usefixtures("short_plotly")
def test_the_command_writes_the_page_and_refuses_what_it_cannot(
    database: Database, tmp_path: Path
) -> None:
    ran(database, small_spec(), 2)
    storage = str(database.storage.url)
    file = tmp_path / "page.html"
    done = CliRunner().invoke(app, ["report", "small", "--out", str(file), "--storage", storage])
    assert done.exit_code == 0, done.output
    assert Page(file.read_text()).data("view")["study"] == "small"
    nowhere = str(tmp_path / "none" / "page.html")
    refused = CliRunner().invoke(app, ["report", "small", "--out", nowhere, "--storage", storage])
    assert "the folder does not exist; create it" in str(refused.exception)
