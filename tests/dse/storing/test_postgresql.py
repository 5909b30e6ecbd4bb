"""Studies in PostgreSQL: the same as in SQLite; and what is said about a server that fails."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from optuna.trial import TrialState
from typer.testing import CliRunner

import dse.launching.launch
from dse.cli.app import app
from dse.database import open_database, storage_errors
from dse.errors import StorageError, StudyError
from dse.evaluation import Job, Outcome
from dse.launching.driver import drive
from dse.resuming import driving, load_optuna
from dse.trials import ERROR, design_of
from tests.dse.fakes import SPEC, FakeExecutor, database_in, made_up, small_spec
from tests.postgresql import PASSWORD, PostgresqlServer, started


@pytest.fixture
def own_server() -> Iterator[PostgresqlServer]:
    """A server that the test may stop."""
    yield from started()


def drive_to(url: str, home: Path, trials: int, executor: FakeExecutor | None = None) -> None:
    database = open_database(url, write=True, home=home)
    spec = small_spec(launch={"name": "serial", "attempts": 5})
    with storage_errors(database), driving(database, spec) as study:
        drive(
            study,
            executor or FakeExecutor(),
            trials=trials,
            timeout_s=None,
            progress=lambda job, outcome: None,
        )


def test_a_study_in_postgresql_equals_the_same_in_sqlite(
    postgresql_url: str, tmp_path: Path
) -> None:
    drive_to(postgresql_url, tmp_path / "home", 5)
    drive_to(f"sqlite:///{tmp_path / 'dse.db'}", tmp_path / ".dse", 5)
    one = load_optuna(open_database(postgresql_url, write=False), "small").trials
    other = load_optuna(database_in(tmp_path), "small").trials
    assert [(t.state, t.params, t.values) for t in one] == [
        (t.state, t.params, t.values) for t in other
    ]
    for mine, theirs in zip(one, other, strict=True):
        assert mine.user_attrs == theirs.user_attrs
        assert mine.distributions == theirs.distributions
        assert mine.constraints == theirs.constraints


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg"])
def test_run_resume_status_and_pareto(
    scheme: str, postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dse.launching.launch, "make_executor", lambda *_: FakeExecutor())
    monkeypatch.setenv("DSE_HOME", str(tmp_path))
    url = postgresql_url.replace("postgresql", scheme, 1)
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump({**SPEC, "budget": {"trials": 2, "epochs": 1}}))

    def command(*words: str) -> str:
        result = CliRunner().invoke(app, [*words, "--storage", url])
        assert result.exit_code == 0, result.output
        assert PASSWORD not in result.output
        return result.output

    command("run", str(file))
    command("resume", "small", "--trials", "4")
    assert len(load_optuna(open_database(url, write=False), "small").trials) == 4
    assert "small" in command("status", "small")
    front = json.loads(command("pareto", "small", "--format", "json"))
    assert front["n_trials"]["complete"] == 4
    assert front["front"]


def run_until_killed(url: str, home: Path, pipe: Any) -> None:
    logging.disable()

    def slow(job: Job) -> Outcome:
        if job.number == 2:
            pipe.send("running")
            time.sleep(3600)
        return made_up(job.point)

    drive_to(url, home, 4, FakeExecutor(slow))


def test_what_a_killed_driver_left_running_is_tried_again(
    postgresql_url: str, tmp_path: Path
) -> None:
    mine, theirs = multiprocessing.Pipe()
    driver = multiprocessing.get_context("fork").Process(
        target=run_until_killed, args=(postgresql_url, tmp_path, theirs)
    )
    driver.start()
    assert mine.poll(120)
    with pytest.raises(StudyError, match=rf"is being run by process {driver.pid} on"):
        drive_to(postgresql_url, tmp_path, 4)
    assert driver.pid is not None
    os.kill(driver.pid, signal.SIGKILL)
    driver.join()
    drive_to(postgresql_url, tmp_path, 4)
    trials = load_optuna(open_database(postgresql_url, write=False), "small").trials
    lost, again = trials[2], trials[3]
    assert (lost.state, lost.user_attrs[ERROR]) == (TrialState.FAIL, "driver lost")
    assert (design_of(again) or {})["retry_of"] == 2
    assert (design_of(again) or {})["attempt"] == 2
    assert again.params == lost.params
    assert [t.state for t in trials].count(TrialState.COMPLETE) == 4
    assert not [t for t in trials if not t.state.is_finished()]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("postgres:wr0ng@127.0.0.1:PORT/postgres", "the server refuses the password of postgres"),
        ("who:wr0ng@127.0.0.1:PORT/postgres", "the server refuses the password of who"),
        (
            f"postgres:{PASSWORD}@127.0.0.1:PORT/absent",
            "the server has no database 'absent'; create it with: createdb absent",
        ),
        (
            f"postgres:{PASSWORD}@127.0.0.1:1/x",
            r"no PostgreSQL server answers at 127\.0\.0\.1, port 1 \(Connection refused\); start",
        ),
        (f"postgres:{PASSWORD}@127.0.0.1:PORT", "names no database; write postgresql://USER"),
    ],
)
def test_what_is_wrong_with_a_server_is_said_without_the_password(
    path: str, message: str, postgresql_server: PostgresqlServer
) -> None:
    address = "postgresql://" + path.replace("PORT", str(postgresql_server.port))
    with pytest.raises(StorageError, match=message) as raised:
        open_database(address, write=True)
    assert "wr0ng" not in str(raised.value)
    assert PASSWORD not in str(raised.value)
    assert "***" in str(raised.value)


def test_a_driver_other_than_psycopg_3_is_refused() -> None:
    with pytest.raises(
        StorageError, match=r"reached through psycopg 3; write postgresql://\.\.\."
    ):
        open_database("postgresql+psycopg2://u:secret@localhost/x", write=True)


def test_a_password_behind_the_question_mark_is_refused_unseen() -> None:
    with pytest.raises(StorageError, match="a password stands before the host") as raised:
        open_database("postgresql://u@localhost/x?password=s3cret", write=True)
    assert PASSWORD not in str(raised.value)


def test_reading_wants_studies_and_creates_no_tables(postgresql_url: str) -> None:
    with pytest.raises(StorageError, match=r"this database holds no studies\. Run a study first"):
        open_database(postgresql_url, write=False)
    with psycopg.connect(postgresql_url) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE tablename = 'studies'")
        assert tables.fetchone() == (0,)


def test_a_read_only_database_is_refused_for_a_run(postgresql_url: str) -> None:
    name = postgresql_url.rsplit("/", 1)[-1]
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute(
            f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode()
        )
    with pytest.raises(StorageError, match="the database is read-only; give one that can be"):
        open_database(postgresql_url, write=True)


def test_a_server_that_stops_ends_the_run_clearly_and_one_that_starts_again_is_found(
    own_server: PostgresqlServer, tmp_path: Path
) -> None:
    url = own_server.new_database()
    database = open_database(url, write=True, home=tmp_path)
    spec = small_spec()
    with storage_errors(database), driving(database, spec) as study:
        job = study.ask()
        assert job is not None
        own_server.stop()
        own_server.start()
        study.tell(job, made_up(job.point))  # a connection is tried before it is used again
    assert [t.state for t in load_optuna(database, "small").trials] == [TrialState.COMPLETE]
    own_server.stop()
    with (
        pytest.raises(
            StorageError, match=r"What was finished is kept; the study goes on"
        ) as raised,
        storage_errors(database),
    ):
        load_optuna(database, "small")
    assert PASSWORD not in str(raised.value)
