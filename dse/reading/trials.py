"""Whole trials for the few that are shown: parameters decoded, attributes parsed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dse.reading.columns import TrialColumns
from dse.trial_attributes import DESIGN

_ROWS_AT_ONCE = 5000
_PARSED_AT_ONCE = 1000
"""Texts that become one JSON list: ten times faster than one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """A trial as the tables hold it.

    Attributes:
        number: Of the trial.
        state: As `optuna.trial.TrialState` numbers it.
        values: Objectives; None without any.
        params: In the order in which they were asked for.
        user_attrs: Those that were asked for.
        constraints: By how much each is missed, if that was asked for.
    """

    number: int
    state: int
    values: list[float] | None = None
    params: dict[str, Any] = field(default_factory=dict)
    user_attrs: dict[str, Any] = field(default_factory=dict)
    constraints: dict[str, float] = field(default_factory=dict)


def read_trials(
    columns: TrialColumns,
    rows: NDArray[np.int64] | Sequence[int],
    *,
    params: bool = True,
    attributes: Iterable[str] | None = None,
) -> list[TrialRow]:
    """Trials in the order of their rows.

    Args:
        columns: Of the study.
        rows: Which trials.
        params: Whether their parameters are wanted.
        attributes: Names of the user attributes that are wanted; all if left out.
    """
    chosen = np.asarray(rows, dtype=np.int64)
    values = columns.values()[chosen]
    trials = [
        TrialRow(
            number=int(columns.numbers[row]),
            state=int(columns.states[row]),
            values=None if np.isnan(own).all() else own.tolist(),
        )
        for row, own in zip(chosen.tolist(), values, strict=True)
    ]
    by_row = dict(zip(chosen.tolist(), trials, strict=True))
    if params and trials:
        sql = "SELECT trial_id, param_name, param_value, distribution_json FROM trial_params"
        for row, name, stored, text in columns.found(
            f"{sql} WHERE {{}} ORDER BY param_id", chosen
        ):
            by_row[row].params[name] = _distribution(text).to_external_repr(stored)
    sql = "SELECT trial_id, key, value_json FROM trial_user_attributes WHERE {}"
    if attributes is not None:
        if not (keys := tuple(attributes)):
            return trials
        sql += f" AND key IN ({', '.join(map(repr, keys))})"
    for row, key, text in columns.found(sql, chosen):
        by_row[row].user_attrs[key] = json.loads(text)
    return trials


def marked_trials(
    columns: TrialColumns, attributes: Iterable[str], *, results: bool
) -> Iterator[TrialRow]:
    """All trials in order, without their parameters; nothing of them is kept here.

    They are read some thousands at a time: a large study costs no more memory than a small one.

    Args:
        columns: Of the study.
        attributes: Names of the user attributes that are wanted.
        results: Whether values and violations are wanted, too.
    """
    keys = ", ".join(repr(key) for key in attributes)
    sql = "SELECT trial_id, key, value_json FROM trial_user_attributes WHERE {}"
    sql += f" AND key IN ({keys})"
    values = columns.values() if results else None
    violations = columns.violations() if results else None
    for first in range(0, len(columns), _ROWS_AT_ONCE):
        rows = np.arange(first, min(first + _ROWS_AT_ONCE, len(columns)))
        attrs: list[dict[str, Any]] = [{} for _ in rows]
        found = iter(columns.found(sql, rows))
        while some := list(islice(found, _PARSED_AT_ONCE)):
            parsed = json.loads(f"[{','.join(text for _, _, text in some)}]")
            for (row, key, _), value in zip(some, parsed, strict=True):
                attrs[row - first][key] = value
        numbers, states = columns.numbers[rows].tolist(), columns.states[rows].tolist()
        for row, number, state, user in zip(rows.tolist(), numbers, states, attrs, strict=True):
            own = None if values is None or np.isnan(values[row]).all() else values[row].tolist()
            yield TrialRow(
                number=number,
                state=state,
                values=own,
                user_attrs=user,
                constraints={} if violations is None else violations.of(row),
            )


def given_rows(columns: TrialColumns, n_given: int) -> list[int]:
    """Rows of the results that belong to one of the first draws, ascending."""
    if n_given == 0:
        return []
    first = draws_below(columns, n_given)
    return [row for row in columns.results().tolist() if row in first]


def draws_below(columns: TrialColumns, count: int) -> dict[int, int]:
    """The draw of every trial that belongs to one of the first so many, by row."""
    draw = columns.source.json_number("value_json", "draw")
    sql = (
        f"SELECT trial_id, {draw} FROM trial_user_attributes"  # noqa: S608
        f" WHERE {{}} AND key = '{DESIGN}' AND {draw} < {count}"
    )
    return {row: int(number) for row, number in columns.found(sql, None)}


@cache
def _distribution(text: str) -> Any:
    from optuna.distributions import json_to_distribution

    return json_to_distribution(text)
