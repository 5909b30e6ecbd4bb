"""Transactions on connections of the driver; what is sent together costs one round trip."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple

from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError

Row = tuple[Any, ...]


class Statement(NamedTuple):
    """A statement, as SQLite writes it.

    Attributes:
        sql: `?` stands for an argument; there is no other `?` and no `%` in it.
        arguments: One for every `?`.
    """

    sql: str
    arguments: Sequence[Any] = ()


class Transaction(ABC):
    """An open transaction.

    Args:
        connection: Of the driver.
    """

    for_update = ""
    """At the end of a query: nobody else changes its rows while the transaction is open."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    @abstractmethod
    def run(self, *statements: Statement) -> list[list[Row]]:
        """Do them, one after the other; the rows that each of them gives."""

    @abstractmethod
    def finish(self, *statements: Statement) -> list[list[Row]]:
        """The same, and commit; only after `run`."""

    def locked_study(self, study_id: int) -> int | None:
        """Lock a study, so that nobody else makes trials of it.

        Returns:
            Number of its next trial; None if there is no such study.
        """
        study, last = self.run(
            Statement(
                f"SELECT study_id FROM studies WHERE study_id = ?{self.for_update}",  # noqa: S608 # our words
                [study_id],
            ),
            # Numbers ascend with ids within a study; this reads one row, however many there are.
            Statement(
                "SELECT number FROM trials WHERE study_id = ? ORDER BY trial_id DESC LIMIT 1",
                [study_id],
            ),
        )
        if not study:
            return None
        return last[0][0] + 1 if last else 0


class Transactions(ABC):
    """Opens transactions of one engine. See `transactions_of`.

    Args:
        engine: Whose pool connections are taken from.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def read(self, *queries: Statement) -> list[list[Row]]:
        """Rows of queries.

        Raises:
            sqlalchemy.exc.DBAPIError: The database failed.
        """
        with self._connection() as connection:
            return self._read(connection, queries)

    @contextmanager
    def begun(self) -> Iterator[Transaction]:
        """Commit at the end of the block, unless that was done; roll back if it raises.

        Raises:
            sqlalchemy.exc.DBAPIError: The database failed.
        """
        with self._connection() as connection, self._begun(connection) as transaction:
            yield transaction

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        """One of the driver; if it fails it is not used again."""
        failed = self._engine.dialect.loaded_dbapi.Error
        try:
            pooled = self._engine.raw_connection()
            try:
                yield pooled.driver_connection
            except failed:
                pooled.invalidate()
                raise
            finally:
                pooled.close()
        except failed as error:
            raise DBAPIError.instance(None, None, error, failed) from error

    @abstractmethod
    def _read(self, connection: Any, queries: Sequence[Statement]) -> list[list[Row]]:
        """Rows of queries on a connection."""

    @abstractmethod
    def _begun(self, connection: Any) -> AbstractContextManager[Transaction]:
        """A transaction on a connection."""


class _SQLiteTransaction(Transaction):
    def run(self, *statements: Statement) -> list[list[Row]]:
        return [self.connection.execute(*statement).fetchall() for statement in statements]

    def finish(self, *statements: Statement) -> list[list[Row]]:
        found = self.run(*statements)
        self.connection.execute("COMMIT")
        return found


class _SQLite(Transactions):
    def _read(self, connection: Any, queries: Sequence[Statement]) -> list[list[Row]]:
        return [connection.execute(*query).fetchall() for query in queries]

    @contextmanager
    def _begun(self, connection: Any) -> Iterator[Transaction]:
        before, connection.isolation_level = connection.isolation_level, None
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield _SQLiteTransaction(connection)
                if connection.in_transaction:
                    connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        finally:
            connection.isolation_level = before


class _PostgreSQLTransaction(Transaction):
    for_update = " FOR UPDATE"

    def run(self, *statements: Statement) -> list[list[Row]]:
        return _sent_together(self.connection, statements)

    def finish(self, *statements: Statement) -> list[list[Row]]:
        *found, _ = _sent_together(self.connection, [*statements, Statement("COMMIT")])
        return found


class _PostgreSQL(Transactions):
    def _read(self, connection: Any, queries: Sequence[Statement]) -> list[list[Row]]:
        connection.autocommit = True
        try:
            return _sent_together(connection, queries)
        finally:
            if not connection.closed:
                connection.autocommit = False

    @contextmanager
    def _begun(self, connection: Any) -> Iterator[Transaction]:
        try:
            yield _PostgreSQLTransaction(connection)
            connection.commit()
        except BaseException:
            if not connection.closed:
                connection.rollback()
            raise


def _sent_together(connection: Any, statements: Sequence[Statement]) -> list[list[Row]]:
    """Rows of statements that psycopg sends without waiting for the answers in between."""
    from psycopg import Pipeline

    cursors = []
    with (
        connection.pipeline() if Pipeline.is_supported() else nullcontext()
    ):  # not before libpq 14
        for sql, arguments in statements:
            cursors.append(cursor := connection.cursor())
            cursor.execute(sql.replace("?", "%s"), arguments)
    return [[] if cursor.description is None else cursor.fetchall() for cursor in cursors]


_KINDS: Mapping[str, type[Transactions]] = {"sqlite": _SQLite, "postgresql": _PostgreSQL}


def transactions_of(engine: Engine) -> Transactions:
    """Transactions in SQLite or PostgreSQL."""
    return _KINDS[engine.name](engine)
