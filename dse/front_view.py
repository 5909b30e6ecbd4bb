"""view_front(): a stored front with all that is shown of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dse.front_choice import (
    Condition,
    chosen_objectives,
    extremes,
    knee,
    rows_where,
    shortfall,
    values_under,
)
from dse.objectives import Objective
from dse.pareto import FrontOf, stored_front
from dse.reading.columns import TrialColumns
from dse.reading.source import Source
from dse.reading.studies import read_study
from dse.reading.trials import TrialRow, given_rows, read_trials
from dse.trial_attributes import DESIGN, METRICS, SECONDS, design_of

SHOWN = (METRICS, SECONDS, DESIGN)
"""User attributes of a trial that are read for a front."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenDesign:
    """A design that the study file gives, beside the front.

    Attributes:
        name: Of the published design, or `given N`.
        trial: Its result.
        shortfall: By how much it would have to improve in every objective, in parts of the
            front's range, to be beaten no more; 0 on the front.
    """

    name: str
    trial: TrialRow
    shortfall: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontView:
    """A front to be shown.

    Attributes:
        name: Of the study.
        front: Its designs, with the values of the objectives that were asked for.
        counts: Trials of the study by state.
        knee: Number of the trial at the front's knee, if it has one.
        extremes: Number of the best trial, by objective; without those in which all are equal.
        given: Designs of the study file.
    """

    name: str
    front: FrontOf[TrialRow]
    counts: Mapping[str, int]
    knee: int | None
    extremes: Mapping[str, int]
    given: tuple[GivenDesign, ...]

    def marks(self) -> dict[int, str]:
        """What a trial of the front stands out for, by number."""
        found: dict[int, list[str]] = {}
        for name, number in self.extremes.items():
            found.setdefault(number, []).append(f"best {name}")
        if self.knee is not None:
            found.setdefault(self.knee, []).append("knee")
        return {number: ", ".join(words) for number, words in found.items()}


def view_front(
    source: Source,
    name: str,
    *,
    where: Sequence[str] = (),
    objectives: str | None = None,
    reference_point: Sequence[float] | None = None,
) -> FrontView:
    """The front of a study, or of some of its designs, under its objectives or others.

    Args:
        source: The database.
        name: Of the study.
        where: Conditions such as `energy_uj<5`; the front is that of the designs that meet all.
        objectives: Comma-separated metrics instead of the study's objectives.
        reference_point: Instead of the worst values among these designs.

    Raises:
        StudyError: There is no such study, or dse did not make it.
        SpecError: A condition or an objective says what cannot be.
    """
    study = read_study(source, name)
    return view_columns(
        TrialColumns(source, study),
        study.objectives(source),
        points=study.spec(source)["points"],
        where=where,
        objectives=objectives,
        reference_point=reference_point,
    )


def view_columns(
    columns: TrialColumns,
    own: tuple[Objective, ...],
    *,
    points: Sequence[Mapping[str, object]],
    where: Sequence[str] = (),
    objectives: str | None = None,
    reference_point: Sequence[float] | None = None,
) -> FrontView:
    """The same from columns that were read already.

    Args:
        columns: Of the study.
        own: The study's objectives.
        points: Designs that the study file gives.
        where: As above.
        objectives: As above.
        reference_point: As above.

    Raises:
        SpecError: A condition or an objective says what cannot be.
    """
    wanted = own if objectives is None else chosen_objectives(objectives, own)
    conditions = [Condition.parse(text) for text in where]
    rows = rows_where(columns, conditions) if conditions else columns.results()
    values = columns.values()[rows] if wanted == own else values_under(columns, rows, wanted)
    found = stored_front(
        columns, wanted, reference_point=reference_point, rows=rows, values=values
    )
    place = {row: at for at, row in enumerate(rows.tolist())}

    def read(chosen: Sequence[int]) -> list[TrialRow]:
        trials = read_trials(columns, chosen, attributes=SHOWN)
        return [
            replace(trial, values=values[place[row]].tolist())
            for row, trial in zip(chosen, trials, strict=True)
        ]

    front = found.of(read(found.trials))
    signs = np.array([1.0 if o.direction == "minimize" else -1.0 for o in wanted])
    losses = np.array([t.values for t in front.trials]).reshape(-1, len(wanted)) * signs
    bulge = knee(losses)
    numbers = [trial.number for trial in front.trials]
    given = read([row for row in given_rows(columns, len(points)) if row in place])
    return FrontView(
        name=columns.study.name,
        front=front,
        counts=columns.counts(),
        knee=None if bulge is None else numbers[bulge],
        extremes={
            objective.name: numbers[at]
            for objective, at, losses_ in zip(wanted, extremes(losses), losses.T, strict=True)
            if losses_.min() < losses_.max()
        }
        if numbers
        else {},
        given=tuple(
            GivenDesign(
                name=_given_name(trial, points),
                trial=trial,
                shortfall=shortfall(np.array(trial.values) * signs, losses),
            )
            for trial in given
        ),
    )


def _given_name(trial: TrialRow, points: Sequence[Mapping[str, object]]) -> str:
    draw = (design_of(trial) or {})["draw"]
    return str(points[draw].get("published", f"given {draw}"))
