"""TrialColumns: what a study's trials hold, as arrays with one row for every trial."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dse.reading.source import Source
from dse.reading.studies import StoredStudy
from dse.trial_attributes import COMPLETE, DUPLICATE_OF, RUNNING, STATES, WAITING

_IDS_AT_ONCE = 5000
_CONSTRAINTS = "constraints"
_TIMES = "SELECT trial_id, datetime_start, datetime_complete FROM trials WHERE {}"
_STATE = " ".join(f"WHEN '{name}' THEN {number}" for number, name in enumerate(STATES))

Ids = NDArray[np.int64]
Marks = dict[int, Any]
"""An attribute of some trials, by row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violations:
    """By how much every constraint is missed.

    Attributes:
        names: Of the constraints.
        values: Met at or below 0; NaN where a trial does not say.

    Shapes:
        values: `(trials, constraints)`.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]

    def of(self, row: int) -> dict[str, float]:
        """What the trial of a row says."""
        own = self.values[row].tolist()
        return {n: v for n, v in zip(self.names, own, strict=True) if not math.isnan(v)}


class TrialColumns:
    """The trials of a study by column; a column is read when it is first asked for.

    Row i is the trial with the i-th smallest number. `refresh` reads what has changed since: the
    trials that are new and those that were not finished; finished ones do not change any more.

    Args:
        source: The database.
        study: Whose trials.

    Attributes:
        source: The database.
        study: Whose trials.
        numbers: Of the trials, ascending.
        states: As `optuna.trial.TrialState` numbers them.
    """

    def __init__(self, source: Source, study: StoredStudy) -> None:
        self.study = study
        self.numbers: Ids = np.zeros(0, dtype=np.int64)
        self.states = np.zeros(0, dtype=np.uint8)
        self.source = source
        self._ids: Ids = np.zeros(0, dtype=np.int64)
        self._values: NDArray[np.float64] | None = None
        self._marks: dict[str, Marks] = {}
        self._violated: dict[str, Marks] | None = None
        self._broken: NDArray[np.bool_] | None = None
        self._order: NDArray[np.int64] | None = None
        self._read_first()

    def __len__(self) -> int:
        return len(self.numbers)

    def refresh(self) -> NDArray[np.int64]:
        """Read what is new.

        Returns:
            Rows that changed, the new ones among them.

        Raises:
            StorageError: The database fails.
        """
        self.source.moment()
        last = int(self.numbers[-1]) if len(self) else -1
        whole = len(self) == last + 1
        gaps = self.numbers[:0] if whole else np.setdiff1d(np.arange(last + 1), self.numbers)
        wanted = f"number > {last}"
        if len(gaps):  # another driver took a number and had not stored its trial yet
            wanted = f"({wanted} OR number IN ({_listed(gaps)}))"
        new = self._index(wanted)
        unfinished = self._ids[(self.states == RUNNING) | (self.states == WAITING)]
        again = [
            row
            for some in _some(unfinished)
            for row in self._index(f"trial_id IN ({_listed(some)})")
        ]
        if not new and not again:
            return np.zeros(0, dtype=np.int64)
        rows = self.rows_of(np.array([t for t, _, _ in again], dtype=np.int64))
        self.states[rows] = [state for _, _, state in again]
        before = len(self)
        ids, numbers, states = _transposed(new)
        place = np.argsort(np.concatenate([self.numbers, numbers]), kind="stable")
        self._ids, self._order = np.concatenate([self._ids, ids])[place], None
        self.numbers = np.concatenate([self.numbers, numbers])[place]
        self.states = np.concatenate([self.states, states])[place].astype(np.uint8)
        changed = np.isin(self._ids, np.concatenate([unfinished, ids]))
        self._reread(place, before, np.flatnonzero(changed))
        return np.flatnonzero(changed)

    def values(self) -> NDArray[np.float64]:
        """Objectives in the study's order and units; NaN where a trial has none.

        Shapes:
            output: `(trials, objectives)`.
        """
        if self._values is None:
            self._values = np.full((len(self), len(self.study.directions)), np.nan)
            self._read_values(self._values, None)
        return self._values

    def values_of(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The same for some rows; not kept."""
        if self._values is not None:
            return self._values[rows]
        values = np.full((len(self), len(self.study.directions)), np.nan)
        self._read_values(values, rows)
        return values[rows]

    def broken(self) -> NDArray[np.bool_]:
        """Whether a trial breaks a constraint; one that says nothing of any breaks none.

        Shapes:
            output: `(trials,)`.
        """
        if self._broken is None:
            self._broken = np.zeros(len(self), dtype=bool)
            self._read_broken(self._broken, None)
        return self._broken

    def violations(self) -> Violations:
        """By how much every constraint is missed."""
        if self._violated is None:
            self._violated = {}
            self._read_violations(self._violated, None)
        values = np.full((len(self), len(self._violated)), np.nan)
        for column, marks in enumerate(self._violated.values()):
            values[list(marks), column] = list(marks.values())
        return Violations(names=tuple(self._violated), values=values)

    def marks(self, *keys: str) -> list[Marks]:
        """User attributes of the trials that have them, by row, in the order of the keys."""
        missing = [key for key in keys if key not in self._marks]
        if missing:
            self._marks |= {key: {} for key in missing}
            self._read_marks(missing, None)
        return [self._marks[key] for key in keys]

    def results(self) -> NDArray[np.int64]:
        """Rows of the results: complete, and no copies of known designs."""
        (copies,) = self.marks(DUPLICATE_OF)
        chosen = self.states == COMPLETE
        chosen[list(copies)] = False
        return np.flatnonzero(chosen)

    def times(self) -> NDArray[np.datetime64]:
        """When trials started and ended, UTC; NaT where they did not.

        Shapes:
            output: `(trials, 2)`.
        """
        found = np.full((len(self), 2), "NaT", dtype="datetime64[us]")
        rows = list(self.select(_TIMES, None))
        at = self.rows_of(np.array([row[0] for row in rows], dtype=np.int64))
        moments = [["NaT" if t is None else t for t in row[1:]] for row in rows]
        if rows:
            found[at[at >= 0]] = np.array(moments, dtype="datetime64[us]")[at >= 0]
        return found

    def hours(self) -> float:
        """Between the ends of the first and of the last result."""
        (copies,) = self.marks(DUPLICATE_OF)
        ids = _listed(self._ids[list(copies)])
        sql = (
            "SELECT min(datetime_complete), max(datetime_complete) FROM trials"  # noqa: S608
            f" WHERE study_id = {self.study.study_id} AND state = 'COMPLETE'"
            f" AND trial_id NOT IN ({ids or -1})"
        )
        ends = [t for t in next(self.source.rows(sql)) if t is not None]
        if not ends:
            return 0.0
        first, last = (np.datetime64(t, "us") for t in ends)
        return float((last - first) / np.timedelta64(1, "h"))

    def counts(self) -> dict[str, int]:
        """Trials by state, and how many of the complete ones break a constraint."""
        found = np.bincount(self.states, minlength=len(STATES)).tolist()
        order = ("COMPLETE", "FAIL", "RUNNING", "WAITING", "PRUNED")
        shown = ("complete", "failed", "running", "waiting", "pruned")
        counts = {name: found[STATES.index(s)] for name, s in zip(shown, order, strict=True)}
        counts["infeasible"] = int(((self.states == COMPLETE) & self.broken()).sum())
        return counts

    def ids(self, rows: NDArray[np.int64]) -> Ids:
        """Keys of trials in the tables."""
        return self._ids[rows]

    def rows_of(self, ids: Ids) -> NDArray[np.int64]:
        """Rows of trials by their keys; -1 for trials of other studies.

        Shapes:
            ids, output: `(any,)`.
        """
        if not len(self):
            return np.full(len(ids), -1, dtype=np.int64)
        if self._order is None:
            self._order = np.argsort(self._ids, kind="stable")
        place = np.searchsorted(self._ids, ids, sorter=self._order)
        rows = self._order[place.clip(max=len(self) - 1)]
        return np.where(self._ids[rows] == ids, rows, -1)

    def _read_first(self) -> None:
        """The index; where keys and numbers run in step only unfinished trials are fetched."""
        study = self.study.study_id
        sql = (
            "SELECT count(*), min(number), max(number), min(trial_id - number),"  # noqa: S608
            f" max(trial_id - number) FROM trials WHERE study_id = {study}"
        )
        count, low, high, least, most = next(self.source.rows(sql))
        if count and least == most and high - low + 1 == count:
            self.numbers = np.arange(low, high + 1)
            self._ids = self.numbers + int(least)
            self.states = np.full(count, COMPLETE, dtype=np.uint8)
            for trial_id, _, state in self._index("state <> 'COMPLETE'"):
                self.states[trial_id - int(least) - low] = state
            return
        ids, numbers, states = _transposed(self._index("true" if count else "false"))
        place = np.argsort(numbers, kind="stable")
        self._ids, self.numbers = ids[place], numbers[place]
        self.states = states[place].astype(np.uint8)

    def _index(self, wanted: str) -> list[tuple[int, int, int]]:
        sql = (
            f"SELECT trial_id, number, CASE state {_STATE} END FROM trials"  # noqa: S608
            f" WHERE study_id = {self.study.study_id} AND {wanted}"
        )
        return list(self.source.rows(sql))

    def _reread(self, place: NDArray[np.int64], before: int, changed: NDArray[np.int64]) -> None:
        """Move the columns that were read to the new rows, and read the changed ones."""
        new_row = np.empty(len(place), dtype=np.int64)
        new_row[place] = np.arange(len(place))
        moved = new_row[:before]
        if self._values is not None:
            values = np.full((len(self), self._values.shape[1]), np.nan)
            values[moved] = self._values
            values[changed] = np.nan
            self._values = values
            self._read_values(values, changed)
        if self._broken is not None:
            broken = np.zeros(len(self), dtype=bool)
            broken[moved] = self._broken
            broken[changed] = False
            self._broken = broken
            self._read_broken(broken, changed)
        stale = set(changed.tolist())
        for held in (self._marks, self._violated or {}):
            for key, marks in held.items():
                kept = {int(moved[row]): value for row, value in marks.items()}
                held[key] = {row: value for row, value in kept.items() if row not in stale}
        if self._marks:
            self._read_marks(list(self._marks), changed)
        if self._violated is not None:
            self._read_violations(self._violated, changed)

    def _read_values(self, values: NDArray[np.float64], rows: NDArray[np.int64] | None) -> None:
        width = values.shape[1]
        infinite = f"CASE value_type WHEN 'INF_POS' THEN {self.source.infinity} ELSE"
        infinite += f" -{self.source.infinity} END"
        sql = (
            f"SELECT trial_id * {width} + objective, coalesce(value, {infinite})"  # noqa: S608
            " FROM trial_values WHERE {}"
        )
        every = chain.from_iterable(self.select(sql, rows, most=True))
        found = np.fromiter(every, dtype=np.float64)
        places = found[::2].astype(np.int64)
        at = self.rows_of(places // width)
        own = at >= 0
        values[at[own], (places % width)[own]] = found[1::2][own]

    def _read_broken(self, broken: NDArray[np.bool_], rows: NDArray[np.int64] | None) -> None:
        sql = (
            f"SELECT trial_id, value_json FROM trial_system_attributes WHERE {{}}"  # noqa: S608
            f" AND {self._is_constraint()} AND substr(value_json, 1, 1) <> '-'"
        )
        found = self.select(sql, rows, most=True)
        ids = [trial_id for trial_id, text in found if _worst(text) > 0]
        at = self.rows_of(np.array(ids, dtype=np.int64))
        broken[at[at >= 0]] = True

    def _read_violations(self, violated: dict[str, Marks], rows: NDArray[np.int64] | None) -> None:
        sql = (
            f"SELECT trial_id, key, value_json FROM trial_system_attributes WHERE {{}}"  # noqa: S608
            f" AND {self._is_constraint()} ORDER BY trial_system_attribute_id"
        )
        found = list(self.select(sql, rows))
        at = self.rows_of(np.array([trial_id for trial_id, _, _ in found], dtype=np.int64))
        for row, (_, key, text) in zip(at.tolist(), found, strict=True):
            if row >= 0 and key == _CONSTRAINTS:  # as Optuna stored them before 5.0
                for number, value in enumerate(json.loads(text)):
                    violated.setdefault(str(number), {}).setdefault(row, value)
            elif row >= 0:
                name = key.removeprefix(f"{_CONSTRAINTS}:")
                violated.setdefault(name, {})[row] = float(text)

    def _is_constraint(self) -> str:
        key = f"key {self.source.bytewise}"
        return f"{key} >= '{_CONSTRAINTS}' AND {key} < '{_CONSTRAINTS};'"

    def _read_marks(self, keys: Sequence[str], rows: NDArray[np.int64] | None) -> None:
        listed = ", ".join(f"'{key}'" for key in keys)
        sql = (
            "SELECT trial_id, key, value_json FROM trial_user_attributes"  # noqa: S608
            f" WHERE {{}} AND key IN ({listed})"
        )
        found = list(self.select(sql, rows))
        at = self.rows_of(np.array([trial_id for trial_id, _, _ in found], dtype=np.int64))
        for index in np.argsort(at, kind="stable").tolist():
            if at[index] >= 0:
                _, key, text = found[index]
                self._marks[key][int(at[index])] = json.loads(text)

    def found(self, sql: str, rows: NDArray[np.int64] | None) -> Iterator[tuple[Any, ...]]:
        """Rows of a query on some trials, each with its trial's row instead of its key.

        Args:
            sql: Its first column is the key; `{}` stands for which trials.
            rows: Which; all if left out.
        """
        found = list(self.select(sql, rows))
        at = self.rows_of(np.array([each[0] for each in found], dtype=np.int64))
        for row, each in zip(at.tolist(), found, strict=True):
            if row >= 0:
                yield row, *each[1:]

    def select(
        self, sql: str, rows: NDArray[np.int64] | None, *, most: bool = False
    ) -> Iterable[tuple[Any, ...]]:
        """Rows of a query on some trials.

        Args:
            sql: `{}` stands for which trials; other studies' may be among what it finds.
            rows: Which; all if left out.
            most: Whether that is most of the table, if the study is all there is.
        """
        if not len(self):
            return ()
        if rows is None:
            low, high = int(self._ids.min()), int(self._ids.max())
            if high - low < 4 * len(self):
                scan = self.source.scan if most and high < 4 * len(self) else ""
                return self.source.rows(sql.format(f"{scan}trial_id BETWEEN {low} AND {high}"))
            own = f"SELECT trial_id FROM trials WHERE study_id = {self.study.study_id}"  # noqa: S608
            return self.source.rows(sql.format(f"trial_id IN ({own})"))
        return chain.from_iterable(
            self.source.rows(sql.format(_among(some))) for some in _some(self._ids[rows])
        )


def _worst(text: str) -> float:
    return max(json.loads(text), default=0.0) if text.startswith("[") else float(text)


def _listed(numbers: NDArray[np.int64]) -> str:
    return ", ".join(map(str, numbers.tolist()))


def _among(ids: Ids) -> str:
    """Which trials, in SQL; neighbours by their range."""
    if np.array_equal(ids, np.arange(ids[0], ids[0] + len(ids))):
        return f"trial_id BETWEEN {ids[0]} AND {ids[-1]}"
    return f"trial_id IN ({_listed(ids)})"


def _some(ids: Ids) -> Iterable[Ids]:
    for first in range(0, len(ids), _IDS_AT_ONCE):
        yield ids[first : first + _IDS_AT_ONCE]


def _transposed(rows: Sequence[tuple[int, int, int]]) -> tuple[Ids, Ids, Ids]:
    table = np.array(rows, dtype=np.int64).reshape(len(rows), 3)
    return table[:, 0], table[:, 1], table[:, 2]
