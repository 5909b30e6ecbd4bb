"""Lazy trials: a large study is opened without loading its finished trials one by one."""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
import optuna
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage, _StudyInfo
from optuna.trial import FrozenTrial, TrialState

from dse.patience import PatientStorage
from dse.reading.columns import TrialColumns
from dse.reading.source import EngineSource
from dse.reading.studies import read_study
from dse.reading.trial_parts import (
    read_params,
    read_steps,
    read_system,
    read_times,
    read_user,
)
from dse.trial_attributes import RUNNING, WAITING

MANY = 1000
"""From so many trials on a study is opened this way."""

_BLOCK = 256
_GROUPS = {
    "_values": "values",
    "_params": "params",
    "_distributions": "params",
    "_user_attrs": "user",
    "_system_attrs": "system",
    "_datetime_start": "times",
    "datetime_complete": "times",
    "intermediate_values": "steps",
}
"""What a trial does not hold from the start, and with what else it is read."""

Result = TypeVar("Result")


class LazyTrial(FrozenTrial):
    """A finished trial that reads what it is asked for, together with its neighbours.

    Copies of it, also by pickling, are plain trials.
    """

    _loader: Loader

    def __init__(self, number: int, state: TrialState, trial_id: int, loader: Loader) -> None:
        self._number = number
        self.state = state
        self._trial_id = trial_id
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        group = _GROUPS.get(name)
        if group is None:
            raise AttributeError(name)
        self._loader.load(self._trial_id, group)
        return self.__dict__[name]

    def whole(self) -> FrozenTrial:
        """A plain trial with all of it."""
        return plain(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenTrial:
        return copy.deepcopy(self.whole(), memo)

    def __copy__(self) -> FrozenTrial:
        return self.whole()

    def __reduce__(self) -> tuple[Any, ...]:
        return copy.copy, (self.whole(),)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, LazyTrial):
            other = other.whole()
        return self.whole() == other

    __hash__ = None  # type: ignore[assignment] # as a plain trial, whose parts have none

    def __repr__(self) -> str:
        return repr(self.whole())


def plain(trial: FrozenTrial, **changes: Any) -> FrozenTrial:
    """A trial with all that another one holds, some of it replaced."""
    held: dict[str, Any] = {
        "number": trial.number,
        "state": trial.state,
        "value": None,
        "values": trial.values,
        "datetime_start": trial.datetime_start,
        "datetime_complete": trial.datetime_complete,
        "params": trial.params,
        "distributions": trial.distributions,
        "user_attrs": trial.user_attrs,
        "system_attrs": trial.system_attrs,
        "intermediate_values": trial.intermediate_values,
        "trial_id": trial._trial_id,
    }
    return FrozenTrial(**{**held, **changes})


def forget(storage: _CachedStorage, study_id: int) -> None:
    """Drop what a storage keeps in memory of a study; nothing is written."""
    with storage._lock:
        info = storage._studies.pop(study_id, _StudyInfo())
        for number in info.trials:
            trial_id = storage._study_id_and_number_to_trial_id.pop((study_id, number), None)
            storage._trial_id_to_study_id_and_number.pop(cast("int", trial_id), None)


class Loader:
    """Reads groups of columns for blocks of trials.

    Args:
        columns: Of the study.
        patiently: Calls a function, again if the database was away.
    """

    def __init__(
        self, columns: TrialColumns, patiently: Callable[[Callable[[], Any]], Any]
    ) -> None:
        self._columns = columns
        self._patiently = patiently
        self._lock = threading.RLock()
        self._trials: dict[int, LazyTrial] = {}
        self._ids = np.zeros(0, dtype=np.int64)

    def trials(self) -> list[LazyTrial]:
        """The finished trials, none of them read."""
        columns = self._columns
        rows = np.flatnonzero((columns.states != RUNNING) & (columns.states != WAITING))
        states = {int(state): state for state in TrialState}
        self._ids = columns.ids(rows)
        triples = zip(
            self._ids.tolist(),
            columns.numbers[rows].tolist(),
            columns.states[rows].tolist(),
            strict=True,
        )
        self._trials = {i: LazyTrial(n, states[state], i, self) for i, n, state in triples}
        self._ids = np.sort(self._ids)
        return list(self._trials.values())

    def load(self, trial_id: int, group: str) -> None:
        """Read a group of columns of a trial and of its neighbours."""
        with self._lock:
            place = int(np.searchsorted(self._ids, trial_id)) // _BLOCK * _BLOCK
            ids = self._ids[place : place + _BLOCK]
            rows = self._columns.rows_of(ids)
            trials = [self._trials[i] for i in ids.tolist()]
            found = self._patiently(lambda: _READ[group](self._columns, rows))
            for attribute, values in found.items():
                for trial, value in zip(trials, values, strict=True):
                    trial.__dict__.setdefault(attribute, value)


def open_lazily(study: optuna.Study, url: str) -> TrialColumns:
    """Let a study find its finished trials in its storage's memory, unread, if there are many.

    Args:
        study: In a relational database; none of its trials was read in this process.
        url: Of its database, for messages.

    Returns:
        Its trials by column.
    """
    storage = study._storage
    assert isinstance(storage, _CachedStorage), "of a relational database"
    backend: RDBStorage = storage._backend

    def patiently(work: Callable[[], Result]) -> Result:
        return backend._wait(work) if isinstance(backend, PatientStorage) else work()

    source = EngineSource(backend.engine, url)
    columns = patiently(lambda: TrialColumns(source, read_study(source, study.study_name)))
    with storage._lock:
        info = storage._studies.setdefault(study._study_id, _StudyInfo())
        if len(columns) < MANY or info.trials:
            return columns
        trials = Loader(columns, patiently).trials()
        # As `_add_trials_to_cache` does, one by one.
        numbers, ids = [t._number for t in trials], [t._trial_id for t in trials]
        keys = [(study._study_id, number) for number in numbers]
        storage._trial_id_to_study_id_and_number.update(zip(ids, keys, strict=True))
        storage._study_id_and_number_to_trial_id.update(zip(keys, ids, strict=True))
        info.trials.update(zip(numbers, cast("list[FrozenTrial]", trials), strict=True))
        unfinished = columns.ids(
            np.flatnonzero((columns.states == RUNNING) | (columns.states == WAITING))
        )
        info.unfinished_trial_ids |= set(unfinished.tolist())
        info.last_finished_trial_id = max(ids, default=-1)
    return columns


def _values(columns: TrialColumns, rows: Any) -> dict[str, list[Any]]:
    found = columns.values_of(rows)
    return {"_values": [None if all(map(math.isnan, v)) else v for v in found.tolist()]}


_READ: dict[str, Callable[[TrialColumns, Any], dict[str, list[Any]]]] = {
    "values": _values,
    "params": read_params,
    "user": read_user,
    "system": read_system,
    "times": read_times,
    "steps": read_steps,
}
