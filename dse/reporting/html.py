"""html_report(): a study as one HTML page that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import jinja2
import numpy as np
import optuna
from optuna.trial import FrozenTrial

from dse.database import Database
from dse.importance import knob_importance
from dse.metrics import MetricName, metric_name, shown_name
from dse.objectives import Objective
from dse.pareto import Front, count_states, pareto_front
from dse.reporting.drill_down import drill_down, metric_text, number
from dse.reporting.figures import front_figures, hypervolume_figure, metric_label
from dse.reporting.front import describe_params
from dse.reporting.importance import importance_bars
from dse.resuming import VERSIONS
from dse.spec import StudySpec
from dse.trials import DUPLICATE_OF, ERROR, LOST, METRICS, is_feasible, is_given, is_result
from search_spaces.domains import is_single, only_value

MAX_ROWS = 1000
"""Designs of the front in the table; of more, evenly chosen ones along the first objective."""

MAX_DRILL_DOWNS = 60
_MAX_FAILURES = 20
_ADC_BITS = "adc.bits.slice"
_TEMPLATE = "report.html.j2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A design in a table.

    Attributes:
        trial: Its number.
        feasible: Whether it meets every constraint.
        on_front: Whether it is on the front.
        given: Whether the study file gave it.
        cells: Text and value to sort by, of each numeric column.
        adc_bits: Most significant slice first; empty if they are not searched.
        adc_total: Their sum, to sort by.
        params: The other parameters, on one line.
        explained: Whether there is a drill-down.
    """

    trial: int
    feasible: bool
    on_front: bool
    given: bool
    cells: tuple[tuple[str, float], ...]
    adc_bits: str
    adc_total: int
    params: str
    explained: bool


def html_report(study: optuna.Study, database: Database, spec: StudySpec) -> str:
    """A study for a person: front, table, progress, and every design of the front in full.

    Text that comes from the database is escaped; a design whose report is missing says so.

    Args:
        study: Read, not changed.
        database: Where it lives, with the reports of its designs.
        spec: What was searched.
    """
    trials = study.get_trials(deepcopy=False)
    objectives = spec.parsed_objectives()
    front = pareto_front(trials, objectives)
    shown_front = _evenly(front.trials, MAX_ROWS)
    given = _given(trials, len(spec.points))
    on_front = {trial.number for trial in front.trials}
    beside = [trial for trial in given if trial.number not in on_front]
    explained = [*shown_front[:MAX_DRILL_DOWNS], *beside[:MAX_DRILL_DOWNS]]
    columns = _columns(objectives)
    failures = [t for t in trials if ERROR in t.user_attrs and LOST not in t.user_attrs]

    def row(trial: FrozenTrial) -> Row:
        return _row(trial, columns, on_front=on_front, given=given, explained=explained)

    return _template().render(
        spec=spec,
        about=_about(spec, front),
        knobs=_knobs(spec),
        counts=count_states(trials),
        duplicates=sum(DUPLICATE_OF in t.user_attrs for t in trials),
        lost=sum(LOST in t.user_attrs for t in trials),
        n_results=sum(is_result(t) for t in trials),
        latest=max((t.datetime_complete for t in trials if t.datetime_complete), default=None),
        front=front,
        figures=front_figures(trials, front, shown_front, given, seed=spec.sampler.seed),
        progress=hypervolume_figure(trials, front),
        importance=importance_bars(
            knob_importance(trials, objectives, spec.design_space().free())
        ),
        columns=[metric_label(column) for column in columns],
        has_adc_bits=any(_ADC_BITS in path for t in explained for path in t.params),
        rows=[row(trial) for trial in shown_front],
        beside=[row(trial) for trial in beside],
        designs=[
            (row(t), drill_down(study, database, t, spec.parsed_constraints())) for t in explained
        ],
        failures=[(t.number, str(t.user_attrs[ERROR])) for t in failures[-_MAX_FAILURES:]],
        n_failures=len(failures),
        versions={str(k): str(v) for k, v in (study.user_attrs.get(VERSIONS) or {}).items()},
        mnist="mnist" in (spec.task.data or spec.task.name or "").lower(),
        number=number,
    )


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(
        files("dse.reporting").joinpath(_TEMPLATE).read_text(encoding="utf-8")
    )


