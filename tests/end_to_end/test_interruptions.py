"""Ctrl-C, a polite kill and kill -9 leave a study that `dse resume` continues."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.commands import (
    HANGS_AFTER_S,
    dse,
    start,
    stored_trials,
    succeed,
    write_study,
)

SLOWER = {"trials": 10, "epochs": 6}
TASK = {"name": "mlp_mnist", "train_images": 3000, "test_images": 500}


COMPLETE = "SELECT count(*) FROM trials WHERE state = 'COMPLETE'"


def wait_for(folder: Path, count: int, query: str = COMPLETE) -> None:
    """Wait until the study holds so many results; looks often, so that it comes in time."""
    deadline = time.monotonic() + HANGS_AFTER_S
    while time.monotonic() < deadline:
        try:
            with closing(sqlite3.connect(f"file:{folder / 'dse.db'}?mode=ro", uri=True)) as look:
                if look.execute(query).fetchone()[0] >= count:
                    return
        except sqlite3.Error:  # the database is being made
            pass
        time.sleep(0.02)
    raise AssertionError(f"not {count} after {HANGS_AFTER_S} s: {query}")


def outcomes(trials: list[dict[str, Any]]) -> list[tuple[Any, Any]]:
    return [(t["params"], t["values"]) for t in trials if t["state"] == "COMPLETE"]


def check_whole(trials: list[dict[str, Any]], designs: int | None = None) -> None:
    """Nothing runs or waits for ever, nothing was evaluated twice, none is missing."""
    states = Counter(t["state"] for t in trials)
    assert states["RUNNING"] == states["WAITING"] == 0
    own = [t for t in trials if t["state"] == "COMPLETE" and "duplicate_of" not in t["user"]]
    assert len(own) == (designs or SLOWER["trials"])
    digests = Counter(t["user"]["design"]["digest"] for t in own)
    assert max(digests.values()) == 1
    draws = [t["user"]["design"]["draw"] for t in own]
    assert len(set(draws)) == len(draws)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, Any]]:
    folder = tmp_path_factory.mktemp("whole")
    succeed(folder, "run", str(write_study(folder, budget=SLOWER, task=TASK)))
    return outcomes(stored_trials(folder))


def test_killed_and_resumed_equals_uninterrupted(
    tmp_path: Path, uninterrupted: list[tuple[Any, Any]]
) -> None:
    study = write_study(tmp_path, budget=SLOWER, task=TASK)
    arguments = ["run", str(study)]
    for complete in (1, 4, 6):
        driver = start(tmp_path, *arguments)
        wait_for(tmp_path, complete)
        os.killpg(driver.pid, signal.SIGKILL)
        driver.communicate()
        arguments = ["resume", "tiny"]
    succeed(tmp_path, "resume", "tiny")
    trials = stored_trials(tmp_path)
    check_whole(trials)
    assert outcomes(trials) == uninterrupted
    lost = [t for t in trials if "lost" in t["user"]]
    assert {t["user"]["error"] for t in lost} <= {
        "driver lost",
        "the driver died while proposing it",
    }


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130)])
def test_interrupted_and_resumed_equals_uninterrupted(
    tmp_path: Path, uninterrupted: list[tuple[Any, Any]], number: int, code: int
) -> None:
    driver = start(tmp_path, "run", str(write_study(tmp_path, budget=SLOWER, task=TASK)))
    wait_for(tmp_path, 2)
    driver.send_signal(number)
    output, _ = driver.communicate(timeout=HANGS_AFTER_S)
    assert driver.returncode == code, output
    assert "Traceback" not in output
    assert "Interrupted; continue with: dse resume tiny" in output
    assert "RUNNING" not in {t["state"] for t in stored_trials(tmp_path)}
    succeed(tmp_path, "resume", "tiny")
    trials = stored_trials(tmp_path)
    check_whole(trials)
    assert outcomes(trials) == uninterrupted


def test_a_second_driver_is_refused_while_the_first_runs(tmp_path: Path) -> None:
    study = write_study(tmp_path, budget={"trials": 500, "epochs": 3}, task=TASK)
    driver = start(tmp_path, "run", str(study))
    wait_for(tmp_path, 1)
    second = dse(tmp_path, "resume", "tiny")
    assert second.returncode == 2, second.stdout + second.stderr
    assert f"StudyError: study 'tiny' is being run by process {driver.pid} on" in second.stderr
    assert '"running_now": true' in succeed(tmp_path, "status", "tiny", "--format", "json")
    driver.send_signal(signal.SIGINT)
    driver.communicate(timeout=HANGS_AFTER_S)
    assert '"running_now": false' in succeed(tmp_path, "status", "tiny", "--format", "json")


def test_time_is_up_ends_a_run_well_and_keeps_the_study(tmp_path: Path) -> None:
    study = write_study(tmp_path, budget={"trials": 500, "epochs": 3}, task=TASK)
    output = succeed(tmp_path, "run", str(study), "--timeout", "1")
    assert "Stopped: time is up after 1 s." in output
    states = Counter(t["state"] for t in stored_trials(tmp_path))
    assert states["COMPLETE"] >= 1
    assert states["RUNNING"] == 0
