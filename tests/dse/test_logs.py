"""Logs as JSON lines and metrics for Prometheus say what happened in a run."""

from __future__ import annotations

import json
import logging
import re
import socket
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from dse.errors import LaunchError
from dse.evaluation import Failure, Job, Outcome, RuledOut
from dse.launching.driver import drive
from dse.launching.metrics_server import RunMetrics
from dse.logs import LoggedRun, configure_logging
from dse.resuming import driving
from tests.dse.fakes import FakeExecutor, database_in, made_up, small_spec

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@pytest.fixture
def _logging_as_before() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("dse")
    before = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:], _, _ = before
    root.setLevel(before[1])
    ours.setLevel(before[2])
    logging.captureWarnings(capture=False)


def eventful(job: Job) -> Outcome:
    if job.number == 1:
        return Failure(reason="StageError: no")
    if job.number == 2:
        return Failure(reason="worker died", lost=True)
    if job.number == 4:
        violations = {"accuracy_loss <= 0.5": 0.1}
        return RuledOut(reason="too large", violations=violations, trained=True, seconds=0.1)
    return made_up(job.point)


@pytest.mark.usefixtures("_logging_as_before")
def test_a_run_logs_one_json_object_per_line(tmp_path: Path, capsys: Any) -> None:
    configure_logging("small", json_lines=True)
    spec = small_spec(budget={"trials": 6, "epochs": 1})
    with driving(database_in(tmp_path), spec) as study, LoggedRun(study) as progress:
        drive(study, FakeExecutor(eventful), trials=6, timeout_s=None, progress=progress)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    for line in lines:
        assert list(line)[:5] == ["time", "level", "study", "trial", "event"]
        assert datetime.fromisoformat(line["time"]).tzinfo is not None
        assert line["study"] == "small"
    told = {(line["trial"], line["event"]): line for line in lines}
    assert told[None, "run started"]["budget"] == 6
    assert told[None, "run finished"]["designs"] == 6
    assert set(told[0, "trial evaluated"]["values"]) == {"accuracy", "energy_uj"}
    assert told[1, "trial failed"]["reason"] == "StageError: no"
    assert told[1, "trial failed"]["level"] == "warning"
    assert told[2, "worker lost"]["attempt"] == 1
    assert told[4, "trial ruled out"]["reason"] == "too large"
    assert told[1, "trial 1 failed: StageError: no"], "a message of the study names its trial, too"


@pytest.mark.usefixtures("_logging_as_before")
def test_an_interrupted_run_says_so_and_errors_have_their_traces(capsys: Any) -> None:
    configure_logging("small", json_lines=True)
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("dse.x").exception("it failed")
    (line,) = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert line["event"] == "it failed"
    assert "ValueError: broken" in line["error"]


def scraped(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    found = re.findall(r"^(dse_\S+?(?:\{.*\})?) (\S+)$", text, flags=re.MULTILINE)
    return {name: float(value) for name, value in found}


def test_a_run_can_be_scraped_and_listens_on_loopback_only(tmp_path: Path) -> None:
    spec = small_spec(budget={"trials": 6, "epochs": 1})
    with driving(database_in(tmp_path), spec) as study, RunMetrics(study, 0) as metrics:
        before = scraped(metrics.port)
        assert before['dse_designs_budget{study="small"}'] == 6
        assert before['dse_designs_done{study="small"}'] == 0
        listening = [
            c.laddr.ip
            for c in psutil.Process().net_connections()
            if c.status == psutil.CONN_LISTEN and c.laddr.port == metrics.port
        ]
        assert listening == ["127.0.0.1"]
        drive(study, FakeExecutor(eventful), trials=6, timeout_s=None, progress=metrics)
        after = scraped(metrics.port)
        best = max(t.values[0] for t in study.trials() if t.values)
    name = 'study="small"'
    assert after[f'dse_trials_total{{outcome="evaluated",{name}}}'] == 4
    assert after[f'dse_trials_total{{outcome="failed",{name}}}'] == 1
    assert after[f'dse_trials_total{{outcome="lost",{name}}}'] == 1
    assert after[f'dse_trials_total{{outcome="ruled_out",{name}}}'] == 1
    assert after[f"dse_designs_done{{{name}}}"] == 6
    assert after[f"dse_trial_seconds_count{{{name}}}"] == 4
    assert after[f'dse_best{{objective="accuracy",{name}}}'] == best
    with pytest.raises(OSError, match="refused"):
        scraped(metrics.port)


def test_a_port_that_is_taken_is_a_clear_error(tmp_path: Path) -> None:
    with driving(database_in(tmp_path), small_spec()) as study, socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(LaunchError, match=rf"--metrics-port {port}: cannot be listened at"):
            RunMetrics(study, port)
