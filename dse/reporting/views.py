"""study_view() and design_view(): what the pages of a study and of a design are drawn from.

Both are JSON: the static report embeds them, `dse serve` sends them; `assets/views.js` says what
draws them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dse.database import Database
from dse.front_choice import short_of
from dse.front_view import FrontView, view_columns
from dse.importance import knob_importance
from dse.objectives import Objective
from dse.pareto import FrontOf
from dse.published_points import PUBLISHED
from dse.reading.columns import TrialColumns
from dse.reading.source import Source
from dse.reading.studies import StoredStudy, read_study
from dse.reading.trials import TrialRow, read_trials
from dse.reporting.convergence import convergence
from dse.reporting.designs import DesignViews
from dse.reporting.importance import importance_view, judged_trials
from dse.reporting.labels import axis_label, metric_label, number
from dse.reporting.view_columns import design_columns, knob_order
from dse.resuming import VERSIONS
from dse.spec import StudySpec
from dse.trial_attributes import DUPLICATE_OF, ERROR, LOST, METRICS, SECONDS
from search_spaces.domains import is_single, only_value

MAX_FRONT = 2000
"""Designs of the front that are drawn; of more, evenly chosen ones along the first objective."""

MAX_OTHERS = 3000
"""Designs off the front that are drawn; of more, some chosen at random."""

_MAX_CELLS = 250_000
"""Of the tables of a page, designs times columns; with many knobs fewer designs are drawn."""
_MIN_DESIGNS = 300
_MAX_FAILURES = 50
_MAX_REASON = 2000


def study_view(source: Source, name: str, columns: TrialColumns | None = None) -> dict[str, Any]:
    """A study for its page: the front, a sample of the other designs, progress, failures.

    Its trials are read column by column, and whole only those that are drawn.

    Args:
        source: The database.
        name: Of the study.
        columns: Of its trials, if they were read already.

    Raises:
        StudyError: There is no such study, or dse did not make it.
        StorageError: The database fails.
    """
    stored = read_study(source, name)
    spec = StudySpec.from_stored(stored.spec(source), where=f"study {name}")
    if columns is None:
        columns = TrialColumns(source, stored)
    objectives = spec.parsed_objectives()
    shown = view_columns(columns, objectives, points=spec.points)
    importance = knob_importance(judged_trials(columns), objectives, spec.design_space().free())
    return {
        "study": name,
        "about": _about(spec),
        "knobs": _knobs(spec),
        "counts": _counts(columns),
        "latest": _latest(columns),
        "objectives": [_objective(o, w) for o, w in _with_reference(shown.front)],
        "hypervolume": shown.front.hypervolume,
        **_designs(columns, shown, seed=spec.sampler.seed),
        "published": _published(columns, shown, spec.points),
        "convergence": convergence(columns, objectives, shown.front.reference_point),
        "importance": importance_view(importance),
        "failures": _failures(columns),
        "versions": _versions(stored),
        "data": _data(spec),
    }


def design_view(database: Database, name: str, trial: int) -> dict[str, Any]:
    """One design for its drill-down, as `DesignViews.view` gives it.

    Args:
        database: Where the study lives, with the reports of its designs.
        name: Of the study.
        trial: Number of the trial.

    Raises:
        StudyError: There is no such study or trial, or the trial has no results.
    """
    return DesignViews(database, name).view(trial)


def _designs(columns: TrialColumns, shown: FrontView, *, seed: int) -> dict[str, Any]:
    """The designs that are drawn, by column, and how many there are."""
    front = shown.front.trials
    given = [each.trial for each in shown.given]
    results = columns.results()
    aside = np.searchsorted(columns.numbers, [t.number for t in (*front, *given)])
    crowd = np.setdiff1d(results, aside)
    knobs = knob_order((*front[:MAX_FRONT], *given, *_first(columns, crowd)))
    most = max(_MIN_DESIGNS, _MAX_CELLS // (len(knobs) + 10))
    marks = shown.marks()
    kept = [t for t in front if t.number in marks or t.number in {g.number for g in given}]
    drawn_front = _evenly(front, min(MAX_FRONT, most // 2), kept)
    on_front = {trial.number for trial in front}
    beside = [trial for trial in given if trial.number not in on_front]
    chosen = _sample(crowd, min(MAX_OTHERS, most - most // 2), seed)
    others = read_trials(columns, chosen, attributes=(METRICS, SECONDS))
    designs = [*drawn_front, *beside, *others]
    rows = np.searchsorted(columns.numbers, [trial.number for trial in designs])
    broken = columns.broken()
    names = {each.trial.number: each.name for each in shown.given}
    return {
        "columns": design_columns(designs, shown.front.objectives, knobs),
        "designs": {
            "trial": [trial.number for trial in designs],
            "feasible": (~broken[rows]).astype(int).tolist(),
            "front": [int(trial.number in on_front) for trial in designs],
            "given": [names.get(trial.number, "") for trial in designs],
            "marks": [marks.get(trial.number, "") for trial in designs],
        },
        "drawn": {
            "results": len(results),
            "infeasible": int(broken[results].sum()),
            "front": len(drawn_front),
            "front_total": len(front),
            "others": len(others),
            "others_total": len(crowd),
        },
        "knee": shown.knee,
        "extremes": dict(shown.extremes),
    }


def _first(columns: TrialColumns, rows: NDArray[np.int64]) -> list[TrialRow]:
    """A few designs, for the knobs that they have."""
    return read_trials(columns, rows[:: max(1, len(rows) // 200)], attributes=())


def _evenly(
    trials: Sequence[TrialRow], most: int, kept: Sequence[TrialRow]
) -> tuple[TrialRow, ...]:
    """Some of the front, evenly chosen, and those that are kept; in the order of the front."""
    if len(trials) <= most:
        return tuple(trials)
    chosen = np.linspace(0, len(trials) - 1, most).round().astype(int)
    wanted = {trials[index].number for index in chosen.tolist()} | {t.number for t in kept}
    return tuple(trial for trial in trials if trial.number in wanted)


def _sample(rows: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def _with_reference(front: FrontOf[TrialRow]) -> list[tuple[Objective, float]]:
    return list(zip(front.objectives, front.reference_point, strict=True))


def _objective(objective: Objective, worst: float) -> dict[str, Any]:
    return {
        "name": objective.name,
        "direction": objective.direction,
        "label": metric_label(objective.metric),
        "axis": axis_label(objective.metric),
        "reference": worst,
    }


def _published(
    columns: TrialColumns, shown: FrontView, points: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Designs of the study file, those of the papers among them, and what beats them."""
    objectives, front = shown.front.objectives, shown.front.trials
    signs = np.array([1.0 if o.direction == "minimize" else -1.0 for o in objectives])
    losses = np.array([t.values for t in front]).reshape(-1, len(objectives)) * signs
    on_front = {trial.number for trial in front}
    broken = set(columns.numbers[columns.broken()].tolist())
    rows = []
    for each in shown.given:
        beaten_by = short_of(np.array(each.trial.values) * signs, losses)[1]
        rows.append(
            {
                "name": each.name,
                "trial": each.trial.number,
                "values": each.trial.values,
                "on_front": each.trial.number in on_front,
                "feasible": each.trial.number not in broken,
                "shortfall": each.shortfall,
                "beaten_by": None if beaten_by is None else front[beaten_by].number,
                "beaten_by_values": None if beaten_by is None else front[beaten_by].values,
            }
        )
    return {
        "designs": rows,
        "given": len(points),
        "of_papers": sum(PUBLISHED in point for point in points),
    }


