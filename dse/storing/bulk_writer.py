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

from dse.errors import StorageError
from dse.storing.row_text import copied, copied_rows, insertion, insertion_of, single_rows
from dse.storing.transactions import Statement, Transaction, transactions_of
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
        if not isinstance(storage, RDBStorage) or storage.engine.name not in _WRITING:
            raise StorageError(
                "trials are written in bulk to SQLite and PostgreSQL only, got a study in "
                f"{type(storage).__name__}"
            )
        self._study_id = study._study_id
        self._transactions = transactions_of(storage.engine)
        self._kind = _WRITING[storage.engine.name]
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
            sqlalchemy.exc.DBAPIError: The database failed. Whether the trials are stored
                shows in `attribute`.
        """
        with self._writing() as writing:
            following = writing.next_number
            if first is not None and first != following:
                raise NumbersMovedError(following)
            if trials:
                self._distributions = writing.distribution
                ids = writing.new_ids(len(trials))
                writing.insert(
                    self._rows.heads(trials, ids, following), self._rows.groups(trials, ids)
                )
        return following

    def next_number(self) -> int:
        """How many trials the study has."""
        with self._writing() as writing:
            return writing.next_number

    def attribute(self, number: int, key: str) -> str | None:
        """JSON of a user attribute of a stored trial; None if there is no such trial."""
        with self._writing() as writing:
            return writing.attribute(number, key)

    @contextmanager
    def _writing(self) -> Iterator[_Writing]:
        with self._transactions.begun() as transaction:
            yield self._kind(transaction, self._study_id)

    def _distribution(self, name: str) -> BaseDistribution | None:
        stored = self._distributions(name)
        return None if stored is None else json_to_distribution(stored)


class _Writing(ABC):
    """A transaction that holds the study's lock.

    Args:
        transaction: Open.
        study_id: Of the study.
    """

    def __init__(self, transaction: Transaction, study_id: int) -> None:
        self._transaction = transaction
        self._study_id = study_id
        self.next_number = transaction.locked_study(study_id) or 0

    def distribution(self, name: str) -> str | None:
        """JSON of the distribution of a knob in some trial of the study."""
        return self._text(
            "SELECT distribution_json FROM trial_params JOIN trials USING (trial_id)"
            " WHERE study_id = ? AND param_name = ? LIMIT 1",
            self._study_id,
            name,
        )

    def attribute(self, number: int, key: str) -> str | None:
        """JSON of a user attribute of a trial."""
        return self._text(
            "SELECT value_json FROM trial_user_attributes JOIN trials USING (trial_id)"
            " WHERE study_id = ? AND number = ? AND key = ?",
            self._study_id,
            number,
            key,
        )

    @abstractmethod
    def new_ids(self, count: int) -> Sequence[int]:
        """Ids for new trials, ascending."""

    @abstractmethod
    def insert(self, heads: list[Row], groups: list[Group]) -> None:
        """Add the rows of new trials."""

    def _text(self, query: str, *arguments: Any) -> str | None:
        (rows,) = self._transaction.run(Statement(query, arguments))
        return rows[0][0] if rows else None


class _SQLiteWriting(_Writing):
    def new_ids(self, count: int) -> Sequence[int]:
        ((last,),) = self._transaction.run(Statement("SELECT max(trial_id) FROM trials"))[0]
        return range((last or 0) + 1, (last or 0) + 1 + count)

    def insert(self, heads: list[Row], groups: list[Group]) -> None:
        executemany = self._transaction.connection.executemany
        executemany(insertion(TRIALS), heads)
        for shape, rows in groups:
            if len(rows) >= _WORTH_A_STATEMENT:
                executemany(insertion_of(shape), rows)
            else:
                executemany(insertion(shape.table), single_rows(shape, rows))


class _PostgreSQLWriting(_Writing):
    def new_ids(self, count: int) -> Sequence[int]:
        following = Statement(
            "SELECT nextval(pg_get_serial_sequence('trials', 'trial_id'))"
            " FROM generate_series(1, ?)",
            [count],
        )
        return sorted(row[0] for row in self._transaction.run(following)[0])

    def insert(self, heads: list[Row], groups: list[Group]) -> None:
        by_table = {TRIALS: [copied(row) for row in heads]}
        for shape, rows in groups:
            by_table.setdefault(shape.table, []).extend(copied_rows(shape, rows))
        with self._transaction.connection.cursor() as cursor:
            for table, lines in by_table.items():
                columns = ", ".join(COLUMNS[table])
                with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                    copy.write("".join(lines))


_WRITING: Mapping[str, type[_Writing]] = {
    "sqlite": _SQLiteWriting,
    "postgresql": _PostgreSQLWriting,
}

_WORTH_A_STATEMENT = 4
"""So many trials of one shape, and a statement of their own pays."""
