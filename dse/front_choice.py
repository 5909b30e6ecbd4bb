"""Which designs a front is asked of, and which of its designs stand out."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dse.errors import SpecError
from dse.metrics import metric_name, spellings
from dse.objectives import Objective
from dse.reading.columns import TrialColumns
from dse.reading.trials import read_trials
from dse.trial_attributes import METRICS

Array = NDArray[np.float64]

_CONDITION = re.compile(r"^\s*(?P<name>[\w.]+)\s*(?P<sign><=|>=|==|!=|<|>)\s*(?P<bound>\S+)\s*$")
_SIGNS: Mapping[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What `--where` asks of a design.

    Attributes:
        name: A metric in any spelling, or a knob.
        sign: `<`, `<=`, `>`, `>=`, `==` or `!=`.
        bound: A number, or the name of a technique.
    """

    name: str
    sign: str
    bound: float | str

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read `energy_uj<5`, `adc.bits.slice3 <= 2` or `regularizer==none`.

        Raises:
            SpecError: It reads otherwise.
        """
        match = _CONDITION.match(text)
        if match is None:
            raise SpecError(
                "a condition reads 'NAME<NUMBER', with <, <=, >, >=, == or !=, such as "
                f"'energy_uj<5' or 'regularizer==none', got {text!r}"
            )
        bound: float | str = match["bound"]
        try:
            bound = float(bound)
        except ValueError:
            if match["sign"] not in ("==", "!="):
                raise SpecError(
                    f"{text!r}: words are equal or not, so {match['sign']} takes a number, "
                    f"got {bound!r}"
                ) from None
        return cls(name=match["name"], sign=match["sign"], bound=bound)

    def holds(self, value: Any) -> bool:
        """Whether a value meets it; a knob that a design does not have meets nothing."""
        if value is None:
            return False
        if isinstance(self.bound, str):
            same = str(value).lower() == self.bound.lower()
            return same if self.sign == "==" else not same
        if isinstance(value, bool | str):
            return self.sign == "!="
        return bool(_SIGNS[self.sign](value, self.bound))


def rows_where(columns: TrialColumns, conditions: Sequence[Condition]) -> NDArray[np.int64]:
    """Rows of the results that meet all conditions.

    Raises:
        SpecError: A condition names neither a metric nor a knob of any of these designs.
    """
    rows = columns.results()
    for condition in conditions:
        if condition.name in spellings():
            metric = metric_name(condition.name)
            (metrics,) = columns.marks(METRICS)
            found: list[Any] = [metric.of(metrics[row]) for row in rows.tolist()]
        else:
            params = [t.params for t in read_trials(columns, rows, attributes=())]
            found = [each.get(condition.name) for each in params]
            if len(rows) and all(value is None for value in found):
                knobs = ", ".join(sorted({name for each in params for name in each}))
                raise SpecError(
                    f"--where {condition.name}: neither a metric nor a knob of these designs; "
                    f"knobs: {knobs}"
                )
        rows = rows[[condition.holds(value) for value in found]]
    return rows


def chosen_objectives(text: str, own: Sequence[Objective]) -> tuple[Objective, ...]:
    """What `--objectives` names: objectives of the study, or any metrics.

    Args:
        text: Comma-separated; `accuracy`, or `maximize accuracy`. Without a direction an
            objective keeps that of the study, an accuracy is maximised, all else minimised.
        own: Objectives of the study.

    Raises:
        SpecError: There is no such metric, or one stands twice.
    """
    known = {objective.name: objective for objective in own}
    found: list[Objective] = []
    for part in (each.strip() for each in text.split(",")):
        if part in known:
            found.append(known[part])
        elif " " in part:
            found.append(Objective.parse(part))
        else:
            larger = part in ("accuracy", "accuracy_ideal", "accuracy_float")
            found.append(Objective.parse(f"{'maximize' if larger else 'minimize'} {part}"))
    if len({objective.name for objective in found}) < len(found):
        raise SpecError(f"--objectives names a metric twice: {text!r}")
    return tuple(found)


def values_under(
    columns: TrialColumns, rows: NDArray[np.int64], objectives: Sequence[Objective]
) -> Array:
    """Objectives of results, read from their metrics.

    Shapes:
        rows: `(results,)`.
        output: `(results, objectives)`.
    """
    (metrics,) = columns.marks(METRICS)
    found = [[o.metric.of(metrics[row]) for o in objectives] for row in rows.tolist()]
    return np.array(found, dtype=np.float64).reshape(len(rows), len(objectives))


def normalised(losses: Array) -> Array:
    """Losses of a front, 0 at the least and 1 at the largest of each objective."""
    low = losses.min(axis=0)
    span = losses.max(axis=0) - low
    return np.asarray((losses - low) / np.where(span > 0, span, 1.0))


def knee(losses: Array) -> int | None:
    """Place of the knee of a front; None where there is no bulge.

    The design that lies furthest from the plane through the extremes, towards better values (I.
    Das, "On characterizing the knee of the Pareto curve based on normal-boundary intersection",
    Structural Optimization 18, 1999), every objective scaled to the front's range.

    Shapes:
        losses: `(designs, objectives)`, all to be small.
    """
    if len(losses) < 3 or losses.shape[1] < 2:
        return None
    sums = normalised(losses).sum(axis=1)
    return int(sums.argmin()) if sums.min() < 1.0 else None


def extremes(losses: Array) -> list[int]:
    """Place of the best design in each objective; of equals the best in the others."""
    found = []
    for objective in range(losses.shape[1]):
        others = np.delete(losses, objective, axis=1).T[::-1]
        found.append(int(np.lexsort((*others, losses[:, objective]))[0]))
    return found


def shortfall(losses: Array, front: Array) -> float:
    """By how much a design would have to improve in every objective to be beaten no more.

    In parts of the front's range, and of its value where it has none: the additive epsilon
    indicator (E. Zitzler et al., "Performance Assessment of Multiobjective Optimizers", IEEE
    Trans. Evol. Comput. 7(2), 2003); 0 on the
    front.

    Shapes:
        losses: `(objectives,)`.
        front: `(designs, objectives)`.
    """
    return short_of(losses, front)[0]


def short_of(losses: Array, front: Array) -> tuple[float, int | None]:
    """The same, and the place of the design of the front that beats it by so much.

    Returns:
        None as the place where no design of the front is better in every objective.

    Shapes:
        losses: `(objectives,)`.
        front: `(designs, objectives)`.
    """
    if not len(front):
        return 0.0, None
    low = front.min(axis=0)
    span = front.max(axis=0) - low
    alone = np.where(low != 0, np.abs(low), 1.0)
    gains = ((losses - front) / np.where(span > 0, span, alone)).min(axis=1)
    best = int(gains.argmax())
    return (float(gains[best]), best) if gains[best] > 0 else (0.0, None)
