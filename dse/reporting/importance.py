"""The importance of a study's knobs as JSON, as a table, and for a page."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from rich.table import Table

from dse.importance import MAX_RESULTS, Importance
from dse.metrics import metric_name
from dse.reading.columns import TrialColumns
from dse.reporting.labels import metric_label

MAX_BARS = 12
"""Knobs of an objective that are shown; the others are summed up."""


def importance_json(found: Sequence[Importance]) -> dict[str, Any]:
    """What `dse explain --format json` adds: `importance` by objective and knob, and the notes.

    Shares are of 1. An objective of which nothing can be said has no knobs; its note says why.
    """
    return {
        "importance": {
            each.objective: {knob.path: knob.share for knob in each.knobs} for each in found
        },
        "importance_notes": {each.objective: each.note for each in found},
    }


def importance_table(found: Sequence[Importance]) -> Table | None:
    """The same for a person: a row for each knob, a column for each objective that has shares.

    Returns:
        None if nothing can be said of any objective.
    """
    told = [each for each in found if each.knobs]
    if not told:
        return None
    table = Table(title="Importance of the study's knobs")
    table.add_column("knob", overflow="fold")
    for each in told:
        table.add_column(each.objective, justify="right")
    table.add_column("designs", justify="right")
    shares = [{knob.path: knob.share for knob in each.knobs} for each in told]
    ranked = sorted(told[0].knobs, key=lambda knob: -max(by[knob.path] for by in shares))
    for knob in ranked[:MAX_BARS]:
        table.add_row(knob.path, *(f"{by[knob.path]:.1%}" for by in shares), str(knob.n_results))
    if rest := ranked[MAX_BARS:]:
        table.add_section()
        sums = (sum(by[knob.path] for knob in rest) for by in shares)
        table.add_row(f"{len(rest)} others", *(f"{share:.1%}" for share in sums), "")
    return table


def importance_notes(found: Sequence[Importance]) -> list[str]:
    """What was compared for each objective, or why nothing can be said; once where it is one."""
    notes: dict[str, list[str]] = {}
    for each in found:
        notes.setdefault(each.note, []).append(each.objective)
    return [f"{', '.join(objectives)}: {note}" for note, objectives in notes.items()]


def importance_view(found: Sequence[Importance]) -> list[dict[str, Any]]:
    """The same for a page: for each objective its knobs, shares and notes."""
    return [
        {
            "objective": each.objective,
            "label": metric_label(metric_name(each.objective)),
            "note": each.note,
            "results": each.n_results,
            "knobs": [
                {"path": knob.path, "share": round(knob.share, 5), "results": knob.n_results}
                for knob in each.knobs
            ],
        }
        for each in found
    ]


def judged_trials(columns: TrialColumns) -> list[FrozenTrial]:
    """Results as Optuna's trials, for `knob_importance`: of many, as many as it judges.

    Only these are read, with their parameters and values.
    """
    rows = columns.results()
    if len(rows) > MAX_RESULTS:
        chosen = np.linspace(0, len(rows) - 1, MAX_RESULTS).round().astype(int)
        rows = rows[chosen]
    stored: dict[int, dict[str, tuple[BaseDistribution, float]]] = {r: {} for r in rows.tolist()}
    sql = "SELECT trial_id, param_name, param_value, distribution_json FROM trial_params"
    for row, name, value, text in columns.found(f"{sql} WHERE {{}} ORDER BY param_id", rows):
        stored[row][name] = _distribution(text), value
    values = columns.values_of(rows)
    return [
        create_trial(
            state=TrialState.COMPLETE,
            values=own,
            params={name: of.to_external_repr(value) for name, (of, value) in knobs.items()},
            distributions={name: of for name, (of, _) in knobs.items()},
        )
        for own, knobs in zip(values.tolist(), stored.values(), strict=True)
    ]


@cache
def _distribution(text: str) -> BaseDistribution:
    return json_to_distribution(text)
