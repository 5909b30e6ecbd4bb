"""The report in a browser: linked views, table and drill-down of a small real study."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from typer.testing import CliRunner

from dse.cli.app import app

pytestmark = [
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
    pytest.mark.usefixtures("browser"),  # without one not even the study is run
]

STUDY = """
name: browsed
task: {name: mlp_mnist, train_images: 1000, test_images: 300}
fixed: {engine: isaac, cell.bits: 2, quantizer: fixed_point}
space:
  regularizer: [none, l1, bit_slice_l1]
  crossbar.wordlines: [64, 128]
  adc.bits: {slice3: 1..8, slice2: 1..8, slice1: 1..8, slice0: 1..8}
points:
  - {regularizer: none, adc.bits: 8}
  - {published: bit_slice_2019, crossbar.bitlines: 128}
objectives: [maximize accuracy, minimize energy_uj]
constraints: [accuracy_loss <= 0.3]
sampler: {name: random, seed: 4}
budget: {trials: 22, epochs: 0}
launch: serial
"""


@dataclass(frozen=True, kw_only=True)
class Reported:
    """A study that ran, and its report."""

    storage: str
    file: Path
    view: dict[str, Any]

    def column(self, name: str) -> dict[int, Any]:
        """A column of numbers, by trial."""
        values = next(c for c in self.view["columns"] if c["id"] == name)["values"]
        return dict(zip(self.view["designs"]["trial"], values, strict=True))


def dse(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def read_view(file: Path) -> dict[str, Any]:
    found = re.search(r'id="view">(.*?)</script>', file.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    view: dict[str, Any] = json.loads(found[1])
    return view


@pytest.fixture(scope="module")
def reported(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Reported:
    folder = tmp_path_factory.mktemp("report")
    study, file = folder / "study.yaml", folder / "report.html"
    study.write_text(STUDY)
    storage = f"sqlite:///{folder / 'dse.db'}"
    dse("run", str(study), "--storage", storage)
    dse("report", "browsed", "--out", str(file), "--storage", storage)
    return Reported(storage=storage, file=file, view=read_view(file))


@pytest.fixture
def opened(page: Page, reported: Reported) -> Page:
    visit(page, reported.file)
    return page


def visit(page: Page, file: Path) -> None:
    page.goto(file.as_uri())
    page.wait_for_selector("#views[data-first-front]")
    page.wait_for_selector("[data-view=table] tbody tr", state="attached")


def listed(page: Page) -> list[int]:
    """Trials of the table, in its order."""
    rows = page.locator("[data-view=table] tbody tr")
    return [int(each or "") for each in rows.evaluate_all("all => all.map(r => r.dataset.trial)")]


def bright(page: Page) -> set[int]:
    """Trials of the plane that are not dimmed."""
    found = page.evaluate(
        """() => {
          const plot = document.querySelector("[data-role=front]");
          const { trial } = JSON.parse(document.getElementById("view").textContent).designs;
          return plot.data.filter((t) => t.selected).flatMap((t) =>
            t.customdata.filter((_, i) => !t.selectedpoints || t.selectedpoints.includes(i))
              .map((place) => trial[place]));
        }"""
    )
    return set(found)


def drag(page: Page, selector: str, begin: tuple[float, float], end: tuple[float, float]) -> None:
    """From one place to another, in parts of an element's width and height."""
    element = page.locator(selector).first
    element.scroll_into_view_if_needed()
    box = element.bounding_box()
    assert box is not None
    places = [(box["x"] + u * box["width"], box["y"] + v * box["height"]) for u, v in (begin, end)]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=6)
    page.mouse.up()


