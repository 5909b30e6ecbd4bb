"""QuickStorage: Optuna's storage, writing what belongs together at once, reading by plain SQL."""

from __future__ import annotations

import copy
import json
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    check_distribution_compatibility,
    distribution_to_json,
)
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from dse.reading.trial_parts import PARTS, local_time, stored_distribution
from dse.storing.transactions import Row, Statement, Transaction, Transactions, transactions_of
from dse.storing.trial_rows import (
    COLUMNS,
    PARAMS,
    SYSTEM,
    USER,
    VALUES,
    stored_time,
    stored_value,
)

_IDS_AT_ONCE = 5000
_ROWS_AT_ONCE = 200
"""In one statement; older SQLite takes 999 arguments."""
_HEADS = (
    "SELECT trial_id, number, state, datetime_start, datetime_complete FROM trials WHERE {}"
    " ORDER BY trial_id"
)
_ONE = "trial_id = ?"
_UPSERT = {
    PARAMS: "ON CONFLICT (trial_id, param_name) DO NOTHING",
    USER: "ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json",
    SYSTEM: "ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json",
    VALUES: "ON CONFLICT (trial_id, objective)"
    " DO UPDATE SET value = excluded.value, value_type = excluded.value_type",
}


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
    trial without any of them. What this process reads has them already. A trial that was made in
    the block is not read at all while it is empty, one that is finished is read once.

    Args:
        storage: Whose place this takes.
    """

    def __init__(self, storage: RDBStorage) -> None:
        self.__dict__.update(storage.__dict__)
        self._start_empty()

    def _start_empty(self) -> None:
        self._pending: dict[int, _Pending] = {}
        self._empty: dict[int, FrozenTrial] = {}
        self._finished: dict[int, FrozenTrial] = {}
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
                self._empty.clear()

    def flush(self) -> None:
        """Write what was kept.

        Raises:
            UpdateFinishedTrialError: A trial was finished by somebody else meanwhile.
        """
        if not self._pending:
            return
        self._empty.clear()
        with self._transactions.begun() as transaction:
            self._open_states(transaction, list(self._pending))
            transaction.finish(*self._written(list(self._pending)))
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
                with self._transactions.begun() as transaction:
                    self._open_states(transaction, [trial_id])  # says rather that it is finished
                raise
        self._keep(trial_id).params[param_name] = float(param_value_internal), distribution
        self._written_at_once()

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """See RDBStorage; what was kept of the trial is written in the same transaction."""
        self._empty.pop(trial_id, None)
        with self._transactions.begun() as transaction:
            (before,) = self._open_states(transaction, [trial_id])
            if state == TrialState.RUNNING and before != TrialState.WAITING:
                return False
            changes = {"state": state.name}
            if state == TrialState.RUNNING:
                changes["datetime_start"] = stored_time(datetime.now())
            if state.is_finished():
                changes["datetime_complete"] = stored_time(datetime.now())
            assigned = ", ".join(f"{column} = ?" for column in changes)
            sql = f"UPDATE trials SET {assigned} WHERE trial_id = ?"  # noqa: S608 # our names
            rows = [(trial_id, at, *stored_value(value)) for at, value in enumerate(values or ())]
            transaction.finish(
                Statement(sql, [*changes.values(), trial_id]),
                *self._written([trial_id]),
                *_insertions(VALUES, rows),
            )
        self._pending.pop(trial_id, None)
        return True

    def _create_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None = None
    ) -> FrozenTrial:
        if template_trial is not None:
            return super()._create_new_trial(study_id, template_trial)
        now = datetime.now()
        with self._transactions.begun() as transaction:
            number = transaction.locked_study(study_id)
            if number is None:
                raise KeyError(f"there is no study with the id {study_id}")
            _, ((trial_id,),) = transaction.finish(
                Statement(
                    "INSERT INTO trials (number, study_id, state, datetime_start)"
                    " VALUES (?, ?, ?, ?)",
                    [number, study_id, TrialState.RUNNING.name, stored_time(now)],
                ),
                Statement(
                    "SELECT trial_id FROM trials WHERE study_id = ?"
                    " ORDER BY trial_id DESC LIMIT 1",
                    [study_id],
                ),
            )
        made = FrozenTrial(
            number=number,
            state=TrialState.RUNNING,
            value=None,
            values=None,
            datetime_start=now,
            datetime_complete=None,
            params={},
            distributions={},
            user_attrs={},
            system_attrs={},
            intermediate_values={},
            trial_id=trial_id,
        )
        if self._depth > 0:
            self._empty[trial_id] = copy.deepcopy(made)
        return made

    def set_trial_intermediate_value(self, trial_id: int, step: int, value: float) -> None:
        """See RDBStorage."""
        self._empty.pop(trial_id, None)
        super().set_trial_intermediate_value(trial_id, step, value)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """See RDBStorage."""
        if (empty := self._empty.get(trial_id)) is not None:
            return self._with_pending(copy.deepcopy(empty))
        asked = [_HEADS, *(part.sql for part in PARTS)]
        heads, *parts = self._transactions.read(
            *[Statement(sql.format(_ONE), [trial_id]) for sql in asked]
        )
        if not heads:
            raise KeyError(f"there is no trial with the id {trial_id}")
        (trial,) = self._whole(heads, parts)
        if trial.state.is_finished():
            self._finished[trial_id] = trial
        return trial

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
        study, heads = self._transactions.read(
            Statement("SELECT study_id FROM studies WHERE study_id = ?", [study_id]),
            Statement(_HEADS.format(wanted), [study_id]),
        )
        if not study:
            raise KeyError(f"there is no study with the id {study_id}")
        known = {head[0]: self._finished.pop(head[0], None) for head in heads}
        trials = [trial for trial in known.values() if trial is not None]
        heads = [head for head in heads if known[head[0]] is None]
        for first in range(0, len(heads), _IDS_AT_ONCE):
            some = heads[first : first + _IDS_AT_ONCE]
            chosen = f"trial_id IN ({', '.join(str(head[0]) for head in some)})"
            parts = [Statement(part.sql.format(chosen)) for part in PARTS]
            trials += self._whole(some, self._transactions.read(*parts))
        return sorted(trials, key=lambda trial: trial._trial_id)

    @property
    def _transactions(self) -> Transactions:
        return transactions_of(self.engine)

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
        (rows,) = self._transactions.read(Statement(sql, [name, trial_id]))
        return stored_distribution(rows[0][0]) if rows else None

    @staticmethod
    def _open_states(transaction: Transaction, trial_ids: Sequence[int]) -> list[TrialState]:
        """States of trials that are not finished; nobody else changes them meanwhile."""
        sql = f"SELECT state, number FROM trials WHERE {_ONE}{transaction.for_update}"  # noqa: S608
        found = []
        for trial_id, rows in zip(
            trial_ids, transaction.run(*[Statement(sql, [i]) for i in trial_ids]), strict=True
        ):
            if not rows:
                raise KeyError(f"there is no trial with the id {trial_id}")
            ((state, number),) = rows
            if TrialState[state].is_finished():
                raise UpdateFinishedTrialError(
                    f"Trial#{number} has already finished and can not be updated."
                )
            found.append(TrialState[state])
        return found

    def _written(self, trial_ids: Sequence[int]) -> list[Statement]:
        """What was kept of trials."""
        kept = [(i, self._pending[i]) for i in trial_ids if i in self._pending]
        found = _insertions(
            PARAMS,
            [
                (i, name, value, distribution_to_json(distribution))
                for i, each in kept
                for name, (value, distribution) in each.params.items()
            ],
        )
        for table in (USER, SYSTEM):
            found += _insertions(
                table,
                [
                    (i, key, text)
                    for i, each in kept
                    for key, text in each.attributes.get(table, {}).items()
                ],
            )
        return found

    def _whole(self, heads: Sequence[Row], parts: Sequence[Sequence[Row]]) -> list[FrozenTrial]:
        """Trials of rows of `trials` and of the tables of `PARTS`."""
        ids = [head[0] for head in heads]
        own = {
            name: each
            for part, rows in zip(PARTS, parts, strict=True)
            for name, each in part.decoded(rows, ids).items()
        }
        trials = []
        for place, (trial_id, number, state, start, end) in enumerate(heads):
            trial = FrozenTrial(
                number=number,
                state=TrialState[state],
                value=None,
                values=own["_values"][place],
                datetime_start=local_time(start),
                datetime_complete=local_time(end),
                params=own["_params"][place],
                distributions=own["_distributions"][place],
                user_attrs=own["_user_attrs"][place],
                system_attrs=own["_system_attrs"][place],
                intermediate_values=own["intermediate_values"][place],
                trial_id=trial_id,
            )
            trials.append(self._with_pending(trial))
        return trials

    def _with_pending(self, trial: FrozenTrial) -> FrozenTrial:
        """The trial itself, with what was kept of it."""
        if (pending := self._pending.get(trial._trial_id)) is not None:
            _add_pending(trial, pending)
        return trial


def _insertions(table: str, rows: Sequence[Row]) -> list[Statement]:
    """Rows that replace those that are there, or, of parameters, give way to them."""
    columns = COLUMNS[table]
    marks = f"({', '.join('?' * len(columns))})"
    found = []
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        some = rows[first : first + _ROWS_AT_ONCE]
        sql = (
            f"INSERT INTO {table} ({', '.join(columns)})"  # noqa: S608 # our names
            f" VALUES {', '.join([marks] * len(some))} {_UPSERT[table]}"
        )
        found.append(Statement(sql, [value for row in some for value in row]))
    return found


def _add_pending(trial: FrozenTrial, pending: _Pending) -> None:
    for name, (value, distribution) in pending.params.items():
        trial._distributions[name] = distribution
        trial._params[name] = distribution.to_external_repr(value)
    for table, attributes in pending.attributes.items():
        held = trial._user_attrs if table == USER else trial._system_attrs
        held.update({key: json.loads(text) for key, text in attributes.items()})
