"""open_database(): the Optuna storage that holds the studies, checked before it is used."""

from __future__ import annotations

import logging
import os
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.storages import RDBStorage
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from dse.errors import StorageError
from dse.sqlite_file import DEFAULT_URL as DEFAULT_URL
from dse.sqlite_file import probe, sqlite_file
from dse.storing import postgresql

_BUSY_TIMEOUT_S = 60.0

_TRIES, _PAUSE_S = 10, 0.2
_MADE_MEANWHILE = ("already exists", "duplicate key", "UNIQUE constraint failed")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """An open database and the folder for what is too large for it.

    Attributes:
        url: As given, without its password; for messages and hints.
        storage: Optuna's storage.
        home: Folder of the stage store and of the artifacts.
    """

    url: str
    storage: RDBStorage
    home: Path


def open_database(url: str, *, write: bool, home: Path | None = None) -> Database:
    """Open the database of a URL such as `sqlite:///dse.db`.

    Args:
        url: SQLite or PostgreSQL, as SQLAlchemy spells it; `postgresql://` is reached through
            psycopg 3.
        write: A database that will be written is created if missing, and a read-only or locked
            one refused at once; one that will be read must exist.
        home: Folder for large files; `.dse` beside the SQLite file, or in the working folder,
            if left out.

    Raises:
        StorageError: It cannot be opened, read or written.
    """
    try:
        parsed = sqlalchemy.engine.make_url(url)
    except ArgumentError:
        raise StorageError(
            f"a database is given as a URL such as {DEFAULT_URL}, got {url!r}"
        ) from None
    if "password" in parsed.query:
        raise StorageError(
            "a password stands before the host (postgresql://USER:PASSWORD@HOST/DATABASE) or in "
            "PGPASSWORD, not behind the question mark of a URL"
        )
    shown = parsed.render_as_string(hide_password=True)
    backend = parsed.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise StorageError(f"{shown}: expected sqlite:///FILE or postgresql://..., got {backend}")
    folder = Path()
    address, options = url, dict[str, Any]()
    if backend == "sqlite":
        file = sqlite_file(parsed.database, shown)
        folder = file.parent
        probe(file, shown, write=write)
        options = {"connect_args": {"timeout": _BUSY_TIMEOUT_S}}
    else:
        parsed = postgresql.with_driver(parsed, shown)
        address = parsed.render_as_string(hide_password=False)
        options = postgresql.engine_options(parsed)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        if backend == "postgresql":
            logging.getLogger("psycopg").setLevel(logging.ERROR)  # what is lost we say ourselves
            postgresql.probe(parsed, shown, write=write)
        storage = _made_once(lambda: RDBStorage(address, engine_kwargs=options))
    except ImportError as error:
        raise StorageError(
            f"{shown}: its driver is not installed ({error.__cause__ or error}). "
            "For PostgreSQL: pip install 'psycopg[binary]'"
        ) from error
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError, RuntimeError) as error:
        raise StorageError(f"{shown}: cannot be opened: {brief(error)}") from error
    if backend == "sqlite":
        sqlalchemy.event.listen(storage.engine, "connect", _less_syncing)
        storage.engine.dispose()
    else:
        postgresql.try_before_use(storage.engine)
    weakref.finalize(storage, storage.engine.dispose)
    given = home or (Path(text) if (text := os.environ.get("DSE_HOME")) else None)
    return Database(url=shown, storage=storage, home=(given or folder / ".dse").resolve())


@contextmanager
def storage_errors(database: Database) -> Iterator[None]:
    """Turn a database's failure while it is in use into a StorageError."""
    try:
        yield
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise StorageError(
            f"{database.url}: {brief(error)}. What was finished is kept; the study goes on with "
            "`dse resume` once the database can be written."
        ) from error


def brief(error: BaseException) -> str:
    """The database's own words, without SQL, on one line."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return str(getattr(cause, "orig", cause)).splitlines()[0].rstrip(".")


def _made_once(make: Callable[[], RDBStorage]) -> RDBStorage:
    """A storage whose tables several processes may be making at this moment."""
    for _ in range(_TRIES):
        try:
            return make()
        except SQLAlchemyError as error:
            if not any(words in str(error) for words in _MADE_MEANWHILE):
                raise
            time.sleep(_PAUSE_S)
    return make()


def _less_syncing(connection: Any, _record: Any) -> None:
    """In WAL mode `normal` survives a crash of any program and leaves the file whole."""
    connection.execute("PRAGMA synchronous=NORMAL")
