"""The importance of a study's knobs as JSON, as a table and as the bars of the HTML report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from dse.importance import Importance, KnobImportance
from dse.metrics import metric_name
from dse.reporting.drill_down import Bar
from dse.reporting.figures import metric_label

MAX_BARS = 12
"""Knobs of an objective that are shown; the others are summed up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportanceBars:
    """One objective of the report.

    Attributes:
        title: The objective with its unit.
        note: What was compared, or why there are no bars.
        bars: A knob each, the most important first.
    """

    title: str
    note: str
    bars: tuple[Bar, ...]


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


def importance_bars(found: Sequence[Importance]) -> tuple[ImportanceBars, ...]:
    """The bars of the HTML report."""
    return tuple(
        ImportanceBars(
            title=metric_label(metric_name(each.objective)),
            note=each.note,
            bars=tuple(_bar(knob, each) for knob in each.knobs[:MAX_BARS]) + _others(each),
        )
        for each in found
    )


def _bar(knob: KnobImportance, of: Importance) -> Bar:
    n = knob.n_results
    return Bar(
        name=knob.path,
        value="" if n == of.n_results else f"{n} designs have it",
        percent=f"{100 * knob.share:.1f} %",
        width=f"{100 * knob.share / of.knobs[0].share:.1f}",
    )


def _others(of: Importance) -> tuple[Bar, ...]:
    others = of.knobs[MAX_BARS:]
    if not others:
        return ()
    share = sum(knob.share for knob in others)
    return (
        Bar(name=f"{len(others)} others", value="", percent=f"{100 * share:.1f} %", width="0"),
    )