def _counts(columns: TrialColumns) -> dict[str, int]:
    copies, lost = columns.marks(DUPLICATE_OF, LOST)
    return {**columns.counts(), "copies": len(copies), "lost": len(lost)}


def _failures(columns: TrialColumns) -> dict[str, Any]:
    """The last trials that failed, and why; those that were tried again are none."""
    errors, lost = columns.marks(ERROR, LOST)
    failed = sorted(row for row in errors if row not in lost)
    return {
        "total": len(failed),
        "rows": [
            [int(columns.numbers[row]), str(errors[row])[:_MAX_REASON]]
            for row in failed[-_MAX_FAILURES:]
        ],
    }


def _latest(columns: TrialColumns) -> str | None:
    ended = columns.times()[:, 1]
    ended = ended[~np.isnat(ended)]
    return None if not len(ended) else f"{np.datetime_as_string(ended.max(), unit='m')}Z"


def _versions(stored: StoredStudy) -> dict[str, str]:
    return {str(k): str(v) for k, v in (stored.user_attrs.get(VERSIONS) or {}).items()}


def _about(spec: StudySpec) -> list[list[str]]:
    task = spec.task.identity()
    network = str(task.pop("name", None) or task.pop("model", ""))
    settings = ", ".join(f"{key} {value}" for key, value in spec.sampler.settings().items())
    sampler = f"{spec.sampler.name}, seed {spec.sampler.seed}" + (settings and f", {settings}")
    return [
        ["task", ", ".join([network, *(f"{key} {value}" for key, value in task.items())])],
        ["objectives", ", ".join(map(str, spec.parsed_objectives()))],
        ["constraints", ", ".join(map(str, spec.parsed_constraints())) or "none"],
        ["sampler", sampler],
        ["budget", f"{number(spec.budget.trials)} designs, {spec.budget.epochs} epochs each"],
    ]


def _knobs(spec: StudySpec) -> list[list[str]]:
    """Every knob and what it may be, the free ones first."""
    space = spec.design_space()
    free = [[path, str(domain)] for path, domain in space.free().items()]
    fixed = [
        [path, f"fixed at {only_value(domain)}"]
        for path, domain in space.domains.items()
        if is_single(domain)
    ]
    return free + fixed


def _data(spec: StudySpec) -> dict[str, Any]:
    """What the accuracies were measured on."""
    task = spec.task
    return {
        "name": task.data or "",
        "mnist": "mnist" in (task.data or task.name or "").lower(),
        "test_images": task.test_images,
    }
