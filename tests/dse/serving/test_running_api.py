"""Launching, resuming, pausing and cancelling by the API; nothing is really started here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from dse.lease import ATTRIBUTE, SHARED, STOP, mine, whose
from dse.serving.runs import Run
from tests.dse.fakes import SPEC, database_in
from tests.dse.reading.made import add_trials, empty_study
from tests.dse.serving.served import API, FakeLauncher, serving

TEXT = yaml.safe_dump({**SPEC, "name": "new"})


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever changes is seen by the next request."""
    monkeypatch.setattr("dse.serving.live._LEAST_AGE_S", 0.0)
    monkeypatch.setattr("dse.serving.live._MOST_AGE_S", 0.0)


@pytest.fixture(scope="module")
def idle(
    finished: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[httpx.Client, FakeLauncher]]:
    """A server on the finished study, and its launcher."""
    launcher = FakeLauncher(tmp_path_factory.mktemp("logs"))
    with serving(finished, launcher) as opened:
        yield opened, launcher


@pytest.fixture
def client(idle: tuple[httpx.Client, FakeLauncher]) -> httpx.Client:
    return idle[0]


@pytest.fixture
def asked(idle: tuple[httpx.Client, FakeLauncher]) -> FakeLauncher:
    """The launcher of that server, which has started nothing yet."""
    idle[1].started.clear()
    idle[1].runs.clear()
    return idle[1]


def test_a_file_is_checked_and_nothing_starts(client: httpx.Client, asked: FakeLauncher) -> None:
    found = client.post(f"{API}/studies/check", json={"text": TEXT}).json()
    assert (found["name"], found["exists"]) == ("new", False)
    assert "Study new" in found["described"]
    known = client.post(f"{API}/studies/check", json={"text": yaml.safe_dump(SPEC)}).json()
    assert (known["name"], known["exists"]) == ("small", True)
    assert not asked.started


def test_a_study_is_launched_with_its_changes(client: httpx.Client, asked: FakeLauncher) -> None:
    answer = client.post(
        f"{API}/studies", json={"text": TEXT, "trials": 5, "workers": 2, "launch": "ray"}
    )
    assert answer.status_code == 201
    assert answer.json()["name"] == "new"
    options = [
        "--set",
        "budget.trials=5",
        "--set",
        "launch.workers=2",
        "--set",
        'launch.name="ray"',
    ]
    assert asked.started == [("new", "run", options, TEXT)]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"text": "name: ["}, 422, "study.yaml:1:8: is not valid YAML"),
        (
            {"text": yaml.safe_dump({**SPEC, "task": "evil:X"})},
            422,
            "start the server with --allow",
        ),
        ({"text": yaml.safe_dump({**SPEC, "objectives": ["x"]})}, 422, "an objective reads"),
        ({"text": TEXT, "trials": 0}, 422, "body.trials: Input should be greater than"),
        ({"text": TEXT, "launch": "rm -rf"}, 422, "body.launch: String should match"),
        ({"text": TEXT, "more": 1}, 422, "body.more: Extra inputs are not permitted"),
        ({}, 422, "body.text: Field required"),
        ({"text": yaml.safe_dump(SPEC)}, 409, "there is a study 'small' already; resume it"),
        ({"text": yaml.safe_dump({**SPEC, "name": "refused"})}, 409, "no room for refused"),
    ],
    ids=[str(number) for number in range(9)],
)
def test_what_cannot_be_launched_is_told(
    client: httpx.Client, asked: FakeLauncher, body: Any, status: int, words: str
) -> None:
    answer = client.post(f"{API}/studies", json=body)
    assert answer.status_code == status
    assert words in answer.json()["detail"]
    assert not asked.started


