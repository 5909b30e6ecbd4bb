"""BulkWriter: many trials of a study in one transaction, below Optuna's ORM."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError

from dse.errors import StorageError
from dse.storing.row_text import copied, copied_rows, insertion, insertion_of, single_rows
from dse.storing.trial_rows import COLUMNS, TRIALS, Group, Row, TrialRows


class NumbersMovedError(Exception):
    """Another program wrote trials of the study: the next number is another than expected.

    Attributes:
        first: The next number.
    """

    def __init__(self, first: int) -> None:
        super().__init__(f"the next trial has number {first}")
        self.first = first


class BulkWriter:
    """Writes many trials in one transaction, as `study.add_trials` would one by one.

    The rows are the same, so that every program that reads Optuna studies reads them; Optuna's
    storage in this process sees them when it next reads the study. The study's row is locked
    meanwhile (the whole database in SQLite): numbers stay without gaps, and whoever dies while
    writing leaves nothing.

    Args:
        study: In SQLite or PostgreSQL.

    Raises:
        StorageError: It is in another storage.
    """

    def __init__(self, study: optuna.Study) -> None:
        storage = getattr(study._storage, "_backend", study._storage)
        if not isinstance(storage, RDBStorage) or storage.engine.name not in _TABLES:
            raise StorageError(
                "trials are written in bulk to SQLite and PostgreSQL only, got a study in "
                f"{type(storage).__name__}"
            )
        self._study_id = study._study_id
        self._tables: _Tables = _TABLES[storage.engine.name](storage.engine)
        self._rows = TrialRows(
            self._study_id, objectives=len(study.directions), known=self._distribution
        )

    def write(self, trials: Sequence[FrozenTrial], *, first: int | None = None) -> int:
        """Store trials, all or none.

        Args:
            trials: Finished or not; their numbers do not count.
            first: Number that the first of them must get, if that matters.

        Returns:
            Number of the first one; the others follow.

        Raises:
            ValueError: Optuna would refuse a trial. Nothing is stored.
            NumbersMovedError: `first` is not the next number. Nothing is stored.
            sqlalchemy.exc.OperationalError: The database failed. Whether the trials are stored
                shows in `attribute`.
        """
        with self._tables.transaction(self._study_id) as transaction:
            following = transaction.next_number
            if first is not None and first != following:
                raise NumbersMovedError(following)
            if trials:
                self._distributions = transaction.distribution
                ids = transaction.new_ids(len(trials))
                transaction.insert(
                    self._rows.heads(trials, ids, following), self._rows.groups(trials, ids)
                )
        return following

    def next_number(self) -> int:
        """How many trials the study has."""
        with self._tables.transaction(self._study_id) as transaction:
            return transaction.next_number

    def attribute(self, number: int, key: str) -> str | None:
        """JSON of a user attribute of a stored trial; None if there is no such trial."""
        with self._tables.transaction(self._study_id) as transaction:
            return transaction.attribute(number, key)

    def _distribution(self, name: str) -> BaseDistribution | None:
        stored = self._distributions(name)
        return None if stored is None else json_to_distribution(stored)


class _Transaction:
    """An open transaction that holds the study's lock.

    Args:
        cursor: Of the driver.
        study_id: Of the study.
        mark: Placeholder of the driver.
    """

    def __init__(self, cursor: Any, study_id: int, mark: str) -> None:
        self._cursor = cursor
        self._study_id = study_id
        self._mark = mark
        # Numbers ascend with ids within a study; this reads one row, however many there are.
        last = self.one(
            "SELECT number FROM trials WHERE study_id = ? ORDER BY trial_id DESC LIMIT 1", study_id
        )
        self.next_number: int = 0 if last is None else last + 1

    def one(self, query: str, *values: Any) -> Any:
        """The first column of the first row, or None."""
        self._cursor.execute(query.replace("?", self._mark), values)
        row = self._cursor.fetchone()
        return None if row is None else row[0]

    def distribution(self, name: str) -> str | None:
        """JSON of the distribution of a knob in some trial of the study."""
        found: str | None = self.one(
            "SELECT distribution_json FROM trial_params JOIN trials USING (trial_id)"
            " WHERE study_id = ? AND param_name = ? LIMIT 1",
            self._study_id,
            name,
        )
        return found

    def attribute(self, number: int, key: str) -> str | None:
        """JSON of a user attribute of a trial."""
        found: str | None = self.one(
            "SELECT value_json FROM trial_user_attributes JOIN trials USING (trial_id)"
            " WHERE study_id = ? AND number = ? AND key = ?",
            self._study_id,
            number,
            key,
        )
        return found

    def new_ids(self, count: int) -> Sequence[int]:
        """Ids for new trials, ascending."""
        raise NotImplementedError

    def insert(self, heads: list[Row], groups: list[Group]) -> None:
        """Add the rows of new trials."""
        raise NotImplementedError


class _SQLiteTransaction(_Transaction):
    def new_ids(self, count: int) -> Sequence[int]:
        last = self.one("SELECT max(trial_id) FROM trials") or 0
        return range(last + 1, last + 1 + count)

    def insert(self, heads: list[Row], groups: list[Group]) -> None:
        self._cursor.executemany(insertion(TRIALS), heads)
        for shape, rows in groups:
            if len(rows) >= _WORTH_A_STATEMENT:
                self._cursor.executemany(insertion_of(shape), rows)
            else:
                self._cursor.executemany(insertion(shape.table), single_rows(shape, rows))


class _PostgreSQLTransaction(_Transaction):
    def new_ids(self, count: int) -> Sequence[int]:
        self._cursor.execute(
            "SELECT nextval(pg_get_serial_sequence('trials', 'trial_id'))"
            " FROM generate_series(1, %s)",
            [count],
        )
        return sorted(row[0] for row in self._cursor.fetchall())

    def insert(self, heads: list[Row], groups: list[Group]) -> None:
        self._copy(TRIALS, [copied(row) for row in heads])
        by_table: dict[str, list[str]] = {}
        for shape, rows in groups:
            by_table.setdefault(shape.table, []).extend(copied_rows(shape, rows))
        for table, lines in by_table.items():
            self._copy(table, lines)

    def _copy(self, table: str, lines: list[str]) -> None:
        with self._cursor.copy(f"COPY {table} ({', '.join(COLUMNS[table])}) FROM STDIN") as copy:
            copy.write("".join(lines))


class _Tables(ABC):
    """Optuna's tables in one kind of database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def transaction(self, study_id: int) -> Iterator[_Transaction]:
        """Lock the study; commit at the end of the block, roll back if it raises."""
        failed = self._engine.dialect.loaded_dbapi.Error
        try:
            pooled = self._engine.raw_connection()
            try:
                with self._on(pooled.driver_connection, study_id) as transaction:
                    yield transaction
            except failed:
                pooled.invalidate()
                raise
            finally:
                pooled.close()
        except failed as error:
            raise OperationalError("trials in bulk", None, error) from error

    @abstractmethod
    def _on(self, connection: Any, study_id: int) -> Any:
        """The transaction on a connection of the driver."""


class _SQLite(_Tables):
    @contextmanager
    def _on(self, connection: Any, study_id: int) -> Iterator[_Transaction]:
        before, connection.isolation_level = connection.isolation_level, None
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield _SQLiteTransaction(connection.cursor(), study_id, "?")
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        finally:
            connection.isolation_level = before


class _PostgreSQL(_Tables):
    @contextmanager
    def _on(self, connection: Any, study_id: int) -> Iterator[_Transaction]:
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM studies WHERE study_id = %s FOR UPDATE", [study_id])
            yield _PostgreSQLTransaction(cursor, study_id, "%s")


_TABLES: Mapping[str, type[_Tables]] = {"sqlite": _SQLite, "postgresql": _PostgreSQL}

_WORTH_A_STATEMENT = 4
"""So many trials of one shape, and a statement of their own pays."""
