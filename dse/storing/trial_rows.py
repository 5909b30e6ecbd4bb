"""Trials as rows of Optuna's tables, value by value as its ORM would write them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    check_distribution_compatibility,
    distribution_to_json,
)
from optuna.trial import FrozenTrial, TrialState

Row = tuple[Any, ...]

TRIALS = "trials"
PARAMS = "trial_params"
VALUES = "trial_values"
USER = "trial_user_attributes"
SYSTEM = "trial_system_attributes"
INTERMEDIATE = "trial_intermediate_values"

COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        TRIALS: ("trial_id", "number", "study_id", "state", "datetime_start", "datetime_complete"),
        PARAMS: ("trial_id", "param_name", "param_value", "distribution_json"),
        VALUES: ("trial_id", "objective", "value", "value_type"),
        USER: ("trial_id", "key", "value_json"),
        SYSTEM: ("trial_id", "key", "value_json"),
        INTERMEDIATE: ("trial_id", "step", "intermediate_value", "intermediate_value_type"),
    }
)
"""Tables that hold a trial, with the columns that are written; row ids are the database's.

Schema 12 of Optuna (3.2 to 5.0), `optuna/storages/_rdb/models.py`."""

_INFINITE = {math.inf: "INF_POS", -math.inf: "INF_NEG"}
_MOST_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Shape:
    """What the rows of a trial in one table have in common with those of other trials.

    Attributes:
        table: All but `trials`.
        around: For every row what stands before and behind its value: a name and a distribution,
            a key, or a step and a type. The trial's id comes first.
    """

    table: str
    around: tuple[tuple[Any, ...], ...]


Group = tuple[Shape, list[Row]]
"""Rows of trials that have the same shape: a trial's id, then its value in every row."""


class TrialRows:
    """Makes rows; what a knob's distribution comes to is worked out once.

    Args:
        study_id: Of the study.
        objectives: How many values a trial may have.
        known: JSON of the distribution that the study has for a knob so far.
    """

    def __init__(
        self, study_id: int, *, objectives: int, known: Callable[[str], BaseDistribution | None]
    ) -> None:
        self._study_id = study_id
        self._objectives = objectives
        self._known = known
        self._checked: dict[str, BaseDistribution] = {}
        self._knobs: dict[tuple[str, int], _Knob] = {}

    def heads(self, trials: Sequence[FrozenTrial], ids: Sequence[int], first: int) -> list[Row]:
        """Rows of the table `trials`.

        Args:
            trials: Of any state; their numbers do not count.
            ids: Ids in the database, ascending, one for each.
            first: Number that the first trial gets.

        Raises:
            ValueError: A trial that `Study.add_trial` would refuse.
        """
        times: dict[datetime | None, str | None] = {None: None}
        found = []
        for number, (trial, at) in enumerate(zip(trials, ids, strict=True), start=first):
            self._check(trial)
            start, end = trial.datetime_start, trial.datetime_complete
            for moment in (start, end):
                if moment is not None and moment not in times:
                    times[moment] = stored_time(moment)
            row = (at, number, self._study_id, trial.state.name, times[start], times[end])
            found.append(row)
        return found

    def groups(self, trials: Sequence[FrozenTrial], ids: Sequence[int]) -> list[Group]:
        """Rows of the other tables.

        Raises:
            ValueError: A value outside its knob's distribution, or a distribution that does not
                fit the one that the study has.
        """
        groups: dict[Any, Group] = {}
        knobs: dict[tuple[Any, ...], tuple[list[Row], list[Internal]]] = {}
        for trial, at in zip(trials, ids, strict=True):
            if trial._params:
                here = id(trial._distributions), *trial._params
                if (known := knobs.get(here)) is None:
                    known = knobs[here] = self._of_knobs(trial, groups)
                rows, internals = known
                values = trial._params.values()
                rows.append((at, *[f(v) for f, v in zip(internals, values, strict=True)]))
            if trial._values:
                kinds = [_INFINITE.get(value, "FINITE") for value in trial._values]
                _add(groups, VALUES, list(enumerate(kinds)), at, trial._values)
            for table, attributes in ((USER, trial._user_attrs), (SYSTEM, trial._system_attrs)):
                if attributes:
                    key = table, *attributes
                    if (group := groups.get(key)) is None:
                        group = groups[key] = (Shape(table, tuple((k,) for k in attributes)), [])
                    group[1].append((at, *map(to_json, attributes.values())))
            if trial.intermediate_values:
                steps = trial.intermediate_values
                kinds = ["NAN" if v != v else _INFINITE.get(v, "FINITE") for v in steps.values()]
                around = list(zip(steps, kinds, strict=True))
                _add(groups, INTERMEDIATE, around, at, list(steps.values()))
        return list(groups.values())

    def _of_knobs(
        self, trial: FrozenTrial, groups: dict[Any, Group]
    ) -> tuple[list[Row], list[Internal]]:
        knobs = [self._knob(name, trial._distributions[name]) for name in trial._params]
        names = zip(trial._params, knobs, strict=True)
        shape = Shape(PARAMS, tuple((name, knob.text) for name, knob in names))
        group = groups.setdefault(shape, (shape, []))
        return group[1], [knob.internal for knob in knobs]

    def _knob(self, name: str, distribution: BaseDistribution) -> _Knob:
        key = name, id(distribution)
        if (found := self._knobs.get(key)) is None:
            before = self._checked.get(name) or self._known(name)
            if before is not None:
                check_distribution_compatibility(before, distribution)
            self._checked[name] = distribution
            if len(self._knobs) >= _MOST_KEPT:
                self._knobs.clear()
            text, internal = distribution_to_json(distribution), internal_of(distribution)
            found = self._knobs[key] = _Knob(distribution, text, internal)
        return found

    def _check(self, trial: FrozenTrial) -> None:
        """As `Study.add_trial` does; the values of knobs are checked where they are written."""
        values = trial._values
        if values is not None and len(values) != self._objectives:
            raise ValueError(f"the study has {self._objectives} objectives, got values {values}")
        if (
            trial.state != TrialState.COMPLETE
            or values is None
            or any(value != value for value in values)
            or trial.datetime_start is None
            or trial.datetime_complete is None
            or trial._params.keys() - trial._distributions.keys()
        ):
            trial._validate()


