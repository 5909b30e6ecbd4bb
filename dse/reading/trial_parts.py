"""Parts of trials: parameters, attributes, times and steps, read for many trials at once."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from types import MappingProxyType
from typing import Any, Protocol

from optuna.distributions import BaseDistribution, json_to_distribution


class Finder(Protocol):
    """Who can be asked for rows of some trials, each with a key of its trial in front."""

    def found(self, sql: str, rows: Any) -> Iterator[tuple[Any, ...]]:
        """Rows of a query; `{}` in it stands for which trials, `rows` are their keys."""
        ...


Rows = Iterable[tuple[Any, ...]]
"""Rows of a table, the key of their trial in front."""
Found = dict[str, list[Any]]
"""By attribute of a trial: for every trial its value."""


_NOT_FINITE: Mapping[str, Any] = MappingProxyType(
    {"NAN": math.nan, "INF_POS": math.inf, "INF_NEG": -math.inf}
)
"""By the type of a number that has no value."""


@dataclass(frozen=True, slots=True)
class Part:
    """What trials have in one table.

    Attributes:
        sql: Its rows; `{}` stands for which trials.
        decoded: What the rows say of the trials of some keys.
    """

    sql: str
    decoded: Callable[[Rows, Sequence[int]], Found]

    def __call__(self, finder: Finder, keys: Any) -> Found:
        """Read it."""
        return self.decoded(finder.found(self.sql, keys), keys.tolist())


def _params(rows: Rows, keys: Sequence[int]) -> Found:
    params: dict[int, dict[str, Any]] = {key: {} for key in keys}
    distributions: dict[int, dict[str, BaseDistribution]] = {key: {} for key in keys}
    for key, name, stored, text in rows:
        distributions[key][name] = distribution = stored_distribution(text)
        params[key][name] = distribution.to_external_repr(stored)
    return {"_params": list(params.values()), "_distributions": list(distributions.values())}


def _attributes(kind: str) -> Part:
    def decoded(rows: Rows, keys: Sequence[int]) -> Found:
        found: dict[int, dict[str, Any]] = {key: {} for key in keys}
        for key, name, text in rows:
            found[key][name] = json.loads(text)
        return {f"_{kind}_attrs": list(found.values())}

    table = f"trial_{kind}_attributes"
    sql = f"SELECT trial_id, key, value_json FROM {table} WHERE {{}} ORDER BY {table[:-1]}_id"  # noqa: S608
    return Part(sql, decoded)


def _times(rows: Rows, keys: Sequence[int]) -> Found:
    found: dict[int, tuple[Any, ...]] = dict.fromkeys(keys, (None, None))
    for key, *both in rows:
        found[key] = tuple(map(local_time, both))
    began, ended = zip(*found.values(), strict=True)
    return {"_datetime_start": list(began), "datetime_complete": list(ended)}


def _steps(rows: Rows, keys: Sequence[int]) -> Found:
    found: dict[int, dict[int, float]] = {key: {} for key in keys}
    for key, step, value, kind in rows:
        found[key][step] = _NOT_FINITE.get(kind, value)
    return {"intermediate_values": list(found.values())}


def _values(rows: Rows, keys: Sequence[int]) -> Found:
    found: dict[int, dict[int, float]] = {key: {} for key in keys}
    for key, objective, value, kind in rows:
        found[key][objective] = _NOT_FINITE.get(kind, value)
    return {"_values": [[own[at] for at in sorted(own)] or None for own in found.values()]}


read_params = Part(
    "SELECT trial_id, param_name, param_value, distribution_json FROM trial_params"
    " WHERE {} ORDER BY param_id",
    _params,
)
"""Parameters and their distributions, in the order in which they were asked for."""
read_user = _attributes("user")
read_system = _attributes("system")
read_times = Part(
    "SELECT trial_id, datetime_start, datetime_complete FROM trials WHERE {}", _times
)
"""When they began and ended."""
read_steps = Part(
    "SELECT trial_id, step, intermediate_value, intermediate_value_type"
    " FROM trial_intermediate_values WHERE {} ORDER BY trial_intermediate_value_id",
    _steps,
)
"""Intermediate values."""
read_values = Part(
    "SELECT trial_id, objective, value, value_type FROM trial_values WHERE {}", _values
)
"""Objectives; None of those that have none."""
PARTS = (read_values, read_params, read_user, read_system, read_steps)
"""All but times."""


def local_time(stored: datetime | str | None) -> datetime | None:
    """Naive local time, as Optuna hands it out, of a naive UTC time."""
    if stored is None:
        return None
    at = datetime.fromisoformat(stored) if isinstance(stored, str) else stored
    return at.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)


@cache
def stored_distribution(text: str) -> BaseDistribution:
    """Of a parameter; one object for equal ones, not to be changed."""
    return json_to_distribution(text)
