"""QuickStorage: Optuna's storage, writing what belongs together at once, reading by plain SQL."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    check_distribution_compatibility,
    distribution_to_json,
)
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection

from dse.reading.trial_parts import PARTS, local_time, stored_distribution, values_by_trial
from dse.storing.trial_rows import PARAMS, SYSTEM, USER, stored_time, stored_value

_IDS_AT_ONCE = 5000


@dataclass(slots=True)
class _Pending:
    """What is to be written of a trial.

    Attributes:
        params: Internal value and distribution by name.
        attributes: JSON by table and key.
    """

    params: dict[str, tuple[float, BaseDistribution]] = field(default_factory=dict)
    attributes: dict[str, dict[str, str]] = field(default_factory=dict)


class QuickStorage(RDBStorage):
    """Equals Optuna's RDBStorage in what it stores and reads; for SQLite and PostgreSQL.

    Inside `together` parameters and attributes of trials are kept in memory; one transaction
    writes them at its end, or together with the trial's state. Whoever dies in between leaves a
    trial without any of them. What this process reads has them already.

    Args:
        storage: Whose place this takes.
    """

    def __init__(self, storage: RDBStorage) -> None:
        self.__dict__.update(storage.__dict__)
        self._start_empty()

    def _start_empty(self) -> None:
        self._pending: dict[int, _Pending] = {}
        self._depth = 0

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write at the end of the block; an exception leaves unwritten what was not."""
        self._depth += 1
        try:
            yield
            if self._depth == 1:
                self.flush()
        finally:
            self._depth -= 1
            if self._depth == 0:
                self._pending.clear()

    def flush(self) -> None:
        """Write what was kept.

        Raises:
            UpdateFinishedTrialError: A trial was finished by somebody else meanwhile.
        """
        if not self._pending:
            return
        with self.engine.begin() as connection:
            for trial_id in self._pending:
                self._check_open(connection, trial_id)
            self._write_pending(connection, list(self._pending))
        self._pending.clear()

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """See RDBStorage."""
        self._keep(trial_id).attributes.setdefault(USER, {})[key] = json.dumps(value)
        self._written_at_once()

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """See RDBStorage."""
        self._keep(trial_id).attributes.setdefault(SYSTEM, {})[key] = json.dumps(value)
        self._written_at_once()

    def _set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
        previous_distribution: BaseDistribution | None,
    ) -> None:
        if previous_distribution is None:
            previous_distribution = self._distribution_before(trial_id, param_name)
        if previous_distribution is not None:
            try:
                check_distribution_compatibility(previous_distribution, distribution)
            except ValueError:
                with self.engine.begin() as connection:
                    self._check_open(connection, trial_id)  # says rather that it is finished
                raise
        self._keep(trial_id).params[param_name] = float(param_value_internal), distribution
        self._written_at_once()

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """See RDBStorage; what was kept of the trial is written in the same transaction."""
        with self.engine.begin() as connection:
            before = self._check_open(connection, trial_id)
            if state == TrialState.RUNNING and before != TrialState.WAITING:
                return False
            changes = {"state": state.name}
            if state == TrialState.RUNNING:
                changes["datetime_start"] = stored_time(datetime.now())
            if state.is_finished():
                changes["datetime_complete"] = stored_time(datetime.now())
            assigned = ", ".join(f"{column} = ?" for column in changes)
            changed = self._execute(
                connection,
                f"UPDATE trials SET {assigned} WHERE trial_id = ? AND state = ?",  # noqa: S608 # our names
                (*changes.values(), trial_id, before.name),
            )
            if changed.rowcount != 1:  # another process was faster
                return False
            self._write_pending(connection, [trial_id])
            if values is not None:
                rows = [(trial_id, at, *stored_value(value)) for at, value in enumerate(values)]
                self._execute(
                    connection,
                    "INSERT INTO trial_values (trial_id, objective, value, value_type)"
                    " VALUES (?, ?, ?, ?) ON CONFLICT (trial_id, objective)"
                    " DO UPDATE SET value = excluded.value, value_type = excluded.value_type",
                    rows,
                )
        self._pending.pop(trial_id, None)
        return True

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """See RDBStorage."""
        found = self._read("trial_id = ?", (trial_id,))
        if not found:
            raise KeyError(f"there is no trial with the id {trial_id}")
        return found[0]

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        wanted = "study_id = ?"
        if trial_id_greater_than > -1:
            wanted += f" AND (trial_id > {int(trial_id_greater_than)}"
            below = sorted(i for i in included_trial_ids if i <= trial_id_greater_than)
            if below:
                wanted += f" OR trial_id IN ({', '.join(map(str, below))})"
            wanted += ")"
        if states is not None:
            names = [state.name for state in TrialState if state in states]
            wanted += f" AND state IN ({', '.join(map(repr, names))})" if names else " AND 1 = 0"
        found = self._read(wanted, (study_id,))
        if not found:
            self.get_study_name_from_id(study_id)  # raises KeyError if there is no such study
        return found

    def _keep(self, trial_id: int) -> _Pending:
        return self._pending.setdefault(trial_id, _Pending())

    def _written_at_once(self) -> None:
        if self._depth == 0:
            try:
                self.flush()
            finally:
                self._pending.clear()

    def _distribution_before(self, trial_id: int, name: str) -> BaseDistribution | None:
        """How another trial of the study has a parameter."""
        sql = (
            "SELECT distribution_json FROM trial_params WHERE param_name = ? AND trial_id IN"
            " (SELECT trial_id FROM trials WHERE study_id ="
            " (SELECT study_id FROM trials WHERE trial_id = ?)) LIMIT 1"
        )
        with self.engine.connect() as connection:
            row = self._execute(connection, sql, (name, trial_id)).fetchone()
        return None if row is None else stored_distribution(row[0])

    def _check_open(self, connection: Connection, trial_id: int) -> TrialState:
        """State of a trial that is not finished; nobody else changes it in this transaction."""
        sql = "SELECT state, number FROM trials WHERE trial_id = ?"
        if self.engine.name == "postgresql":
            sql += " FOR UPDATE"
        row = self._execute(connection, sql, (trial_id,)).fetchone()
        if row is None:
            raise KeyError(f"there is no trial with the id {trial_id}")
        state = TrialState[row[0]]
        if state.is_finished():
            raise UpdateFinishedTrialError(
                f"Trial#{row[1]} has already finished and can not be updated."
            )
        return state

    def _write_pending(self, connection: Connection, trial_ids: Sequence[int]) -> None:
        kept = [(i, self._pending[i]) for i in trial_ids if i in self._pending]
        params = [
            (i, name, value, distribution_to_json(distribution))
            for i, each in kept
            for name, (value, distribution) in each.params.items()
        ]
        if params:
            self._execute(
                connection,
                f"INSERT INTO {PARAMS} (trial_id, param_name, param_value, distribution_json)"  # noqa: S608 # our names
                " VALUES (?, ?, ?, ?) ON CONFLICT (trial_id, param_name) DO NOTHING",
                params,
            )
        for table in (USER, SYSTEM):
            rows = [
                (i, key, text)
                for i, each in kept
                for key, text in each.attributes.get(table, {}).items()
            ]
            if rows:
                self._execute(
                    connection,
                    f"INSERT INTO {table} (trial_id, key, value_json) VALUES (?, ?, ?)"  # noqa: S608 # our names
                    " ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json",
                    rows,
                )

    def _execute(self, connection: Connection, sql: str, arguments: Any) -> Any:
        if self.engine.name == "postgresql":
            sql = sql.replace("?", "%s")
        return connection.exec_driver_sql(sql, arguments)

    def _read(self, wanted: str, arguments: tuple[Any, ...]) -> list[FrozenTrial]:
        sql = (
            "SELECT trial_id, number, state, datetime_start, datetime_complete FROM trials"  # noqa: S608 # our names
            f" WHERE {wanted} ORDER BY trial_id"
        )
        with self.engine.connect() as connection:
            heads = self._execute(connection, sql, arguments).fetchall()
            ids = np.array([head[0] for head in heads], dtype=np.int64)
            trials: list[FrozenTrial] = []
            for first in range(0, len(ids), _IDS_AT_ONCE):
                last = first + _IDS_AT_ONCE
                trials += self._whole(connection, heads[first:last], ids[first:last])
        for trial in trials:
            if (pending := self._pending.get(trial._trial_id)) is not None:
                _add_pending(trial, pending)
        return trials

    def _whole(
        self, connection: Connection, heads: Sequence[Any], ids: Any
    ) -> Iterator[FrozenTrial]:
        found = _ById(connection)
        values = values_by_trial(found, ids)
        parts = {name: part for read in PARTS for name, part in read(found, ids).items()}
        for place, (trial_id, number, state, start, end) in enumerate(heads):
            yield FrozenTrial(
                number=number,
                state=TrialState[state],
                value=None,
                values=values.get(trial_id),
                datetime_start=local_time(start),
                datetime_complete=local_time(end),
                params=parts["_params"][place],
                distributions=parts["_distributions"][place],
                user_attrs=parts["_user_attrs"][place],
                system_attrs=parts["_system_attrs"][place],
                intermediate_values=parts["intermediate_values"][place],
                trial_id=trial_id,
            )


class _ById:
    """Finds rows of trials by their ids."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def found(self, sql: str, rows: Any) -> Iterator[tuple[Any, ...]]:
        """Rows of a query on some trials; see `TrialColumns.found`, with ids in place of rows."""
        listed = ", ".join(map(str, rows.tolist()))
        asked = self._connection.exec_driver_sql(sql.format(f"trial_id IN ({listed})"))
        yield from map(tuple, asked)


def _add_pending(trial: FrozenTrial, pending: _Pending) -> None:
    for name, (value, distribution) in pending.params.items():
        trial._distributions[name] = distribution
        trial._params[name] = distribution.to_external_repr(value)
    for table, attributes in pending.attributes.items():
        held = trial._user_attrs if table == USER else trial._system_attrs
        held.update({key: json.loads(text) for key, text in attributes.items()})