def test_text_that_is_no_text_is_refused(client: httpx.Client) -> None:
    for content in (b'{"text": "\\ud800"}', b"{", b"[]", b'"x"', b"\xff"):
        answer = client.post(
            f"{API}/studies", content=content, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code in (400, 422)
        assert answer.json()["detail"]


def test_a_study_goes_on(client: httpx.Client, asked: FakeLauncher) -> None:
    answer = client.post(f"{API}/studies/small/resume", json={"trials": 40, "timeout_s": 2.5})
    assert answer.status_code == 202
    expected = ["--trials", "40", "--timeout", "2.5"]
    assert asked.started == [("small", "resume", expected, None)]


@pytest.mark.parametrize("action", ["pause", "resume", "cancel"])
def test_a_study_that_is_not_there(client: httpx.Client, action: str) -> None:
    answer = client.post(f"{API}/studies/nothing/{action}", json={})
    assert answer.status_code == 404
    assert "there is no study 'nothing'" in answer.json()["detail"]


def test_nobody_can_be_paused_where_nobody_runs(client: httpx.Client) -> None:
    answer = client.post(f"{API}/studies/small/pause")
    assert answer.status_code == 409
    assert "nobody runs study 'small'" in answer.json()["detail"]


def test_a_running_study_is_asked_to_stop_by_its_lease(
    tmp_path: Path, launcher: FakeLauncher, at_once: None
) -> None:
    study = empty_study(database_in(tmp_path))
    study.set_user_attr(ATTRIBUTE, mine())
    with serving(tmp_path, launcher) as client:
        now = client.get(f"{API}/studies/small").json()
        assert (now["state"], now["actions"]) == ("running", ["pause", "cancel"])
        refused = client.post(f"{API}/studies/small/resume", json={})
        assert refused.status_code == 409
        assert "is being run by process" in refused.json()["detail"]
        told = client.post(f"{API}/studies/small/pause")
        assert told.status_code == 202
        assert f"asked to stop: process {os.getpid()}" in told.json()["told"]
        assert client.get(f"{API}/studies/small").json()["state"] == "stopping"
        study.set_user_attr(ATTRIBUTE, None)  # as the driver does
        now = client.get(f"{API}/studies/small").json()
        assert (now["state"], now["actions"]) == ("paused", ["resume", "cancel"])
        assert client.post(f"{API}/studies/small/cancel").status_code == 202
        now = client.get(f"{API}/studies/small").json()
        assert (now["state"], now["actions"]) == ("cancelled", ["resume"])
        study.set_user_attr(STOP, None)  # as the next driver does
        assert client.get(f"{API}/studies/small").json()["state"] == "interrupted"


def test_drivers_that_share_a_study_are_all_told_and_asked(
    tmp_path: Path, launcher: FakeLauncher, at_once: None
) -> None:
    study = empty_study(database_in(tmp_path))
    study.set_user_attr(f"{SHARED}a", mine())
    study.set_user_attr(f"{SHARED}b", {"host": "b", "pid": 7, "started": 0, "beat": time.time()})
    study.set_user_attr(f"{SHARED}c", {"host": "c", "pid": 8, "started": 0, "beat": 0.0})
    with serving(tmp_path, launcher) as client:
        now = client.get(f"{API}/studies/small").json()
        assert now["state"] == "running"
        assert now["why"] == f"run by {whose(mine())}, process 7 on b"
        drivers = client.get(f"{API}/studies/small/status").json()["drivers"]
        assert [driver["pid"] for driver in drivers] == [os.getpid(), 7]
        told = client.post(f"{API}/studies/small/cancel").json()["told"]
        assert told == f"asked to stop: {whose(mine())}, process 7 on b"


def test_a_driver_that_died_is_told_from_one_that_stopped(
    tmp_path: Path, launcher: FakeLauncher, at_once: None
) -> None:
    study = empty_study(database_in(tmp_path))
    add_trials(study, 30)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    created = psutil.Process(process.pid).create_time()
    study.set_user_attr(ATTRIBUTE, mine() | {"pid": process.pid, "started": created})
    with serving(tmp_path, launcher) as client:
        assert client.get(f"{API}/studies/small").json()["state"] == "running"
        process.send_signal(signal.SIGKILL)
        process.communicate()
        now = client.get(f"{API}/studies/small").json()
        assert (now["state"], now["actions"]) == ("driver_lost", ["resume", "cancel"])
        assert f"process {process.pid}" in now["why"]
        assert "what was left running (" in now["why"]
        client.post(f"{API}/studies/small/cancel")
        assert client.get(f"{API}/studies/small").json()["state"] == "cancelled"


def test_a_study_that_is_being_started(tmp_path: Path, launcher: FakeLauncher) -> None:
    database_in(tmp_path)
    launcher.runs["new"] = Run(action="run", host="h", pid=7, created=0.0, at="now")
    with serving(tmp_path, launcher) as client:
        (study,) = client.get(f"{API}/studies").json()["studies"]
        assert (study["name"], study["state"], study["actions"]) == ("new", "starting", ["cancel"])
        assert client.post(f"{API}/studies/new/cancel").status_code == 202
        assert launcher.terminated == ["new"]
        launcher.runs["new"] = replace(launcher.runs["new"], alive=False, exit_code=2)
        now = client.get(f"{API}/studies/new").json()
        assert (now["state"], now["actions"]) == ("failed", [])
        assert "exit code 2" in now["why"]
        assert client.post(f"{API}/studies/new/pause").status_code == 409


def test_a_run_that_owned_its_study_and_ends_is_not_said_to_start(
    tmp_path: Path, launcher: FakeLauncher, at_once: None
) -> None:
    study = empty_study(database_in(tmp_path))
    run = Run(action="run", host="h", pid=os.getpid(), created=time.time(), at="now")
    launcher.runs["small"] = run
    with serving(tmp_path, launcher) as client:
        assert client.get(f"{API}/studies/small").json()["state"] == "starting"
        study.set_user_attr(ATTRIBUTE, mine())
        assert client.get(f"{API}/studies/small").json()["state"] == "running"
        study.set_user_attr(ATTRIBUTE, None)
        assert client.get(f"{API}/studies/small").json()["state"] == "stopping"
        launcher.runs["small"] = replace(run, alive=False, exit_code=2)
        now = client.get(f"{API}/studies/small").json()
        assert now["state"] == "failed"
        assert now["run"]["exit_code"] == 2


def test_a_design_that_is_not_there_is_not_exported(client: httpx.Client) -> None:
    answer = client.post(f"{API}/studies/small/designs/99/export")
    assert answer.status_code == 404
    assert "has no trial 99" in answer.json()["detail"]
