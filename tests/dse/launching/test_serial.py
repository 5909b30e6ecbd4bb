"""The serial launcher: a time limit for each trial."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import pytest

from dse.evaluation import Evaluation, Failure, Job, Outcome
from dse.launching.launch import evaluation_settings, make_executor
from dse.launching.serial import SerialExecutor
from dse.pipeline.evaluate import Evaluator
from dse.resuming import driving
from dse.study import Study
from search_spaces.design_point import DesignPoint
from tests.dse.fakes import database_in, made_up, small_spec


def a_job(folder: Path) -> Job:
    with driving(database_in(folder), small_spec()) as study:
        assert isinstance(study, Study)
        job = study.ask()
        assert job is not None
        return job


def executor(folder: Path, limit_s: float) -> SerialExecutor:
    spec = small_spec(launch={"name": "serial", "trial_timeout_s": limit_s})
    made = make_executor(spec, evaluation_settings(spec, store=folder))
    assert isinstance(made, SerialExecutor)
    return made


def test_an_evaluation_that_takes_too_long_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    naps = [60.0, 0.0]

    def nap(_self: Evaluator, point: DesignPoint, **_: object) -> Outcome:
        try:
            time.sleep(naps.pop(0))
        except Exception:  # as stages do, to clean up
            raise AssertionError("the limit is no ordinary error") from None
        return made_up(point)

    monkeypatch.setattr(Evaluator, "outcome", nap)
    job, serial = a_job(tmp_path), executor(tmp_path, 0.2)
    before = signal.getsignal(signal.SIGALRM)
    began = time.monotonic()
    serial.submit(job)
    ((told, outcome),) = serial.wait(1.0)
    assert time.monotonic() - began < 30, "half of the nap"
    assert told == job
    assert outcome == Failure(reason="took longer than launch.trial_timeout_s = 0.2 s; stopped")
    in_time = executor(tmp_path, 600)
    in_time.submit(job)
    ((_, outcome),) = in_time.wait(1.0)
    assert isinstance(outcome, Evaluation)
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0), "an alarm would end the tests"


def test_outside_the_main_thread_there_is_no_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Evaluator, "outcome", lambda _self, point, **_: made_up(point))
    serial, outcomes = executor(tmp_path, 0.2), []
    serial.submit(a_job(tmp_path))
    thread = threading.Thread(target=lambda: outcomes.extend(serial.wait(1.0)))
    thread.start()
    thread.join()
    assert isinstance(outcomes[0][1], Evaluation)
