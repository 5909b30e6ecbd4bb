"""Transactions: all or nothing, errors are SQLAlchemy's, connections stay as they were."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import optuna
import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, ProgrammingError

from dse.database import Database, open_database
from dse.patience import patient
from dse.storing import postgresql
from dse.storing.transactions import Statement, transactions_of


@pytest.fixture
def engine(any_url: str) -> Iterator[Engine]:
    database = open_database(any_url, write=True)
    engine = database.storage.engine
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE numbers (n INTEGER PRIMARY KEY, name TEXT)"))
    yield engine
    engine.dispose()


def inserted(n: int, name: str) -> Statement:
    return Statement("INSERT INTO numbers VALUES (?, ?)", [n, name])


ALL = Statement("SELECT n, name FROM numbers ORDER BY n")


def test_every_statement_gives_its_rows(engine: Engine) -> None:
    transactions = transactions_of(engine)
    with transactions.begun() as transaction:
        assert transaction.run(inserted(1, "é'\"\\"), ALL) == [[], [(1, "é'\"\\")]]
        assert transaction.finish(inserted(2, ""), ALL)[1] == [(1, "é'\"\\"), (2, "")]
    one = Statement("SELECT name FROM numbers WHERE n = ?", [2])
    assert transactions.read(one, ALL) == [[("",)], [(1, "é'\"\\"), (2, "")]]


def test_an_exception_leaves_nothing(engine: Engine) -> None:
    transactions = transactions_of(engine)
    with contextlib.suppress(KeyError), transactions.begun() as transaction:
        transaction.run(inserted(1, "a"))
        raise KeyError
    assert transactions.read(ALL) == [[]]


@pytest.mark.parametrize("how", ["run", "finish"])
def test_a_statement_that_fails_takes_the_others_along(engine: Engine, how: str) -> None:
    transactions = transactions_of(engine)

    def write() -> None:
        with transactions.begun() as transaction:
            transaction.run(inserted(1, "a"))
            getattr(transaction, how)(inserted(2, "b"), inserted(1, "c"), inserted(3, "d"))

    with pytest.raises(IntegrityError):
        write()
    assert transactions.read(ALL) == [[]]


def test_a_transaction_sees_nothing_of_one_that_is_not_committed(engine: Engine) -> None:
    transactions = transactions_of(engine)
    with transactions.begun() as transaction:
        transaction.run(inserted(1, "a"))
        assert transactions.read(ALL) == [[]]
    assert transactions.read(ALL) == [[(1, "a")]]


def test_what_is_no_sql_is_an_error_of_sqlalchemy(engine: Engine) -> None:
    with pytest.raises(DBAPIError) as caught:
        transactions_of(engine).read(ALL, Statement("SELECT n FROM nowhere"))
    assert isinstance(caught.value, (OperationalError, ProgrammingError))
    assert "nowhere" in str(caught.value)


def test_others_find_the_connections_as_before(engine: Engine) -> None:
    """What SQLAlchemy begins on them afterwards is a transaction."""
    transactions = transactions_of(engine)
    transactions.read(ALL)
    with transactions.begun() as transaction:
        transaction.run(inserted(1, "a"))
    with engine.connect() as connection:
        connection.execute(text("INSERT INTO numbers VALUES (2, 'b')"))
        connection.rollback()
    assert transactions.read(ALL) == [[(1, "a")]]


@pytest.fixture
def on_server(postgresql_url: str) -> Iterator[Database]:
    database = open_database(postgresql_url, write=True)
    yield database
    database.storage.engine.dispose()


def cut_off(database: Database) -> None:
    """The server ends every connection of the database, as when it starts again."""
    address = database.storage.engine.url.set(drivername="postgresql")
    with psycopg.connect(address.render_as_string(hide_password=False)) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_a_connection_that_rested_is_tried_before_it_is_used(
    on_server: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "_TRIED_AFTER_S", 0.0)
    transactions = transactions_of(on_server.storage.engine)
    studies = Statement("SELECT count(*) FROM studies")
    assert transactions.read(studies) == [[(0,)]]
    cut_off(on_server)
    assert transactions.read(studies) == [[(0,)]]
    cut_off(on_server)
    assert optuna.get_all_study_names(on_server.storage) == []


def test_one_that_was_just_used_fails_once_and_a_run_goes_on(
    on_server: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(postgresql, "_TRIED_AFTER_S", 1000.0)
    study = optuna.create_study(storage=on_server.storage)
    cut_off(on_server)
    with pytest.raises(DBAPIError):
        transactions_of(on_server.storage.engine).read(Statement("SELECT 1"))
    run = patient(on_server, 60)
    trial = run.storage.create_new_trial(study._study_id)
    cut_off(on_server)
    with caplog.at_level(logging.WARNING, logger="dse"):
        run.storage.set_trial_user_attr(trial, "a", 1)
    assert "the database answers again after" in caplog.text
    assert run.storage.get_trial(trial).user_attrs == {"a": 1}