Internal = Callable[[Any], float]


@dataclass(frozen=True, slots=True)
class _Knob:
    distribution: BaseDistribution  # kept, so that its id stays its own
    text: str
    internal: Internal


def internal_of(distribution: BaseDistribution) -> Internal:
    """A function from a knob's value to what is stored.

    It raises ValueError for a value outside the distribution.
    """

    def slowly(value: Any) -> float:
        internal = distribution.to_internal_repr(value)
        if not distribution._contains(internal):
            raise ValueError(f"the value {value!r} is not in {distribution}")
        return float(internal)

    if isinstance(distribution, CategoricalDistribution):
        known: dict[tuple[type, Any], float] = {}

        def index(value: Any) -> float:
            key = type(value), value
            if (found := known.get(key)) is None:
                found = known[key] = slowly(value)
            return found

        return index
    if not isinstance(distribution, FloatDistribution | IntDistribution):
        return slowly
    if distribution.step not in (None, 1):
        return slowly
    low, high = distribution.low, distribution.high
    kind = type(low)

    def number(value: Any) -> float:
        if type(value) is kind and low <= value <= high:
            return float(value)
        return slowly(value)

    return number


def _not_json(value: Any) -> None:
    raise TypeError(f"{type(value).__name__} {value!r} is not JSON serializable")


def _encoder() -> Callable[[Any], str]:
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return json.dumps
    quote = json.encoder.encode_basestring_ascii
    encode = make(None, _not_json, quote, None, ": ", ", ", False, False, True)

    def text(value: Any) -> str:
        if type(value) is float and math.isfinite(value):
            return repr(value)
        return "".join(encode(value, 0))

    return text


to_json = _encoder()
"""`json.dumps`, whose encoder is made once and not for every value: half the time."""


def stored_value(value: float) -> tuple[float | None, str]:
    """An objective's value and its type; an infinite one is told by its type alone."""
    kind = _INFINITE.get(value, "FINITE")
    return (value if kind == "FINITE" else None), kind


def _add(
    groups: dict[Any, Group],
    table: str,
    around: list[tuple[int, str]],
    at: int,
    values: Sequence[float],
) -> None:
    """A trial's numbers; those that are not finite are told by their type alone."""
    key = table, *around
    if (group := groups.get(key)) is None:
        group = groups[key] = (Shape(table, tuple(around)), [])
    if all(map(math.isfinite, values)):
        group[1].append((at, *values))
    else:
        group[1].append((at, *[v if math.isfinite(v) else None for v in values]))


def stored_time(moment: datetime) -> str:
    """As Optuna stores times: UTC without a zone."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
