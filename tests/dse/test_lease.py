"""One driver per study; one that is asked to stops, one that lost its study, too."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from typer.testing import CliRunner

import dse.lease
from dse.cli.app import make_app
from dse.database import Database
from dse.errors import StudyError
from dse.evaluation import Job, Outcome
from dse.launching.driver import Summary, drive
from dse.lease import ATTRIBUTE, STOP, ask_to_stop, mine
from dse.resuming import driving, load_optuna
from tests.dse.fakes import FakeExecutor, database_in, made_up, small_spec


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return database_in(tmp_path)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dse.lease, "POLL_S", 0.05)


def run(database: Database, evaluate: Callable[[Job], Outcome]) -> Summary:
    with driving(database, small_spec()) as study:
        return drive(
            study, FakeExecutor(evaluate), trials=12, timeout_s=None, progress=lambda *_: None
        )


def slow(begin: Callable[[], None]) -> Callable[[Job], Outcome]:
    """The fourth evaluation takes long, and something happens meanwhile."""
    seen: list[int] = []

    def evaluate(job: Job) -> Outcome:
        seen.append(job.number)
        if len(seen) == 4:
            threading.Thread(target=begin).start()
            time.sleep(120)
        return made_up(job.point)

    return evaluate


def states(database: Database) -> list[str]:
    return [t.state.name for t in load_optuna(database, "small").get_trials(deepcopy=False)]


def test_a_cancelled_run_stops_within_its_evaluation_and_goes_on_later(database: Database) -> None:
    held: list[list[dict[str, Any]]] = []
    summary = run(database, slow(lambda: held.append(ask_to_stop(load_optuna(database, "small")))))
    assert summary.completed == 3
    assert summary.stopped.startswith("cancelled by `dse cancel` on ")
    assert summary.stopped.endswith("continue with: dse resume small")
    assert [lease["pid"] for lease in held[0]] == [os.getpid()]
    assert states(database) == ["COMPLETE"] * 3 + ["FAIL", "WAITING"]
    again = run(database, lambda job: made_up(job.point))
    assert (again.completed, again.stopped) == (9, "")
    trials = load_optuna(database, "small").get_trials(deepcopy=False)
    assert sum(t.state == TrialState.COMPLETE for t in trials) == 12
    assert trials[3].user_attrs["error"] == "interrupted"


def test_a_driver_in_another_thread_stops_after_its_evaluation(database: Database) -> None:
    """There signals do not reach: as in a web application."""
    summaries: list[Summary] = []
    begun, asked = threading.Event(), threading.Event()
    seen: list[int] = []

    def evaluate(job: Job) -> Outcome:
        begun.set()
        asked.wait(60)
        seen.append(job.number)
        if len(seen) > 1:  # the request was not seen in the first one
            time.sleep(0.3)
        return made_up(job.point)

    thread = threading.Thread(target=lambda: summaries.append(run(database, evaluate)))
    thread.start()
    assert begun.wait(60)
    assert ask_to_stop(load_optuna(database, "small"))
    asked.set()
    thread.join(120)
    assert summaries[0].stopped.startswith("cancelled by")
    assert set(states(database)) <= {"COMPLETE", "FAIL", "WAITING"}


def test_a_request_that_came_too_late_stops_no_later_run(database: Database) -> None:
    run(database, lambda job: made_up(job.point))
    load_optuna(database, "small").set_user_attr(STOP, {"host": "h", "at": 0.0})
    with driving(database, small_spec()) as study:
        assert study.optuna.user_attrs[STOP] is None


def test_a_driver_whose_study_was_taken_over_stops(database: Database) -> None:
    other = {**mine(), "host": "elsewhere", "pid": 77}

    def take_over() -> None:
        load_optuna(database, "small").set_user_attr(ATTRIBUTE, other)

    with pytest.raises(
        StudyError, match=r"study 'small' was taken over by process 77 on elsewhere, for this"
    ):
        run(database, slow(take_over))
    assert load_optuna(database, "small").user_attrs[ATTRIBUTE] == other, "it is theirs"


def test_a_lease_of_a_process_that_runs_refuses_another(database: Database) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        import psutil

        run(database, lambda job: made_up(job.point))
        started = psutil.Process(process.pid).create_time()
        lease = {**mine(), "pid": process.pid, "started": started}
        load_optuna(database, "small").set_user_attr(ATTRIBUTE, lease)
        with pytest.raises(StudyError, match=f"is being run by process {process.pid} on "):
            run(database, lambda job: made_up(job.point))
    finally:
        process.kill()
        process.wait()
    assert run(database, lambda job: made_up(job.point)).completed == 0


def cancel(folder: Path, *options: str) -> tuple[int, str]:
    done = CliRunner().invoke(
        make_app(["cancel"]),
        ["cancel", "small", "--storage", f"sqlite:///{folder / 'dse.db'}", *options],
    )
    return done.exit_code, done.output if done.exception is None else str(done.exception)


def test_the_command_says_whether_somebody_ran_the_study(
    database: Database, tmp_path: Path
) -> None:
    said: list[tuple[int, str]] = []
    run(database, slow(lambda: said.append(cancel(tmp_path, "--wait"))))
    deadline = time.monotonic() + 120
    while not said and time.monotonic() < deadline:
        time.sleep(0.05)
    assert said[0][0] == 0
    assert said[0][1].startswith(f"Asked process {os.getpid()} on ")
    assert said[0][1].endswith("It has stopped; continue with: dse resume small\n")
    nobody = "Nobody runs study 'small': there is nothing to cancel.\n"
    assert cancel(tmp_path) == (0, nobody)
    study = load_optuna(database, "small")
    study.ask()
    assert cancel(tmp_path) == (
        0,
        nobody + "1 trials were left running by a driver that died; `dse resume small` takes them "
        "up.\n",
    )
    assert not (tmp_path / "other.db").exists()
    code, message = cancel(tmp_path / "other")
    assert code == 1
    assert "there is no such database" in message
