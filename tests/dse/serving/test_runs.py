"""Runs in processes of their own: started, found again by another server, ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from dse.errors import LaunchError
from dse.serving.runs import ProcessLauncher, Run
from tests.dse.fakes import database_in
from tests.dse.serving.served import PATIENCE_S


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.02)


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[ProcessLauncher]:
    """On a database without studies; nothing that it starts is left behind."""
    database_in(tmp_path)
    made = ProcessLauncher(f"sqlite:///{tmp_path / 'dse.db'}", tmp_path / "home", most=2)
    yield made
    for process in made._own.values():
        process.kill()
        process.wait()


def ended(launcher: ProcessLauncher, name: str) -> Run:
    wait_for(lambda: (run := launcher.find(name)) is not None and not run.alive)
    run = launcher.find(name)
    assert run is not None
    return run


def test_a_run_that_fails_tells_how_and_why(
    launcher: ProcessLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSE_TOKEN", "a-secret-of-the-server")
    run = launcher.start("nothing", "resume", ["--trials", "5"])
    assert run.alive
    process = psutil.Process(run.pid)
    process.suspend()  # else it might have ended before it is looked at
    wait_for(lambda: "DSE_STORAGE" in process.environ())  # it is a copy of this one at first
    assert "DSE_TOKEN" not in process.environ()
    assert process.environ()["DSE_STORAGE"].endswith("dse.db")
    assert "dse.db" not in " ".join(process.cmdline())
    assert os.getsid(run.pid) == run.pid, "Ctrl-C at the server would reach it"
    process.resume()
    run = ended(launcher, "nothing")
    assert run.exit_code == 2
    first, *rest = launcher.log("nothing").read_text().splitlines()
    assert json.loads(first)["event"] == "dse resume started by dse serve"
    assert json.loads(first)["options"] == ["--trials", "5"]
    assert any("there is no study 'nothing'" in line for line in rest)


def test_another_server_finds_a_run_and_its_end(launcher: ProcessLauncher, tmp_path: Path) -> None:
    run = launcher.start("nothing", "resume", [])
    psutil.Process(run.pid).suspend()
    other = ProcessLauncher("sqlite:///x.db", tmp_path / "home", most=2)
    assert other.names() == ["nothing"]
    found = other.find("nothing")
    assert found is not None
    assert (found.pid, found.alive) == (run.pid, True)
    with pytest.raises(LaunchError, match=f"is being started or run by process {run.pid}"):
        other.start("nothing", "resume", [])
    psutil.Process(run.pid).send_signal(signal.SIGKILL)
    wait_for(lambda: (now := other.find("nothing")) is not None and not now.alive)
    assert ended(launcher, "nothing").exit_code == -signal.SIGKILL
    again = other.find("nothing")
    assert again is not None
    assert again.exit_code == -signal.SIGKILL


def test_a_process_of_the_same_number_is_not_the_run(
    launcher: ProcessLauncher, tmp_path: Path
) -> None:
    folder = tmp_path / "home" / "serving" / "old"
    folder.mkdir(parents=True)
    own = psutil.Process()
    record = {
        "action": "run", "host": socket.gethostname(), "pid": own.pid, "created": 12.0, "at": "",
        "exit_code": None, "alive": True,
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(record))
    found = launcher.find("old")
    assert found is not None
    assert not found.alive
    assert not launcher.terminate("old")
    (folder / "run.json").write_text("{")
    assert launcher.find("old") is None


def test_there_are_only_so_many_runs(launcher: ProcessLauncher) -> None:
    for name in ("one", "two"):
        psutil.Process(launcher.start(name, "resume", []).pid).suspend()
    with pytest.raises(LaunchError, match=r"2 studies run already \(one, two\).*--max-runs"):
        launcher.start("three", "resume", [])


def test_a_run_is_asked_to_end(launcher: ProcessLauncher) -> None:
    launcher.start("one", "resume", [])
    assert launcher.terminate("one")
    assert ended(launcher, "one").exit_code != 0
    assert not launcher.terminate("one")
    assert not launcher.terminate("never")


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    launcher = ProcessLauncher("sqlite:///x.db", tmp_path / "home", most=1)
    with pytest.raises(LaunchError, match=r"study 'one' cannot be started: .*Look at"):
        launcher.start("one", "run", [], text="name: one")
