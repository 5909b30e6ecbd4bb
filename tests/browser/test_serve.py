"""Studies from the page: launched, watched, looked at, taken away; killed, and resumed."""

from __future__ import annotations

import json
import os
import signal
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml
from optuna.trial import TrialState
from playwright.sync_api import Page, expect

from tests.dse.fakes import database_in
from tests.dse.reading.made import add_trials, empty_study
from tests.dse.serving.served import (
    API,
    PATIENCE_S,
    TOKEN,
    FakeLauncher,
    serving,
    started,
)
from tests.end_to_end.commands import STUDY, stored_trials
from tests.end_to_end.test_interruptions import wait_for

ENDED_MS = 300_000
"""A study of seconds, beside other tests on a small machine."""

TRIALS = 12
"""Many enough that the first one is seen before the last one."""

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where a server is started; the runs that it leaves are ended."""
    yield tmp_path
    for file in tmp_path.glob(".dse/serving/*/run.json"):
        run = yaml.safe_load(file.read_text())
        try:
            process = psutil.Process(run["pid"])
            if abs(process.create_time() - run["created"]) < 1.0:
                process.kill()
        except psutil.Error:
            continue


def study_text(**changes: Any) -> str:
    return yaml.safe_dump({**STUDY, **changes}, sort_keys=False)


def state(page: Page) -> Any:
    return page.locator(".head .badge")


def test_a_study_is_launched_watched_and_looked_at(
    folder: Path, page: Page, page_errors: list[str], tmp_path: Path
) -> None:
    with started(folder, "--create") as (address, _):
        page.goto(address)
        expect(page.get_by_text("No studies yet")).to_be_visible()
        page.get_by_role("link", name="New study").first.click()
        text = page.get_by_label("Study file")
        text.fill(study_text(objectives=["maximize fun"]))
        page.get_by_role("button", name="Check").click()
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("there is no metric 'fun'")
        assert any("422" in error for error in page_errors)  # Chromium notes every refusal
        page_errors.clear()
        text.fill(study_text(constraints=["accuracy_loss <= 0.9"]))
        page.get_by_role("button", name="Check").click()
        good = page.get_by_text("The file is good: study tiny may be launched.")
        expect(good).to_be_visible()
        page.get_by_role("button", name="Launch").click()
        page.wait_for_url("**/studies/tiny")
        expect(state(page)).to_have_text("finished", timeout=ENDED_MS)
        front = page.locator("[data-view=front] .dse-plot .main-svg").first
        expect(front).to_be_visible()
        expect(page.get_by_text("8 of 8 designs · 8 complete")).to_be_visible()

        page.get_by_role("tab", name="Log").click()
        expect(page.locator("[data-role=log]")).to_contain_text("trial 0 evaluated · accuracy")
        page.get_by_role("tab", name="Trials").click()
        page.get_by_label("Conditions").fill("regularizer==none")
        page.get_by_role("button", name="Show").click()
        expect(page.locator("tr[data-trial='0']").last).to_contain_text("regularizer none")
        page.locator(".trials tr[data-trial='0'] button").click()
        drill_down = page.locator("dialog.dse-design[open]")
        expect(drill_down).to_contain_text("dse explain tiny 0")
        with page.expect_download(timeout=ENDED_MS) as download:
            drill_down.get_by_role("button", name="Download the design").click()
        download.value.save_as(tmp_path / "design.zip")
        with zipfile.ZipFile(tmp_path / "design.zip") as archive:
            assert "tiny-0/design.yaml" in archive.namelist()
            assert "tiny-0/codes.safetensors" in archive.namelist()
        page.keyboard.press("Escape")
        expect(page.get_by_role("tab", name="Trials")).to_have_attribute("aria-selected", "true")

        page.goto(address)
        expect(page.locator("[data-study=tiny]")).to_contain_text("8 of 8")
    assert not page_errors


def connect(address: str) -> httpx.Client:
    return httpx.Client(base_url=address, timeout=PATIENCE_S)


def test_a_killed_study_is_shown_as_such_and_resumed_from_the_page(
    folder: Path, page: Page, page_errors: list[str]
) -> None:
    task = {"name": "mlp_mnist", "train_images": 3000, "test_images": 300}
    text = study_text(name="slow", task=task, budget={"trials": TRIALS, "epochs": 5})
    with started(folder, "--create") as (address, _), connect(address) as client:
        run = client.post(f"{API}/studies", json={"text": text}).json()["run"]
    # The server has ended; the study goes on, and the next server finds it.
    wait_for(folder, 1)
    psutil.Process(run["pid"]).suspend()  # it waits for its kill, which cannot come too late
    with started(folder) as (address, _), connect(address) as client:
        found = client.get(f"{API}/studies/slow").json()
        assert found["state"] == "running"
        assert found["run"]["pid"] == run["pid"]
        assert found["why"].startswith(f"run by process {run['pid']}")
        page.goto(f"{address}studies/slow")
        expect(state(page)).to_have_text("running")
        os.kill(run["pid"], signal.SIGKILL)
        expect(state(page)).to_have_text("driver lost")
        expect(page.get_by_text(f"Process {run['pid']}")).to_contain_text("is gone")
        page.get_by_role("button", name="Resume").click()
        page.locator("dialog.ask[open]").get_by_role("button", name="Resume").click()
        expect(state(page)).to_have_text("finished", timeout=ENDED_MS)
        expect(page.get_by_text(f"All {TRIALS} designs are evaluated.")).to_be_visible()
    assert not page_errors
    trials = stored_trials(folder, "slow")
    states = Counter(trial["state"] for trial in trials)
    assert states["RUNNING"] == states["WAITING"] == 0
    digests = Counter(
        trial["user"]["design"]["digest"]
        for trial in trials
        if trial["state"] == "COMPLETE" and "duplicate_of" not in trial["user"]
    )
    assert len(digests) == TRIALS
    assert max(digests.values()) == 1


def test_hostile_texts_stay_texts_behind_the_form_for_the_token(
    tmp_path: Path, page: Page, page_errors: list[str]
) -> None:
    evil = "<img src=x onerror=\"document.title='hacked'\"><script>1/0</script>"
    study = empty_study(database_in(tmp_path))
    add_trials(study, 40)
    study.enqueue_trial({"bits": 3})
    trial = study.ask()
    trial.set_user_attr("error", evil)
    study.tell(trial, state=TrialState.FAIL)
    launcher = FakeLauncher(tmp_path)
    launcher.log("small").parent.mkdir()
    launcher.log("small").write_text(f"{json.dumps({'event': evil, 'trial': 3})}\n{evil}\n")
    with serving(tmp_path, launcher, token=TOKEN) as client:
        page.goto(f"{client.base_url}/studies/small")
        expect(page.get_by_role("heading", name="Token")).to_be_visible()
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button", name="Enter").click()
        expect(page.get_by_role("alert")).to_have_text("That is not the token.")
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Enter").click()
        page.get_by_role("link", name="small").click()
        front = page.locator("[data-view=front] .dse-plot .main-svg").first
        expect(front).to_be_visible()
        expect(page.locator("[data-view=failures]")).to_contain_text("<img src=x")
        page.get_by_role("tab", name="Trials").click()
        expect(page.locator(".trials")).to_contain_text("<img src=x onerror=")
        page.get_by_role("tab", name="Log").click()
        expect(page.locator("[data-role=log] li")).to_have_count(2)
        expect(page.locator("[data-role=log]")).to_contain_text("<script>1/0</script>")
        assert page.title() == "small · dse"
        assert page.locator("img, main script").count() == 0
        assert not page_errors
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("heading", name="Token")).to_be_visible()
