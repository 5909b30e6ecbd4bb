"""A database that goes away in the middle of a run, and comes back, or does not."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from optuna.trial import FrozenTrial

import dse.patience
from dse.database import Database
from dse.errors import StorageError
from dse.launching.driver import drive
from dse.patience import PatientStorage, is_gone, patient
from dse.resuming import driving, load_optuna
from dse.trials import LOST, design_of, is_result
from tests.dse.fakes import FakeExecutor, database_in, small_spec

TRIALS = 8
RATE = 0.05


def gone() -> None:
    raise sqlite3.OperationalError("server closed the connection unexpectedly")


class Wire(sqlite3.Connection):
    """A connection that asks before every statement and every commit whether it works."""

    statement: Callable[[str], None]
    commit_it: Callable[[Callable[[], Any]], Any]

    def execute(self, sql: str, *arguments: Any) -> Any:
        if sql == "COMMIT":
            return self.commit_it(lambda: super(Wire, self).execute(sql))
        if not sql.startswith("PRAGMA"):
            self.statement(sql)
        return super().execute(sql, *arguments)

    def commit(self) -> None:
        self.commit_it(super().commit)

    def cursor(self, *_: Any) -> Any:
        return super().cursor(_Cursor)


class _Cursor(sqlite3.Cursor):
    def execute(self, sql: str, *arguments: Any) -> Any:
        self.connection.statement(sql)  # type: ignore[attr-defined]
        return super().execute(sql, *arguments)


@contextlib.contextmanager
def wired(
    engine: sqlalchemy.Engine,
    statement: Callable[[str], None],
    commit: Callable[[Callable[[], Any]], Any] = lambda done: done(),
) -> Iterator[None]:
    """Ask these while the block runs."""
    wire = type("Wire", (Wire,), {"statement": staticmethod(statement),
                                  "commit_it": staticmethod(commit)})  # fmt: skip

    def connect(_dialect: Any, _record: Any, _given: Any, named: dict[str, Any]) -> None:
        named["factory"] = wire

    sqlalchemy.event.listen(engine, "do_connect", connect)
    engine.dispose()
    try:
        yield
    finally:
        sqlalchemy.event.remove(engine, "do_connect", connect)
        engine.dispose()


class Outages:
    """Lets statements and commits fail as those of a server that is gone do.

    Args:
        rate: Share of the operations at which an outage begins.
        seed: Of the moments.
    """

    def __init__(self, *, rate: float, seed: int) -> None:
        self._random = random.Random(seed)
        self._rate = rate
        self._left = 0
        self.begun = 0

    def statement(self, _sql: str) -> None:
        if self._fails():
            gone()

    def commit(self, done: Callable[[], Any]) -> Any:
        """Half of the answers to a commit are lost after it was made."""
        if self._fails():
            if self._random.random() < 0.5:
                done()
            gone()
        return done()

    def _fails(self) -> bool:
        if self._left == 0 and self._random.random() < self._rate:
            self._left = self._random.randint(1, 4)
            self.begun += 1
        self._left = max(0, self._left - 1)
        return self._left > 0


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dse.patience, "_FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(dse.patience, "_LONGEST_PAUSE_S", 0.002)
    monkeypatch.setattr("optuna.storages._rdb.storage.random.random", lambda: 0.0)


def trials_of(database: Database) -> list[FrozenTrial]:
    return load_optuna(database, "small").get_trials(deepcopy=False)


def results_of(database: Database) -> list[Any]:
    results = sorted(
        filter(is_result, trials_of(database)), key=lambda t: (design_of(t) or {})["draw"]
    )
    return [(t.params, t.values) for t in results]


def run(database: Database, outages: Outages | None = None, **launch: Any) -> None:
    spec = small_spec(
        sampler={"name": "pso", "seed": 11, "particles": 3},
        budget={"trials": TRIALS, "epochs": 1},
        launch={"name": "serial", **launch},
    )
    with driving(database, spec) as study:
        assert isinstance(study.database.storage, PatientStorage)
        with (
            wired(database.storage.engine, outages.statement, outages.commit)
            if outages
            else contextlib.nullcontext()
        ):
            drive(study, FakeExecutor(), trials=TRIALS, timeout_s=None, progress=lambda *_: None)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    database = database_in(tmp_path_factory.mktemp("whole"))
    run(database)
    return results_of(database)


@pytest.mark.parametrize("seed", range(2))
def test_outages_between_any_two_writes_change_nothing(
    tmp_path: Path, seed: int, undisturbed: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    database = database_in(tmp_path)
    run(database, outages := Outages(rate=RATE, seed=seed))
    assert outages.begun >= 5
    assert results_of(database) == undisturbed
    assert [t for t in trials_of(database) if not t.state.is_finished()] == []
    assert "waiting for it up to 600 s, results are kept in memory meanwhile" in caplog.text
    assert "the database answers again after" in caplog.text


def test_patience_has_an_end_and_the_next_run_goes_on(
    tmp_path: Path, undisturbed: list[Any]
) -> None:
    database = database_in(tmp_path)
    spec = small_spec(
        sampler={"name": "pso", "seed": 11, "particles": 3},
        budget={"trials": TRIALS, "epochs": 1},
        launch={"name": "serial", "database_patience_s": 0.05},
    )

    def until_it_is_gone() -> None:
        with driving(database, spec) as study, contextlib.ExitStack() as stack:

            def told(job: object, _: object) -> None:
                if job is not None and study.n_done == 4:
                    stack.enter_context(_gone(database))

            drive(study, FakeExecutor(), trials=TRIALS, timeout_s=None, progress=told)

    with pytest.raises(StorageError) as caught:
        until_it_is_gone()
    assert str(caught.value).startswith(
        "the database did not answer for 0.05 s (launch.database_patience_s is 0.05): server "
        "closed the connection unexpectedly. What was written is kept; "
    )
    assert len(results_of(database)) == 4
    run(database)
    assert results_of(database) == undisturbed
    assert [t for t in trials_of(database) if not t.state.is_finished()] == []


def _gone(database: Database) -> contextlib.AbstractContextManager[None]:
    return wired(database.storage.engine, lambda _: gone())


def test_a_trial_whose_making_was_not_acknowledged_ends_as_lost(tmp_path: Path) -> None:
    """Optuna makes it again; the first one would stay RUNNING for good."""
    database = database_in(tmp_path)
    spec = small_spec(budget={"trials": 3, "epochs": 1})
    with driving(database, spec) as study:
        study.tell(job := study.ask(), FakeExecutor()._evaluate(job))  # type: ignore[arg-type]
        made: list[bool] = []

        def notice(sql: str) -> None:
            if sql.startswith("INSERT INTO trials "):
                made.append(True)

        def lose_the_answer(done: Callable[[], Any]) -> Any:
            done()
            if len(made) == 1:
                made.append(True)
                gone()

        with wired(database.storage.engine, notice, lose_the_answer):
            drive(study, FakeExecutor(), trials=3, timeout_s=None, progress=lambda *_: None)
    trials = trials_of(database)
    lost = [t for t in trials if LOST in t.user_attrs]
    assert [t.user_attrs["error"] for t in lost] == ["the database went away while it was made"]
    assert len(results_of(database)) == 3


def test_an_interrupt_ends_the_wait(tmp_path: Path) -> None:
    database = patient(database_in(tmp_path), 600)
    storage = database.storage
    assert isinstance(storage, PatientStorage)
    study = storage.create_new_study([])
    storage.interrupted = lambda: True
    with (
        _gone(database),
        pytest.raises(StorageError, match="did not answer until the run was interrupted"),
    ):
        storage.set_study_user_attr(study, "x", 1)


def test_wrong_data_are_no_outage(tmp_path: Path) -> None:
    database = patient(database_in(tmp_path), 600)
    with pytest.raises(KeyError):
        database.storage.set_study_user_attr(17, "x", 1)
    assert not is_gone(ValueError("x"))
    assert patient(database, 1.0) is database