def test_the_report_opens_with_everything_drawn_and_nothing_fetched(
    page: Page, page_errors: list[str], reported: Reported
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    visit(page, reported.file)
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    for view in ("about", "front", "parallel", "table", "published", "convergence", "importance"):
        assert page.locator(f"[data-view={view}]").bounding_box() is not None
    assert page.locator("[data-role=front] .scatterlayer path.point").count() >= 22
    names = page.locator("[data-role=front] .textpoint text")
    assert set(names.all_text_contents()) == {"given 0", "bit_slice_2019"}
    legend = " ".join(page.locator("[data-role=front] .legendtext").all_text_contents())
    for words in ("front (", "knee", "best of an objective", "given in the study file (2)"):
        assert words in legend
    titles = page.locator("[data-role=front] .infolayer text").all_text_contents()
    assert any("energy (µJ)" in title for title in titles)
    assert any("accuracy (fraction)" in title for title in titles)
    assert page.locator("[data-view=convergence] .scatterlayer path").count() >= 1
    assert page.locator("[data-view=importance] .dse-bar").count() >= 6
    assert float(page.get_attribute("#views", "data-first-front") or "nan") > 0
    assert sorted(listed(page)) == list(range(22))
    assert not page_errors


def test_selecting_in_the_front_filters_the_table(
    opened: Page, page_errors: list[str], reported: Reported
) -> None:
    drag(opened, "[data-role=front] .nsewdrag", (0.02, 0.02), (0.45, 0.7))
    expect(opened.locator("[data-role=selected]")).to_contain_text("are selected")
    box = opened.evaluate(
        "() => { const { x0, x1, y0, y1 } = "
        "document.querySelector('[data-role=front]').layout.selections[0];"
        " return [x0, x1, y0, y1]; }"
    )
    (left, right), (low, high) = sorted(box[:2]), sorted(box[2:])
    accuracy, energy = reported.column("accuracy"), reported.column("energy_uj")
    inside = {
        trial
        for trial in accuracy
        if left <= energy[trial] <= right and low <= accuracy[trial] <= high
    }
    assert 0 < len(inside) < 22
    assert set(listed(opened)) == inside == bright(opened)
    opened.get_by_role("button", name="show all designs again").click()
    assert len(listed(opened)) == 22
    opened.wait_for_function("() => !document.querySelector('.select-outline')")
    assert len(bright(opened)) == 22
    assert not page_errors


def test_brushing_an_axis_filters_front_and_table(
    opened: Page, page_errors: list[str], reported: Reported
) -> None:
    drag(opened, "[data-axis=accuracy]", (0.5, 0.02), (0.5, 0.35))
    expect(opened.locator("[data-role=selected]")).to_contain_text("are selected")
    kept = listed(opened)
    accuracy = reported.column("accuracy")
    assert 0 < len(kept) < 22
    assert min(accuracy[t] for t in kept) > max(accuracy[t] for t in set(accuracy) - set(kept))
    assert bright(opened) == set(kept)
    drag(opened, "[data-axis='adc.bits.slice3']", (0.5, 0.3), (0.5, 0.99))
    both = listed(opened)
    bits = reported.column("adc.bits.slice3")
    assert set(both) < set(kept)
    assert {t for t in kept if bits[t] <= 5} <= set(both)
    opened.locator("[data-axis=accuracy]").click()
    assert set(listed(opened)) > set(both)
    assert not page_errors


def test_a_range_is_chosen_by_keyboard(opened: Page, reported: Reported) -> None:
    opened.locator("[data-view=parallel] .dse-head button", has_text="energy").focus()
    opened.keyboard.press("Enter")
    opened.locator(".dse-editor input[name=high]").fill("0.06")
    opened.keyboard.press("Enter")
    energy = reported.column("energy_uj")
    assert set(listed(opened)) == {t for t, value in energy.items() if value <= 0.06}
    opened.locator("[data-view=parallel] .dse-head > button", has_text="regularizer").click()
    opened.locator(".dse-editor input[value=l1]").uncheck()
    opened.locator(".dse-editor button[type=submit]").click()
    cells = opened.locator("[data-view=table] tbody td").all_inner_texts()
    assert "none" in cells
    assert "l1" not in cells


def test_the_table_sorts_and_filters_by_words(opened: Page, reported: Reported) -> None:
    energy = reported.column("energy_uj")
    heading = opened.locator("[data-view=table] th[data-column=energy_uj]")
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert [energy[t] for t in listed(opened)] == sorted(energy.values())
    heading.get_by_role("button").press("Enter")
    assert [energy[t] for t in listed(opened)] == sorted(energy.values(), reverse=True)
    search = opened.get_by_role("searchbox")
    search.fill("regularizer=bit_slice_l1")
    told = listed(opened)
    assert 0 < len(told) < 22
    assert bright(opened) == set(told)
    search.fill("energy_uj<0.06 accuracy>=0.7")
    accuracy = reported.column("accuracy")
    assert set(listed(opened)) == {t for t in energy if energy[t] < 0.06 and accuracy[t] >= 0.7}
    search.fill("bit_slice_2019")
    assert listed(opened) == [1]
    search.fill("no such words")
    assert listed(opened) == []
    expect(opened.locator("[data-role=selected]")).to_have_text("0 of 22 designs are selected.")


def test_the_drill_down_shows_the_numbers_of_explain(
    opened: Page, page_errors: list[str], reported: Reported
) -> None:
    trial = reported.view["extremes"]["accuracy"]
    where = ("--storage", reported.storage)
    explained = json.loads(dse("explain", "browsed", str(trial), "--format", "json", *where))
    opened.locator(f"tr[data-trial='{trial}'] button").click()
    dialog = opened.locator("dialog.dse-design[open]")
    expect(dialog).to_have_attribute("data-trial", str(trial))
    text = dialog.inner_text()
    assert f"Design {trial}: best accuracy" in text
    cells = {
        row[0]: row[1:]
        for row in dialog.locator("tbody tr").evaluate_all(
            "rows => rows.map(r => [...r.cells].map(c => c.innerText))"
        )
    }
    assert float(cells["accuracy (fraction)"][0]) == pytest.approx(
        explained["metrics"]["accuracy"], abs=5e-5
    )
    assert float(cells["energy (µJ)"][0]) == pytest.approx(
        explained["metrics"]["energy_uj"], rel=1e-3
    )
    assert cells["adc.bits.slice3"] == [str(explained["params"]["adc.bits.slice3"])]
    joules = sum(cost["energy_j"] for cost in explained["components"].values())
    energy = dialog.locator("[data-part=energy]").inner_text()
    total = re.search(r"by component: ([\d.]+) nJ", energy)
    assert total is not None
    assert float(total[1]) * 1e-9 == pytest.approx(joules, rel=1e-3)
    share = explained["components"]["adc"]["energy_j"] / joules
    assert f"{share:.1%}".replace("%", " %") in energy
    rows = dialog.locator("table", has_text="lossless").last.locator("tbody tr")
    layer = explained["layers"][0]
    for at, (used, lossless) in enumerate(
        zip(layer["adc_bits"]["used"], layer["adc_bits"]["lossless"], strict=True)
    ):
        row = rows.nth(at).locator("td").all_inner_texts()
        assert row[1:4] == [str(3 - at), str(used), str(lossless)]
        assert (row[4] == "may clip") == (used < lossless)
        assert float(row[5].rstrip(" %")) == pytest.approx(
            100 * layer["nonzero_slice_ratio"][at], abs=0.006
        )
    for stage in explained["stages"]:
        assert stage in text
    commands = dialog.locator("[data-role=commands]").inner_text()
    assert f"dse explain browsed {trial} --storage {reported.storage}" in commands
    opened.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert not page_errors


def test_a_mark_of_the_front_opens_its_design(opened: Page) -> None:
    place = opened.evaluate(
        """() => {
          const plot = document.querySelector("[data-role=front]");
          const at = plot.data.findIndex((t) => /^front/.test(t.name || ""));
          const { xaxis: x, yaxis: y } = plot._fullLayout;
          const box = plot.querySelector(".nsewdrag").getBoundingClientRect();
          const last = plot.data[at].x.length - 1;
          return [box.x + x.d2p(plot.data[at].x[last]), box.y + y.d2p(plot.data[at].y[last])];
        }"""
    )
    opened.mouse.move(*place)
    expect(opened.locator("[data-role=front] .hoverlayer .hovertext")).to_contain_text("energy")
    opened.mouse.click(*place)
    dialog = opened.locator("dialog.dse-design[open]")
    expect(dialog).to_contain_text("On the feasible Pareto front.")
    dialog.get_by_role("button", name="close").click()
    expect(dialog).to_have_count(0)


def test_a_link_opens_a_design_and_one_that_is_not_in_full_says_so(
    page: Page, reported: Reported
) -> None:
    off = next(
        trial
        for trial, front, given in zip(
            *(reported.view["designs"][key] for key in ("trial", "front", "given")), strict=True
        )
        if not front and not given
    )
    page.goto(f"{reported.file.as_uri()}#design-{off}")
    dialog = page.locator("dialog.dse-design[open]")
    expect(dialog).to_contain_text("Costs by component and layer are not in this page.")
    expect(dialog).to_contain_text(f"dse explain browsed {off}")
    expect(dialog).to_contain_text("accuracy (fraction)")


def test_axes_are_chosen_and_three_of_them_are_drawn(opened: Page, page_errors: list[str]) -> None:
    front = opened.locator("[data-view=front]")
    front.get_by_label("x", exact=True).select_option("adc.bits.slice3")
    expect(opened.locator("[data-role=front] .xtitle")).to_have_text("adc.bits.slice3")
    front.get_by_label("3-D").check()
    opened.wait_for_selector("[data-role=front] .gl-container canvas")
    names = opened.evaluate(
        "() => document.querySelector('[data-role=front]').data.map((t) => t.type)"
    )
    assert set(names) == {"scatter3d"}
    drag(opened, "[data-axis=accuracy]", (0.5, 0.02), (0.5, 0.35))
    kept = listed(opened)
    assert 0 < len(kept) < 22
    drawn = opened.evaluate(
        "() => new Set(document.querySelector('[data-role=front]').data.filter((t) =>"
        " /\\(/.test(t.name)).flatMap((t) => t.customdata)).size"
    )
    assert drawn == len(kept)
    front.get_by_label("2-D").check()
    opened.wait_for_selector("[data-role=front] .scatterlayer path.point")
    assert bright(opened) == set(kept)
    assert not page_errors


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_fits_its_window(page: Page, reported: Reported, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme="dark")
    visit(page, reported.file)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == (
        "rgb(20, 25, 31)"
    )


def test_without_scripts_the_front_is_a_table(browser: Browser, reported: Reported) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(reported.file.as_uri())
    assert page.locator("noscript table tbody tr").count() == reported.view["drawn"]["front_total"]
    context.close()
