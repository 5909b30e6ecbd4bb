"""open_source(): a database read by plain SQL; for SQLite without SQLAlchemy and Optuna."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from dse.errors import StorageError
from dse.sqlite_file import file_identity, probe, sqlite_file

_SQLITE = "sqlite:///"
_BUSY_TIMEOUT_S = 60.0
_CACHE_KIB = 32 * 1024
_FETCHED_AT_ONCE = 20_000


class Source(Protocol):
    """An open database.

    Attributes:
        url: As given, without its password.
        infinity: How its SQL writes an infinite number.
        bytewise: After a text: compare it byte by byte.
        scan: Before a column: read the table from end to end rather than by the column's index.
    """

    url: str
    infinity: str
    bytewise: str
    scan: str

    def rows(self, sql: str, *arguments: object) -> Iterator[tuple[Any, ...]]:
        """Rows of a query; `?` stands for an argument.

        Raises:
            StorageError: The database fails.
        """
        ...

    def json_number(self, column: str, entry: str) -> str:
        """SQL for a number in a column of JSON objects."""
        ...

    def moment(self) -> None:
        """Forget the moment that was read so far: what follows is read as it is from now on."""
        ...

    def is_current(self) -> bool:
        """Whether the database is still the one that was opened, not another file in its place."""
        ...


@contextmanager
def open_source(url: str) -> Iterator[Source]:
    """Open a database to be read; all that is read belongs to one moment.

    Args:
        url: As `dse.database.open_database` takes it.

    Raises:
        StorageError: It does not exist or cannot be read.
    """
    if url.startswith(_SQLITE) and "?" not in url:
        with _sqlite(sqlite_file(url.removeprefix(_SQLITE), url), url) as source:
            yield source
        return
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StorageError(
            f"a database is given as a URL such as sqlite:///dse.db, got {url!r}"
        ) from None
    shown = parsed.render_as_string(hide_password=True)
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        with _sqlite(sqlite_file(parsed.database, shown), shown) as source:
            yield source
    elif backend == "postgresql":
        with _postgresql(url, shown) as source:
            yield source
    else:
        raise StorageError(f"{shown}: expected sqlite:///FILE or postgresql://..., got {backend}")


class _Sqlite:
    infinity = "9e999"
    bytewise = ""
    scan = "+"

    def __init__(self, connection: sqlite3.Connection, url: str, file: Path) -> None:
        self.url = url
        self._connection = connection
        self._file, self._opened = file, file_identity(file)
        self.moment()

    def rows(self, sql: str, *arguments: object) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._connection.execute(sql, arguments)
        except sqlite3.Error as error:
            raise StorageError(f"{self.url}: cannot be read: {error}") from error

    def json_number(self, column: str, entry: str) -> str:
        return f"json_extract({column}, '$.{entry}')"

    def moment(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._connection.execute("BEGIN")
        except sqlite3.Error as error:
            raise StorageError(f"{self.url}: cannot be read: {error}") from error

    def is_current(self) -> bool:
        return file_identity(self._file) == self._opened


@contextmanager
def _sqlite(file: Path, shown: str) -> Iterator[Source]:
    probe(file, shown, write=False)
    connection = sqlite3.connect(
        f"{file.as_uri()}?mode=ro", uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None
    )
    try:
        connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        yield _Sqlite(connection, shown, file)
    finally:
        connection.close()


class _Postgresql:
    infinity = "'Infinity'::float8"
    bytewise = 'COLLATE "C"'
    scan = ""  # it knows by itself

    def __init__(self, connection: Any, url: str) -> None:
        self.url = url
        self._connection = connection

    def rows(self, sql: str, *arguments: object) -> Iterator[tuple[Any, ...]]:
        import psycopg

        try:
            with self._connection.cursor(name="dse", binary=True) as cursor:
                cursor.itersize = _FETCHED_AT_ONCE
                cursor.execute(sql.replace("%", "%%").replace("?", "%s"), arguments)
                yield from cursor
        except psycopg.Error as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise StorageError(f"{self.url}: cannot be read: {reason}") from error

    def json_number(self, column: str, entry: str) -> str:
        return f"({column}::json ->> '{entry}')::float8"

    def moment(self) -> None:
        import psycopg

        try:
            self._connection.rollback()
        except psycopg.Error as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise StorageError(f"{self.url}: cannot be read: {reason}") from error

    def is_current(self) -> bool:
        return True


class EngineSource:
    """A database that a storage has open already; every query sees the moment it is asked.

    Args:
        engine: SQLAlchemy's.
        url: Without its password, for messages.
    """

    def __init__(self, engine: Any, url: str) -> None:
        self.url = url
        self._engine = engine
        kind = _Sqlite if engine.name == "sqlite" else _Postgresql
        self.infinity, self.bytewise, self.scan = kind.infinity, kind.bytewise, kind.scan
        self._dialect = kind

    def rows(self, sql: str, *arguments: object) -> Iterator[tuple[Any, ...]]:
        """See `Source`; errors are SQLAlchemy's, for whoever waits for the database."""
        if self._dialect is _Postgresql and arguments:
            sql = sql.replace("%", "%%").replace("?", "%s")
        with self._engine.connect() as connection:
            yield from connection.exec_driver_sql(sql, arguments or None).cursor

    def json_number(self, column: str, entry: str) -> str:
        """See `Source`."""
        return self._dialect.json_number(self, column, entry)  # type: ignore[arg-type]

    def moment(self) -> None:
        """Nothing is held."""

    def is_current(self) -> bool:
        """See `Source`; who opened the engine looks after it."""
        return True


@contextmanager
def _postgresql(url: str, shown: str) -> Iterator[Source]:
    import psycopg
    from sqlalchemy import create_engine, make_url

    from dse.storing.postgresql import engine_options, probe, with_driver

    parsed = with_driver(make_url(url), shown)
    probe(parsed, shown, write=False)
    engine = create_engine(parsed, **engine_options(parsed))
    try:
        pooled = engine.raw_connection()
        connection: Any = pooled.driver_connection
        connection.read_only = True
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        try:
            yield _Postgresql(connection, shown)
        finally:
            connection.rollback()
            pooled.invalidate()
    finally:
        engine.dispose()
