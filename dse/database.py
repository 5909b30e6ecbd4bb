"""open_database(): the Optuna storage that holds the studies, checked before it is used."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.storages import RDBStorage
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from dse.errors import StorageError

DEFAULT_URL = "sqlite:///dse.db"
_OPENING_TIMEOUT_S = 5.0
_BUSY_TIMEOUT_S = 60.0

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
        url: SQLite or PostgreSQL, as SQLAlchemy spells it.
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
    shown = parsed.render_as_string(hide_password=True)
    backend = parsed.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise StorageError(f"{shown}: expected sqlite:///FILE or postgresql://..., got {backend}")
    folder = Path()
    options: dict[str, Any] = {}
    if backend == "sqlite":
        file = _sqlite_file(parsed, shown)
        folder = file.parent
        _probe_sqlite(file, shown, write=write)
        options = {"connect_args": {"timeout": _BUSY_TIMEOUT_S}}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        storage = RDBStorage(url, engine_kwargs=options)
    except ImportError as error:
        raise StorageError(
            f"{shown}: its driver is not installed ({error.__cause__ or error}). "
            "For PostgreSQL: pip install 'psycopg[binary]' and postgresql+psycopg://..."
        ) from error
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError, RuntimeError) as error:
        raise StorageError(f"{shown}: cannot be opened: {_reason(error)}") from error
    if backend == "sqlite":
        sqlalchemy.event.listen(storage.engine, "connect", _less_syncing)
        storage.engine.dispose()
    given = home or (Path(text) if (text := os.environ.get("DSE_HOME")) else None)
    return Database(url=shown, storage=storage, home=(given or folder / ".dse").resolve())


@contextmanager
def storage_errors(database: Database) -> Iterator[None]:
    """Turn a database's failure while it is in use into a StorageError."""
    try:
        yield
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise StorageError(
            f"{database.url}: {_reason(error)}. What was finished is kept; the study goes on with "
            "`dse resume` once the database can be written."
        ) from error


def _reason(error: BaseException) -> str:
    """The database's own words, without SQL."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return str(getattr(cause, "orig", cause)).splitlines()[0].rstrip(".")


def _sqlite_file(parsed: sqlalchemy.engine.URL, shown: str) -> Path:
    name = parsed.database
    if not name or name == ":memory:":
        raise StorageError(f"{shown}: a study outlives its run; give a file: {DEFAULT_URL}")
    if name.startswith("file:"):
        raise StorageError(f"{shown}: give the path of the file itself: {DEFAULT_URL}")
    return Path(name).expanduser().resolve()


def _probe_sqlite(file: Path, shown: str, *, write: bool) -> None:
    if not file.exists():
        if not write:
            raise StorageError(
                f"{shown}: there is no such database. Run a study first, or say where it is with "
                "--storage or DSE_STORAGE."
            )
        if not file.parent.is_dir():
            raise StorageError(f"{shown}: the folder {file.parent} does not exist; create it")
        if not os.access(file.parent, os.W_OK):
            raise StorageError(f"{shown}: the folder {file.parent} cannot be written")
    elif not file.is_file():
        raise StorageError(f"{shown}: expected a file, found a folder or device at {file}")
    elif write and not (file.stat().st_mode & 0o222 and os.access(file, os.W_OK)):
        raise StorageError(
            f"{shown}: the database is read-only; allow writing (chmod u+w {file.name}) or give "
            "another with --storage"
        )
    try:
        connection = sqlite3.connect(
            file if write else f"file:{file}?mode=ro",
            timeout=_OPENING_TIMEOUT_S,
            uri=not write,
            isolation_level=None,
        )
        try:
            if write:
                # Write-ahead log: readers and the driver do not wait for one another. The mode
                # stays in the file.
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            else:
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        finally:
            connection.close()
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise StorageError(
                f"{shown}: another program holds the database locked; wait until it is done, or "
                "close it"
            ) from error
        if "readonly" in str(error):
            raise StorageError(
                f"{shown}: the database is read-only; give another with --storage"
            ) from error
        raise StorageError(f"{shown}: cannot be opened: {error}") from error
    except sqlite3.DatabaseError as error:
        raise StorageError(
            f"{shown}: {file.name} is not a usable SQLite database ({error}); give another with "
            "--storage"
        ) from error


def _less_syncing(connection: Any, _record: Any) -> None:
    """In WAL mode `normal` survives a crash of any program and leaves the file whole."""
    connection.execute("PRAGMA synchronous=NORMAL")