def _about(spec: StudySpec, front: Front) -> list[tuple[str, str]]:
    task = spec.task.identity()
    network = str(task.pop("name", None) or task.pop("model", ""))
    settings = ", ".join(f"{key} {value}" for key, value in spec.sampler.settings().items())
    reference = ", ".join(
        f"{objective.name} {number(value)}"
        for objective, value in zip(front.objectives, front.reference_point, strict=True)
    )
    about = [
        ("Task", ", ".join([network, *(f"{key} {value}" for key, value in task.items())])),
        ("Objectives", ", ".join(map(str, front.objectives))),
        ("Constraints", ", ".join(map(str, spec.parsed_constraints())) or "none"),
        (
            "Sampler",
            f"{spec.sampler.name}, seed {spec.sampler.seed}" + (settings and f", {settings}"),
        ),
        ("Budget", f"{number(spec.budget.trials)} designs, {spec.budget.epochs} epochs each"),
    ]
    if front.trials:
        about.append(
            ("Reference point", f"{reference} (the worst value of each among all results)")
        )
    return about


def _knobs(spec: StudySpec) -> list[tuple[str, str]]:
    """Every knob and what it may be, the free ones first."""
    space = spec.design_space()
    free = [(path, str(domain)) for path, domain in space.free().items()]
    fixed = [
        (path, f"fixed at {only_value(domain)}")
        for path, domain in space.domains.items()
        if is_single(domain)
    ]
    return free + fixed


def _columns(objectives: Sequence[Objective]) -> list[MetricName]:
    """The objectives, then what a designer asks next."""
    taken = {objective.metric.si for objective in objectives}
    extra = ("accuracy_ideal", "adc_energy_vs_8bit", "latency_s", "area_m2")
    return [
        *(metric_name(objective.name) for objective in objectives),
        *(shown_name(si) for si in extra if si not in taken),
    ]


def _row(
    trial: FrozenTrial,
    columns: Sequence[MetricName],
    *,
    on_front: set[int],
    given: Sequence[FrozenTrial],
    explained: Sequence[FrozenTrial],
) -> Row:
    metrics: dict[str, Any] = trial.user_attrs.get(METRICS, {})
    n_values = len(trial.values)
    values = [
        *trial.values,
        *(c.of(metrics) if c.si in metrics else float("nan") for c in columns[n_values:]),
    ]
    bits = {path: v for path, v in trial.params.items() if path.startswith(_ADC_BITS)}
    others = {path: v for path, v in trial.params.items() if path not in bits}
    return Row(
        trial=trial.number,
        feasible=is_feasible(trial),
        on_front=trial.number in on_front,
        given=any(trial.number == t.number for t in given),
        cells=tuple(
            (metric_text(c, value), value) for c, value in zip(columns, values, strict=True)
        ),
        adc_bits=describe_params(bits).removeprefix("adc "),
        adc_total=sum(int(value) for value in bits.values()),
        params=describe_params(others),
        explained=any(trial.number == t.number for t in explained),
    )


def _given(trials: Sequence[FrozenTrial], n_points: int) -> list[FrozenTrial]:
    """Results of the designs that the study file gave."""
    return [trial for trial in trials if is_given(trial, n_points)]


def _evenly(trials: Sequence[FrozenTrial], most: int) -> list[FrozenTrial]:
    if len(trials) <= most:
        return list(trials)
    chosen = np.linspace(0, len(trials) - 1, most).round().astype(int)
    return [trials[index] for index in chosen.tolist()]
