"""Parts of trials: parameters, attributes, times and steps, read for many trials at once."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any, Protocol

from optuna.distributions import BaseDistribution, json_to_distribution


class Finder(Protocol):
    """Who can be asked for rows of some trials, each with a key of its trial in front."""

    def found(self, sql: str, rows: Any) -> Iterator[tuple[Any, ...]]:
        """Rows of a query; `{}` in it stands for which trials, `rows` are their keys."""
        ...


Part = dict[str, list[Any]]
"""By attribute of a trial: for every trial its value."""


def read_params(finder: Finder, rows: Any) -> Part:
    """Parameters and their distributions, in the order in which they were asked for."""
    params: dict[int, dict[str, Any]] = {row: {} for row in rows.tolist()}
    distributions: dict[int, dict[str, BaseDistribution]] = {row: {} for row in rows.tolist()}
    sql = "SELECT trial_id, param_name, param_value, distribution_json FROM trial_params"
    sql += " WHERE {} ORDER BY param_id"
    for row, name, stored, text in finder.found(sql, rows):
        distributions[row][name] = distribution = stored_distribution(text)
        params[row][name] = distribution.to_external_repr(stored)
    return {"_params": list(params.values()), "_distributions": list(distributions.values())}


def _attributes(kind: str) -> Callable[[Finder, Any], Part]:
    def read(finder: Finder, rows: Any) -> Part:
        found: dict[int, dict[str, Any]] = {row: {} for row in rows.tolist()}
        table = f"trial_{kind}_attributes"
        sql = f"SELECT trial_id, key, value_json FROM {table} WHERE {{}} ORDER BY {table[:-1]}_id"  # noqa: S608
        for row, key, text in finder.found(sql, rows):
            found[row][key] = json.loads(text)
        return {f"_{kind}_attrs": list(found.values())}

    return read


def read_times(finder: Finder, rows: Any) -> Part:
    """When they began and ended."""
    found: dict[int, tuple[Any, ...]] = dict.fromkeys(rows.tolist(), (None, None))
    sql = "SELECT trial_id, datetime_start, datetime_complete FROM trials WHERE {}"
    for row, *both in finder.found(sql, rows):
        found[row] = tuple(map(local_time, both))
    began, ended = zip(*found.values(), strict=True)
    return {"_datetime_start": list(began), "datetime_complete": list(ended)}


def read_steps(finder: Finder, rows: Any) -> Part:
    """Intermediate values."""
    found: dict[int, dict[int, float]] = {row: {} for row in rows.tolist()}
    sql = (
        "SELECT trial_id, step, intermediate_value, intermediate_value_type"
        " FROM trial_intermediate_values WHERE {} ORDER BY trial_intermediate_value_id"
    )
    special = {"NAN": math.nan, "INF_POS": math.inf, "INF_NEG": -math.inf}
    for row, step, value, kind in finder.found(sql, rows):
        found[row][step] = special.get(kind, value)
    return {"intermediate_values": list(found.values())}


read_user = _attributes("user")
read_system = _attributes("system")
PARTS = (read_params, read_user, read_system, read_steps)
"""All but values and times."""


def values_by_trial(finder: Finder, rows: Any) -> dict[int, list[float]]:
    """Objectives of those that have some."""
    found: dict[int, dict[int, float]] = {}
    sql = "SELECT trial_id, objective, value, value_type FROM trial_values WHERE {}"
    infinite = {"INF_POS": math.inf, "INF_NEG": -math.inf}
    for row, objective, value, kind in finder.found(sql, rows):
        found.setdefault(row, {})[objective] = infinite.get(kind, value)
    return {row: [own[at] for at in sorted(own)] for row, own in found.items()}


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
