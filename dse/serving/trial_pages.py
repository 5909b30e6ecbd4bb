"""trial_page(): some of a study's trials, for those who want more than the front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dse.errors import SpecError
from dse.front_choice import Condition, rows_where
from dse.metrics import shown
from dse.reading.trials import TrialRow, read_trials
from dse.serving.live import LiveStudy
from dse.trial_attributes import (
    DUPLICATE_OF,
    ERROR,
    METRICS,
    RULED_OUT,
    SECONDS,
    STATES,
)

_READ = (METRICS, SECONDS, ERROR, RULED_OUT, DUPLICATE_OF)


def trial_page(
    live: LiveStudy,
    *,
    state: str | None,
    where: Sequence[str],
    sort: str,
    offset: int,
    limit: int,
) -> tuple[int, list[dict[str, Any]]]:
    """Trials of a study, chosen and sorted by column; only those of the page are read whole.

    Args:
        live: The study.
        state: `complete`, `fail`, `running`, `waiting` or `pruned`; all if left out.
        where: Conditions as `dse pareto --where` takes them; with any, results alone count.
        sort: `trial` or the name of an objective; `-` before it turns the order.
        offset: So many are passed over.
        limit: At most so many.

    Returns:
        How many there are, and those of the page.

    Raises:
        SpecError: A condition, or what is sorted by, does not exist.
    """
    rows = live.once(("rows", state, tuple(where), sort), lambda: _rows(live, state, where, sort))
    names = [objective.name for objective in live.study.objectives(live.source)]
    some = rows[offset : offset + limit]
    broken = live.columns.broken()[some].tolist()
    return len(rows), [
        _shown(trial, names, is_broken)
        for trial, is_broken in zip(
            read_trials(live.columns, some, attributes=_READ), broken, strict=True
        )
    ]


def _rows(
    live: LiveStudy, state: str | None, where: Sequence[str], sort: str
) -> NDArray[np.int64]:
    columns = live.columns
    key, backwards = sort.removeprefix("-"), sort.startswith("-")
    names = [objective.name for objective in live.study.objectives(live.source)]
    if key not in ("trial", *names):
        raise SpecError(f"sort: trial, {', '.join(names)}, or '-' and one of them; got {sort!r}")
    rows = np.arange(len(columns))
    if where:
        rows = rows_where(columns, [Condition.parse(text) for text in where])
    if state is not None:
        rows = rows[columns.states[rows] == STATES.index(state.upper())]
    if key == "trial":
        return rows[::-1] if backwards else rows
    values = columns.values()[rows, names.index(key)]
    order = np.argsort(-values if backwards else values, kind="stable")  # NaN last in both
    return rows[order]


def _shown(trial: TrialRow, names: Sequence[str], broken: bool) -> dict[str, Any]:
    attributes = trial.user_attrs
    values = trial.values
    return {
        "trial": trial.number,
        "state": STATES[trial.state].lower(),
        "values": None if values is None else dict(zip(names, values, strict=True)),
        "feasible": not broken if values is not None else None,
        "params": trial.params,
        "metrics": shown(attributes.get(METRICS) or {}),
        "seconds": attributes.get(SECONDS),
        "error": attributes.get(ERROR) or (attributes.get(RULED_OUT) or {}).get("reason"),
        "duplicate_of": attributes.get(DUPLICATE_OF),
    }
