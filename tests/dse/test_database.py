"""Databases that cannot be used say so at once and stay as they were."""

from __future__ import annotations

import hashlib
import multiprocessing
import sqlite3
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest

import dse.sqlite_file
from dse.database import open_database, storage_errors
from dse.errors import StorageError, StudyError
from dse.lease import ATTRIBUTE, beating, is_live, mine, take
from tests.dse.fakes import database_in


def url(file: Path) -> str:
    return f"sqlite:///{file}"


def test_a_new_database_is_an_optuna_storage_in_wal_mode(tmp_path: Path) -> None:
    database = database_in(tmp_path)
    optuna.create_study(storage=database.storage, study_name="a")
    assert optuna.get_all_study_names(url(tmp_path / "dse.db")) == ["a"]
    with sqlite3.connect(tmp_path / "dse.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert database.home == tmp_path / ".dse"


def test_home_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSE_HOME", str(tmp_path / "elsewhere"))
    assert database_in(tmp_path).home == tmp_path / "elsewhere"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("dse.db", r"given as a URL such as sqlite:///dse\.db, got 'dse\.db'"),
        ("mysql://u:secret@h/d", r"mysql://u:\*\*\*@h/d: expected sqlite:///FILE or postgresql"),
        ("sqlite://", r"a study outlives its run; give a file"),
        ("sqlite:///:memory:", r"a study outlives its run; give a file"),
        ("sqlite:////nowhere/at/all.db", r"the folder /nowhere/at does not exist; create it"),
    ],
)
def test_an_unusable_url_says_what_should_hold(address: str, message: str) -> None:
    with pytest.raises(StorageError, match=message):
        open_database(address, write=True)


def test_postgresql_without_a_driver_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StorageError, match=r"driver is not installed.*psycopg\[binary\]"):
        open_database("postgresql://user:secret@localhost/none", write=True)


def test_a_database_to_be_read_must_exist(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"there is no such database\. Run a study first"):
        open_database(url(tmp_path / "absent.db"), write=False)
    assert not (tmp_path / "absent.db").exists()


def test_a_read_only_database_is_refused_for_a_run_and_unharmed(tmp_path: Path) -> None:
    database_in(tmp_path).storage.engine.dispose()
    file = tmp_path / "dse.db"
    file.chmod(0o444)
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    with pytest.raises(StorageError, match=r"the database is read-only; allow writing"):
        open_database(url(file), write=True)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == before


def test_a_locked_database_is_refused_after_a_short_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dse.sqlite_file, "_OPENING_TIMEOUT_S", 0.2)
    database_in(tmp_path).storage.engine.dispose()
    holder = sqlite3.connect(tmp_path / "dse.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(StorageError, match=r"another program holds the database locked"):
            open_database(url(tmp_path / "dse.db"), write=True)
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    open_database(url(tmp_path / "dse.db"), write=True)


def test_a_file_that_is_no_database_is_refused_and_unharmed(tmp_path: Path) -> None:
    file = tmp_path / "notes.db"
    file.write_text("these are my notes, " * 100)
    for write in (True, False):
        with pytest.raises(StorageError, match=r"notes\.db is not a usable SQLite database"):
            open_database(url(file), write=write)
    assert file.read_text().startswith("these are my notes")
    with pytest.raises(StorageError, match=r"expected a file, found a folder"):
        open_database(url(tmp_path), write=True)


def test_a_database_that_fails_in_use_says_that_the_study_can_go_on(tmp_path: Path) -> None:
    database = database_in(tmp_path)
    study = optuna.create_study(storage=database.storage)
    with sqlite3.connect(tmp_path / "dse.db") as connection:
        connection.execute("DROP TABLE trials")
    with (
        pytest.raises(StorageError, match=r"no such table.*goes on with `dse resume`"),
        storage_errors(database),
    ):
        study.ask()


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_study_has_one_driver(tmp_path: Path) -> None:
    study = optuna.create_study(storage=database_in(tmp_path).storage, study_name="one")
    with beating(study, take(study)):
        with pytest.raises(StudyError, match=r"'one' is being run by process \d+ on .*wait"):
            take(study)
        assert is_live(study.user_attrs[ATTRIBUTE])
    assert not is_live(study.user_attrs[ATTRIBUTE] or {})


def test_a_lease_ends_with_its_process_or_with_its_beat() -> None:
    lease = mine()
    assert is_live(lease)
    assert not is_live({})
    assert not is_live({**lease, "started": lease["started"] - 100}), "another process, same pid"
    assert not is_live({**lease, "pid": 2**22 + 1})
    assert is_live({**lease, "host": "elsewhere"})
    assert not is_live({**lease, "host": "elsewhere", "beat": lease["beat"] - 3600})


def test_processes_that_start_together_make_the_tables_together(any_url: str) -> None:
    context = multiprocessing.get_context("fork")
    start, told = context.Barrier(3), context.Queue()
    processes = [context.Process(target=_open_it, args=(any_url, start, told)) for _ in range(3)]
    for process in processes:
        process.start()
    assert [told.get(timeout=120) for _ in processes] == ["open"] * 3
    for process in processes:
        process.join(timeout=60)


def _open_it(url: str, start: Any, told: Any) -> None:
    start.wait()
    try:
        open_database(url, write=True)
    except Exception as error:
        told.put(repr(error))
    else:
        told.put("open")
